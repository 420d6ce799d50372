"""The muxer in a loop."""

from __future__ import annotations

import pytest

from bench.flv import VIDEO
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
    result = mux_loop(source, "ts", 0.0)
    assert result["media_seconds"] == source.loop_ms / 1000
    assert result["cpu_seconds"] > 0
    size = sum(len(frame.body) for frame in source.frames)
    # With a picture a second most of it are PCRs, of which there are ten a second.
    assert size < result["bytes"] < size + 20 * 188 * result["media_seconds"]
    assert result["bytes"] % 188 == 0
    assert mux_loop(source, "ts", 0.01)["media_seconds"] > source.loop_ms / 1000


def test_fmp4() -> None:
    """All frames come out, less the heads that FLV gives them; parts have a little more around."""
    source = mux_source()
    # FLV 10.1 E.4.2.1, E.4.3.1: 2 bytes of AAC, 5 of AVC.
    size = sum(len(frame.body) - (5 if frame.kind == VIDEO else 2) for frame in source.frames)
    segments, parts = (mux_loop(source, form, 0.0)["bytes"] for form in ("fmp4", "ll"))
    assert size < segments < size + 200 * 12 + 2000
    # A picture a second: each is a part, and every second of those a segment.
    assert segments < parts < segments + 200 * 12


def test_metrics() -> None:
    """Half a second for ten of media is a twentieth of a core."""
    assert muxer_metrics({"cpu_seconds": 0.5, "media_seconds": 10.0}) == {
        "mux_percent": pytest.approx(5.0)
    }
