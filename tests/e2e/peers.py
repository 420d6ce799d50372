"""An RTMP publisher of our own, for what no encoder can be brought to send, and FLV files."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType

from ntvmedia.formats import amf0
from ntvmedia.formats.flv import Demuxer, Header, Tag, TagType
from ntvmedia.media import Packet, Track
from ntvmedia.wire.rtmp.client import ClientSession
from ntvmedia.wire.rtmp.events import Accepted, CredentialsRequested
from ntvmedia.wire.rtmp.writer import message_bytes
from tests.e2e.processes import Failed

CHUNK_SIZE = 60000
CHUNK_STREAMS = {TagType.AUDIO: 4, TagType.SCRIPT: 5, TagType.VIDEO: 6}


def read_flv(path: Path) -> tuple[Header, list[Tag]]:
    """Read an FLV file, whose end may be cut off."""
    demuxer = Demuxer()
    demuxer.receive_data(path.read_bytes())
    header, *tags = demuxer.events()
    assert isinstance(header, Header)
    return header, [tag for tag in tags if isinstance(tag, Tag)]


def metadata_tag(fields: Mapping[str, amf0.Value]) -> Tag:
    """Make a script tag "onMetaData" that says what the test wants it to."""
    return Tag(TagType.SCRIPT, 0, amf0.encode("onMetaData", amf0.ECMAArray(fields)))


class Publisher:
    """A publisher on a blocking socket, best used in a `with` statement, which leaves in order.

    Args:
        port: Of the server, on 127.0.0.1.
        name: "APP/STREAM", query included.
        chunk_size: Of what it sends.
        first_bytes: Sent before the handshake, such as a PROXY protocol header.
        user: Who it is, where the server asks; empty for nobody.
        password: The user's.

    Attributes:
        connections: How many it took until it was accepted.

    Raises:
        Failed: The server did not accept it; the message has its reason.
    """

    def __init__(
        self,
        port: int,
        name: str,
        *,
        chunk_size: int = CHUNK_SIZE,
        first_bytes: bytes = b"",
        user: str = "",
        password: str = "",
    ) -> None:
        app, _slash, stream = name.partition("/")
        self._chunk_size = chunk_size
        self.connections = 0
        credentials: str | None = ""
        while credentials is not None:
            self._session = ClientSession(
                os.urandom(3072),
                time.monotonic(),
                publishing=True,
                app=app,
                name=stream,
                tc_url=f"rtmp://127.0.0.1:{port}/{app}",
                user=user,
                password=password,
                credentials=credentials,
                chunk_size=chunk_size,
            )
            self._socket = socket.create_connection(("127.0.0.1", port), 30)
            self.connections += 1
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.sendall(first_bytes)
            try:
                credentials = self._wait_for_acceptance()
            except BaseException:
                self._socket.close()
                raise
            if credentials is not None:
                self._socket.close()

    def _wait_for_acceptance(self) -> str | None:
        """Return what to bring to another connection; None where this one is accepted."""
        while True:
            self._socket.sendall(self._session.data_to_send())
            data = self._socket.recv(65536)
            if not data:
                raise Failed("the server hung up")
            self._session.receive_data(data)
            for event in self._session.events():
                if isinstance(event, Accepted):
                    return None
                if isinstance(event, CredentialsRequested):
                    return event.credentials
                raise Failed(f"the server said: {event}")

    def __enter__(self) -> Publisher:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.leave()

    def send(self, data: bytes) -> None:
        """Send bytes of the chunk stream."""
        self._socket.sendall(data)

    def send_tag(self, tag: Tag, timestamp: int | None = None) -> None:
        """Send the body of an FLV tag as the message that it is in RTMP.

        Args:
            timestamp: In milliseconds, sent modulo 2**32; that of the tag unless given.
        """
        self.send(self.tag_bytes(tag, tag.timestamp if timestamp is None else timestamp))

    def tag_bytes(self, tag: Tag, timestamp: int) -> bytes:
        """Return the chunks of `send_tag`."""
        body = tag.body
        if tag.kind is TagType.SCRIPT:
            body = amf0.encode("@setDataFrame") + body
        return message_bytes(
            CHUNK_STREAMS[tag.kind], timestamp & 0xFFFFFFFF, tag.kind, 1, body, self._chunk_size
        )

    def play(self, tags: Iterable[Tag], offset: int = 0, since: int = 0) -> None:
        """Send tags at the pace of their timestamps.

        Args:
            tags: In order.
            offset: Milliseconds to add to each timestamp that is sent.
            since: The timestamp of a tag that is sent at once.
        """
        start = time.monotonic()
        for tag in tags:
            wait = start + (tag.timestamp - since) / 1000 - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            self.send_tag(tag, tag.timestamp + offset)

    def send_media(self, media: Iterable[Track | Packet]) -> None:
        """Announce tracks and send packets, as the session writes them."""
        for item in media:
            if isinstance(item, Track):
                self._session.send_track(item)
            else:
                self._session.send_packet(item)
        self.send(self._session.data_to_send())

    def leave(self) -> None:
        """Say goodbye and hang up."""
        self._session.leave()
        try:
            self.send(self._session.data_to_send())
            self._socket.shutdown(socket.SHUT_WR)
            # What the server says while it closes is taken, lest our end resets the connection.
            while self._socket.recv(65536):
                pass
        except OSError:
            pass  # the server was faster
        self._socket.close()

    def vanish(self) -> None:
        """Hang up without a word."""
        self._socket.close()
