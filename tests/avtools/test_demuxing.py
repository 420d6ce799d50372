"""Tests of ntvmedia.avtools.demuxing, with a source and a pipeline of our own."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from ntvmedia.avtools.demuxing import Demuxing, metadata_of
from ntvmedia.errors import RemoteError

HOURS = 30


class Packet:
    """A packet as PyAV has it."""

    size = 1

    def __init__(self, index: int, time_base: Fraction, dts: int, pts: int, duration: int) -> None:
        self.stream_index = index
        self.time_base = time_base
        self.dts: int | None = dts
        self.pts: int | None = pts
        self.duration = duration


class Container:
    """A file of ten minutes: a picture every minute, and sound that is a little longer."""

    def __init__(self, codec: str = "h264") -> None:
        context = SimpleNamespace(name=codec)
        self.streams = [SimpleNamespace(type="video", codec_context=context)]

    def demux(self) -> Iterator[Packet]:
        """Yield its packets."""
        picture, sound = Fraction(1, 90000), Fraction(1, 44100)
        for minute in range(10):
            time = minute * 60
            yield Packet(0, picture, (time - 1) * 90000, time * 90000, 0)
            yield Packet(1, sound, time * 44100, time * 44100, 60 * 44100 + 7 * (minute == 9))


class Source:
    """A source that loops."""

    is_paced = True
    loops = True

    def __init__(self, codecs: Iterator[str]) -> None:
        self._codecs = codecs

    def open(self) -> Any:
        """Open it anew."""
        return Container(next(self._codecs))

    def close(self) -> None:
        """Do nothing."""


class Enough(Exception):
    """As many packets as the test wants."""


class Pipeline:
    """Keeps the times of what it is fed."""

    def __init__(self) -> None:
        self.times: dict[int, list[int]] = {0: [], 1: []}

    def feed(self, key: int, packet: Packet) -> None:
        """Take a packet."""
        assert packet.pts is not None
        self.times[key].append(packet.pts)
        if len(self.times[1]) == HOURS * 60:
            raise Enough


def start(codecs: Iterator[str]) -> Demuxing:
    """Make what reads, as `open` leaves it."""
    demuxing = Demuxing(Source(codecs), print)
    demuxing.container = demuxing._current = Container()
    demuxing._keys = {0, 1}
    demuxing._shape = [("video", "h264")]
    return demuxing


def test_loop_of_thirty_hours() -> None:
    """E-SR-06: after 30 hours of loops nothing has drifted, in clocks that do not divide."""
    pipeline: Any = Pipeline()
    with pytest.raises(Enough):
        start(iter(lambda: "h264", "")).run(pipeline, lambda: None)
    loops = HOURS * 6
    length = Fraction(600) + Fraction(7, 44100)
    sound, pictures = pipeline.times[1], pipeline.times[0]
    assert sound[-10] == round((loops - 1) * length * 44100)
    assert pictures[-10] == round((loops - 1) * length * 90000)
    assert {b - a for a, b in pairwise(sound)} == {60 * 44100, 60 * 44100 + 7}


def test_changed_file() -> None:
    """A file that was replaced by one of other codecs is not gone on with."""
    pipeline: Any = Pipeline()
    with pytest.raises(RemoteError, match="the file has changed"):
        start(iter(["hevc"])).run(pipeline, lambda: None)
    assert len(pipeline.times[1]) == 10


def test_metadata() -> None:
    """What a container says of itself has the names of onMetaData, and a bound."""
    given = {"title": "one", "artist": "b" * 1000, "copyright": "", "encoder": "x"}
    found = metadata_of(SimpleNamespace(metadata=given))
    assert found == {"title": "one", "author": "b" * 200}
