"""`test:`: a test card, for whoever has no encoder at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ntvmedia.clients.ffmpeg.source import FFmpegSource, wrong
from ntvmedia.media.relaying import PullOptions

if TYPE_CHECKING:
    from ntvmedia.avtools.job import CardInput, Input, Probe


class TestSource(FFmpegSource):
    """Draws a moving picture with a clock, and a tone: "test:?size=640x360&rate=25&tone=440"."""

    __test__ = False  # pytest: it is none of its own

    schemes = ("test",)

    def check(self, url: str) -> None:
        card_of(url)

    def _input(self, host: Any, url: str, options: PullOptions) -> Input:
        return card_of(url)

    async def _probe(self, host: Any, url: str, options: PullOptions) -> Probe:
        # It goes on for ever, and what will be in it is known: nobody has to look.
        from ntvmedia.avtools.job import Probe, ProbedTrack

        card = card_of(url)
        size_and_rate = (card.width, card.height, card.frame_rate)
        picture = ProbedTrack("video", "h264", "", *size_and_rate)
        return Probe("test", tracks=(picture, ProbedTrack("audio", "aac")))


def card_of(url: str) -> CardInput:
    """Return what an address wants to be shown.

    Raises:
        RemoteError: That cannot be.
    """
    from ntvmedia.avtools.card import read_card

    scheme, _colon, rest = url.partition(":")
    name, mark, query = rest.partition("?")
    if scheme.lower() != "test" or name not in ("", "//"):
        raise wrong("a test card is test: or test:?size=640x360&rate=25&tone=440")
    # What `urlsplit` cuts off, or takes out, is no part of a test card either.
    if "#" in query or not query.isprintable():
        raise wrong("the query of a test card has size, rate and tone only")
    return read_card(f"test:{mark}{query}")
