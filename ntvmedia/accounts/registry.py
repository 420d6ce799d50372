"""All accounts: in memory for each request, in the database for good."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ntvmedia.events import EventBus


class Accounts:
    """Users, sessions, tokens and the log of what they changed.

    Args:
        store: The database, an `ntvmedia.store.Store`.
        events: Told of each change.
        wall_clock: Returns the seconds since 1970.
        reactor: For timers and threads.
        data: The data folder, with the setup code.
        random: Returns that many unpredictable bytes.
    """

    def __init__(
        self,
        store: Any,
        events: EventBus,
        wall_clock: Callable[[], float],
        reactor: Any,
        data: Path,
        random: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._store = store
        self._events = events
        self._wall_clock = wall_clock
        self._reactor = reactor
        self._data = data
        self._random = random

    @property
    def is_set_up(self) -> bool:
        """Whether there is an administrator, who may log in."""
        return True

    def load(self) -> None:
        """Read them from the database; blocking, at the start.

        Raises:
            ConfigError: The database cannot be read.
        """
