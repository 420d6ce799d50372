"""WebSocket: mpegts.js plays over it; what clients do wrong, or too slowly, is theirs alone."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.config.pem import make_pair
from tests.e2e.browser import Browser
from tests.e2e.clients import PLAY_WAIT, publish_command, wait_for_waiting
from tests.e2e.conftest import StartServer
from tests.e2e.hostile import (
    SMALL_BUFFER,
    Base,
    close_all,
    count_gaps,
    flv_packets,
    inject,
    metric,
    publisher,
    undisturbed,
)
from tests.e2e.media import FRAME_RATE, assert_part, make_clip, packets, sounds
from tests.e2e.processes import Failed, Program, wait_until
from tests.e2e.server import Server, free_port
from tests.e2e.websockets import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    Frame,
    WebSocketPeer,
    client_frame,
    opening,
)

BROWSER = Path(__file__).parent / "node" / "play.cjs"
NAME = "liveshow/steady"
PATH = f"/{NAME}.flv"

# mpegts.js keeps the last packet of a track until it knows from the next how long it lasts.
KEPT = 1


@pytest.fixture(autouse=True)
def close_peers() -> Iterator[None]:
    """Leave no connection to the next test."""
    yield
    close_all()


@pytest.fixture(scope="module")
def rich_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds of about 4 Mb/s, which fill the buffers of the kernel soon."""
    path = tmp_path_factory.mktemp("rich") / "clip.flv"
    options = ["-vf", "noise=alls=40:allf=t", "-preset", "ultrafast"]
    return make_clip(path, options=[*options, "-b:v", "4M", "-maxrate", "4M", "-bufsize", "2M"])


@pytest.mark.parametrize(
    ("extension", "kind", "first"), [("flv", "ws-flv", "464c5601"), ("ts", "ws-ts", "47")]
)
def test_browser(
    start_server: StartServer, clip: Path, tmp_path: Path, extension: str, kind: str, first: str
) -> None:
    """B-WS-01: mpegts.js plays over WebSocket, and hands all to the decoders, byte for byte.

    All that comes is binary messages, and at the end of the stream the connection is closed
    cleanly.
    """
    server = start_server(PLAY_WAIT)
    name = "liveshow/browser"
    url = f"ws://127.0.0.1:{server.http_port}/{name}.{extension}"
    with Program(["node", BROWSER, url, tmp_path], tmp_path, "mpegts.js") as player:
        wait_for_waiting(server, 1)
        with Program(publish_command(clip, server.rtmp(name)), tmp_path, "publisher") as program:
            wait_until(lambda: viewers_of(server, name), "mpegts.js played")
            (viewer,) = viewers_of(server, name)
            program.finish()
        report = json.loads(player.finish().output)
    assert viewer["protocol"] == kind
    assert report["errors"] == []
    assert report["complete"]
    assert (report["close"]["code"], report["close"]["wasClean"]) == (1000, True)
    assert report["messages"][0].startswith(first)
    assert "text" not in report["messages"]
    media = report["media"]
    assert (media["width"], media["height"], media["hasAudio"]) == (320, 240, True)
    for file, track, late in (("video.mp4", "v", KEPT), ("audio.mp4", "a", KEPT + 3)):
        sent = packets(clip, track)
        received = packets(tmp_path / file, track)
        if extension == "ts" and track == "v":
            # Access unit delimiters and parameter sets in band make other bytes of one picture.
            assert len(sent) - late <= len(received) <= len(sent)
        else:
            assert_part(received, sent, len(sent) - late)
    assert sounds(tmp_path / "audio.mp4")


# Opens a WebSocket in a page, and tells in the end what came of it.
OPEN_IN_PAGE = """
globalThis.open = (url, ...protocols) => new Promise((done) => {
  const socket = new WebSocket(url, ...protocols);
  const found = { opened: false, first: "", bytes: 0, text: 0 };
  globalThis.found = found;
  socket.binaryType = "arraybuffer";
  socket.onopen = () => { found.opened = true; };
  socket.onmessage = ({ data }) => {
    if (typeof data === "string") { found.text += 1; return; }
    found.first ||= String.fromCharCode(...new Uint8Array(data).slice(0, 3));
    found.bytes += data.byteLength;
  };
  socket.onclose = ({ code, wasClean }) => done({ ...found, code, wasClean });
}); 0
"""


