"""A server with streams, viewers and rules of access, for tests of what the API does with them."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.access import Action
from ntvmedia.access.forbidden import ForbiddenStreams
from ntvmedia.accounts import AuditQuery
from ntvmedia.admin.addresses import AddressOperations
from ntvmedia.admin.api import API
from ntvmedia.admin.streams import StreamOperations
from ntvmedia.admin.viewers import ViewerOperations
from ntvmedia.hub.rendition import RenditionKey
from ntvmedia.hub.viewer import ViewerInfo
from ntvmedia.labels import Labels
from ntvmedia.media import Packet, StreamKey
from tests.admin.streams import AUDIO, FRAME, Silent
from tests.admin.web import JSON, ROOT, SOCKET, Answer, Host, ask, result_of

KEY = StreamKey("liveshow", "a")


class Rules:
    """The part of the access rules that an operator's actions reach.

    Attributes:
        forbidden: Really kept.
        blocks: What was blocked.
    """

    def __init__(self, host: Any) -> None:
        self.forbidden = ForbiddenStreams(host.store, host.events, lambda: host.now)
        self.blocks: list[tuple[str, StreamKey, float, Action]] = []

    def is_console_blocked(self, peer: str) -> bool:
        """Keep nobody out."""
        return False

    def block(
        self, peer: str, key: StreamKey, seconds: float, action: Action = Action.PLAY
    ) -> None:
        """Take a block."""
        self.blocks.append((peer, key, seconds, action))


class Publisher:
    """Whoever publishes.

    Attributes:
        reasons: Why it was dismissed.
    """

    protocol = "rtmp"
    request = None

    def __init__(self, peer: str) -> None:
        self.peer = peer
        self.reasons: list[str] = []

    def dismissed(self, reason: str) -> None:
        """Take the reason."""
        self.reasons.append(reason)


class Pool:
    """A pool whose threads are done at once."""

    def callInThreadWithCallback(self, done: Any, work: Any, *arguments: Any) -> None:
        """Do it."""
        done(True, work(*arguments))


class StreamTestCase(SynchronousTestCase):
    """Asks over the control socket.

    Attributes:
        host: The server.
    """

    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.host = host = cast(Any, Host(Path(folder.name)))
        host.access = Rules(host)
        host.labels = Labels(host.store, host.events, host.reactor)
        host.hub.register_format("raw", lambda options: Silent())
        host.reactor.getThreadPool = Pool
        host.reactor.callFromThread = lambda work, *arguments: work(*arguments)
        self.resource = self.make_resource(is_control=True)

    def make_resource(self, *, is_control: bool) -> Any:
        """Serve what is tested."""
        kinds = [StreamOperations, ViewerOperations, AddressOperations]
        return API(cast(Any, self.host), kinds, is_control=is_control).resource()

    def ask(
        self, method: str, path: str, body: Any = None, *fields: bytes, host: str = ""
    ) -> Answer:
        """Send a request, in JSON where it has a body."""
        data = None if body is None else json.dumps(body).encode()
        more = [JSON] if data is not None else []
        if host:
            more.append(b"Host: " + host.encode())
        return ask(
            self.resource,
            self.host.reactor,
            method.encode(),
            ROOT + path.encode(),
            data,
            *fields,
            *more,
            peer=SOCKET,
        )

    def publish(self, key: StreamKey = KEY, peer: str = "192.0.2.9:1", size: int = 5) -> Any:
        """Publish some sound; returns the publication."""
        publication = self.host.hub.publish(key, Publisher(peer))
        publication.track_received(AUDIO)
        for number in range(size):
            at = number * 1152
            publication.packet_received(Packet(AUDIO, at, at, True, FRAME))
        publication.batch_ended()
        self.host.reactor.advance(2)
        return publication

    def play(
        self, key: StreamKey = KEY, peer: str = "192.0.2.5:2", protocol: str = "flv", **more: str
    ) -> tuple[Any, list[str]]:
        """Have somebody listen; returns the viewer, and why it was sent away."""
        reasons: list[str] = []
        info = ViewerInfo(protocol, peer, **more)
        outlet = self.host.hub.outlet(StringTransport())
        stream = self.host.hub.streams[key]
        return stream.play(RenditionKey("raw"), outlet, info, reasons.append), reasons

    def audit(self) -> list[tuple[str, str, Any, Any]]:
        """Return the audit log: action, subject, before and after; the oldest first."""
        page = result_of(self.host.accounts.audit(AuditQuery()))
        return [(x.action, x.subject, x.before, x.after) for x in reversed(page.rows)]
