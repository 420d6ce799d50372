"""`ntvmedia user`: who may administer, in a running server at once, or in a stopped one's database.

This is how unattended installs make the first administrator (P-102), and the way back in for an
operator who forgot the password.
"""

from __future__ import annotations

import argparse
import contextlib
import getpass
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import quote

from ntvmedia.accounts import Accounts, Identity, Note, Role, describe_user
from ntvmedia.cli.control import ControlClient
from ntvmedia.cli.failures import Failed
from ntvmedia.cli.places import add_places
from ntvmedia.cli.serverless import StoreAtOnce, result_of, server_or_its_data
from ntvmedia.cli.tables import as_columns, as_json
from ntvmedia.events import EventBus
from ntvmedia.store import Store

_PATH: Final = "/mserver/api/v1/users"

# The most that the API gives at once.
_PAGE_SIZE: Final = 500

_OPERATOR: Final = Identity("operator on the host", Role.ADMINISTRATOR, "control")

Shown = dict[str, Any]
"""A user as the API shows it."""


class Server(Protocol):
    """Where users are listed and changed."""

    def all(self) -> list[Shown]:
        """Return all, by name."""

    def add(self, fields: Mapping[str, Any]) -> Shown:
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
        page, total = 1, 1
        while len(found) < total:
            answer = self._client.ask("GET", f"{_PATH}?page={page}&page_size={_PAGE_SIZE}")
            found += answer["users"]
            # One that was deleted meanwhile is missing, and is not waited for.
            total = answer["total"] if answer["users"] else 0
            page += 1
        return found

    def add(self, fields: Mapping[str, Any]) -> Shown:
        found: Shown = self._client.ask("POST", _PATH, fields)
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
        self._accounts = Accounts(StoreAtOnce(store), EventBus(), time.time, None, data)
        self._accounts.load(with_setup_code=False)

    def all(self) -> list[Shown]:
        return [describe_user(user) for user in self._accounts.users()]

    def add(self, fields: Mapping[str, Any]) -> Shown:
        name = fields["name"]
        adding = self._accounts.add_user(
            name, fields["password"], Role(fields["role"]), note=self._note("users.add", name)
        )
        return describe_user(result_of(adding))

    def change(self, name: str, fields: Mapping[str, Any]) -> Shown:
        role = fields.get("role")
        name = self._accounts.user(name).name
        changing = self._accounts.change_user(
            name,
            role=None if role is None else Role(role),
            enabled=fields.get("enabled"),
            password=fields.get("password"),
            note=self._note("users.change", name),
        )
        return describe_user(result_of(changing))

    def remove(self, name: str) -> None:
        name = self._accounts.user(name).name
        result_of(self._accounts.delete_user(name, note=self._note("users.delete", name)))

    def _note(self, action: str, name: str) -> Note:
        return self._accounts.note(_OPERATOR, "", action, name)


