"""The muxer in a loop."""

from __future__ import annotations

import pytest

from bench.measure_mux import muxer_metrics
from bench.muxloop import mux_loop, read_media
from tests.bench.media import mux_source


def test_read() -> None:
    """All frames of the loop become packets of two tracks."""
    source = mux_source()
    tracks, packets = read_media(source)
    assert sorted(track.kind.value for track in tracks) == ["audio", "video"]
    assert len(packets) == len(source.frames)


def test_loop() -> None:
    """Time and media are those of whole passes, at least one, and all frames come out."""
    source = mux_source()
    result = mux_loop(source, 0.0)
    assert result["media_seconds"] == source.loop_ms / 1000
    assert result["cpu_seconds"] > 0
    size = sum(len(frame.body) for frame in source.frames)
    # With a picture a second most of it are PCRs, of which there are ten a second.
    assert size < result["bytes"] < size + 20 * 188 * result["media_seconds"]
    assert result["bytes"] % 188 == 0
    assert mux_loop(source, 0.01)["media_seconds"] > source.loop_ms / 1000


def test_metrics() -> None:
    """Half a second for ten of media is a twentieth of a core."""
    assert muxer_metrics({"cpu_seconds": 0.5, "media_seconds": 10.0}) == {
        "mux_percent": pytest.approx(5.0)
    }
