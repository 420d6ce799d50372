"""Tables as CSV (RFC 4180), sent row by row as the database gives them."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime
from io import StringIO
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.logger import Logger
from zope.interface import implementer

from ntvmedia.access import StoreError
from ntvmedia.admin.operations import Streaming

MEDIA_TYPE: Final = "text/csv; charset=utf-8; header=present"

PIECE_ROWS: Final = 2000
"""Rows that are read at once: some 30 ms of the database's thread, and 400 kB of text."""

# A spreadsheet takes a field that begins so for a formula, and computes it.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")

Piece = Sequence[Any]
"""Rows, named tuples; fewer than `PIECE_ROWS` where there are no more."""


def csv_bytes(rows: Iterable[Iterable[Any]]) -> bytes:
    """Write rows as lines; a text that a spreadsheet would compute has an apostrophe before it."""
    text = StringIO()
    writer = csv.writer(text)
    writer.writerows([field_of(value) for value in row] for row in rows)
    return text.getvalue().encode("utf-8", "replace")


def field_of(value: Any) -> str:
    """Return one field: times and days as ISO 8601, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def moment(seconds: float | None) -> str:
    """Return a time in seconds since 1970 as ISO 8601 in UTC; nothing for None."""
    if seconds is None:
        return ""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


async def csv_answer(
    names: Sequence[str],
    read: Callable[[Any], Deferred[Any]],
    shown: Callable[[Any], Iterable[Any]] = tuple,
) -> Streaming:
    """Answer with a whole table.

    The first piece is read before anything is sent: while the database fails, the answer is 503.
    Where it fails later the connection is broken off, so that nobody takes a part for the whole.

    Args:
        names: Of the columns: the first line.
        read: Called with the last row so far, or None, returns a Deferred of the piece after it.
        shown: Makes the fields of a row.
    """
    first: Piece = await read(None)

    def begin(request: Any) -> Deferred[None]:
        request.setHeader("content-disposition", "attachment")
        sender = _Sender(request, read, shown)
        request.write(csv_bytes([names]))
        return sender.begin(first)

    return Streaming(begin)


@implementer(IPushProducer)
class _Sender:
    """One answer; it reads on when its client has taken what was sent."""

    _log = Logger()

    def __init__(
        self,
        request: Any,
        read: Callable[[Any], Deferred[Any]],
        shown: Callable[[Any], Iterable[Any]],
    ) -> None:
        self._request = request
        self._read = read
        self._shown = shown
        self._room: Deferred[None] | None = None
        self._is_paused = False

    def begin(self, first: Piece) -> Deferred[None]:
        self._request.registerProducer(self, True)
        return Deferred.fromCoroutine(self._write(first))

    async def _write(self, piece: Piece) -> None:
        request = self._request
        try:
            while piece:
                request.write(csv_bytes(map(self._shown, piece)))
                if len(piece) < PIECE_ROWS:
                    break
                if self._is_paused:
                    self._room = Deferred()
                    await self._room
                piece = await self._read(piece[-1])
        except CancelledError:
            raise  # the client has left
        except StoreError as error:
            self._log.warn("a table is not sent to its end: {error}", error=error)
            request.channel.forceAbortClient()
            # Klein cancels this when the connection is gone; it would write an answer before.
            await Deferred[None]()
        request.unregisterProducer()

    def pauseProducing(self) -> None:
        self._is_paused = True

    def resumeProducing(self) -> None:
        self._is_paused = False
        room, self._room = self._room, None
        if room is not None:
            room.callback(None)

    def stopProducing(self) -> None:
        """The client has left; Klein cancels what goes on."""
        self._is_paused = True