def configure(parser: argparse.ArgumentParser) -> None:
    """Give `ntvmedia user` its options."""
    parser.description = (
        "List and change the users of the console and the API. A running server does it at once; "
        "otherwise its database is changed."
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    asks = (
        "The password is asked for on the terminal, or is one line of standard input: arguments "
        "are seen by everybody on the machine."
    )
    for name, run, summary in (
        ("list", _list, "list all users"),
        ("add", _add, "make one; the first is an administrator"),
        ("set", _set, "change the role of one, enable or disable it"),
        ("password", _password, "give one another password, and end its sessions and tokens"),
        ("delete", _delete, "delete one, with its sessions and tokens"),
    ):
        parser = actions.add_parser(name, help=summary, description=f"{summary.capitalize()}.")
        if name == "list":
            parser.add_argument("--json", action="store_true", help="as JSON, for programs")
        else:
            parser.add_argument("name", metavar="NAME")
        if name in ("add", "set"):
            parser.add_argument("--role", choices=[role.value for role in Role])
        if name in ("add", "password"):
            parser.epilog = asks
        if name == "set":
            state = parser.add_mutually_exclusive_group()
            state.add_argument("--enable", action="store_true", help="the user may log in")
            state.add_argument(
                "--disable", action="store_true", help="the user may not; sessions and tokens end"
            )
        if name == "delete":
            parser.add_argument("--yes", action="store_true", help="do not ask")
        add_places(parser)
        parser.set_defaults(run=run)


def _list(options: argparse.Namespace) -> None:
    with _server(options) as server:
        found = server.all()
    sys.stdout.write(as_json(found) if options.json else _table(found))


def _add(options: argparse.Namespace) -> None:
    password = _asked(options.name)
    # Before the first start of a server too. As a server makes it.
    try:
        options.data.mkdir(mode=0o750, parents=True, exist_ok=True)
    except OSError as error:
        raise Failed(f"--data {options.data}: {error.strerror}") from None
    with _server(options) as server:
        role = options.role or _role_of_next(server.all())
        added = server.add({"name": options.name, "password": password, "role": role})
    sys.stdout.write(f"user {added['name']} was added: {added['role']}\n")


def _set(options: argparse.Namespace) -> None:
    fields: dict[str, Any] = {}
    if options.role:
        fields["role"] = options.role
    if options.enable or options.disable:
        fields["enabled"] = options.enable
    if not fields:
        raise Failed("nothing to change: give --role, --enable or --disable")
    with _server(options) as server:
        changed = server.change(options.name, fields)
    state = "enabled" if changed["enabled"] else "disabled"
    sys.stdout.write(f"user {changed['name']} was changed: {changed['role']}, {state}\n")


def _password(options: argparse.Namespace) -> None:
    password = _asked(options.name)
    with _server(options) as server:
        changed = server.change(options.name, {"password": password})
    sys.stdout.write(f"user {changed['name']} has another password\n")


def _delete(options: argparse.Namespace) -> None:
    if not options.yes and not _is_sure(options.name):
        raise Failed(f"user {options.name} was not deleted")
    with _server(options) as server:
        server.remove(options.name)
    sys.stdout.write(f"user {options.name} was deleted\n")


@contextlib.contextmanager
def _server(options: argparse.Namespace) -> Iterator[Server]:
    def running(client: ControlClient) -> Server:
        return RunningServer(client)

    with server_or_its_data(options, running, StoppedServer) as found:
        yield found


def _role_of_next(users: Sequence[Shown]) -> str:
    """Return the role of a user who was given none: one has to administer, others need not."""
    administrator = Role.ADMINISTRATOR.value
    is_set_up = any(user["enabled"] and user["role"] == administrator for user in users)
    return Role.VIEWER.value if is_set_up else administrator


def _asked(name: str) -> str:
    """Take a password from the terminal, twice, or from one line of a pipe."""
    if not sys.stdin.isatty():
        try:
            line = sys.stdin.readline().rstrip("\r\n")
        except UnicodeDecodeError:
            # What it says of it has a part of the password.
            raise Failed("the password on standard input is no text") from None
        if not line:
            raise Failed("there is no password on standard input")
        return line
    password = getpass.getpass(f"Password of {name}: ")
    if getpass.getpass("Once more: ") != password:
        raise Failed("the two passwords differ")
    return password


def _is_sure(name: str) -> bool:
    if not sys.stdin.isatty():
        raise Failed("there is no terminal to ask on: use --yes to delete it")
    sys.stderr.write(f"Delete user {name} for good? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _table(users: Sequence[Shown]) -> str:
    rows = [("NAME", "ROLE", "ENABLED", "LAST LOG-IN")]
    rows += [
        (
            user["name"],
            user["role"],
            "true" if user["enabled"] else "false",
            _time(user.get("logged_in_at")),
        )
        for user in users
    ]
    return as_columns(rows)


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _path_of(name: str) -> str:
    return f"{_PATH}/{quote(name, safe='')}"
