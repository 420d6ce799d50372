"""The loop of media."""

from __future__ import annotations

import pytest

from bench.flv import AUDIO, VIDEO
from bench.rtmp import chunked_after
from bench.source import (
    LOOP_MS,
    Expectation,
    Frame,
    Source,
    fingerprint,
    read_source,
    wire_bytes,
)
from tests.bench.media import flv_file, small_source


def test_read() -> None:
    """Headers and frames are told apart, and frames behind the loop's end are dropped."""
    source = small_source()
    beyond = Frame(AUDIO, LOOP_MS + 7, b"\xaf\x01")
    longer = Source(source.headers, (*source.frames, beyond), LOOP_MS)
    assert read_source(flv_file(longer)) == source


def test_read_too_short() -> None:
    """A file that ends before the loop does would leave a gap in every loop."""
    source = small_source()
    with pytest.raises(ValueError, match="before the loop"):
        read_source(flv_file(Source(source.headers, source.frames[:-2], LOOP_MS)))


def test_read_without_keyframe() -> None:
    """A loop begins with a keyframe, or a player who joins there sees rubbish."""
    source = small_source()
    with pytest.raises(ValueError, match="keyframe"):
        read_source(flv_file(Source(source.headers, source.frames[2:], LOOP_MS)))


def test_due() -> None:
    """Frames are due by their times, loop after loop without a seam."""
    source = small_source()
    count = len(source.frames)
    assert [source.due(number) for number in (0, 1, 2)] == [0.0, 0.95, 1.0]
    assert source.due(count) - source.due(count - 1) == pytest.approx(0.05)
    assert source.due(3 * count + 1) == 72.95


def test_rate() -> None:
    """The rate is that of the bodies."""
    source = small_source()
    size = sum(len(frame.body) for frame in source.frames)
    assert source.rate_kbps == pytest.approx(size * 8 / 24000)


def test_index() -> None:
    """Frames are found by content; content that is there twice identifies nothing."""
    frames = (Frame(VIDEO, 0, b"a"), Frame(VIDEO, 1, b"b"), Frame(VIDEO, 2, b"a"))
    index = Source((), frames, 3).index()
    assert index == {fingerprint(VIDEO, b"b"): 1}


@pytest.mark.parametrize("chunk_bytes", [128, 4096])
@pytest.mark.parametrize("size", [1, 128, 129, 8192, 8193])
def test_wire_bytes(size: int, chunk_bytes: int) -> None:
    """The expectation counts what the chunk writer writes."""
    written = chunked_after(6, VIDEO, bytes(size), chunk_bytes, 33)
    assert wire_bytes(Frame(VIDEO, 0, bytes(size)), chunk_bytes) == len(written)


def test_expectation() -> None:
    """Bytes between two frames are summed over the loop's end."""
    source = small_source()
    count = len(source.frames)
    sizes = [len(frame.body) + 15 for frame in source.frames]
    expectation = Expectation(source, 0)
    assert expectation.between(3, 3) == sizes[3]
    assert expectation.between(count - 1, count) == sizes[-1] + sizes[0]
    assert expectation.between(5, 5 + 2 * count - 1) == 2 * sum(sizes)
