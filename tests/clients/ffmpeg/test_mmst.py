"""Tests of `mmst://`: FFmpeg in a child process against a scripted peer.

No server of Windows Media runs here, and nothing in Debian speaks its own protocol, so the peer
says what [MS-MMSP] 3.2.5 has a server say.
"""

from __future__ import annotations

import socket
import struct

from ntvmedia.clients.ffmpeg.mms import MMSSource
from ntvmedia.media.packets import Codec
from tests.avtools.rig import Kept, make_media
from tests.clients.ffmpeg.test_pulling import OPTIONS, Hostile, SourceCase

# What comes after what the client says, by the numbers of the commands ([MS-MMSP] 2.2.4): it says
# hello, measures the connection, chooses TCP, names the file, wants the header, chooses the
# streams, and has it play.
ANSWERS = {0x01: 0x01, 0x18: 0x15, 0x02: 0x02, 0x05: 0x06, 0x15: 0x11, 0x33: 0x21, 0x07: 0x05}

HEADER_ID = 2
MEDIA_ID = 4

# Of the data object, before its packets (ASF 5.1); and where the size of those stands, behind the
# identifier of the file properties object (ASF 3.2).
DATA_HEADER = 50
FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
PACKET_SIZE = 92


def command(number: int, body: bytes) -> bytes:
    """Make a message of the server."""
    inner = struct.pack("<HHI", number, 4, 0) + body
    inner += bytes(-len(inner) % 8)
    chunks = (len(inner) + 16) // 8
    rest = struct.pack("<4sIIQI", b"MMS ", chunks, 0, 0, chunks - 2) + inner
    return struct.pack("<III", 1, 0xB00BFACE, len(rest) - 4) + rest


def media(sequence: int, kind: int, flags: int, data: bytes) -> bytes:
    """Make a message with a part of the file."""
    return struct.pack("<IBBH", sequence, kind, flags, len(data) + 8) + data


class Peer:
    """A server that has one file.

    Attributes:
        asked: The commands that came.
        messages: Their bodies.
    """

    def __init__(self, data: bytes) -> None:
        size = struct.unpack_from("<Q", data, 16)[0] + DATA_HEADER
        self._header, self._packets = data[:size], data[size:]
        place = data.index(FILE_PROPERTIES)
        self._size = struct.unpack_from("<I", data, place + PACKET_SIZE)[0]
        self.asked: list[int] = []
        self.messages: list[bytes] = []

    def serve(self, connection: socket.socket) -> None:
        """Converse."""
        with connection, connection.makefile("rwb") as stream:
            while len(head := stream.read(12)) == 12:
                body = stream.read(struct.unpack_from("<I", head, 8)[0] + 4)
                number = struct.unpack_from("<H", body, 24)[0]
                self.asked.append(number)
                self.messages.append(body)
                if number in ANSWERS:
                    stream.write(command(ANSWERS[number], bytes(64)))
                if number == 0x15:
                    stream.write(media(0, HEADER_ID, 0x0C, self._header))
                stream.flush()
                if number == 0x07:
                    for index, place in enumerate(range(0, len(self._packets), self._size)):
                        part = self._packets[place : place + self._size]
                        stream.write(media(index, MEDIA_ID, 0, part))
                    stream.write(command(0x1E, bytes(8)))
                    stream.flush()


class MMSTTests(SourceCase):
    """A whole conversation."""

    async def test_pull(self) -> None:
        """E-SR-01: what the peer has is pulled to its end, by the path that was typed."""
        make_media(self.folder / "a.asf", "asf", 50, audio="")
        peer = Peer((self.folder / "a.asf").read_bytes())
        server = Hostile(peer.serve)
        self.addCleanup(server.close)
        sink = Kept()
        await MMSSource().pull(
            self.host, f"mmst://127.0.0.1:{server.port}/films/a.asf", OPTIONS, sink
        )
        self.assertEqual(peer.asked[:5], [0x01, 0x18, 0x02, 0x05, 0x15])
        self.assertTrue(any("films/a.asf".encode("utf-16-le") in x for x in peer.messages))
        self.assertEqual(sink.tracks[0].codec, Codec.H264)
        self.assertGreater(len(sink.packets), 40)
