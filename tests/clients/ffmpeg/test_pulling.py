"""Tests of pulling by ntvmedia.clients.ffmpeg, with real child processes and hostile servers."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import CancelledError, succeed

from ntvmedia.clients.ffmpeg import mms
from ntvmedia.clients.ffmpeg.card import TestSource
from ntvmedia.clients.ffmpeg.file import FileSource
from ntvmedia.clients.ffmpeg.mms import MMSSource
from ntvmedia.clients.ffmpeg.udp import UDPSource
from ntvmedia.config import OutboundSettings
from ntvmedia.config.reading import parse_section
from ntvmedia.errors import RemoteError
from ntvmedia.media.packets import Codec
from ntvmedia.media.relaying import AudioOptions, OutputOptions, PullOptions, VideoOptions
from ntvmedia.outbound.client import Outbound
from ntvmedia.outbound.streams import StreamConnector
from tests.avtools.rig import Kept, ProcessCase, make_media

OPTIONS = PullOptions()


class SourceCase(ProcessCase):
    """A server that sources are given."""

    def setUp(self) -> None:
        super().setUp()
        self.host = self.make_host("127.0.0.0/8")

    def make_outbound(self, settings: OutboundSettings) -> Outbound:
        """Return what asks over HTTP."""
        outbound = Outbound(self.reactor, settings)
        outbound.startService()
        self.addCleanup(outbound.stopService)
        return outbound

    def make_host(self, *allow: str) -> Any:
        """Return what sources use of a server."""
        outbound = parse_section(OutboundSettings, "outbound", {"allow": list(allow)})
        return SimpleNamespace(
            reactor=self.reactor,
            connector=StreamConnector(self.reactor, outbound),
            outbound=self.make_outbound(outbound),
            settings=SimpleNamespace(relay=SimpleNamespace(folders=(str(self.folder),))),
        )

    async def failure_of(self, pulling: Any) -> RemoteError:
        """Return what a pull fails with."""
        try:
            await pulling
        except RemoteError as error:
            return error
        self.fail("the pull went well")


class LocalTests(SourceCase):
    """Sources that are no servers."""

    async def test_card(self) -> None:
        """A test card is H.264 and AAC though nothing was said of encoding."""
        sink = Kept()
        pulling = TestSource().pull(self.host, "test:?size=64x48", OPTIONS, sink)
        await self.until(lambda: len(sink.packets) > 20)
        pulling.cancel()
        with self.assertRaises(CancelledError):
            await pulling
        self.assertEqual({x.codec for x in sink.tracks}, {Codec.H264, Codec.AAC})

    async def test_card_looked_at(self) -> None:
        """What is in a test card is told, though it has no end."""
        found = await TestSource().probe(self.host, "test:?size=64x48&rate=30", OPTIONS)
        video, audio = found.tracks
        self.assertEqual((video.codec, video.width, video.height), ("h264", 64, 48))
        self.assertEqual((video.frame_rate, audio.codec), (30.0, "aac"))

    async def test_file(self) -> None:
        """A file is pulled once or for ever, as the options say, and in several renditions."""
        make_media(self.folder / "a.mp4", "mp4", 15)
        sinks = [Kept(), Kept()]
        small = OutputOptions(VideoOptions("h264", width=32, height=32), AudioOptions("none"))
        await FileSource().pull_transcoded(
            self.host,
            "file:a.mp4",
            OPTIONS._replace(loop=False),
            [(OutputOptions(), sinks[0]), (small, sinks[1])],
        )
        self.assertEqual([len([p for p in x.packets if p.track.id == 0]) for x in sinks], [15, 15])
        found = await FileSource().probe(self.host, "file:a.mp4", OPTIONS)
        self.assertEqual([x.codec for x in found.tracks], ["h264", "aac"])

    async def test_no_folders(self) -> None:
        """Without relay.folders no file is played, whatever is typed."""
        self.host.settings.relay.folders = ()
        error = await self.failure_of(
            FileSource().pull(self.host, "file:/etc/passwd", OPTIONS, Kept())
        )
        self.assertIn("relay.folders", str(error))
        self.assertTrue(error.is_permanent)

    async def test_bad_addresses(self) -> None:
        """An address that is none fails the pull, and is not raised by it."""
        for source, url in ((UDPSource(), "udp://x"), (MMSSource(), "mms:"), (TestSource(), "x:")):
            error = await self.failure_of(source.pull(self.host, url, OPTIONS, Kept()))
            self.assertTrue(error.is_permanent)

    async def test_udp(self) -> None:
        """MPEG-TS that is sent to a port comes out, and the port is free when it was cancelled."""
        make_media(self.folder / "a.ts", "mpegts", 50)
        data = (self.folder / "a.ts").read_bytes()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            out.bind(("127.0.0.1", 0))
            port = out.getsockname()[1]
        for _round in range(2):
            sink = Kept()
            pulling = UDPSource().pull(self.host, f"udp://127.0.0.1:{port}", OPTIONS, sink)
            await self.until(lambda sink=sink: bool(sink.notes))  # type: ignore[misc]
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
                for place in range(0, len(data), 1316):
                    out.sendto(data[place : place + 1316], ("127.0.0.1", port))
                    await self.pause(0.001)
                await self.pause(0.1)
                while not sink.packets:
                    # FFmpeg looks at two seconds and a half before it believes anything.
                    for place in range(0, len(data), 1316):
                        out.sendto(data[place : place + 1316], ("127.0.0.1", port))
                        await self.pause(0.0005)
            pulling.cancel()
            with self.assertRaises(CancelledError):
                await pulling
            self.assertIn(Codec.H264, {x.codec for x in sink.tracks})


class Hostile:
    """A server that does the same to each connection, in threads of its own."""

    def __init__(self, treat: Callable[[socket.socket], None]) -> None:
        self._treat = treat
        self.connections = 0
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """End it, with its connections."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _peer = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            self._treat(connection)
        except OSError:
            return


