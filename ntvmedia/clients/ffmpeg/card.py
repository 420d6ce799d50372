"""`test:`: a test card, for whoever has no encoder at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from ntvmedia.clients.ffmpeg.source import FFmpegSource, wrong
from ntvmedia.media.relaying import PullOptions

if TYPE_CHECKING:
    from ntvmedia.avtools.job import CardInput, Input

MAX_SIDE: Final = 3840
MAX_RATE: Final = 60
MAX_TONE: Final = 20_000


class TestSource(FFmpegSource):
    """Draws a moving picture with a clock, and a tone: "test:?size=640x360&rate=25&tone=440"."""

    __test__ = False  # pytest: it is none of its own

    schemes = ("test",)

    def check(self, url: str) -> None:
        card_of(url)

    def _input(self, host: Any, url: str, options: PullOptions) -> Input:
        return card_of(url)


def card_of(url: str) -> CardInput:
    """Return what an address wants to be shown.

    Raises:
        RemoteError: That cannot be.
    """
    from ntvmedia.avtools.job import CardInput

    scheme, _colon, rest = url.partition(":")
    name, _mark, query = rest.partition("?")
    if scheme.lower() != "test" or name not in ("", "//"):
        raise wrong("a test card is test: or test:?size=640x360&rate=25&tone=440")
    card = CardInput()
    try:
        fields = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise wrong("the query of a test card is no query") from None
    for key, value in fields:
        if key == "size":
            width, _by, height = value.partition("x")
            card = card._replace(
                width=_number(width, 16, MAX_SIDE, "size") & ~1,
                height=_number(height, 16, MAX_SIDE, "size") & ~1,
            )
        elif key == "rate":
            card = card._replace(frame_rate=float(_number(value, 1, MAX_RATE, "rate")))
        elif key == "tone":
            card = card._replace(tone=_number(value, 0, MAX_TONE, "tone"))
        else:
            raise wrong("a test card has size, rate and tone only")
    return card


def _number(text: str, least: int, most: int, name: str) -> int:
    if text.isascii() and text.isdigit() and len(text) < 6 and least <= int(text) <= most:
        return int(text)
    raise wrong(f"the {name} of a test card goes from {least} to {most}")
