"""Counting, and writing what was counted to the database."""

from __future__ import annotations

from typing import Any

from twisted.application.service import Service


class Statistics(Service):
    """Counts what happens in memory, and stores it in batches.

    Args:
        host: An `ntvmedia.interfaces.IHost`.
    """

    def __init__(self, host: Any) -> None:
        self._host = host

    def load(self) -> None:
        """Make ready; blocking, at the start.

        Raises:
            ConfigError: The database cannot be read.
        """
