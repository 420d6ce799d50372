"""`ntvmedia`: the server and its tools from one command.

The server itself is a plugin of twistd; `ntvmedia serve` saves remembering twistd's own options.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from twisted.scripts.twistd import run

from ntvmedia import __version__


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: Without the program's name; `None` for those of the process.

    Returns:
        The exit status. `serve` and `check` end the process themselves.

    Raises:
        SystemExit: The arguments are wrong, or the command is done.
    """
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
    commands.add_parser("version", help="print the version")
    known, rest = parser.parse_known_args(arguments)
    if known.command == "version":
        if rest:
            parser.error(f"unrecognized arguments: {' '.join(rest)}")
        sys.stdout.write(f"NTV Media Server {__version__}\n")
        return 0
    _twistd([*(["--check"] if known.command == "check" else []), *rest])


def _twistd(options: Sequence[str]) -> NoReturn:
    sys.argv = ["twistd", "--nodaemon", "--pidfile=", "ntvmedia", *options]
    run()
    raise SystemExit(0)
