"""All callbacks of a server."""

from __future__ import annotations

from typing import Any

from twisted.application.service import Service


class Callbacks(Service):
    """Decides by asking, and delivers what happened.

    Args:
        host: An `ntvmedia.interfaces.IHost`.
    """

    def __init__(self, host: Any) -> None:
        self._host = host

    def load(self) -> None:
        """Read them from the database; blocking, at the start.

        Raises:
            ConfigError: The database cannot be read.
        """
