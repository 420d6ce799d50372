"""Windows Media over HTTP, with a scripted server and a real child process."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError

from ntvmedia.clients.ffmpeg.mms import MMSSource
from ntvmedia.errors import RemoteError
from ntvmedia.media import Codec
from ntvmedia.media.relaying import AudioOptions, OutputOptions, PullOptions, VideoOptions
from tests.avtools.media import movie
from tests.avtools.rig import Kept
from tests.clients.ffmpeg.test_pulling import Hostile, SourceCase
from tests.wire.test_mmsh import chunk, parts

HEAD = b"HTTP/1.0 200 OK\r\nContent-Type: application/x-mms-framed\r\n\r\n"
END = bytes.fromhex("2445 0400 00000000")
OPTIONS = PullOptions(stall_seconds=3.0)


def server_of(
    asf: bytes, script: Callable[[socket.socket, bytes, list[bytes]], None]
) -> Callable[[socket.socket], None]:
    """Make what answers the first request with the header, and the others by a script."""
    header, packets = parts(asf)

    def treat(connection: socket.socket) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            request += connection.recv(65536)
        asks = re.findall(rb"(?im)^pragma: (.*)\r$", request)
        connection.sendall(HEAD)
        if b"xPlayStrm=1" in asks:
            assert b"stream-switch-entry=ffff:1:0 ffff:2:0" in asks
            script(connection, header, packets)
        else:
            connection.sendall(chunk("H", header))
        connection.close()

    return treat


class MMSHTests(SourceCase):
    """A server that is good, with habits."""

    def serve(self, *script: Any, asf: bytes = b"") -> str:
        """Start a server, and return its address."""
        data = asf or movie("asf", video="libx264", audio="aac", seconds=4.0)
        server = Hostile(server_of(data, *script))
        self.addCleanup(server.close)
        return f"mms://127.0.0.1:{server.port}/live"

    async def test_whole(self) -> None:
        """P-601: all that the server has comes out, copied."""

        def send(connection: socket.socket, header: bytes, packets: list[bytes]) -> None:
            connection.sendall(chunk("H", header))
            for packet in packets:
                connection.sendall(chunk("D", packet.rstrip(b"\0")))
            connection.sendall(END)

        sink = Kept()
        await MMSSource().pull(self.host, self.serve(send), OPTIONS, sink)
        self.assertEqual({x.codec for x in sink.tracks}, {Codec.H264, Codec.AAC})
        self.assertEqual(sum(x.track.codec is Codec.H264 for x in sink.packets), 100)

    async def test_loops(self) -> None:
        """A server that begins again tells its header once more, and the stream goes on."""

        def send(connection: socket.socket, header: bytes, packets: list[bytes]) -> None:
            # As VLC does it: the times of its packets go on.
            for place, packet in enumerate(packets):
                if place % 3 == 0:
                    connection.sendall(chunk("H", header))
                connection.sendall(chunk("D", packet))
            connection.sendall(END)

        sink = Kept()
        small = OutputOptions(VideoOptions("h264", width=32), AudioOptions("none"))
        await MMSSource().pull_transcoded(
            self.host, self.serve(send), OPTIONS, [(OutputOptions(), sink), (small, Kept())]
        )
        self.assertEqual(sum(x.track.codec is Codec.H264 for x in sink.packets), 100)
        self.assertFalse([x for x in sink.notes if "mmst" in x])

    async def test_next_item(self) -> None:
        """What the child cannot go on with is the end of this pull, and no error."""

        def send(connection: socket.socket, header: bytes, packets: list[bytes]) -> None:
            connection.sendall(chunk("H", header))
            for packet in packets:
                connection.sendall(chunk("D", packet))
            other, _packets = parts(movie("asf", video="wmv2", audio="", seconds=0.2))
            connection.sendall(chunk("H", other))
            time.sleep(5)

        sink = Kept()
        await MMSSource().pull(self.host, self.serve(send), OPTIONS, sink)
        self.assertEqual(sum(x.track.codec is Codec.H264 for x in sink.packets), 100)

    async def test_stall(self) -> None:
        """E-ST-01: silence after media is an error of this way; mmst is not tried then."""

        def send(connection: socket.socket, header: bytes, packets: list[bytes]) -> None:
            connection.sendall(chunk("H", header))
            for packet in packets:
                connection.sendall(chunk("D", packet))
            time.sleep(20)

        sink = Kept()
        began = self.reactor.seconds()
        error = await self.failure_of(MMSSource().pull(self.host, self.serve(send), OPTIONS, sink))
        self.assertLess(self.reactor.seconds() - began, 12)
        self.assertFalse(error.is_permanent)
        self.assertTrue(sink.packets)
        self.assertEqual([x for x in sink.notes if "mmst" in x], [])

    async def test_broken(self) -> None:
        """E-SR-02: what stops being Windows Media is said to, once media came."""

        def send(connection: socket.socket, header: bytes, packets: list[bytes]) -> None:
            connection.sendall(chunk("H", header))
            for packet in packets:
                connection.sendall(chunk("D", packet))
            time.sleep(2.0)
            connection.sendall(b"<html>" * 1000)
            time.sleep(5)

        error = await self.failure_of(
            MMSSource().pull(self.host, self.serve(send), OPTIONS, Kept())
        )
        self.assertIn("Windows Media", str(error))

    async def test_cancelled(self) -> None:
        """It gives everything back when it is cancelled."""

        def send(connection: socket.socket, header: bytes, packets: list[bytes]) -> None:
            connection.sendall(chunk("H", header))
            for packet in packets:
                connection.sendall(chunk("D", packet))
            time.sleep(30)

        sink = Kept()
        pulling = MMSSource().pull(self.host, self.serve(send), OPTIONS, sink)
        await self.until(lambda: len(sink.packets) > 10)
        pulling.cancel()
        with self.assertRaises(CancelledError):
            await pulling
        count = len(sink.packets)
        await self.pause(0.2)
        self.assertEqual(len(sink.packets), count)

    async def test_codec_that_nothing_carries(self) -> None:
        """E-ST-05: the other way is not tried for the same media."""

        def send(connection: socket.socket, header: bytes, packets: list[bytes]) -> None:
            connection.sendall(chunk("H", header))
            for packet in packets:
                connection.sendall(chunk("D", packet))
            time.sleep(10)

        asf = movie("asf", video="wmv2", audio="wmav2", seconds=4.0)
        url = self.serve(send, asf=asf)
        error = await self.failure_of(MMSSource().pull(self.host, url, OPTIONS, Kept()))
        self.assertRegex(str(error), r"wmv2|wmav2")
        self.assertTrue(error.is_permanent)

    async def test_probe(self) -> None:
        """What is in it is told without taking it."""

        def send(connection: socket.socket, header: bytes, packets: list[bytes]) -> None:
            connection.sendall(chunk("H", header))
            for packet in packets:
                connection.sendall(chunk("D", packet))
            time.sleep(10)

        found = await MMSSource().probe(self.host, self.serve(send), OPTIONS)
        self.assertEqual(found.format, "asf")
        self.assertEqual([x.codec for x in found.tracks], ["h264", "aac"])

    async def test_header_that_never_comes(self) -> None:
        """A server of something else is one more failed way, not a crash."""

        def treat(connection: socket.socket) -> None:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<html></html>")
            connection.close()

        server = Hostile(treat)
        self.addCleanup(server.close)
        url = f"mmsh://127.0.0.1:{server.port}/"
        with self.assertRaisesRegex(RemoteError, "Windows Media"):
            await MMSSource().pull(self.host, url, OPTIONS, Kept())