def stall(connection: socket.socket) -> None:
    """Take everything, and say nothing."""
    while connection.recv(65536):
        pass


def redirect(connection: socket.socket) -> None:
    """Send on to where clouds keep their secrets."""
    connection.recv(65536)
    connection.sendall(b"HTTP/1.0 302 Found\r\nLocation: http://169.254.169.254/x\r\n\r\n")
    connection.close()


OK = b"HTTP/1.0 200 OK\r\nContent-Type: application/x-mms-framed\r\n\r\n"


def junk(connection: socket.socket) -> None:
    """Answer with what is no ASF, in frames of MMS."""
    connection.recv(65536)
    body = bytes(range(200)) * 5
    size = (len(body) + 8).to_bytes(2, "little")
    connection.sendall(OK + b"$H" + size + bytes(6) + size + body)
    connection.close()


def endless(connection: socket.socket) -> None:
    """Answer with a header that never ends."""
    connection.recv(65536)
    connection.sendall(b"HTTP/1.0 200 OK\r\n")
    for number in range(1_000_000):
        connection.sendall(b"X-Field: " + bytes([65 + number % 26]) * 1000 + b"\r\n")
        time.sleep(0.0005)


def forbidden(connection: socket.socket) -> None:
    """Refuse."""
    connection.recv(65536)
    connection.sendall(b"HTTP/1.0 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
    connection.close()


class MMSTests(SourceCase):
    """Servers of MMS that are none, or mean harm. One that is good is in the tests end to end."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(mms, "TRY_SECONDS", 2.0)

    def serve(self, treat: Callable[[socket.socket], None]) -> Hostile:
        """Start a server."""
        server = Hostile(treat)
        self.addCleanup(server.close)
        return server

    def pull(self, server: Hostile, scheme: str = "mms", sink: Kept | None = None) -> Any:
        """Pull from one."""
        url = f"{scheme}://user:hunter2@127.0.0.1:{server.port}/hunter2?hunter2"
        return MMSSource().pull(self.host, url, OPTIONS, sink or Kept())

    async def test_stall(self) -> None:
        """E-SR-01, E-SR-02: a server that says nothing is tried both ways, each for its time."""
        server, sink = self.serve(stall), Kept()
        began = self.reactor.seconds()
        error = await self.failure_of(self.pull(server, sink=sink))
        self.assertLess(self.reactor.seconds() - began, 9)
        self.assertRegex(str(error), "^mmsh: .*; mmst: ")
        self.assertEqual(server.connections, 2)
        self.assertTrue(any("mmsh failed" in x and "trying mmst" in x for x in sink.notes))
        self.assertNotIn("hunter2", f"{error} {sink.notes}")
        self.assertFalse(error.is_permanent)

    async def test_cancelled(self) -> None:
        """E-SR-01: it can be cancelled while it opens, and the second way is not tried then."""
        server = self.serve(stall)
        pulling = self.pull(server)
        await self.until(lambda: server.connections == 1)
        pulling.cancel()
        with self.assertRaises(CancelledError):
            await pulling
        await self.pause(0.2)
        self.assertEqual(server.connections, 1)

    async def test_redirected(self) -> None:
        """F-SS-03: where a server sends on to is looked at as what was typed."""
        error = await self.failure_of(self.pull(self.serve(redirect), "mmsh"))
        self.assertIn("169.254.169.254 is a link-local address", str(error))
        self.assertTrue(error.is_permanent)

    async def test_junk(self) -> None:
        """E-SR-02: what is no ASF, or never ends, is an error in words and in time."""
        for treat in (junk, endless):
            error = await self.failure_of(self.pull(self.serve(treat), "mmsh"))
            self.assertNotIn("hunter2", str(error))
            self.assertNotIn("crashed", str(error))
        error = await self.failure_of(self.pull(self.serve(junk), "mmst"))
        self.assertNotIn("crashed", str(error))

    async def test_refused(self) -> None:
        """E-ST-05: a server that refuses for good is told apart."""
        error = await self.failure_of(self.pull(self.serve(forbidden), "mmsh"))
        self.assertEqual((error.status, error.is_permanent), (403, True))

    async def test_policy(self) -> None:
        """F-SS-03: an address that the policy forbids is not connected to, whatever its name."""
        self.host = self.make_host()
        server = self.serve(stall)
        for name in ("127.0.0.1", "localhost"):
            url = f"mms://{name}:{server.port}/"
            error = await self.failure_of(MMSSource().pull(self.host, url, OPTIONS, Kept()))
            self.assertIn("a loopback address", str(error))
            self.assertTrue(error.is_permanent)
        with self.assertRaises(RemoteError):
            await MMSSource().probe(self.host, url, OPTIONS)
        self.assertEqual(server.connections, 0)

    async def test_address_of_the_child(self) -> None:
        """F-SS-03: a child is given the address that was looked at, and never looks a name up."""
        given: list[Any] = []

        def start(_host: Any, source: Any, *_how: Any) -> Any:
            given.append(source)
            raise RemoteError("enough")

        self.patch(mms, "start", start)
        asked: list[str] = []

        def resolve(name: str, *, timeout_seconds: float) -> Any:
            asked.append(name)
            return succeed(addresses[len(asked) - 1])

        addresses = ["192.0.2.7", "2001:db8::7"]
        host: Any = SimpleNamespace(connector=SimpleNamespace(resolve=resolve))
        for _address in addresses:
            with self.assertRaises(RemoteError):
                await MMSSource().pull(host, "mmst://camera.example/x", OPTIONS, Kept())
        self.assertEqual(asked, ["camera.example"] * 2)
        self.assertEqual(
            [x.url for x in given], ["mmst://192.0.2.7:1755/x", "mmst://[2001:db8::7]:1755/x"]
        )
        # And it may use nothing else, whatever the server sends.
        self.assertEqual({(x.format, x.protocols) for x in given}, {("asf", ("mmst", "tcp"))})
