"""Keys that another server makes, which is asked again and again where it does not answer."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from ntvmedia.interfaces import IHost
from ntvmedia.media import StreamKey
from ntvmedia.outbound import OutboundError, origin_of

KEY_BYTES: Final = 16
"""The length of a key: AES-128 (RFC 8216 4.3.2.4)."""

MAX_KEPT: Final = 20_000
"""Keys that are remembered: two of each of as many streams as a server has, some 6 MB."""

FIRST_WAIT_SECONDS: Final = 2.0
LONGEST_WAIT_SECONDS: Final = 30.0
"""The wait after the first failure, and the longest; it doubles in between. Chance takes off up to
half, so that all who wait for a server do not ask it at the same moment."""

# Servers that failed, and were not heard of since. An operator has a handful.
_MAX_FAILING: Final = 256

_PLACE: Final = re.compile(r"\{(application|stream|key)\}")

_log = Logger()

_Which = tuple[StreamKey, str]


class KeyServers:
    """Asks key servers, and remembers their answers.

    A key is remembered by its name alone: where the address of the key server changes, what was
    encrypted before still has its key.

    Args:
        host: The server.
    """

    def __init__(self, host: IHost) -> None:
        self._host: Any = host
        self._kept: OrderedDict[_Which, bytes] = OrderedDict()
        self._asking: dict[_Which, _Shared] = {}
        self._obtaining: dict[_Which, _Shared] = {}
        # By origin, the keys that wait for it. One with none was left alone while it failed.
        self._failing: OrderedDict[str, set[_Which]] = OrderedDict()

    def obtain(self, stream: StreamKey, name: str, template: str) -> Deferred[bytes]:
        """Ask for a key until it is there.

        Args:
            stream: What it encrypts.
            name: What the key server knows it by.
            template: The address, with {application}, {stream} and {key} in it.

        Returns:
            Fires with the key, and fails only where it is cancelled or this is closed.
        """
        which = (stream, name)
        kept = self._kept_value(which)
        if kept is not None:
            return kept
        return _shared(
            self._obtaining, which, lambda: Deferred.fromCoroutine(self._obtain(which, template))
        )

    def find(self, stream: StreamKey, name: str, template: str) -> Deferred[bytes | None]:
        """Ask for a key once, where it is not remembered.

        Args:
            stream: What it encrypts.
            name: What the key server knows it by.
            template: As for `obtain`, or empty where there is no key server any more.

        Returns:
            Fires with the key, or with None where nobody can be asked for it. Fails with
            `OutboundError`.
        """
        which = (stream, name)
        kept = self._kept_value(which)
        if kept is not None:
            return kept
        return self._ask(which, template) if template else succeed(None)

    def close(self) -> None:
        """Ask for nothing more: who waits has a `CancelledError`."""
        for shared in (*self._obtaining.values(), *self._asking.values()):
            shared.cancel()

    def _kept_value(self, which: _Which) -> Deferred[Any] | None:
        value = self._kept.get(which)
        if value is None:
            return None
        self._kept.move_to_end(which)
        return succeed(value)

    async def _obtain(self, which: _Which, template: str) -> bytes:
        origin = origin_of(_expanded(template, which))
        wait = FIRST_WAIT_SECONDS
        try:
            while True:
                try:
                    value: bytes = await self._ask(which, template)
                except OutboundError as error:
                    self._failed(origin, which, error)
                else:
                    self._succeeded(origin, which)
                    return value
                await deferLater(self._host.reactor, wait * (1.0 + self._chance()) / 2)
                wait = min(2 * wait, LONGEST_WAIT_SECONDS)
        finally:
            self._failing.get(origin, set()).discard(which)

    def _chance(self) -> float:
        """Return a number of 0 to 1."""
        return int.from_bytes(self._host.random(2), "big") / 0xFFFF

    def _ask(self, which: _Which, template: str) -> Deferred[Any]:
        return _shared(
            self._asking, which, lambda: Deferred.fromCoroutine(self._fetch(which, template))
        )

    async def _fetch(self, which: _Which, template: str) -> bytes:
        if which in self._kept:
            return self._kept[which]
        url = _expanded(template, which)
        answer = await self._host.outbound.get(url, limit_bytes=KEY_BYTES)
        if answer.status != 200:
            raise OutboundError(f"{origin_of(url)}: status {answer.status} instead of a key")
        if len(answer.body) != KEY_BYTES:
            raise OutboundError(
                f"{origin_of(url)}: {len(answer.body)} bytes instead of a key of {KEY_BYTES}"
            )
        value: bytes = answer.body
        self._kept[which] = value
        if len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return value

    # One line when a server begins to fail and one when it is back, whatever happens between

    def _failed(self, origin: str, which: _Which, error: OutboundError) -> None:
        if origin not in self._failing:
            _log.warn(
                "keys for encrypted HLS cannot be had, and are asked for again: {error}",
                error=error,
            )
            if len(self._failing) >= _MAX_FAILING:
                self._failing.popitem(last=False)
        self._failing.setdefault(origin, set()).add(which)

    def _succeeded(self, origin: str, which: _Which) -> None:
        waiting = self._failing.get(origin)
        if waiting is None:
            return
        waiting.discard(which)
        if not waiting:
            del self._failing[origin]
            _log.info("{origin} gives keys for encrypted HLS again", origin=origin)


class _Shared:
    """Work on one key that several wait for: begun once, cancelled when the last of them leaves.

    Args:
        works: Where it stands while others may join.
        which: Its key there.
    """

    def __init__(self, works: dict[_Which, _Shared], which: _Which) -> None:
        self._works = works
        self._which = which
        self._waiting: list[Deferred[Any]] = []
        self._work: Deferred[bytes] | None = None
        self._result: bytes | Failure | None = None
        works[which] = self

    def begin(self, work: Deferred[bytes]) -> None:
        """Wait for the work, which may be done already."""
        self._work = work
        work.addBoth(self._done)

    def join(self) -> Deferred[Any]:
        """Wait with the others."""
        waiter: Deferred[Any] = Deferred(self._leave)
        if self._result is None:
            self._waiting.append(waiter)
        else:
            waiter.callback(self._result)
        return waiter

    def cancel(self) -> None:
        """Cancel the work: all who wait are told."""
        if self._work is not None:
            self._work.cancel()

    def _leave(self, waiter: Deferred[Any]) -> None:
        self._waiting.remove(waiter)
        if not self._waiting:
            self._forget()
            self.cancel()

    def _done(self, result: bytes | Failure) -> None:
        self._forget()
        self._result = result
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.callback(result)

    def _forget(self) -> None:
        if self._works.get(self._which) is self:
            del self._works[self._which]


def _shared(
    works: dict[_Which, _Shared], which: _Which, begin: Callable[[], Deferred[bytes]]
) -> Deferred[Any]:
    """Join the work on a key; begin it where there is none."""
    shared = works.get(which)
    if shared is None:
        shared = _Shared(works, which)
        shared.begin(begin())
    return shared.join()


def _expanded(template: str, which: _Which) -> str:
    """Put the names, percent-encoded, into an address."""
    stream, name = which
    values = {"application": stream.application, "stream": stream.stream, "key": name}
    return _PLACE.sub(lambda match: quote(values[match[1]], safe=""), template)
