"""`ntvmedia relay`: relay tasks of the server that runs, by its API.

What it does not have is asked by `ntvmedia api`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from ntvmedia.cli.control import ControlClient, NotRunning
from ntvmedia.cli.failures import Failed
from ntvmedia.cli.places import add_places
from ntvmedia.cli.tables import as_columns, as_json, printable

_PATH: Final = "/mserver/api/v1/relays"

# The most that the API gives at once.
_PAGE_SIZE: Final = 500

_MAX_ADDRESS: Final = 1 << 16

Shown = dict[str, Any]
"""A task as the API shows it."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Give `ntvmedia relay` its options."""
    parser.description = "Streams that the running server pulls from elsewhere."
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, run, summary in (
        ("list", _list, "list all tasks, with their states"),
        ("show", _show, "show one with all its fields, as JSON"),
        ("add", _add, "make one, and start it"),
        ("start", _start, "start one"),
        ("stop", _stop, "stop one, until it is started or the server is"),
        ("log", _log, "show what happened to one lately"),
        ("delete", _delete, "delete one, for good"),
        ("probe", _probe, "find out what is in a source"),
    ):
        action = actions.add_parser(name, help=summary, description=f"{summary.capitalize()}.")
        if name in ("add", "probe"):
            action.add_argument(
                "source",
                metavar="SOURCE",
                help="its address, such as rtsp://HOST/PATH or test: ; - reads it from standard "
                "input, since arguments are seen by everybody on the machine",
            )
        if name == "add":
            action.epilog = (
                "Fields are those of the API: description=door on_demand=true loop=false "
                "transport=tcp video.codec=h264 video.height=720 fallbacks='[\"test:\"]'. What is "
                "no JSON is text."
            )
            action.add_argument(
                "target",
                metavar="TARGET",
                help="APPLICATION/STREAM of this server, or an address of another: "
                "rtmp://HOST/APPLICATION/STREAM",
            )
            action.add_argument(
                "fields", nargs="*", metavar="FIELD=VALUE", type=_assignment, help="see below"
            )
        elif name in ("list", "probe"):
            action.add_argument("--json", action="store_true", help="as JSON, for programs")
        if name not in ("list", "add", "probe"):
            action.add_argument("id", metavar="ID", help="as `ntvmedia relay list` shows it")
        if name == "delete":
            action.add_argument("--yes", action="store_true", help="do not ask")
        add_places(action, config=False)
        action.set_defaults(run=_on_running(run))


def _on_running(
    run: Callable[[ControlClient, argparse.Namespace], None],
) -> Callable[[argparse.Namespace], None]:
    def command(options: argparse.Namespace) -> None:
        try:
            run(ControlClient(options.data), options)
        except NotRunning:
            raise Failed(f"no server runs with --data {options.data}") from None

    return command


def _list(client: ControlClient, options: argparse.Namespace) -> None:
    found: list[Shown] = []
    while True:
        page = len(found) // _PAGE_SIZE + 1
        answer = client.ask("GET", f"{_PATH}?page_size={_PAGE_SIZE}&page={page}")
        found += answer["relays"]
        if len(answer["relays"]) < _PAGE_SIZE or len(found) >= answer["total"]:
            break
    sys.stdout.write(as_json(found) if options.json else _table(found))


def _show(client: ControlClient, options: argparse.Namespace) -> None:
    sys.stdout.write(as_json(client.ask("GET", _path_of(options.id))))


def _add(client: ControlClient, options: argparse.Namespace) -> None:
    fields: dict[str, Any] = {"source": _source(options.source), "target": _target(options.target)}
    for names, value in options.fields:
        place = fields
        for name in names[:-1]:
            place = place.setdefault(name, {})
            if not isinstance(place, dict):
                raise Failed(f"{'.'.join(names)}: {name} has a value already")
        place[names[-1]] = value
    made = client.ask("POST", _PATH, fields)
    sys.stdout.write(f"relay {made['id']} was added: {_target_text(made['target'])}\n")


def _start(client: ControlClient, options: argparse.Namespace) -> None:
    _tell(options.id, client.ask("POST", f"{_path_of(options.id)}/start"))


def _stop(client: ControlClient, options: argparse.Namespace) -> None:
    _tell(options.id, client.ask("POST", f"{_path_of(options.id)}/stop"))


def _log(client: ControlClient, options: argparse.Namespace) -> None:
    for line in client.ask("GET", f"{_path_of(options.id)}/log")["lines"]:
        time = datetime.fromtimestamp(line["at"], UTC).isoformat(timespec="seconds")
        sys.stdout.write(f"{time} {printable(line['text'])}\n")


def _delete(client: ControlClient, options: argparse.Namespace) -> None:
    found = client.ask("GET", _path_of(options.id))
    if not options.yes and not _is_sure(found):
        raise Failed(f"relay {options.id} was not deleted")
    client.ask("DELETE", _path_of(options.id))
    sys.stdout.write(f"relay {options.id} was deleted\n")


def _probe(client: ControlClient, options: argparse.Namespace) -> None:
    found = client.ask("POST", f"{_PATH}/probe", {"source": _source(options.source)})
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


def _tell(id_: str, status: Shown) -> None:
    reason = f": {printable(status['reason'])}" if status["reason"] else ""
    sys.stdout.write(f"relay {id_} is {status['state']}{reason}\n")


def _table(relays: list[Shown]) -> str:
    rows = [("ID", "STATE", "SOURCE", "TARGET", "KB/S", "UPTIME", "REASON")]
    for relay in relays:
        status = relay["status"]
        sources = [relay["source"], *relay["fallbacks"]]
        rows.append(
            (
                relay["id"],
                status["state"],
                printable(sources[min(status["source"], len(sources) - 1)]),
                _target_text(relay["target"]),
                str(status["bitrate_kbps"]),
                _duration(status["uptime_seconds"]),
                printable(status["reason"]) or "-",
            )
        )
    return as_columns(rows)


def _target_text(target: Shown) -> str:
    server = f"{target['server']}/" if target["server"] else ""
    return printable(f"{server}{target['application']}/{target['stream']}")


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if seconds or minutes or hours else "-"


def _source(text: str) -> str:
    if text != "-":
        return text
    try:
        line = sys.stdin.readline(_MAX_ADDRESS).rstrip("\r\n")
    except UnicodeDecodeError:
        # What it says of it has a part of the address.
        raise Failed("the address on standard input is no text") from None
    if not line:
        raise Failed("there is no address on standard input")
    return line


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


def _assignment(text: str) -> tuple[list[str], Any]:
    name, mark, value = text.partition("=")
    names = name.split(".")
    if not mark or not all(names):
        raise argparse.ArgumentTypeError(f"expected FIELD=VALUE, not {text!a}")
    try:
        return names, json.loads(value)
    except (ValueError, RecursionError):
        return names, value


def _is_sure(relay: Shown) -> bool:
    """Ask on the terminal whether a task shall go."""
    if not sys.stdin.isatty():
        raise Failed("there is no terminal to ask on: use --yes to delete it")
    what = relay["description"] or _target_text(relay["target"])
    sys.stderr.write(f"Delete relay {relay['id']} ({printable(what)}) for good? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _path_of(id_: str) -> str:
    return f"{_PATH}/{quote(id_, safe='')}"
