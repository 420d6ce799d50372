"""The sample package of a source: what it sends, and what it refuses."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import pytest
from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from ntvmedia.errors import RemoteError
from ntvmedia.interfaces import ISource
from ntvmedia.media import Packet, Track
from ntvmedia.media.relaying import PullOptions

EXAMPLE = Path(__file__).parents[2] / "examples" / "ntv-morse"


@pytest.fixture(name="morse")
def _morse(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module of the package."""
    monkeypatch.syspath_prepend(str(EXAMPLE))
    yield import_module("ntv_morse")
    del sys.modules["ntv_morse"]


class Sink:
    """Keeps what comes."""

    def __init__(self) -> None:
        self.tracks: list[Track] = []
        self.packets: list[Packet] = []
        self.batches = 0
        self.lines: list[str] = []

    def track_received(self, track: Track) -> None:
        """Keep it."""
        self.tracks.append(track)

    def packet_received(self, packet: Packet) -> None:
        """Keep it."""
        assert packet.track in self.tracks
        self.packets.append(packet)

    def batch_ended(self) -> None:
        """Count."""
        self.batches += 1

    def noted(self, line: str) -> None:
        """Keep it."""
        self.lines.append(line)


def test_a_law(morse: Any) -> None:
    """All samples come out of FFmpeg's decoder as near as A-law has them."""
    samples = range(-32768, 32768, 7)
    context: Any = av.CodecContext.create("pcm_alaw", "r")
    context.sample_rate, context.layout = 8000, "mono"
    frames = context.decode(av.Packet(bytes(map(morse.a_law, samples))))
    found = memoryview(bytes(frames[0].planes[0])[: 2 * len(samples)]).cast("h")
    assert all(abs(a - b) <= max(16, abs(a) / 16) for a, b in zip(samples, found, strict=True))


def test_keying(morse: Any) -> None:
    """ITU-R M.1677-1 2.: a dash is three dots, and the gaps are one, three and seven."""
    shown = "".join("=" if key else "." for key in morse.keying("so e"))
    assert shown == "=.=.=...===.===.===.......=......."


def test_pull(morse: Any) -> None:
    """It sends at the speed of life, until it is cancelled; being late costs nothing."""
    source = morse.MorseSource()
    verifyObject(ISource, source)
    clock, sink = Clock(), Sink()
    done = source.pull(SimpleNamespace(reactor=clock), "morse:Paris?wpm=17", PullOptions(), sink)
    for _second in range(50):
        clock.advance(0.02)
    clock.advance(1.0)
    assert sum(len(x.payload) for x in sink.packets) == pytest.approx(16000, abs=200)
    assert [x.dts for x in sink.packets] == list(range(0, len(sink.packets) * 160, 160))
    assert len({x.payload for x in sink.packets}) > 2
    ended: list[Any] = []
    done.addErrback(lambda failure: ended.append(failure.check(CancelledError)))
    done.cancel()
    assert ended == [CancelledError]
    assert clock.getDelayedCalls() == []


@pytest.mark.parametrize("url", ["morse:", "morse:ä", "morse:x?wpm=4", "morse:x?wpm=x"])
def test_wrong_addresses(morse: Any, url: str) -> None:
    """What is no address is refused for good."""
    with pytest.raises(RemoteError) as told:
        morse.MorseSource().check(url)
    assert told.value.is_permanent
