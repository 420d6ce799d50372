"""A server with an encrypted stream, and a key server that may be down."""

from __future__ import annotations

from typing import Any, Final

from twisted.internet.defer import Deferred

from ntvmedia.outbound import OutboundError
from ntvmedia.outbound.exchange import Answer
from tests.endpoints.http.hls.cases import HLSCase
from tests.hls.m3u8 import MediaPlaylist, Segment, parse_media
from tests.hls.resources import decrypt
from tests.hls.rig import Player

TEMPLATE: Final = "https://keys.example/{application}/{stream}/{key}"
"""The address of the key server."""

DOWN: Final = OutboundError("https://keys.example: the connection was refused")


class KeyServer:
    """The HTTP client of a server whose key server may be down.

    Attributes:
        up: It answers.
        asked: How often it was asked.
        values: What it gave, by address.
    """

    def __init__(self) -> None:
        self.up = True
        self.asked = 0
        self.values: dict[str, bytes] = {}

    def get(self, url: str, *, limit_bytes: int) -> Deferred[Answer]:
        """Answer, or fail."""
        self.asked += 1
        waiting: Deferred[Answer] = Deferred()
        if self.up:
            value = self.values.setdefault(url, len(self.values).to_bytes(limit_bytes, "big"))
            waiting.callback(Answer(200, {}, value))
        else:
            waiting.errback(DOWN)
        return waiting


class EncryptedCase(HLSCase):
    """A stream that is encrypted."""

    options: dict[str, Any] = {"encrypted": True, "hls_key_segments": 2}  # noqa: RUF012

    def setUp(self) -> None:
        super().setUp()
        self.server = KeyServer()
        self.rig.host.outbound = self.server  # type: ignore[attr-defined]

    def listed(self, player: Player | None = None) -> MediaPlaylist:
        """Return what a player sees."""
        return parse_media((player or self.player).poll().body)

    def play(self, seconds: float, player: Player | None = None) -> MediaPlaylist:
        """Poll for a while."""
        for _poll in range(round(seconds)):
            self.rig.run(1.0)
            self.listed(player)
        return self.listed(player)

    def plain(self, segment: Segment, player: Player | None = None) -> bytes:
        """Fetch a segment, and what it is decrypted with."""
        player = player or self.player
        body = player.fetch(segment.uri).body
        if segment.key is None:
            return body
        return decrypt(body, player.fetch(segment.key.uri).body, segment.key.iv)
