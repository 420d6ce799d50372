"""Players of RTSP (RFC 2326), with their media within the connection and in datagrams.

H.264 only (RFC 6184), and only up to the first keyframe: what follows is counted, not read.
"""

from __future__ import annotations

import re
import socket
from itertools import count
from typing import Final

from bench.flv import AUDIO, VIDEO, BadStream, Media

RTP_OVERHEAD: Final = -1
RTP_DATAGRAM_OVERHEAD: Final = -2
"""Stand for the number of bytes of a chunk, as `source.wire_bytes` knows it: it is RTP."""

_MAX_HEAD_BYTES: Final = 65536

# Where datagrams are received: below the ports that the kernel gives to connections.
_FIRST_PORT: Final = 12_000
_LAST_PORT: Final = 29_000
_RECEIVE_BUFFER: Final = 1 << 20

# The most media that a stream has here.
_TRACKS: Final = 2

_STAP_A: Final = 24
_FU_A: Final = 28
_IDR: Final = 5

# The parameter sets and delimiters that a server puts in front of a picture.
_ADDED: Final = frozenset({7, 8, 9})

# What FLV has in front of a keyframe's NAL units that is shown when it is decoded.
_FLV_KEYFRAME: Final = b"\x17\x01\0\0\0"


class Pictures:
    """Puts pictures together from RTP packets, as they are in FLV."""

    def __init__(self) -> None:
        self._units: list[bytes] = []
        self._start = 0

    def feed(self, packet: bytes, start: int) -> Media | None:
        """Take a packet of the pictures' track, which began at `start`.

        Returns:
            The keyframe that it completes.
        """
        if len(packet) < 14 or packet[0] != 0x80:
            raise BadStream(f"not the RTP that was expected: {packet[:16]!r}")
        if not self._units:
            self._start = start
        payload = packet[12:]
        kind = payload[0] & 31
        if kind == _FU_A:
            if payload[1] & 0x80:
                self._units.append(bytes((payload[0] & 0xE0 | payload[1] & 31,)))
            if self._units:
                self._units[-1] += payload[2:]
        elif kind == _STAP_A:
            place = 1
            while place < len(payload):
                end = place + 2 + int.from_bytes(payload[place : place + 2], "big")
                self._units.append(payload[place + 2 : end])
                place = end
        else:
            self._units.append(payload)
        if not packet[1] & 0x80:
            return None
        units, self._units = self._units, []
        units = [unit for unit in units if unit[0] & 31 not in _ADDED]
        if not any(unit[0] & 31 == _IDR for unit in units):
            return None
        body = b"".join(part for unit in units for part in (len(unit).to_bytes(4, "big"), unit))
        timestamp = int.from_bytes(packet[4:8], "big")
        return Media(VIDEO, timestamp, _FLV_KEYFRAME + body, self._start)


class Conversation:
    """The requests of a player: DESCRIBE, SETUP of each track, PLAY.

    Args:
        url: Of the stream.
        transports: What is asked for, for each track that there may be: for `SETUP`.

    Attributes:
        greeting: The first request.
        playing: PLAY was answered.
        video: The number of the pictures' track.
    """

    def __init__(self, url: str, transports: list[str]) -> None:
        self._url = url
        self._transports = transports
        self._controls: list[str] = []
        self._set_up = 0
        self._sequence = 0
        self._session = ""
        self.playing = False
        self.video = -1
        self.greeting = self._request("DESCRIBE", url, "Accept: application/sdp\r\n")

    def answered(self, head: bytes, body: bytes) -> bytes:
        """Take an answer; return the next request, or nothing where that is all.

        Raises:
            BadStream: It is no good one.
        """
        text = head.decode("latin-1")
        if text.split(" ", 2)[1:2] != ["200"]:
            raise BadStream(f"refused: {text.splitlines()[0]!r}")
        session = re.search(r"(?im)^session: *([^;\r\n]+)", text)
        self._session = session[1] if session else self._session
        if body:
            description = body.decode()
            kinds = re.findall(r"(?m)^m=(\w+)", description)
            self.video = kinds.index("video")
            part = description[description.index("m=") :]
            self._controls = re.findall(r"(?m)^a=control:(\S+)", part)
        if self._set_up < len(self._controls):
            number, self._set_up = self._set_up, self._set_up + 1
            control = self._controls[number]
            url = control if control.startswith("rtsp:") else f"{self._url}/{control}"
            return self._request("SETUP", url, f"Transport: {self._transports[number]}\r\n")
        self.playing = self._url == ""
        if self._url:
            url, self._url = self._url, ""
            return self._request("PLAY", url, "Range: npt=0.000-\r\n")
        return b""

    def _request(self, method: str, url: str, fields: str) -> bytes:
        self._sequence += 1
        if self._session:
            fields += f"Session: {self._session}\r\n"
        return f"{method} {url} RTSP/1.0\r\nCSeq: {self._sequence}\r\n{fields}\r\n".encode()


