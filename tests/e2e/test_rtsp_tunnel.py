"""RTSP within HTTP: what real clients play and publish through it, and what is no tunnel."""

from __future__ import annotations

import base64
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.config.pem import make_pair
from tests.e2e.clients import (
    CURL,
    FFMPEG9,
    PLAY_WAIT,
    Command,
    publish_command,
    wait_for_waiting,
)
from tests.e2e.media import assert_but, assert_part, make_clip, packets, pictures, sounds
from tests.e2e.processes import Failed, Program, wait_until
from tests.e2e.server import Server, free_port

# What a player misses that begins at the first keyframe, but not of the sound at once.
EARLY_SOUNDS = 20

GET = (
    b"GET /liveshow/test HTTP/1.1\r\nHost: 127.0.0.1\r\nx-sessioncookie: %b\r\n"
    b"Accept: application/x-rtsp-tunnelled\r\n\r\n"
)
POST = (
    b"POST /liveshow/test HTTP/1.1\r\nHost: 127.0.0.1\r\nx-sessioncookie: %b\r\n"
    b"Content-Type: application/x-rtsp-tunnelled\r\nContent-Length: 32767\r\n\r\n"
)
OPTIONS = base64.b64encode(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n")


class TLSServer(Server):
    """A server with HTTPS.

    Attributes:
        https_port: Where.
        certificate: Of "localhost"; signed by itself.
    """

    def __init__(self, folder: Path) -> None:
        certificate, key = make_pair(folder, "localhost")
        self.certificate = certificate
        self.https_port = free_port()
        super().__init__(
            folder,
            [
                PLAY_WAIT,
                f"https.listen=tcp:{self.https_port}:interface=127.0.0.1",
                f"tls.certificate={certificate}",
                f"tls.key={key}",
            ],
        )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TLSServer]:
    """One server for all tests here."""
    server = TLSServer(tmp_path_factory.mktemp("server"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds of H.264 without B-frames, of which RTP tells no decode times, and AAC."""
    path = tmp_path_factory.mktemp("clip") / "clip.flv"
    return make_clip(path, 4, ["-bf", "0"])


def connect(server: Server, data: bytes) -> socket.socket:
    """Connect to HTTP, and say something."""
    peer = socket.create_connection(("127.0.0.1", server.http_port), 20)
    peer.sendall(data)
    return peer


def read_until(peer: socket.socket, text: bytes) -> bytes:
    """Read until a text comes; the connection must not end before."""
    data = b""
    while text not in data:
        piece = peer.recv(65536)
        assert piece, data
        data += piece
    return data


def read_all(peer: socket.socket) -> bytes:
    """Read to the end of a connection."""
    data = b""
    while piece := peer.recv(65536):
        data += piece
    return data


def play(server: TLSServer, stream: str, command: Command, clip: Path, path: Path) -> None:
    """Have a program play a stream to its end, and compare what it recorded."""
    # FFmpeg gives its options for TLS to GET alone.
    env = {"HOME": str(path.parent), "SSL_CERT_FILE": server.certificate}
    with Program(command, path.parent, "player", env=env) as player:
        wait_for_waiting(server, 1)
        source = publish_command(clip, server.rtmp(stream))
        with Program(source, path.parent, "publisher") as publisher:
            publisher.finish()
        player.finish()
    assert assert_part(pictures(path), pictures(clip), 115) == 0
    sent = sounds(clip)
    assert len(assert_heard(path, clip)) >= len(sent) - EARLY_SOUNDS


def assert_heard(path: Path, clip: Path) -> list[str]:
    """Check that each packet of sound in a file is one of the clip's, in order, without gaps."""
    found, sent = packets(path, "a"), packets(clip, "a")
    start = assert_part(found, sent)
    return [frame.digest for frame in sent[start:]]


@pytest.mark.parametrize(
    ("program", "transport"), [("ffmpeg", "http"), (FFMPEG9, "http"), (FFMPEG9, "https")]
)
def test_ffmpeg(
    server: TLSServer, clip: Path, tmp_path: Path, program: str, transport: str
) -> None:
    """FFmpeg 5.1 and 9 get all pictures from the first one on, over HTTP and HTTPS."""
    stream = f"liveshow/{Path(program).name[:8]}-{transport}"
    port = server.http_port if transport == "http" else server.https_port
    address = f"rtsp://localhost:{port}/{stream}"
    path = tmp_path / "got.mkv"
    command: Command = [
        *(program, "-v", "error", "-y", "-rtsp_transport", transport, "-i", address),
        *("-map", "0", "-c", "copy", path),
    ]
    play(server, stream, command, clip, path)


def count(path: Path, kind: str) -> int:
    """Return how many packets there are of what is still being written."""
    try:
        return len(packets(path, kind))
    except Failed:
        # There is no whole picture yet.
        return 0


@pytest.mark.parametrize("scheme", ["rtsph", "rtspsh"])
def test_gstreamer(server: TLSServer, clip: Path, tmp_path: Path, scheme: str) -> None:
    """GStreamer's rtspsrc does too. When a server closes it may wait on: it has to be stopped."""
    stream = f"liveshow/gstreamer-{scheme}"
    port = server.http_port if scheme == "rtsph" else server.https_port
    video, audio = tmp_path / "got.h264", tmp_path / "got.aac"
    sink = "filesink buffer-mode=unbuffered location="
    pipeline = (
        f"rtspsrc location={scheme}://127.0.0.1:{port}/{stream} tls-validation-flags=0 "
        f"latency=200 name=in in. ! rtph264depay ! h264parse ! "
        f"video/x-h264,stream-format=byte-stream,alignment=au ! {sink}{video} "
        f"in. ! rtpmp4gdepay ! aacparse ! "
        f"audio/mpeg,stream-format=adts ! {sink}{audio}"
    )
    with Program(["gst-launch-1.0", "-q", *pipeline.split()], tmp_path, "player"):
        wait_for_waiting(server, 1)
        with Program(publish_command(clip, server.rtmp(stream)), tmp_path, "publisher") as source:
            source.finish()
        sent = len(packets(clip, "a"))
        wait_until(lambda: count(video, "v") >= 115, "GStreamer had the pictures")
        wait_until(lambda: count(audio, "a") >= sent - EARLY_SOUNDS, "it had the sound")
    assert assert_part(pictures(video), pictures(clip), 115) == 0


def test_gstreamer_publishes(server: TLSServer, clip: Path, tmp_path: Path) -> None:
    """What GStreamer's rtspclientsink publishes through a tunnel comes out of HTTP-FLV."""
    stream = "liveshow/pushed"
    pipeline = (
        f"filesrc location={clip} ! flvdemux name=in "
        f"in.video ! h264parse ! queue ! identity sync=true ! out. "
        f"in.audio ! aacparse ! queue ! identity sync=true ! out. "
        f"rtspclientsink name=out location=rtsph://127.0.0.1:{server.http_port}/{stream}"
    )
    recording = CURL.start(server, stream, tmp_path)
    least = len(packets(clip, "a")) - EARLY_SOUNDS
    with recording.program:
        wait_for_waiting(server, 1)
        with Program(["gst-launch-1.0", "-q", *pipeline.split()], tmp_path, "publisher"):
            server.wait_for_log(f"publishes {stream}")
            # It may wait on at the end of the file, too.
            wait_until(lambda: len(packets(recording.path, "a")) >= least, "the sound came")
            wait_until(lambda: len(packets(recording.path)) >= 115, "the pictures came")
        path = recording.finish()
    assert_but(pictures(path), pictures(clip), 5)


def test_abuse(server: TLSServer) -> None:
    """D-TR-14: what is no tunnel is answered 400 and closed, and no good one notices."""
    good_get = connect(server, GET % b"good")
    assert read_until(good_get, b"\r\n\r\n").startswith(b"HTTP/1.1 200 OK\r\n")
    good_post = connect(server, POST % b"good")
    for data in (
        POST % b"alone",
        GET % b"good",
        POST % b"good",
        GET % b"both" + POST % b"both",
        GET % (b"a" * 10240),
        POST % b"",
    ):
        with connect(server, data) as peer:
            assert read_all(peer).startswith(b"HTTP/1.1 400 Bad Request\r\n"), data[:100]
    with connect(server, GET % b"bad") as get, connect(server, b"") as post:
        read_until(get, b"\r\n\r\n")
        post.sendall(POST % b"bad")
        for piece in (b"T1B", b"U!", b"A" * 100):
            post.sendall(piece)
            time.sleep(0.05)
        assert read_all(post).startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert read_all(get) == b""
    with good_get, good_post:
        good_post.sendall(OPTIONS)
        assert b"\r\nPublic: " in read_until(good_get, b"\r\n\r\n")


def test_stop(tmp_path: Path, clip: Path) -> None:
    """A server with tunnels in all states stops in good time."""
    server = TLSServer(tmp_path)
    stream = "liveshow/stop"
    options = ["-rtsp_transport", "http", "-i", f"rtsp://127.0.0.1:{server.http_port}/{stream}"]
    player = ["ffmpeg", "-v", "error", *options, "-f", "null", "-"]
    with (
        connect(server, GET % b"alone") as alone,
        connect(server, GET % b"silent") as get,
        Program(publish_command(clip, server.rtmp(stream)), tmp_path, "publisher"),
        Program(player, tmp_path, "player"),
    ):
        read_until(get, b"\r\n\r\n")
        with connect(server, POST % b"silent") as post:
            server.wait_for_log(f"plays {stream}")
            begun = time.monotonic()
            server.close()
            assert time.monotonic() - begun < 10
            assert read_all(post) == b""
        assert read_all(get) == b""
        assert read_all(alone).endswith(b"\r\n\r\n")
        wait_until(lambda: not server.program.is_running, "the server was gone")
