"""The values that hold now."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ntvmedia.events import EventBus
from ntvmedia.preferences.values import Values


class Preferences:
    """The settings of the whole server.

    Args:
        store: The database, an `ntvmedia.store.Store`.
        events: Told of each change.
        wall_clock: Returns the seconds since 1970.

    Attributes:
        values: Those that hold now; defaults before `load`.
    """

    def __init__(self, store: Any, events: EventBus, wall_clock: Callable[[], float]) -> None:
        self._store = store
        self._events = events
        self._wall_clock = wall_clock
        self.values = Values()

    def load(self) -> None:
        """Read them from the database; blocking, at the start.

        Raises:
            ConfigError: The database cannot be read.
        """
