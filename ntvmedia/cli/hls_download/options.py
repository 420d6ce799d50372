"""What may be said to `ntvmedia hls-download`."""

from __future__ import annotations

import argparse
import re
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final

from ntvmedia.cli.failures import Failed
from ntvmedia.wire.hls.decryption import KEY_SIZE

# As many as the one HTTP client asks the same server at a time.
_MAX_JOBS: Final = 20

_TIME: Final = re.compile(r"(?:(?:(\d{1,3}):)?(\d{1,5}):)?(\d{1,9}(?:\.\d{1,6})?)")
_HEX_KEY: Final = re.compile(r"(?:0x)?([0-9a-fA-F]{32})")
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Give the command its options."""
    parser.description = (
        "Load a stream of HTTP Live Streaming, decrypt it, and put it together as one MP4 file, "
        "without encoding it again. What is there stays beside the file when the command is "
        "interrupted or fails: the same command goes on."
    )
    parser.add_argument("url", metavar="URL", help="of a media or multivariant playlist")
    parser.add_argument(
        *("-o", "--output"),
        type=Path,
        metavar="OUT.mp4",
        help="the file to make; default: the playlist's name with .mp4, in this folder",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="replace the file if it is there, and what another download has left",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on with what is there, though the address has another query now",
    )
    parser.add_argument(
        "--partial",
        action="store_true",
        help="leave out what cannot be had, and make the file of the rest",
    )
    _add_choice(parser.add_argument_group("what to load"))
    _add_network(parser.add_argument_group("how to ask"))


def _add_choice(group: Any) -> None:
    group.add_argument(
        "--list", action="store_true", help="print variants and sounds, and load nothing"
    )
    group.add_argument(
        "--variant",
        default="best",
        metavar="WHICH",
        help="best, worst, a number of --list, or a height such as 720p; default: best",
    )
    group.add_argument(
        "--audio",
        action="append",
        default=[],
        metavar="WHICH",
        help="the name or language of a sound that has a playlist of its own, or all; may be "
        "repeated; default: the playlist's own choice",
    )
    group.add_argument(
        *("--from",),
        dest="begin",
        type=_seconds,
        metavar="TIME",
        help="load the segments from there on; seconds or [HH:]MM:SS",
    )
    group.add_argument(
        *("--to",), dest="end", type=_seconds, metavar="TIME", help="load the segments up to there"
    )
    group.add_argument(
        "--duration",
        type=_positive_seconds,
        metavar="TIME",
        help="how much to load; of a live stream, which has no end, how much from now on",
    )


def _add_network(group: Any) -> None:
    group.add_argument(
        *("-j", "--jobs"),
        type=_count(1, _MAX_JOBS),
        default=8,
        metavar="N",
        help=f"segments at a time, to {_MAX_JOBS}; default: 8",
    )
    group.add_argument(
        *("-H", "--header"),
        action="append",
        type=_field,
        default=[],
        metavar="'NAME: VALUE'",
        help="send this field with each request; Authorization and Cookie go to the server of "
        "URL only; may be repeated",
    )
    group.add_argument("--referer", type=_value, metavar="URL", help="send this Referer")
    group.add_argument("--user-agent", type=_value, metavar="TEXT", help="send this User-Agent")
    group.add_argument(
        "--cookies",
        metavar="COOKIES",
        help="'NAME=VALUE; …' for the server of URL, or a file of cookies.txt's form",
    )
    group.add_argument(
        "--proxy", metavar="URL", help="an HTTP proxy: http://[USER:PASSWORD@]HOST:PORT"
    )
    group.add_argument(
        "--key", metavar="KEY", help="decrypt with this key: 32 hexadecimal digits, or a file"
    )
    group.add_argument(
        "--retries",
        type=_count(0, 1000),
        default=8,
        metavar="N",
        help="ask again so often, waiting longer each time; default: 8",
    )
    group.add_argument(
        "--timeout",
        type=_positive_seconds,
        default=30.0,
        metavar="SECONDS",
        help="how long a server may be silent; default: 30",
    )
    group.add_argument(
        "--allow",
        action="append",
        type=_network,
        default=[],
        metavar="NETWORK",
        help="load from this private network too, if a playlist leads there; URL's own servers "
        "need no leave; may be repeated",
    )


def read_key(text: str) -> bytes:
    """Return the key that `--key` names.

    Raises:
        Failed: It is none.
    """
    match = _HEX_KEY.fullmatch(text)
    if match is not None:
        return bytes.fromhex(match[1])
    try:
        with Path(text).open("rb") as file:
            data = file.read(256)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no name of a file"
        raise Failed(f"--key: neither 32 hexadecimal digits nor a file: {reason}") from None
    if len(data) == KEY_SIZE:
        return data
    match = _HEX_KEY.fullmatch(data.decode("latin-1").strip())
    if match is None:
        raise Failed(f"--key {text}: the file has no key: neither 16 bytes nor 32 digits")
    return bytes.fromhex(match[1])


def _seconds(text: str) -> float:
    match = _TIME.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"expected seconds or [HH:]MM:SS, not {text!r}")
    hours, minutes, seconds = match.groups()
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(seconds)


def _positive_seconds(text: str) -> float:
    seconds = _seconds(text)
    if not seconds:
        raise argparse.ArgumentTypeError("expected more than 0")
    return seconds


def _count(least: int, most: int) -> Any:
    def count(text: str) -> int:
        number = int(text)
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(f"expected {least} to {most}")
        return number

    count.__name__ = "number"
    return count


def _value(text: str) -> str:
    if not text.isprintable() or not text.isascii():
        raise argparse.ArgumentTypeError("expected printable ASCII")
    return text


def _field(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not _TOKEN.fullmatch(name):
        raise argparse.ArgumentTypeError(f"expected 'NAME: VALUE', not {text!r}")
    return name, _value(value.strip())


def _network(text: str) -> Any:
    try:
        return ip_network(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