class EmptyPage(BaseHTTPRequestHandler):
    """A page with nothing on it, at every address."""

    def do_GET(self) -> None:
        """Send it."""
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def other_site() -> Iterator[ThreadingHTTPServer]:
    """A web site of somebody else."""
    with ThreadingHTTPServer(("127.0.0.1", 0), EmptyPage) as site:
        threading.Thread(target=site.serve_forever).start()
        yield site
        site.shutdown()


def test_chromium(
    start_server: StartServer, clip: Path, tmp_path: Path, other_site: ThreadingHTTPServer
) -> None:
    """B-WS-01, B-WS-04: a real browser opens it, from pages that are allowed, and others do not.

    Our own pages are, whatever the setting says. A page that offers a subprotocol fails, as the
    browser wants it.
    """
    other = other_site.server_address[1]
    server = start_server(f"http.allowed_origins=http://good.test:{other}")
    port = server.http_port
    url = f"ws://127.0.0.1:{port}{PATH}"
    with publisher(server, clip, tmp_path) as publishing, Browser(tmp_path) as browser:
        pages = {}
        for host, at in (("127.0.0.1", port), ("good.test", other), ("evil.test", other)):
            pages[host] = browser.open(f"http://{host}:{at}/healthz")
            pages[host].evaluate(OPEN_IN_PAGE)
        for arguments, host, why in (
            (f"'{url}'", "evil.test", "Unexpected response code: 403"),
            (f"'{url}', ['flv']", "good.test", "Sent non-empty 'Sec-WebSocket-Protocol' header"),
        ):
            failed = pages[host].evaluate(f"open({arguments})")
            assert (failed["opened"], failed["code"], failed["bytes"]) == (False, 1006, 0)
            assert why in pages[host].trouble()[-1]
        del pages["evil.test"]
        for page in pages.values():
            page.evaluate(f"globalThis.end = open('{url}'); 0")
            page.wait_for("found.bytes > 100000")
        assert {viewer["protocol"] for viewer in viewers_of(server, NAME)} == {"ws-flv"}
        publishing.stop()
        for page in pages.values():
            ended = page.evaluate("globalThis.end")
            assert (ended["first"], ended["text"]) == ("FLV", 0)
            assert (ended["code"], ended["wasClean"]) == (1000, True)


def viewers_of(server: Server, name: str) -> Any:
    """Return the viewers of a stream; none where there is no such stream."""
    try:
        return server.api(f"streams/{name}")["viewer_list"]
    except Failed:
        return []


def test_tls(start_server: StartServer, clip: Path, tmp_path: Path) -> None:
    """Over TLS it is the same: frames come, a ping is answered, a close is answered."""
    certificate, key = make_pair(tmp_path, "localhost")
    port = free_port()
    server = start_server(
        f"https.listen=tcp:{port}:interface=127.0.0.1",
        f"tls.certificate={certificate}",
        f"tls.key={key}",
    )
    context = ssl.create_default_context(cafile=certificate)
    with publisher(server, clip, tmp_path):
        plain = socket.create_connection(("127.0.0.1", port), 20)
        with context.wrap_socket(plain, server_hostname="localhost") as peer:
            peer.sendall(opening(PATH) + client_frame(PING, b"early"))
            data = b""
            while b"\x8a\x05early" not in data or b"FLV\x01\x05" not in data:
                data += peer.recv(65536)
            assert data.startswith(b"HTTP/1.1 101 ")
            peer.sendall(client_frame(CLOSE, b"\x03\xe8"))
            while piece := peer.recv(65536):
                data += piece
            assert data.endswith(b"\x88\x02\x03\xe8")
        wait_until(lambda: not viewers_of(server, NAME), "the viewer was gone")


