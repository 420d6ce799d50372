"""`ntvmedia app`: applications, of a running server at once, or in a stopped one's database."""

from __future__ import annotations

import argparse
import contextlib
import getpass
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import quote

from twisted.internet.defer import Deferred, execute

from ntvmedia.access import SECRETS, Applications, describe, read_fields
from ntvmedia.cli.control import ControlClient, NotRunning
from ntvmedia.cli.failures import Failed
from ntvmedia.cli.places import add_places, claimed, database_url
from ntvmedia.cli.tables import as_fields, as_json, as_table
from ntvmedia.config import Text
from ntvmedia.events import EventBus
from ntvmedia.store import Store

_T = TypeVar("_T")

_PATH: Final = "/mserver/api/v1/applications"

# The most that the API gives at once.
_PAGE_SIZE: Final = 500

# A server that starts or stops has its data folder, and does not answer, for a while.
PATIENCE_SECONDS: Final = 15.0

Shown = dict[str, Any]
"""An application as the API shows it; a stopped server has no `streams` and `viewers`."""


class Server(Protocol):
    """Where applications are listed and changed."""

    def all(self) -> list[Shown]:
        """Return all, by name."""

    def one(self, name: str) -> Shown:
        """Return one."""

    def add(self, name: str, fields: Mapping[str, Any]) -> Shown:
        """Make one."""

    def change(self, name: str, fields: Mapping[str, Any]) -> Shown:
        """Change one."""

    def remove(self, name: str) -> None:
        """Delete one."""


class RunningServer:
    """One that runs.

    Args:
        client: Asks it.
    """

    def __init__(self, client: ControlClient) -> None:
        self._client = client

    def all(self) -> list[Shown]:
        found: list[Shown] = []
        page = 1
        while True:
            answer = self._client.ask("GET", f"{_PATH}?page_size={_PAGE_SIZE}&page={page}")
            found += answer["applications"]
            if not answer["applications"] or len(found) >= answer["total"]:
                return found
            page += 1

    def one(self, name: str) -> Shown:
        found: Shown = self._client.ask("GET", _path_of(name))
        return found

    def add(self, name: str, fields: Mapping[str, Any]) -> Shown:
        found: Shown = self._client.ask("POST", _PATH, {"name": name, **fields})
        return found

    def change(self, name: str, fields: Mapping[str, Any]) -> Shown:
        found: Shown = self._client.ask("PATCH", _path_of(name), fields)
        return found

    def remove(self, name: str) -> None:
        self._client.ask("DELETE", _path_of(name))


class StoppedServer:
    """One that does not run: its database is used as the server itself would use it.

    Args:
        url: Of the database.
        data: The data folder, claimed.

    Raises:
        ConfigError: The database cannot be used.
    """

    def __init__(self, url: str, data: Path) -> None:
        store = Store(None, url, data)
        store.open()
        self._applications = Applications(_AtOnce(store), EventBus(), time.time)
        self._applications.load()

    def all(self) -> list[Shown]:
        return [self.one(name) for name in sorted(self._applications)]

    def one(self, name: str) -> Shown:
        application = self._applications.find(name)
        return {
            **describe(application),
            **self._applications.times(application.name)._asdict(),
        }

    def add(self, name: str, fields: Mapping[str, Any]) -> Shown:
        return self.one(_result(self._applications.add(name, fields)).name)

    def change(self, name: str, fields: Mapping[str, Any]) -> Shown:
        return self.one(_result(self._applications.change(name, fields)).name)

    def remove(self, name: str) -> None:
        _result(self._applications.remove(name))


