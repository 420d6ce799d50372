"""Writing what waits, batch by batch: each one once, however often the database fails."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred, DeferredLock
from twisted.logger import Logger

from ntvmedia.statistics.pending import Pending
from ntvmedia.store import Batch, StoreError, write_batch

MAX_ROWS: Final = 100
"""Rows of a transaction: some 10 ms of the database's thread, and 0.2 MB while it goes on. Others
have their turn between two of them."""


class Writer:
    """Writes to the database, one batch after the other.

    A batch that fails is kept, and written at the next call. It may have been written all the
    same, and only the answer lost: `write_batch` knows.

    Args:
        store: The database.
        pending: What waits.
        wall_clock: Returns the seconds since 1970.
    """

    _log = Logger()

    def __init__(self, store: Any, pending: Pending, wall_clock: Callable[[], float]) -> None:
        self._store = store
        self._pending = pending
        self._wall_clock = wall_clock
        self._batch: Batch | None = None
        self._turns = DeferredLock()
        self._has_failed = False
        self._told = 0

    def write(self) -> None:
        """Begin to write all that waits, unless that goes on already."""
        if not self._turns.locked:
            self.drain().addErrback(lambda failure: failure.trap(CancelledError))

    def drain(self) -> Deferred[None]:
        """Write all that waits, after what is being written.

        Returns:
            Fires when that is done, or the database has failed. Cancelling it gives up.
        """
        return self._turns.run(lambda: Deferred.fromCoroutine(self._write()))

    async def _write(self) -> None:
        while True:
            if self._batch is None:
                self._batch = self._pending.take(self._wall_clock(), MAX_ROWS)
            if self._batch is None:
                return
            try:
                await self._store.run(partial(write_batch, batch=self._batch))
            except CancelledError:
                raise
            except StoreError as error:
                self._failed(error)
                return
            except Exception:
                # A bug would be met again with every try, and all that comes after would wait.
                self._log.failure("a batch of statistics is lost")
            self._batch = None
            if self._has_failed:
                self._has_failed = False
                self._log.info("the statistics are written again")

    def _failed(self, error: StoreError) -> None:
        dropped = self._pending.dropped_points + self._pending.dropped_viewers
        if not self._has_failed:
            self._log.error("the statistics wait for the database: {error}", error=error)
        elif dropped and not self._told:
            self._log.error("there is no room for more: charts and the viewer log have gaps")
        self._has_failed = True
        self._told = dropped
