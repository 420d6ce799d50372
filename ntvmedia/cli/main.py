"""`ntvmedia`: the server and its tools from one command.

The server itself is a plugin of twistd; `ntvmedia serve` saves remembering twistd's own options.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Final, NoReturn

from ntvmedia import __version__
from ntvmedia.cli.failures import Failed
from ntvmedia.cli.tables import printable
from ntvmedia.errors import NtvMediaError

# The commands, by the module whose `configure` gives a parser its options. A module is imported
# when its command is asked for: all of them take seconds.
_COMMANDS: Final = {
    "app": (
        "ntvmedia.cli.applications",
        "list and change applications: list, show, add, set, delete",
    ),
    "api": (
        "ntvmedia.cli.api",
        "ask the running server's API: api GET /streams",
    ),
    "user": (
        "ntvmedia.cli.users",
        "list and change who may administer: list, add, set, password, delete",
    ),
    "relay": (
        "ntvmedia.cli.relays",
        "streams that are pulled from elsewhere: list, show, add, set, start, stop, log, delete, "
        "probe",
    ),
    "push": (
        "ntvmedia.cli.pushes",
        "streams that are sent to other servers: list, show, add, set, start, stop, log, delete",
    ),
    "sign": (
        "ntvmedia.cli.signing",
        "print what makes the address of a stream play in a signed application",
    ),
    "backup": (
        "ntvmedia.cli.backup",
        "copy what the server keeps, but for media, into one file",
    ),
    "restore": (
        "ntvmedia.cli.restore",
        "put back what `ntvmedia backup` wrote",
    ),
    "hls-download": (
        "ntvmedia.cli.hls_download.command",
        "load an HLS stream, and make one MP4 file of it",
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: Without the program's name; `None` for those of the process.

    Returns:
        The exit status: 0; 1 for a command that could not do what it was asked; 130 for one that
        was interrupted. `serve` and `check` end the process themselves.

    Raises:
        SystemExit: The arguments are wrong (status 2), or the command is done.
    """
    if arguments is None:
        arguments = sys.argv[1:]
    parser = argparse.ArgumentParser(
        prog="ntvmedia", description="A self-hosted streaming media server."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary in (
        ("serve", "run the server in the foreground: twistd -n ntvmedia OPTIONS"),
        ("check", "check the settings and exit: twistd -n ntvmedia --check OPTIONS"),
    ):
        # What follows is for twistd, `--help` too.
        commands.add_parser(name, help=summary, add_help=False, prefix_chars="\0")
    parsers = {name: commands.add_parser(name, help=x) for name, (_, x) in _COMMANDS.items()}
    commands.add_parser("version", help="print the version")
    try:
        if arguments and arguments[0] in _COMMANDS:
            module, _summary = _COMMANDS[arguments[0]]
            import_module(module).configure(parsers[arguments[0]])
        known, rest = parser.parse_known_args(arguments)
        if known.command not in ("serve", "check"):
            if rest:
                parser.error(f"unrecognized arguments: {' '.join(rest)}")
            if known.command == "version":
                sys.stdout.write(f"NTV Media Server {__version__}\n")
                return 0
            return _run(known.run, known)
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        return 130
    _twistd([*(["--check"] if known.command == "check" else []), *rest])


def _run(command: Callable[[argparse.Namespace], None], options: argparse.Namespace) -> int:
    """Run a command; what it cannot do is told in one line."""
    try:
        command(options)
        sys.stdout.flush()
    except BrokenPipeError:
        # Who reads has enough, as `head` has. Python would complain once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (Failed, NtvMediaError) as error:
        # What was typed may be quoted in it.
        text = " ".join(str(error).split())
        sys.stderr.write(f"ntvmedia: {printable(text)}\n")
        return 1
    return 0


def _twistd(options: Sequence[str]) -> NoReturn:
    from twisted.scripts.twistd import run

    sys.argv = ["twistd", "--nodaemon", "--pidfile=", "ntvmedia", *options]
    run()
    raise SystemExit(0)
