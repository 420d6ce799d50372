"""For tests of the registry: one with a database, a clock, and somebody who listens."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.internet.task import Clock
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.access import Application, Applications
from ntvmedia.events import ApplicationChanged, EventBus
from ntvmedia.store import ApplicationRow, update_application
from tests.store.slow import SlowStore


class RegistryCase(SynchronousTestCase):
    """Has a fresh database, and the applications in it."""

    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.store = SlowStore(Path(folder.name))
        self.bus = EventBus()
        self.heard: list[tuple[str, str | None]] = []
        self.now = 1000.0
        self.clock = Clock()
        self.bus.subscribe(
            ApplicationChanged, lambda event: self.heard.append((event.name, event.after))
        )
        self.logged: list[str] = []
        observer: Any = self.log
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        self.applications = self.make()

    def log(self, event: LogEvent) -> None:
        """Keep what is logged."""
        self.logged.append(formatEvent(event))

    def make(self) -> Applications:
        """Return what a server that starts now has."""
        applications = Applications(self.store, self.bus, lambda: self.now, self.clock)
        applications.load()
        return applications

    def add(self, name: str, **fields: object) -> Application:
        """Add one, which must succeed."""
        added: Application = self.successResultOf(self.applications.add(name, fields))
        return added


def overwrite(connection: Any, row: ApplicationRow) -> None:
    """Write a row over that of its name."""
    assert update_application(connection, row.name, row)
