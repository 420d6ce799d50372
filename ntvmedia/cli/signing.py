"""`ntvmedia sign`: addresses that may be played for a while."""

from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path
from typing import Final

from ntvmedia.access.keys import read_key, read_signing_key
from ntvmedia.access.networks import signed_spelling
from ntvmedia.access.signing import KEY_ID, MAX_VIEWERS, signed_query
from ntvmedia.cli.failures import Failed
from ntvmedia.cli.places import add_places
from ntvmedia.media.names import parse_path

# Ten years: what is longer is a mistake in the unit.
_MAX_HOURS: Final = 87_660.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Give `ntvmedia sign` its options."""
    parser.description = (
        "Print what follows the question mark in the address of a stream whose application wants "
        "signed addresses. The server need not run."
    )
    parser.add_argument("stream", metavar="APP/STREAM")
    parser.add_argument(
        "--hours", type=_hours, default=24.0, metavar="N", help="it plays for so long; default: 24"
    )
    parser.add_argument(
        "--ip",
        type=_network,
        metavar="ADDRESS",
        help="who may play, or which network",
    )
    parser.add_argument(
        "--viewers", type=_viewers, default=0, metavar="N", help="most at the same time"
    )
    parser.add_argument("--kid", type=_key_id, metavar="ID", help="sign with this key of the API")
    parser.add_argument(
        "--key-file",
        type=Path,
        metavar="FILE",
        help="where the key of --kid is: 64 hexadecimal digits, for its owner only",
    )
    add_places(parser, config=False)
    parser.set_defaults(run=sign)


def sign(options: argparse.Namespace) -> None:
    """Print the query.

    Raises:
        Failed: Of a key's id and its file only one is given.
        Refused: The name is none.
        ConfigError: There is no key, or it is broken.
    """
    if bool(options.kid) != (options.key_file is not None):
        raise Failed("--kid and --key-file belong together")
    if options.key_file is None:
        key = read_signing_key(options.data)
    else:
        key = read_key(Path(), options.key_file)
    stream = parse_path(options.stream).key
    expires = math.ceil(time.time() + options.hours * 3600)
    query = signed_query(
        key,
        stream,
        expires,
        ip=options.ip or "",
        viewers=options.viewers,
        key_id=options.kid or "",
    )
    sys.stdout.write(f"{query}\n")


def _hours(text: str) -> float:
    hours = float(text)
    # A comparison that is false for NaN too.
    if not 0 < hours <= _MAX_HOURS:
        raise argparse.ArgumentTypeError(f"expected a number above 0, to {_MAX_HOURS:,.0f}")
    return hours


def _network(text: str) -> str:
    try:
        return signed_spelling(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _viewers(text: str) -> int:
    viewers = int(text)
    if not 1 <= viewers <= MAX_VIEWERS:
        raise argparse.ArgumentTypeError(f"expected 1 to {MAX_VIEWERS:,}")
    return viewers


def _key_id(text: str) -> str:
    if not KEY_ID.fullmatch(text):
        raise argparse.ArgumentTypeError("expected letters, digits, _ and -")
    return text
