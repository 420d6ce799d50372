"""A publisher and viewers for tests of what the API says of streams."""

from __future__ import annotations

from typing import Any

from twisted.internet.testing import StringTransport

from ntvmedia.hub.rendition import RenditionKey
from ntvmedia.hub.viewer import ViewerInfo
from ntvmedia.media import Codec, Packet, StreamKey, Track

AUDIO = Track(Codec.MP3, clock_rate=44100, channels=2)
FRAME = b"\xff\xfb\x90\x64" + b"a" * 96


class Silent:
    """A serialiser that sends the payloads as they are."""

    def tracks_changed(self, tracks: Any, metadata: Any, timestamp: int) -> bytes:
        """Say nothing."""
        return b""

    def header(self, timestamp: int) -> bytes:
        """Return no header."""
        return b""

    def packet(self, packet: Packet, parts: list[bytes]) -> None:
        """Append the payload."""
        parts.append(packet.payload)

    def trailer(self) -> bytes:
        """Return no trailer."""
        return b""

    def frame(self, block: bytes) -> bytes:
        """Return the block."""
        return block


class Publisher:
    """Whoever publishes."""

    protocol = "test"
    peer = "192.0.2.9:1"
    request = None

    def dismissed(self, reason: str) -> None:
        """Never in these tests."""
        raise AssertionError(reason)


def publish(host: Any, key: StreamKey) -> Any:
    """Publish some sound; returns the publication."""
    host.hub.register_format("raw", lambda options: Silent())
    publication = host.hub.publish(key, Publisher())
    publication.track_received(AUDIO)
    for number in range(5):
        at = number * 1152
        publication.packet_received(Packet(AUDIO, at, at, True, FRAME))
    publication.batch_ended()
    host.reactor.advance(2)
    return publication


def play(host: Any, key: StreamKey, agent: str = "player") -> Any:
    """Have somebody listen; returns the viewer."""
    stream = host.hub.streams[key]
    outlet = host.hub.outlet(StringTransport())
    info = ViewerInfo("test", "192.0.2.5:2", agent, "http://a.example/")
    return stream.play(RenditionKey("raw"), outlet, info, lambda reason: None)
