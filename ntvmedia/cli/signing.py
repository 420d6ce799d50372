"""`ntvmedia sign`: addresses that may be played for a while."""

from __future__ import annotations

import argparse
import math
import sys
import time
from typing import Final

from ntvmedia.access.keys import read_signing_key
from ntvmedia.access.signing import signed_query
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
    add_places(parser, config=False)
    parser.set_defaults(run=sign)


def sign(options: argparse.Namespace) -> None:
    """Print the query.

    Raises:
        Refused: The name is none.
        ConfigError: There is no key, or it is broken.
    """
    key = read_signing_key(options.data)
    stream = parse_path(options.stream).key
    expires = math.ceil(time.time() + options.hours * 3600)
    sys.stdout.write(f"{signed_query(key, stream, expires)}\n")


def _hours(text: str) -> float:
    hours = float(text)
    # A comparison that is false for NaN too.
    if not 0 < hours <= _MAX_HOURS:
        raise argparse.ArgumentTypeError(f"expected a number above 0, to {_MAX_HOURS:,.0f}")
    return hours
