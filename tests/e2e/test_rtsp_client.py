"""Our RTSP client against our server and against GStreamer's, as real processes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.config.pem import make_pair
from tests.e2e.clients import PLAY_WAIT, publish_command, wait_for_waiting
from tests.e2e.media import assert_but, assert_same, make_clip, packets, pictures
from tests.e2e.processes import Failed, Program, wait_until
from tests.e2e.server import ROOT, Server, free_port

# Of a recording of GStreamer's: it stops when it is told to, with what its buffer still has.
LAST_SOUNDS = 12

_GSTREAMER = Path(__file__).with_name("gstreamer_rtsp_server.py")
_QUEUE = "queue max-size-time=0 max-size-bytes=0 max-size-buffers=0"
_HEVC = (
    "videotestsrc num-buffers=60 ! video/x-raw,width=320,height=240,framerate=30/1 "
    "! x265enc speed-preset=ultrafast key-int-max=30 ! h265parse ! rtph265pay name=pay0 pt=96 "
    "audiotestsrc num-buffers=100 samplesperbuffer=160 ! audio/x-raw,rate=8000,channels=1 "
    "! alawenc ! rtppcmapay name=pay1 pt=8"
)
_OPUS = (
    "audiotestsrc num-buffers=100 samplesperbuffer=960 ! audio/x-raw,rate=48000,channels=2 "
    "! opusenc ! rtpopuspay name=pay0 pt=96"
)


class Client(Program):
    """Our client as a program: it plays into a file, or publishes one."""

    def __init__(self, folder: Path, action: str, url: str, path: Path, *options: str) -> None:
        words = [sys.executable, "-m", "tests.e2e.rtsp_client", action, url, str(path), *options]
        super().__init__(words, folder, f"client-{action}", env={"PYTHONPATH": str(ROOT)})

    def __enter__(self) -> Client:
        return self

    def did(self) -> Any:
        """Wait for its good end; returns what it did. It must have given back everything."""
        self.finish()
        return self._checked()

    def problem(self) -> str:
        """Wait for its bad end; returns why. It must have given back everything, too."""
        if self.wait() != 1:
            raise Failed(f"the client ended well, or not as told{self.tail()}")
        self._checked()
        return self.errors.strip()

    def _checked(self) -> Any:
        said = json.loads(self.output)
        assert said["connections"] == 0
        assert not [name for name in said["left"] if "Port" in name or "Client" in name], said
        return said


class SecureServer(Server):
    """Our server, with RTSP over TLS.

    Attributes:
        rtsps_port: Where.
        certificate: Of "localhost"; signed by itself.
    """

    def __init__(self, folder: Path) -> None:
        self.certificate, key = make_pair(folder, "localhost")
        self.rtsps_port = free_port()
        super().__init__(
            folder,
            [
                PLAY_WAIT,
                f"rtsps.listen=tcp:{self.rtsps_port}:interface=127.0.0.1",
                f"tls.certificate={self.certificate}",
                f"tls.key={key}",
            ],
        )

    def rtsps(self, name: str, host: str = "localhost") -> str:
        """Return the address of "APP/STREAM" with TLS."""
        return f"rtsps://{host}:{self.rtsps_port}/{name}"


class GStreamer(Program):
    """GStreamer's server.

    Attributes:
        port: Where it listens on 127.0.0.1.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        words = ["/usr/bin/python3", str(_GSTREAMER), *options]
        super().__init__(words, folder, "gstreamer")
        try:
            wait_until(lambda: self.output or not self.is_running, "GStreamer's server listened")
            if not self.output:
                raise Failed(f"GStreamer's server does not run: run script/clients{self.tail()}")
        except BaseException:
            self.stop()
            raise
        self.port = int(self.output)

    def __enter__(self) -> GStreamer:
        return self

    def url(self, path: str, *, scheme: str = "rtsp", user: str = "") -> str:
        """Return the address of what it serves."""
        return f"{scheme}://{user}{'@' if user else ''}localhost:{self.port}{path}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureServer]:
    """One server of ours for all tests here."""
    server = SecureServer(tmp_path_factory.mktemp("server"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds of H.264 with B-frames, and AAC."""
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.flv", 4)


def playing(clip: Path) -> str:
    """Return how GStreamer plays a clip as it is."""
    return (
        # The queue is for the server not to seek, which it does on PLAY where it can.
        f"filesrc location={clip} ! queue ! flvdemux name=in "
        f"in.video ! h264parse ! {_QUEUE} ! rtph264pay name=pay0 pt=96 "
        f"in.audio ! aacparse ! {_QUEUE} ! rtpmp4gpay name=pay1 pt=97"
    )


def play_from(
    folder: Path, served: Sequence[str], name: str, path: Path, *options: str, user: str = ""
) -> Any:
    """Have GStreamer's server play to us; returns what came.

    Its version 1.22 aborts now and then when it is asked to play, by an assertion of its own, once
    in fifty times: then it is started again.

    Args:
        folder: For outputs.
        served: Options of the server.
        name: Of what is played.
        path: Where it is written.
        options: Of the client.
        user: User and password; with TLS then.
    """
    for _try in range(3):
        with GStreamer(folder, *served) as server:
            url = server.url(name, scheme="rtsps" if user else "rtsp", user=user)
            with Client(folder, "play", url, path, *options) as client:
                if client.wait() == 0 or "gst_rtsp_media_get_rates" not in server.errors:
                    return client.did()
    raise Failed("GStreamer's server aborted three times")


def assert_clip(path: Path, clip: Path) -> None:
    """Check that a file has all of the clip, picture by picture and sound by sound."""
    assert_same(pictures(path), pictures(clip))
    assert_same(packets(path, "a"), packets(clip, "a"))


def send_and_receive(
    server: SecureServer, clip: Path, folder: Path, url: str, *options: str
) -> None:
    """Have one client publish and another play, and compare what came with what was sent."""
    path = folder / "got.flv"
    with Client(folder, "play", url, path, *options) as player:
        wait_for_waiting(server, 1)
        with Client(folder, "publish", url, clip, *options) as publisher:
            publisher.did()
        player.did()
    assert_clip(path, clip)


@pytest.mark.parametrize("carrier", ["udp", pytest.param("tcp", marks=pytest.mark.long), "auto"])
def test_own_server(server: SecureServer, clip: Path, tmp_path: Path, carrier: str) -> None:
    """What one of our clients publishes another gets, all of it, by each carrier."""
    url = server.rtsp(f"liveshow/own-{carrier}")
    send_and_receive(server, clip, tmp_path, url, f"--carrier={carrier}")


def test_own_server_tls(server: SecureServer, clip: Path, tmp_path: Path) -> None:
    """The same with TLS, in which even who prefers UDP has TCP (D-TR-03)."""
    url = server.rtsps("liveshow/own-tls")
    options = (f"--trust={server.certificate}", "--carrier=udp")
    send_and_receive(server, clip, tmp_path, url, *options)


def test_certificates(server: SecureServer, tmp_path: Path) -> None:
    """A certificate that nobody vouches for, or for another name, is none."""
    path = tmp_path / "got.flv"
    url, wrong = server.rtsps("liveshow/x"), server.rtsps("liveshow/x", "127.0.0.1")
    with Client(tmp_path, "play", url, path) as client:
        problem = client.problem()
    assert (
        problem == f"rtsps://localhost:{server.rtsps_port}: TLS failed: certificate verify failed"
    )
    with Client(tmp_path, "play", wrong, path, f"--trust={server.certificate}") as client:
        assert client.problem().endswith("its certificate is not for this name")


def test_from_rtmp(server: SecureServer, clip: Path, tmp_path: Path) -> None:
    """What comes in over RTMP, our client gets, over UDP."""
    name, path = "liveshow/rtmp", tmp_path / "got.flv"
    with Client(tmp_path, "play", server.rtsp(name), path, "--carrier=udp") as player:
        wait_for_waiting(server, 1)
        with Program(publish_command(clip, server.rtmp(name)), tmp_path, "publisher") as publisher:
            publisher.finish()
        player.did()
    assert_but(pictures(path), pictures(clip), 3)


def test_udp_is_off(tmp_path: Path, clip: Path) -> None:
    """D-TR-04: where UDP is switched off, a client that prefers it gets all over TCP."""
    server = Server(tmp_path, [PLAY_WAIT, "rtsp.udp=false"])
    try:
        url, path = server.rtsp("liveshow/off"), tmp_path / "got.flv"
        with Client(tmp_path, "play", url, path) as player:
            wait_for_waiting(server, 1)
            with Client(tmp_path, "publish", url, clip) as publisher:
                publisher.did()
            player.did()
        assert_clip(path, clip)
        with Client(tmp_path, "publish", url, clip, "--carrier=udp") as client:
            assert client.problem().endswith("the server does not carry media over UDP")
    finally:
        server.close()


@pytest.mark.parametrize(
    ("lower", "carrier"),
    [("tcp", "auto"), *(pytest.param("both", x, marks=pytest.mark.long) for x in ("tcp", "udp"))],
)
def test_gstreamer(clip: Path, tmp_path: Path, lower: str, carrier: str) -> None:
    """GStreamer's server plays to us by each carrier, also when it refuses the one asked for."""
    path = tmp_path / "got.flv"
    served = [f"--lower={lower}", "--play", "/clip", playing(clip)]
    play_from(tmp_path, served, "/clip", path, f"--carrier={carrier}")
    assert_clip(path, clip)


@pytest.mark.parametrize(
    ("lower", "carrier"),
    [
        ("both", "udp"),
        *(pytest.param(*x, marks=pytest.mark.long) for x in (("both", "tcp"), ("udp", "auto"))),
    ],
)
def test_gstreamer_records(clip: Path, tmp_path: Path, lower: str, carrier: str) -> None:
    """GStreamer's server records what we publish, by each carrier."""
    path = tmp_path / "recorded.mkv"
    recording = (
        f"matroskamux name=mux ! filesink location={path} "
        f"rtph264depay name=depay0 ! h264parse ! {_QUEUE} ! mux. "
        f"rtpmp4gdepay name=depay1 ! aacparse ! {_QUEUE} ! mux."
    )
    with GStreamer(tmp_path, f"--lower={lower}", "--record", "/in", recording) as server:
        url = server.url("/in")
        with Client(tmp_path, "publish", url, clip, f"--carrier={carrier}") as client:
            client.did()
        wait_until(lambda: len(_pictures_so_far(path)) >= 117, "all was recorded", 20.0)
    assert_but(pictures(path), pictures(clip), 3)
    sounds = packets(path, "a")
    assert len(sounds) >= len(packets(clip, "a")) - LAST_SOUNDS


def _pictures_so_far(path: Path) -> list[object]:
    try:
        return list(packets(path))
    except Failed:
        return []


@pytest.mark.parametrize("method", ["digest", pytest.param("basic", marks=pytest.mark.long)])
def test_gstreamer_passwords(clip: Path, tmp_path: Path, method: str) -> None:
    """GStreamer's server believes our password, with TLS around it; a wrong one is refused."""
    certificate, key = make_pair(tmp_path, "localhost")
    options = ["--auth", "me", "secret word", method, "--tls", certificate, key]
    path = tmp_path / "got.flv"
    served = [*options, "--play", "/clip", playing(clip)]
    play_from(tmp_path, served, "/clip", path, f"--trust={certificate}", user="me:secret%20word")
    assert_clip(path, clip)
    with GStreamer(tmp_path, *served) as server:
        for user in ("me:wrong", ""):
            bad = server.url("/clip", scheme="rtsps", user=user)
            with Client(tmp_path, "play", bad, path, f"--trust={certificate}") as client:
                problem = client.problem()
            assert "the user or the password is missing or wrong (401)" in problem
            assert "wrong@" not in problem


@pytest.mark.parametrize("carrier", ["tcp", pytest.param("udp", marks=pytest.mark.long)])
def test_gstreamer_codecs(tmp_path: Path, carrier: str) -> None:
    """HEVC with G.711, and Opus alone, come whole; a stream that is not there is said."""
    options = (f"--carrier={carrier}",)
    path = tmp_path / "got.flv"
    served = ["--play", "/hevc", _HEVC, "--play", "/opus", _OPUS]
    came = play_from(tmp_path, served, "/hevc", path, *options)
    assert came["packets"] == {"hevc": 60, "pcm_alaw": 100}
    assert play_from(tmp_path, served, "/opus", path, *options)["packets"]["opus"] >= 100
    with (
        GStreamer(tmp_path, *served) as server,
        Client(tmp_path, "play", server.url("/none"), path, *options) as client,
    ):
        assert client.problem().endswith("DESCRIBE refused: Not Found (404)")