def test_conversation(start_server: StartServer, clip: Path, tmp_path: Path) -> None:
    """RFC 6455 section 5.5: pings are answered, messages are borne, and so is the server's stop."""
    server = start_server()
    with publisher(server, clip, tmp_path):
        peer = WebSocketPeer(server, PATH)
        first = peer.frame()
        assert first is not None
        assert first.opcode == BINARY
        assert first.payload.startswith(b"FLV\x01\x05")
        peer.send(TEXT, b'{"op":"play"}')
        peer.send(BINARY, bytes(60000))
        peer.socket.sendall(client_frame(TEXT, b"in ", final=False))
        peer.send(PING, b"between")
        peer.socket.sendall(client_frame(0, b"pieces"))
        assert peer.wait_for(PONG) == Frame(PONG, b"between")
        leaving = WebSocketPeer(server, PATH)
        leaving.send(CLOSE, b"\x03\xe9gone")
        assert leaving.wait_for(CLOSE) == Frame(CLOSE, b"\x03\xe9")
        assert leaving.frame() is None
        wait_until(lambda: len(viewers_of(server, NAME)) == 1, "the other one was gone")
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        assert peer.wait_for(CLOSE).payload[:2] in (b"\x03\xe8", b"\x03\xe9")
        assert peer.frame() is None
        peer.socket.close()
        stopping.join(20)
        assert not stopping.is_alive()
    assert not server.program.is_running


HOSTILE = {
    "a frame of 1 GB": (b"\x82\xff" + (1 << 30).to_bytes(8, "big") + bytes(4), 1009),
    "the largest length": (b"\x82\xff" + b"\xff" * 8 + bytes(4), 1002),
    "a long control frame": (b"\x89\xfe\x10\x00" + bytes(4100), 1002),
    "no mask": (b"\x82\x05hello", 1002),
    "a bad opcode": (client_frame(3), 1002),
    "a reserved bit": (b"\xc2\x80" + bytes(4), 1002),
    "text that is none": (client_frame(TEXT, b"\xff\xfe"), 1007),
    "a bad close code": (client_frame(CLOSE, b"\x03\xed"), 1002),
    "half a close code": (client_frame(CLOSE, b"\x03"), 1002),
    "a reason that is no text": (client_frame(CLOSE, b"\x03\xe8\xff"), 1007),
    "a continuation of nothing": (client_frame(0, b"x"), 1002),
    "fragments without end": (
        client_frame(BINARY, bytes(1000), final=False)
        + client_frame(0, bytes(1000), final=False) * 70,
        1009,
    ),
    "HTTP": (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1002),
}


def test_hostile_clients(start_server: StartServer, clip: Path, tmp_path: Path) -> None:
    """B-WS-05: whoever breaks a rule is told which, and closed; nothing is kept of it.

    Each sends 2 MB behind it. The others notice nothing.
    """
    server = start_server()
    with undisturbed(server, clip, tmp_path):
        WebSocketPeer(server, PATH).socket.close()
        wait_until(lambda: len(viewers_of(server, NAME)) == 1, "only the player was left")
        base = Base(server)
        for data, code in HOSTILE.values():
            for _number in range(4):
                peer = WebSocketPeer(server, PATH)
                peer.socket.sendall(data)
                with suppress(OSError):  # it was faster
                    peer.socket.sendall(bytes(2 << 20))
                assert peer.wait_for(CLOSE).payload[:2] == code.to_bytes(2, "big")
                peer.socket.close()
        # One who sends for ever what is right, and gets no further.
        peer = WebSocketPeer(server, PATH)
        with suppress(OSError):
            for _number in range(3000):
                peer.send(PING, b"still here")
                peer.send(BINARY, bytes(1000))
        assert peer.wait_for(CLOSE).payload == b"\x03\xf0sends too much"
        peer.socket.close()
        base.wait_until_back()


def test_pings_without_end(start_server: StartServer, clip: Path, tmp_path: Path) -> None:
    """B-SL-02: who sends pings and reads nothing makes no answers pile up, and is cut in time."""
    server = start_server("hub.stall_timeout=3")
    with undisturbed(server, clip, tmp_path):
        base = Base(server)
        peer = WebSocketPeer(server, PATH, SMALL_BUFFER)
        pings = client_frame(PING, b"?") * 100
        start = time.monotonic()
        with pytest.raises(OSError, match=r"reset|[Bb]roken pipe"):
            while time.monotonic() < start + 15:
                peer.socket.sendall(pings)
                assert base.grown < 16 << 20
                time.sleep(0.1)
        assert metric(server, "ntvmedia_stalled_connections_total") == 1
        base.wait_until_back()


