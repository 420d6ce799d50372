"""RTSP as a source and a target of relays, against GStreamer's server."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.media import assert_but, assert_same, make_clip, packets, pictures
from tests.e2e.processes import Failed, wait_until
from tests.e2e.relay_ends import End
from tests.e2e.test_rtsp_client import LAST_SOUNDS, GStreamer, playing

QUEUE = "queue max-size-time=0 max-size-bytes=0 max-size-buffers=0"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds of H.264 with B-frames, and AAC."""
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.flv", 4)


@pytest.mark.parametrize("transport", ["auto", pytest.param("tcp", marks=pytest.mark.long)])
def test_pull(clip: Path, tmp_path: Path, transport: str) -> None:
    """What GStreamer plays comes whole, and its end is the end of the pull.

    Its version 1.22 aborts now and then when it is asked to play: then it is started again.
    """
    recorded = tmp_path / "pulled.flv"
    for _try in range(3):
        with (
            GStreamer(tmp_path, "--play", "/clip", playing(clip)) as server,
            End(
                tmp_path, "pull", server.url("/clip"), recorded, f"--transport={transport}"
            ) as pull,
        ):
            if pull.wait() == 0 or "gst_rtsp_media_get_rates" not in server.errors:
                assert set(pull.did()["packets"]) == {"h264", "aac"}
                break
    assert_same(packets(recorded, "a"), packets(clip, "a"))
    assert_same(pictures(recorded), pictures(clip))


@pytest.mark.parametrize("transport", ["auto", pytest.param("udp", marks=pytest.mark.long)])
def test_push(clip: Path, tmp_path: Path, transport: str) -> None:
    """GStreamer's server records what is pushed to it."""
    path = tmp_path / "recorded.mkv"
    recording = (
        f"matroskamux name=mux ! filesink location={path} "
        f"rtph264depay name=depay0 ! h264parse ! {QUEUE} ! mux. "
        f"rtpmp4gdepay name=depay1 ! aacparse ! {QUEUE} ! mux."
    )
    with GStreamer(tmp_path, "--record", "/in", recording) as server:
        url = server.url("/in")
        with End(tmp_path, "push", url, clip, f"--transport={transport}") as push:
            said = push.did()
        wait_until(lambda: pictures_so_far(path) >= 117, "all was recorded", 20.0)
    assert said["dropped"] == 0
    assert said["bytes_out"] > clip.stat().st_size * 0.9
    assert_but(pictures(path), pictures(clip), 3)
    assert len(packets(path, "a")) >= len(packets(clip, "a")) - LAST_SOUNDS


def test_nothing_there(clip: Path, tmp_path: Path) -> None:
    """A path that the server has not is refused by its number, and not shown."""
    with (
        GStreamer(tmp_path, "--play", "/clip", playing(clip)) as server,
        End(tmp_path, "pull", server.url("/other"), tmp_path / "x.flv") as pull,
    ):
        problem = pull.problem()
    assert " 404 " in problem
    assert "/other" not in problem


def pictures_so_far(path: Path) -> int:
    """Count what is in a file that is still written."""
    try:
        return len(packets(path))
    except Failed:
        return 0
