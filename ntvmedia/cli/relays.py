"""`ntvmedia relay`: relay tasks of the server that runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from ntvmedia.cli.control import ControlClient
from ntvmedia.cli.failures import Failed
from ntvmedia.cli.tables import as_columns, as_json, printable
from ntvmedia.cli.tasks import (
    Action,
    Shown,
    TaskKind,
    add_actions,
    add_fields,
    add_json,
    duration,
    line_of_input,
    with_fields,
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Give `ntvmedia relay` its options."""
    parser.description = "Streams that the running server pulls from elsewhere."
    add_actions(
        parser,
        _KIND,
        Action("add", "make one, and start it", _add, _with_source_and_target),
        Action("probe", "find out what is in a source", _probe, _with_source),
    )


def _with_source(parser: argparse.ArgumentParser) -> None:
    _add_source(parser)
    add_json(parser)


def _with_source_and_target(parser: argparse.ArgumentParser) -> None:
    _add_source(parser)
    parser.add_argument(
        "target",
        metavar="TARGET",
        help="APPLICATION/STREAM of this server, or an address of another: "
        "rtmp://HOST/APPLICATION/STREAM",
    )
    add_fields(
        parser,
        _KIND,
        "description=door on_demand=true loop=false transport=tcp video.codec=h264 "
        "video.height=720 fallbacks='[\"test:\"]'",
    )


def _add_source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="its address, such as rtsp://HOST/PATH or test: ; - reads it from standard "
        "input, since arguments are seen by everybody on the machine",
    )


def _add(client: ControlClient, options: argparse.Namespace) -> None:
    target = dict(_target(options.target))
    fields = {"source": _source(options.source), "target": target}
    made = client.ask("POST", _KIND.path, with_fields(_KIND, fields, options.fields))
    sys.stdout.write(f"relay {made['id']} was added: {_target_text(made)}\n")


def _probe(client: ControlClient, options: argparse.Namespace) -> None:
    found = client.ask("POST", f"{_KIND.path}/probe", {"source": _source(options.source)})
    if options.json:
        sys.stdout.write(as_json(found))
        return
    sys.stdout.write(f"{printable(found['format'])}, {found['bitrate_kbps']} kb/s\n")
    rows: list[tuple[str, ...]] = [
        ("KIND", "CODEC", "PROFILE", "SIZE", "FPS", "HERTZ", "CHANNELS", "KB/S")
    ]
    rows += [
        (
            *(printable(track[x]) or "-" for x in ("kind", "codec", "profile")),
            f"{track['width']}x{track['height']}" if track["width"] else "-",
            *(
                f"{track[x]:g}" if track[x] else "-"
                for x in ("frame_rate", "sample_rate", "channels", "bitrate_kbps")
            ),
        )
        for track in found["tracks"]
    ]
    sys.stdout.write(as_columns(rows))


def _table(relays: Sequence[Shown]) -> str:
    rows = [("ID", "STATE", "SOURCE", "TARGET", "KB/S", "UPTIME", "REASON")]
    for relay in relays:
        status = relay["status"]
        sources = [relay["source"], *relay["fallbacks"]]
        rows.append(
            (
                relay["id"],
                status["state"],
                printable(sources[min(status["source"], len(sources) - 1)]),
                _target_text(relay),
                str(status["bitrate_kbps"]),
                duration(status["uptime_seconds"]),
                printable(status["reason"]) or "-",
            )
        )
    return as_columns(rows)


def _target_text(relay: Shown) -> str:
    target = relay["target"]
    server = f"{target['server']}/" if target["server"] else ""
    return printable(f"{server}{target['application']}/{target['stream']}")


def _source(text: str) -> str:
    return line_of_input("source") if text == "-" else text


def _target(text: str) -> Mapping[str, str]:
    """Return the parts of a target: what somebody typed is one address, as in a browser."""
    scheme, mark, rest = text.partition("://")
    if not mark:
        application, slash, stream = text.partition("/")
        if not slash:
            raise Failed("the target is APPLICATION/STREAM, or rtmp://HOST/APPLICATION/STREAM")
        return {"application": application, "stream": stream}
    # What is before the last slash is the application, as encoders have it.
    path, _mark, query = rest.partition("?")
    authority, _slash, path = path.partition("/")
    application, slash, stream = path.rpartition("/")
    if not slash:
        raise Failed("after the host of the target come an application and a stream")
    return {
        "server": f"{scheme}://{authority}",
        "application": application,
        "stream": stream,
        "query": query,
    }


_KIND: Final = TaskKind(
    "relay",
    "relays",
    _table,
    _target_text,
    frozenset({"source", "target.server", "target.stream", "target.query"}),
)
