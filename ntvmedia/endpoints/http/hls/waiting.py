"""Players that ask for what is not there yet, and are answered when it is.

Blocking playlist reload and preload hints of low-latency HLS (RFC 8216bis sections 6.2.5.2, 6.2.6).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl

from ntvmedia.endpoints.http.hls.files import File
from ntvmedia.endpoints.http.hls.sessions import Session
from ntvmedia.endpoints.http.hls.window import PLAYLIST_NAME, Window
from ntvmedia.errors import Refused

# Nobody may ask for a segment that is further ahead (section 6.2.5.2).
MOST_SEGMENTS_AHEAD: Final = 2

# Nor for parts that are further ahead than this many seconds, or parts where each is longer.
PARTS_AHEAD: Final = 3

MAX_FIELDS: Final = 100
"""Of a query: a player has a few, and those of a signed address."""

# Nineteen digits are more than seconds since 1970 will ever need.
_MOST_DIGITS: Final = 19


class WrongDirective(Refused):
    """A delivery directive that is not to be answered."""


class Directives(NamedTuple):
    """What a request says of the version of the playlist that it wants.

    Attributes:
        msn: Media Sequence Number of a segment that has to be in it; None for any version.
        part: Number of the part of that segment; None for all of it.
        skip: It may be a delta update.
    """

    msn: int | None = None
    part: int | None = None
    skip: bool = False


def parse_directives(query: str) -> Directives:
    """Read the `_HLS_` names of a query.

    Raises:
        WrongDirective: One has no number, or a part is asked for without its segment; or there is
            far too much in the query.
    """
    if "_HLS_" not in query:
        return Directives()
    try:
        fields = dict(parse_qsl(query, keep_blank_values=True, max_num_fields=MAX_FIELDS))
    except ValueError:
        raise WrongDirective("the query has too many fields") from None
    msn, part = _number(fields, "_HLS_msn"), _number(fields, "_HLS_part")
    if part is not None and msn is None:
        raise WrongDirective("_HLS_part needs _HLS_msn")
    return Directives(msn, part, fields.get("_HLS_skip") in ("YES", "v2"))


def _number(fields: dict[str, str], name: str) -> int | None:
    text = fields.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS):
        raise WrongDirective(f"{name} is no number")
    return int(text)


class Waiter(NamedTuple):
    """A request that is held.

    Attributes:
        exchange: To be answered.
        session: Who asks; None where all ask as one.
        wish: For a version of the playlist; None for a file.
        name: Of the file.
        since: Monotonic seconds when it came.
    """

    exchange: Any
    session: Session | None
    wish: Directives | None
    name: bytes
    since: float


class Waiters:
    """All requests that are held for one playlist.

    Args:
        window: What there is.
        answer: Answers a request, with a status and what there is to send.
    """

    def __init__(self, window: Window, answer: Callable[[Waiter, int, File | None], None]) -> None:
        self._window = window
        self._send = answer
        self._waiting: dict[Any, Waiter] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def find(self, wish: Directives) -> File | None:
        """Return the version of the playlist that is asked for.

        Returns:
            None where there is none yet.

        Raises:
            WrongDirective: It is too far ahead.
        """
        window = self._window
        if wish.msn is not None and not window.ended and not self._has(wish.msn, wish.part):
            return None
        return window.answer(delta=wish.skip, certain=wish.msn is not None)

    def _has(self, msn: int, part: int | None) -> bool:
        window = self._window
        number, parts = window.number, window.parts
        if part is None:
            if msn > number - 1 + MOST_SEGMENTS_AHEAD:
                raise WrongDirective(f"segment {msn} is too far ahead of {number - 1}")
            return msn < number
        if msn < number:
            if msn < number - window.listed or part < window.parts_of(msn):
                return True
            if msn < number - 1 or not window.parts_of(msn):
                return True  # what comes after it is there, or it has no parts at all
            msn, part = number, 0  # the first of the next (section 6.2.5.2)
        target = window.part_target
        most = PARTS_AHEAD / target if 0 < target < 1 else PARTS_AHEAD
        ahead = part + 1 - (parts if msn == number else 0)
        if msn > number - 1 + MOST_SEGMENTS_AHEAD or ahead > most:
            raise WrongDirective(f"part {part} of segment {msn} is too far ahead")
        return msn == number and part < parts

    def add(self, waiter: Waiter) -> None:
        """Hold a request."""
        exchange = waiter.exchange
        self._waiting[exchange] = waiter
        if waiter.session is not None:
            waiter.session.held += 1
        exchange.on_closed(lambda: self._take(exchange))

    def changed(self) -> None:
        """Answer those whose wish has come true."""
        if not self._waiting:
            return
        window = self._window
        files, hint = window.files, window.hint
        found: dict[Directives, File | None] = {}
        for waiter in tuple(self._waiting.values()):
            if waiter.wish is None:
                file = files.get(waiter.name)
                if file is None and waiter.name != hint:
                    self._answer(waiter, 404, None)
                    continue
            elif waiter.wish in found:
                file = found[waiter.wish]
            else:
                file = found[waiter.wish] = self._find(waiter.wish)
            if file is not None:
                self._answer(waiter, 200, file)

    def _find(self, wish: Directives) -> File | None:
        try:
            return self.find(wish)
        except WrongDirective:  # another list has begun: this is what there is
            return self._window.answer(delta=False, certain=False)

    def look(self, now: float, most_seconds: float) -> None:
        """Send away those that have waited for too long (section 6.2.5.2)."""
        for waiter in tuple(self._waiting.values()):
            if now - waiter.since < most_seconds:
                break  # they are in order
            self._answer(waiter, 503, None)

    def release(self) -> None:
        """Answer all with what there is: nothing more comes."""
        for waiter in tuple(self._waiting.values()):
            file = self._window.files.get(PLAYLIST_NAME) if waiter.wish is not None else None
            self._answer(waiter, 404 if file is None else 200, file)

    def _take(self, exchange: Any) -> Waiter | None:
        waiter = self._waiting.pop(exchange, None)
        if waiter is not None and waiter.session is not None:
            waiter.session.held -= 1
        return waiter

    def _answer(self, waiter: Waiter, status: int, file: File | None) -> None:
        if self._take(waiter.exchange) is not None:
            self._send(waiter, status, file)
