"""`ntvmedia push`: pushes of the server that runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any, Final

from ntvmedia.cli.control import ControlClient
from ntvmedia.cli.failures import Failed
from ntvmedia.cli.tables import as_columns, printable
from ntvmedia.cli.tasks import (
    Action,
    Shown,
    TaskKind,
    add_actions,
    add_fields,
    duration,
    line_of_input,
    with_fields,
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Give `ntvmedia push` its options."""
    parser.description = "Streams that the running server sends to other servers."
    add_actions(parser, _KIND, Action("add", "make one, and start it", _add, _with_target))


def _with_target(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what",
        metavar="STREAMS",
        help="APPLICATION for all its streams, APPLICATION/STREAM for one, APPLICATION/PATTERN "
        "for those that match it, or '*' for all applications",
    )
    parser.add_argument(
        "target",
        metavar="TARGET",
        help="where to: rtmp://HOST for the same names there, rtmp://HOST/APPLICATION, or "
        "rtmp://HOST/APPLICATION/STREAM; - reads it from standard input, since arguments are seen "
        "by everybody on the machine, and what comes last is often a key",
    )
    add_fields(parser, _KIND, "description=backup enabled=false transport=tcp stall_seconds=20")


def _add(client: ControlClient, options: argparse.Namespace) -> None:
    target = line_of_input("target") if options.target == "-" else options.target
    fields = {**_streams(options.what), **_target(target)}
    made = client.ask("POST", _KIND.path, with_fields(_KIND, fields, options.fields))
    sys.stdout.write(f"push {made['id']} was added: {_text(made)}\n")


def _streams(text: str) -> dict[str, Any]:
    """Return which streams are sent."""
    if text in ("*", "*/*"):
        return {"application": ""}
    application, slash, stream = text.partition("/")
    if not application or (slash and not stream):
        raise Failed("the streams are APPLICATION, APPLICATION/STREAM or '*'")
    fields: dict[str, Any] = {"application": "" if application == "*" else application}
    if slash:
        fields["streams"] = [stream]
    return fields


def _target(text: str) -> dict[str, Any]:
    """Return the parts of an address; what it does not say is as it is here."""
    scheme, mark, rest = text.partition("://")
    if not mark or not rest:
        raise Failed("the target is an address: rtmp://HOST/APPLICATION/STREAM")
    path, _mark, query = rest.partition("?")
    authority, _slash, path = path.partition("/")
    # What is before the last slash is the application, as encoders have it.
    application, slash, stream = path.rpartition("/")
    if not slash:
        application, stream = stream, ""
    fields = {
        "server": f"{scheme}://{authority}",
        "target_application": application,
        "target_stream": stream,
        "query": query,
    }
    return {name: value for name, value in fields.items() if value}


def _table(pushes: Sequence[Shown]) -> str:
    rows = [("ID", "STATE", "STREAMS", "TARGET", "KB/S", "DROPPED", "UPTIME", "REASON")]
    for push in pushes:
        status = push["status"]
        rows.append(
            (
                push["id"],
                status["state"],
                _streams_text(push),
                _target_text(push),
                str(status["bitrate_kbps"]),
                str(status["dropped"]),
                duration(status["uptime_seconds"]),
                printable(status["reason"]) or "-",
            )
        )
    return as_columns(rows)


def _text(push: Shown) -> str:
    return f"{_streams_text(push)} to {_target_text(push)}"


def _streams_text(push: Shown) -> str:
    return printable(f"{push['application'] or '*'}/{','.join(push['streams']) or '*'}")


def _target_text(push: Shown) -> str:
    application = push["target_application"] or "$APP"
    return printable(f"{push['server']}/{application}/{push['target_stream']}")


_KIND: Final = TaskKind(
    "push",
    "pushes",
    _table,
    _text,
    frozenset({"server", "target_stream", "query"}),
)
