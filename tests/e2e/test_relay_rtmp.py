"""RTMP as a source and a target of relays, against nginx-rtmp and our own server with TLS."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.config.pem import make_pair
from tests.e2e.clients import PLAY_WAIT, publish_command, wait_for_waiting
from tests.e2e.media import assert_same, make_clip, packets, pictures
from tests.e2e.processes import Program
from tests.e2e.relay_ends import End, NginxRTMP
from tests.e2e.server import Server, free_port

# For what a client says after its connection was made.
SETTLING_SECONDS = 1.0


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds of H.264 with B-frames, and AAC."""
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.flv", 4)


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NginxRTMP]:
    """One server of nginx's for all tests here."""
    with NginxRTMP(tmp_path_factory.mktemp("nginx") / "nginx") as server:
        yield server


def assert_whole(recorded: Path, clip: Path) -> None:
    """All that is in a clip came, byte for byte."""
    for kind in ("v", "a"):
        assert_same(packets(recorded, kind), packets(clip, kind))
    assert_same(pictures(recorded), pictures(clip))


def test_pull(nginx: NginxRTMP, clip: Path, tmp_path: Path) -> None:
    """What ffmpeg publishes to nginx comes whole, and its end is the end of the pull."""
    url = nginx.url("live/pulled?token=a/b")
    with End(tmp_path, "pull", url, tmp_path / "pulled.flv") as pull:
        nginx.wait_for_connections(1)
        time.sleep(SETTLING_SECONDS)
        with Program(publish_command(clip, nginx.url("live/pulled")), tmp_path, "ffmpeg") as ffmpeg:
            ffmpeg.finish()
        assert set(pull.did()["packets"]) == {"h264", "aac"}
    assert_whole(tmp_path / "pulled.flv", clip)


def test_push(nginx: NginxRTMP, clip: Path, tmp_path: Path) -> None:
    """E-ST-12, E-ST-13: what is pushed to nginx plays in ffmpeg, whole."""
    recorded = tmp_path / "recorded.flv"
    words = ["ffmpeg", "-v", "error", "-i", nginx.url("live/pushed"), "-c", "copy", str(recorded)]
    with Program(words, tmp_path, "player") as player:
        nginx.wait_for_connections(1)
        time.sleep(SETTLING_SECONDS)
        url = nginx.url("live/pushed?token=a/b")
        with End(tmp_path, "push", url, clip) as push:
            said = push.did()
        player.finish()
    assert said["dropped"] == 0
    assert said["bytes_out"] > clip.stat().st_size * 0.9
    assert_whole(recorded, clip)


@pytest.mark.long
def test_taken_name(nginx: NginxRTMP, clip: Path, tmp_path: Path) -> None:
    """A name that somebody has, which nginx says BadName of, may be free later."""
    words = publish_command(clip, nginx.url("live/taken"))
    place = words.index("-i")
    with Program([*words[:place], "-stream_loop", "-1", *words[place:]], tmp_path, "ffmpeg"):
        nginx.wait_for_connections(1)
        time.sleep(SETTLING_SECONDS)
        with End(tmp_path, "push", nginx.url("live/taken"), clip) as push:
            problem = push.problem()
    assert problem.startswith(f"passing 0 rtmp://127.0.0.1:{nginx.port}: it refused: NetStream.")
    assert "taken" not in problem


@pytest.mark.long
def test_refused(nginx: NginxRTMP, clip: Path, tmp_path: Path) -> None:
    """E-ST-14: where nobody may publish or play, or there is nothing, it is an error."""
    for action, name in (("push", "closed/x"), ("push", "nothing/x"), ("pull", "nothing/x")):
        path = clip if action == "push" else tmp_path / "x.flv"
        with End(tmp_path, action, nginx.url(name), path) as end:
            assert f"rtmp://127.0.0.1:{nginx.port}: " in end.problem()


def test_server_dies(clip: Path, tmp_path: Path) -> None:
    """E-ST-14: a server that is killed ends a push with an error, and a pull likewise."""
    with (
        NginxRTMP(tmp_path / "nginx") as nginx,
        End(tmp_path, "pull", nginx.url("live/dies"), tmp_path / "x.flv") as pull,
        End(tmp_path, "push", nginx.url("live/dies"), clip) as push,
    ):
        nginx.wait_for_connections(2)
        time.sleep(SETTLING_SECONDS)
        nginx.stop(9)
        for end in (push, pull):
            assert end.problem().startswith(f"passing 0 rtmp://127.0.0.1:{nginx.port}: the ")


@pytest.mark.long
def test_server_stops(clip: Path, tmp_path: Path) -> None:
    """E-ST-14: what a server never took is no success, though the kernel took it from us."""
    with (
        NginxRTMP(tmp_path / "nginx") as nginx,
        End(tmp_path, "push", nginx.url("live/stops"), clip) as push,
    ):
        nginx.wait_for_connections(1)
        nginx.send(signal.SIGSTOP)
        problem = push.problem()
        nginx.send(signal.SIGCONT)
    assert problem.startswith(f"passing 0 rtmp://127.0.0.1:{nginx.port}: ")


def test_tls(clip: Path, tmp_path: Path) -> None:
    """E-ST-13: RTMPS, to push and to pull; a certificate that nobody knows is refused."""
    certificate, key = make_pair(tmp_path, "localhost")
    port = free_port()
    server = Server(
        tmp_path,
        [
            PLAY_WAIT,
            f"rtmps.listen=tcp:{port}:interface=127.0.0.1",
            f"tls.certificate={certificate}",
            f"tls.key={key}",
        ],
    )
    url, trust = f"rtmps://localhost:{port}/liveshow/tls", f"--trust={certificate}"
    try:
        with End(tmp_path, "pull", url, tmp_path / "pulled.flv", trust) as pull:
            wait_for_waiting(server, 1)
            with End(tmp_path, "push", url, clip, trust) as push:
                assert push.did()["dropped"] == 0
            pull.did()
        assert_whole(tmp_path / "pulled.flv", clip)
        with End(tmp_path, "push", url, clip) as stranger:
            problem = stranger.problem()
        assert problem.startswith(f"permanent 0 rtmps://localhost:{port}: TLS failed: certificate")
    finally:
        server.close()
