"""A server that counts: a hub, two clocks, and a real database that can be held and fail."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.config import HubSettings
from ntvmedia.events import EventBus
from ntvmedia.hub.publication import Publication
from ntvmedia.hub.rendition import RenditionKey
from ntvmedia.hub.stream import Stream
from ntvmedia.hub.streams import Hub
from ntvmedia.hub.viewer import RequestViewer, ViewerInfo
from ntvmedia.media import StreamKey
from ntvmedia.preferences import Values
from ntvmedia.statistics import DaySlice, Statistics, ViewerSlice
from tests.hub.fakes import AUDIO, VIDEO, FakePublisher, FakeReactor, FakeSerialiser, audio, video
from tests.statistics.totals import at
from tests.store.slow import SlowStore

FLV = RenditionKey("flv")


class Database(SlowStore):
    """One that also takes what only reads, and counts what is asked of it."""

    asked = 0

    def run(self, work: Callable[[Any], Any], *, read_only: bool = False) -> Deferred[Any]:
        """Put the work in the queue."""
        self.asked += 1
        return super().run(work)


class StatisticsCase(SynchronousTestCase):
    """A hub and its statistics.

    Attributes:
        wall: What the wall clock says, in seconds since 1970.
    """

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.data = Path(folder.name)
        self.store = Database(self.data)
        self.wall = at("2026-11-22T12:00:00")
        self.runs = 0
        self.begin()

    def begin(self) -> None:
        """Begin a process, on the same database."""
        self.runs += 1
        self.reactor = FakeReactor()
        self.reactor.advance(1000.0 * self.runs)
        self.bus = EventBus()
        self.hub = Hub(self.reactor, HubSettings(), self.bus, lambda: self.wall)
        self.hub.register_format("flv", FakeSerialiser)
        self.preferences = SimpleNamespace(values=Values())
        self.refused: Counter[tuple[str, str, str]] = Counter()
        host = SimpleNamespace(
            reactor=self.reactor,
            hub=self.hub,
            events=self.bus,
            store=self.store,
            preferences=self.preferences,
            access=SimpleNamespace(refused=self.refused),
            random=lambda count: bytes([self.runs]) * count,
        )
        self.statistics = Statistics(host, lambda: self.wall)
        self.statistics.load()
        self.statistics.startService()

    def advance(self, seconds: float) -> None:
        """Let time pass, on both clocks."""
        for _step in range(round(seconds)):
            self.wall += 1.0
            self.reactor.advance(1.0)

    def publish(self, name: str = "liveshow/one") -> tuple[Publication, Stream]:
        """Publish sound and pictures."""
        key = StreamKey(*name.split("/"))
        publication = self.hub.publish(key, FakePublisher())
        publication.track_received(VIDEO)
        publication.track_received(AUDIO)
        self.send(publication, 0)
        return publication, self.hub.streams[key]

    def send(self, publication: Publication, milliseconds: int, size: int = 100) -> None:
        """Send one picture, a keyframe, and one frame of sound."""
        publication.packet_received(video(milliseconds, key=True, size=size))
        publication.packet_received(audio(milliseconds))
        publication.batch_ended()

    def visit(
        self, stream: Stream, protocol: str = "hls", peer: str = "192.0.2.9:9"
    ) -> RequestViewer:
        """Let one watch."""
        info = ViewerInfo(protocol, peer, "player", "http://example.org/a?b")
        return stream.visit(info, lambda _reason: None)

    def days(self, **wanted: Any) -> list[Any]:
        """Return the days that were written."""
        found = self.successResultOf(self.statistics.reports.days(DaySlice(**wanted)))
        return list(found.rows)

    def viewers(self, **wanted: Any) -> list[Any]:
        """Return the log."""
        found = self.successResultOf(self.statistics.reports.viewers(ViewerSlice(**wanted)))
        return list(found.rows)