class RTSPPlayer:
    """A player whose media comes within its connection.

    It has the same attributes and methods as `rtmp.RTMPClient`, so that one loop drives both.

    Attributes:
        greeting: What to send as soon as the connection stands.
        chunk_bytes: `RTP_OVERHEAD`.
        received: Bytes so far, on the scale of `Media.start`.
    """

    chunk_bytes = RTP_OVERHEAD

    def __init__(self, host: str, application: str, stream: str) -> None:
        transports = [
            f"RTP/AVP/TCP;unicast;interleaved={2 * place}-{2 * place + 1}"
            for place in range(_TRACKS)
        ]
        url = f"rtsp://{host}/{application}/{stream}"
        self._conversation = Conversation(url, transports)
        self.greeting = self._conversation.greeting
        self._pictures = Pictures()
        self._buffer = b""
        self.received = 0

    def feed(self, data: bytes) -> tuple[list[Media], bytes]:
        """Take bytes; return the keyframes that they complete, and what to answer.

        Raises:
            BadStream: It is no RTSP, or a refusal.
        """
        self.received += len(data)
        buffer = self._buffer + data
        origin = self.received - len(buffer)
        place, reply = 0, b""
        found: list[Media] = []
        conversation = self._conversation
        while place < len(buffer):
            if buffer[place] == 0x24:
                end = place + 4 + int.from_bytes(buffer[place + 2 : place + 4], "big")
                if len(buffer) < place + 4 or len(buffer) < end:
                    break
                if buffer[place + 1] == 2 * conversation.video:
                    picture = self._pictures.feed(buffer[place + 4 : end], origin + place)
                    if picture is not None:
                        found.append(picture)
                place = end
                continue
            answer = split_answer(buffer[place:])
            if answer is None:
                break
            head, body = answer
            place += len(head) + len(body)
            reply += conversation.answered(head, body)
        self._buffer = buffer[place:]
        return found, reply


class VideoDatagrams:
    """What reads the pictures' datagrams; likewise, though it has nothing to say."""

    chunk_bytes = RTP_DATAGRAM_OVERHEAD
    greeting = b""

    def __init__(self) -> None:
        self._pictures = Pictures()
        self.received = 0

    def feed(self, data: bytes) -> tuple[list[Media], bytes]:
        """Take a datagram; return the keyframe that it completes.

        Raises:
            BadStream: It is no RTP.
        """
        start = self.received
        self.received += len(data)
        picture = self._pictures.feed(data, start)
        return [] if picture is None else [picture], b""


class RTSPDatagramPlayer:
    """The requests of a player whose media comes over UDP; likewise.

    Nothing is sent beside them, so that the server ends it after a minute.

    Attributes:
        greeting: What to send as soon as the connection stands.
        chunk_bytes: `RTP_DATAGRAM_OVERHEAD`.
        received: Bytes of answers so far.
        tracks: Two sockets for each track: of its media and of its reports.
    """

    chunk_bytes = RTP_DATAGRAM_OVERHEAD

    def __init__(self, host: str, application: str, stream: str) -> None:
        self.tracks = [_open_pair(host) for _track in range(_TRACKS)]
        ports = [media.getsockname()[1] for media, _reports in self.tracks]
        transports = [f"RTP/AVP;unicast;client_port={port}-{port + 1}" for port in ports]
        self._conversation = Conversation(f"rtsp://{host}/{application}/{stream}", transports)
        self.greeting = self._conversation.greeting
        self.received = 0
        self._buffer = b""

    @property
    def video(self) -> int:
        """The place of the pictures' track, once PLAY was answered; -1 before."""
        return self._conversation.video if self._conversation.playing else -1

    def feed(self, data: bytes) -> tuple[list[Media], bytes]:
        """Take bytes; return nothing of media, and what to answer.

        Raises:
            BadStream: It is no RTSP, or a refusal.
        """
        self.received += len(data)
        self._buffer += data
        reply = b""
        while self._buffer and (answer := split_answer(self._buffer)) is not None:
            head, body = answer
            self._buffer = self._buffer[len(head) + len(body) :]
            reply += self._conversation.answered(head, body)
        return [], reply


_ports = count(_FIRST_PORT, 2)


def _open_pair(host: str) -> tuple[socket.socket, socket.socket]:
    """Open an even port and the next one."""
    for port in _ports:
        if port > _LAST_PORT:
            break
        pair = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _number in range(2)]
        try:
            for number, found in enumerate(pair):
                found.setblocking(False)
                found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
                found.bind((host, port + number))
        except OSError:
            for found in pair:
                found.close()
            continue
        return pair[0], pair[1]
    raise BadStream("no ports are left to receive on")


def split_answer(data: bytes) -> tuple[bytes, bytes] | None:
    """Return head and body of the answer at the beginning; None while it is not all there.

    Raises:
        BadStream: It is none.
    """
    end = data.find(b"\r\n\r\n") + 4
    if end < 4:
        if len(data) > _MAX_HEAD_BYTES or not b"RTSP/1.0 ".startswith(data[:9]):
            raise BadStream(f"not RTSP: {data[:16]!r}")
        return None
    length = re.search(rb"(?im)^content-length: *(\d+)", data[:end])
    size = int(length[1]) if length else 0
    return None if len(data) < end + size else (data[:end], data[end : end + size])


def rtp_bytes(kind: int, size: int, frame_bytes: int) -> int:
    """Return what a frame takes at least in RTP.

    Args:
        kind: `AUDIO` or `VIDEO`.
        size: Of its FLV body.
        frame_bytes: Around each packet: 4 within a connection.
    """
    around = frame_bytes + 12
    if kind == AUDIO:
        return size - 2 + 4 + around
    # One NAL unit, whose length FLV has, in as few packets as Ethernet allows.
    unit = size - len(_FLV_KEYFRAME) - 4
    return unit + -(-unit // 1460) * around