class _AtOnce:
    """A store whose answers are there when it was asked: there is no reactor to wait with."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def run(self, work: Callable[[Any], _T]) -> Deferred[_T]:
        return execute(self._store.run_now, work)

    def run_now(self, work: Callable[[Any], _T]) -> _T:
        return self._store.run_now(work)


class _Intermixed(argparse.ArgumentParser):
    """Takes options between the assignments too, which argparse does not do for a subcommand."""

    _is_inside = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if self._is_inside:
            return super().parse_known_args(args, namespace)
        self._is_inside = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._is_inside = False


def configure(parser: argparse.ArgumentParser) -> None:
    """Give `ntvmedia app` its options."""
    parser.description = (
        "List and change applications. A running server does it at once; otherwise its database "
        "is changed."
    )
    actions = parser.add_subparsers(
        dest="action", required=True, metavar="ACTION", parser_class=_Intermixed
    )
    hint = (
        "Fields: type, enabled, outputs, publish_password, referers, ...: see `ntvmedia app show "
        "NAME` and the documentation. Lists have commas; publish_password=- and hls_key_url=- ask "
        "for it."
    )
    for name, run, summary in (
        ("list", _list, "list all applications"),
        ("show", _show, "show one with all its fields"),
        ("add", _add, "make one"),
        ("set", _set, "change fields of one"),
        ("delete", _delete, "delete one, for good"),
    ):
        parser = actions.add_parser(name, help=summary, description=f"{summary.capitalize()}.")
        if name != "list":
            parser.add_argument("name", metavar="NAME")
        if name in ("add", "set"):
            parser.epilog = hint
            parser.add_argument(
                "fields",
                nargs="*" if name == "add" else "+",
                default=[],
                metavar="FIELD=VALUE",
                type=_assignment,
            )
        elif name == "delete":
            parser.add_argument("--yes", action="store_true", help="do not ask")
        else:
            parser.add_argument("--json", action="store_true", help="as JSON, for programs")
        add_places(parser)
        parser.set_defaults(run=run)


def _list(options: argparse.Namespace) -> None:
    with _server(options) as server:
        found = server.all()
    sys.stdout.write(as_json(found) if options.json else as_table(found))


def _show(options: argparse.Namespace) -> None:
    name = _name(options)
    with _server(options) as server:
        found = server.one(name)
    sys.stdout.write(as_json(found) if options.json else as_fields(found))


def _add(options: argparse.Namespace) -> None:
    name, fields = _name(options), _fields(options)
    with _server(options) as server:
        added = server.add(name, fields)
    sys.stdout.write(f"application {added['name']} was added\n")


def _set(options: argparse.Namespace) -> None:
    name, fields = _name(options), _fields(options)
    with _server(options) as server:
        changed = server.change(name, fields)
    sys.stdout.write(f"application {changed['name']} was changed\n")


def _delete(options: argparse.Namespace) -> None:
    name = _name(options)
    with _server(options) as server:
        found = server.one(name)
    # Nothing is kept from a server while somebody thinks.
    if not options.yes and not found["built_in"] and not _is_sure(found):
        raise Failed(f"application {name} was not deleted")
    with _server(options) as server:
        server.remove(name)
    sys.stdout.write(f"application {name} was deleted\n")


@contextlib.contextmanager
def _server(options: argparse.Namespace) -> Iterator[Server]:
    """Find the server, or have its data folder for a while."""
    client = ControlClient(options.data)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            client.ask("GET", "/mserver/api/v1/status")
        except NotRunning:
            with claimed(options.data) as is_free:
                if is_free:
                    yield StoppedServer(database_url(options.config), options.data.absolute())
                    return
            time.sleep(0.05)
        else:
            yield RunningServer(client)
            return
    raise Failed("a server begins or ends, and does not answer: try again")


def _is_sure(application: Shown) -> bool:
    """Ask on the terminal whether an application shall go, with what goes with it."""
    if not sys.stdin.isatty():
        raise Failed("there is no terminal to ask on: use --yes to delete it")
    streams, viewers = application.get("streams", 0), application.get("viewers", 0)
    lost = f", which has {streams} streams and {viewers} viewers now," if streams else ""
    sys.stderr.write(f"Delete application {application['name']}{lost} for good? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError("expected FIELD=VALUE")
    return name, value


def _name(options: argparse.Namespace) -> str:
    return str(read_fields({"name": Text(options.name)})["name"])


def _fields(options: argparse.Namespace) -> dict[str, Any]:
    """Read the assignments: what is wrong with them is told before anybody is asked."""
    given: dict[str, Text] = {}
    for name, value in options.fields:
        if name in given:
            raise Failed(f"{ascii(name)[1:-1]}: given twice")
        given[name] = Text(value)
    for name in SECRETS:
        if given.get(name) == "-":
            given[name] = Text(_asked(name))
    if options.action == "add" and "name" in given:
        raise Failed("name: given twice")
    return read_fields(given)


def _asked(name: str) -> str:
    """Take a secret from the terminal, or from one line of a pipe: arguments are public."""
    if sys.stdin.isatty():
        return getpass.getpass(f"{name}: ")
    return sys.stdin.readline().rstrip("\n")


def _result(done: Deferred[_T]) -> _T:
    """Return what a Deferred has already, or raise it."""
    results: list[_T] = []
    failures: list[Any] = []
    done.addCallbacks(results.append, failures.append)
    if failures:
        failures[0].raiseException()
    return results[0]


def _path_of(name: str) -> str:
    return f"{_PATH}/{quote(name, safe='')}"
