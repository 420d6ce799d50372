"""What `ntvmedia relay` and `ntvmedia push` have in common: tasks of the server that runs.

All is asked of its API; what these commands do not have is asked by `ntvmedia api`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, TypeAlias
from urllib.parse import quote

from ntvmedia.cli.control import ControlClient, NotRunning
from ntvmedia.cli.failures import Failed
from ntvmedia.cli.places import add_places
from ntvmedia.cli.tables import as_json, printable

API: Final = "/mserver/api/v1"

# The most that the API gives at once.
_PAGE_SIZE: Final = 500

_MAX_LINE: Final = 1 << 16

Shown: TypeAlias = dict[str, Any]
"""A task as the API shows it."""

Run: TypeAlias = Callable[[ControlClient, argparse.Namespace], None]
"""Does what an action says."""


class TaskKind(NamedTuple):
    """A kind of tasks.

    Attributes:
        noun: Of one.
        plural: Of several, as the API has it.
        table: Returns a line for each, below a line of titles.
        text: Returns what one does, in a few words.
        secrets: Fields whose value may be read from standard input.
    """

    noun: str
    plural: str
    table: Callable[[Sequence[Shown]], str]
    text: Callable[[Shown], str]
    secrets: Collection[str]

    @property
    def path(self) -> str:
        """Of the API."""
        return f"{API}/{self.plural}"

    def path_of(self, id_: str) -> str:
        """Return the path of one."""
        return f"{self.path}/{quote(id_, safe='')}"


class Action(NamedTuple):
    """One word that comes behind the command.

    Attributes:
        name: The word.
        summary: What it does.
        run: Does it.
        configure: Gives its parser what it has besides the places.
    """

    name: str
    summary: str
    run: Run
    configure: Callable[[argparse.ArgumentParser], None] = lambda _parser: None


def add_actions(parser: argparse.ArgumentParser, kind: TaskKind, *more: Action) -> None:
    """Give a command its actions.

    Args:
        parser: Of the command.
        kind: Its tasks.
        more: What it has besides what all have.
    """
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for action in (*_common(kind), *more):
        below = actions.add_parser(
            action.name,
            help=action.summary,
            description=f"{action.summary.capitalize()}.",
        )
        action.configure(below)
        add_places(below, config=False)
        below.set_defaults(run=_on_running(action.run))


def add_fields(parser: argparse.ArgumentParser, kind: TaskKind, example: str) -> None:
    """Let an action take fields.

    Args:
        parser: Of the action.
        kind: Whose fields.
        example: Some of them.
    """
    parser.epilog = (
        f"Fields are those of the API: {example}. What is no JSON is text. A value of - is read "
        f"from standard input for {', '.join(sorted(kind.secrets))}: arguments are seen by "
        "everybody on the machine."
    )
    parser.add_argument(
        "fields",
        nargs="*",
        # Else they are named among what is required.
        default=[],
        metavar="FIELD=VALUE",
        type=_assignment,
        help="see below",
    )


def with_fields(kind: TaskKind, fields: dict[str, Any], given: Sequence[Any]) -> dict[str, Any]:
    """Return fields, with those that were typed.

    Raises:
        Failed: They do not go together.
    """
    for names, value in given:
        name = ".".join(names)
        place = fields
        for part in names[:-1]:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise Failed(f"{printable(name)}: {printable(part)} has a value already")
        place[names[-1]] = line_of_input(name) if value == "-" and name in kind.secrets else value
    return fields


def line_of_input(name: str) -> str:
    """Return the next line of standard input.

    Args:
        name: Of what it says.

    Raises:
        Failed: There is none.
    """
    try:
        line = sys.stdin.readline(_MAX_LINE).rstrip("\r\n")
    except UnicodeDecodeError:
        # What it says of it has a part of the secret.
        raise Failed(f"{name}: standard input is no text") from None
    if not line:
        raise Failed(f"{name}: there is nothing on standard input")
    return line


def duration(seconds: float) -> str:
    """Return hours, minutes and seconds."""
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if seconds or minutes or hours else "-"


def _common(kind: TaskKind) -> Sequence[Action]:
    """Return what can be done with tasks of all kinds."""
    noun, path_of = kind.noun, kind.path_of

    def list_all(client: ControlClient, options: argparse.Namespace) -> None:
        found: list[Shown] = []
        while True:
            page = len(found) // _PAGE_SIZE + 1
            answer = client.ask("GET", f"{kind.path}?page_size={_PAGE_SIZE}&page={page}")
            found += answer[kind.plural]
            if len(answer[kind.plural]) < _PAGE_SIZE or len(found) >= answer["total"]:
                break
        sys.stdout.write(as_json(found) if options.json else kind.table(found))

    def show(client: ControlClient, options: argparse.Namespace) -> None:
        sys.stdout.write(as_json(client.ask("GET", path_of(options.id))))

    def change(client: ControlClient, options: argparse.Namespace) -> None:
        fields = with_fields(kind, {}, options.fields)
        if not fields:
            raise Failed("nothing to change: say FIELD=VALUE")
        changed = client.ask("PATCH", path_of(options.id), fields)
        sys.stdout.write(f"{noun} {changed['id']} was changed: {kind.text(changed)}\n")

    def tell(id_: str, status: Shown) -> None:
        reason = f": {printable(status['reason'])}" if status["reason"] else ""
        sys.stdout.write(f"{noun} {printable(id_)} is {status['state']}{reason}\n")

    def start(client: ControlClient, options: argparse.Namespace) -> None:
        tell(options.id, client.ask("POST", f"{path_of(options.id)}/start"))

    def stop(client: ControlClient, options: argparse.Namespace) -> None:
        tell(options.id, client.ask("POST", f"{path_of(options.id)}/stop"))

    def log(client: ControlClient, options: argparse.Namespace) -> None:
        for line in client.ask("GET", f"{path_of(options.id)}/log")["lines"]:
            time = datetime.fromtimestamp(line["at"], UTC).isoformat(timespec="seconds")
            sys.stdout.write(f"{time} {printable(line['text'])}\n")

    def delete(client: ControlClient, options: argparse.Namespace) -> None:
        found = client.ask("GET", path_of(options.id))
        what = found["description"] or kind.text(found)
        if not options.yes and not _is_sure(f"{noun} {found['id']} ({printable(what)})"):
            raise Failed(f"{noun} {options.id} was not deleted")
        client.ask("DELETE", path_of(options.id))
        sys.stdout.write(f"{noun} {found['id']} was deleted\n")

    def with_id(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("id", metavar="ID", help=f"as `ntvmedia {noun} list` shows it")

    def with_changes(parser: argparse.ArgumentParser) -> None:
        with_id(parser)
        add_fields(parser, kind, "description=door enabled=false")

    def with_yes(parser: argparse.ArgumentParser) -> None:
        with_id(parser)
        parser.add_argument("--yes", action="store_true", help="do not ask")

    return (
        Action("list", "list all, with their states", list_all, add_json),
        Action("show", "show one with all its fields, as JSON", show, with_id),
        Action("set", "change fields of one; it goes on with what holds now", change, with_changes),
        Action("start", "start one", start, with_id),
        Action("stop", "stop one, until it is started or the server is", stop, with_id),
        Action("log", "show what happened to one lately", log, with_id),
        Action("delete", "delete one, for good", delete, with_yes),
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """Let an action answer in JSON."""
    parser.add_argument("--json", action="store_true", help="as JSON, for programs")


def _on_running(run: Run) -> Callable[[argparse.Namespace], None]:
    def command(options: argparse.Namespace) -> None:
        try:
            run(ControlClient(options.data), options)
        except NotRunning:
            raise Failed(f"no server runs with --data {options.data}") from None

    return command


def _assignment(text: str) -> tuple[list[str], Any]:
    name, mark, value = text.partition("=")
    names = name.split(".")
    if not mark or not all(names):
        raise argparse.ArgumentTypeError(f"expected FIELD=VALUE, not {text!a}")
    try:
        return names, json.loads(value)
    except (ValueError, RecursionError):
        return names, value


def _is_sure(what: str) -> bool:
    """Ask on the terminal whether something shall go."""
    if not sys.stdin.isatty():
        raise Failed("there is no terminal to ask on: use --yes to delete it")
    sys.stderr.write(f"Delete {what} for good? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