def test_no_sign_of_life(
    start_server: StartServer, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B-WS-03, B-HT-13: a client that reads and answers no ping is cut; one that answers stays.

    With pings each second rather than each twenty.
    """
    inject(
        monkeypatch,
        tmp_path,
        "import ntvmedia.endpoints.http.websocket as w\nw.PING_SECONDS = 1.0\n",
    )
    server = start_server()
    with publisher(server, clip, tmp_path):
        dead, alive = WebSocketPeer(server, PATH), WebSocketPeer(server, PATH)
        ends: dict[str, float] = {}
        start = time.monotonic()

        def read(name: str, peer: WebSocketPeer, *, answers: bool) -> None:
            try:
                while time.monotonic() - start < 6:
                    found = peer.frame()
                    if found is None:
                        break
                    if found.opcode == PING and answers:
                        peer.send(PONG, found.payload)
            except OSError:
                pass
            ends[name] = time.monotonic() - start

        threads = [
            threading.Thread(target=read, args=("dead", dead), kwargs={"answers": False}),
            threading.Thread(target=read, args=("alive", alive), kwargs={"answers": True}),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert 2.5 < ends["dead"] < 5
        assert ends["alive"] >= 6
        assert "the viewer answers no ping" in server.log


def test_slow_viewers(start_server: StartServer, rich_clip: Path, tmp_path: Path) -> None:
    """B-SL-04: one at a low rate and one that freezes skip to keyframes; no frame is torn.

    What they get ends with what is live now, when they read fast again.
    """
    server = start_server("hub.queue_bytes=300000", "hub.queue_seconds=1", "hub.stall_timeout=30")
    sent = packets(rich_clip)
    with publisher(server, rich_clip, tmp_path):
        peers = {"slow": WebSocketPeer(server, PATH, SMALL_BUFFER)}
        peers["frozen"] = WebSocketPeer(server, PATH, SMALL_BUFFER)
        end = time.monotonic() + 16

        def read(peer: WebSocketPeer, bytes_per_second: int) -> None:
            while time.monotonic() < end - 3:
                time.sleep(0.1)
                if bytes_per_second:
                    peer.read(bytes_per_second // 10)
            while time.monotonic() < end:
                peer.read(65536)

        threads = [
            threading.Thread(target=read, args=(peers["slow"], 60_000)),
            threading.Thread(target=read, args=(peers["frozen"], 0)),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()
        position = server.api(f"streams/{NAME}")["position_seconds"]
    for way, peer in peers.items():
        found = flv_packets(b"HTTP/1.0 200 OK\r\n\r\n" + bytes(peer.media))
        assert count_gaps(found, sent, 1 / FRAME_RATE), f"{way}: nothing was left out"
        last = found[-1]
        assert position - last.dts / last.track.clock_rate < 2, way


@pytest.mark.long
def test_one_of_many_stalls(
    start_server: StartServer, clip: Path, tmp_path: Path, long_dose: bool
) -> None:
    """B-WS-06, B-SL-01: of hundreds of viewers some stop reading and some reset: only they go."""
    count = 1000 if long_dose else 200
    server = start_server("hub.stall_timeout=3", "hub.queue_bytes=200000")
    with publisher(server, clip, tmp_path):
        peers = [WebSocketPeer(server, PATH) for _number in range(count)]
        stalled = [WebSocketPeer(server, PATH, SMALL_BUFFER) for _number in range(3)]
        lost = [WebSocketPeer(server, PATH) for _number in range(3)]
        wait_until(lambda: len(viewers_of(server, NAME)) == count + 6, "all played")
        start = time.monotonic()
        stop = start + 15
        reader = threading.Thread(target=read_all, args=(peers, stop))
        reader.start()
        for peer in lost:
            peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1] + [0] * 7))
            peer.socket.close()
        wait_until(lambda: len(viewers_of(server, NAME)) == count, "only those went", 14)
        assert metric(server, "ntvmedia_stalled_connections_total") == len(stalled)
        reader.join(40)
        assert not reader.is_alive()
        assert len(viewers_of(server, NAME)) == count
    sizes = [len(peer.media) for peer in peers]
    assert min(sizes) > 0.9 * max(sizes)
    for peer in peers[:: count // 5]:
        (tmp_path / "copy.flv").write_bytes(peer.media)
        received = packets(tmp_path / "copy.flv")
        assert_part(received, packets(clip) * 4, 300)


def read_all(peers: list[WebSocketPeer], stop: float) -> None:
    """Read all that comes to many, in turns, until a time."""
    for peer in peers:
        peer.socket.setblocking(False)
    while time.monotonic() < stop:
        for peer in peers:
            with suppress(BlockingIOError):
                assert peer.read(1 << 20), "one who reads all was cut"
        time.sleep(0.02)
