"""Playlists, keys, init sections and segments, loaded over HTTP as often as it takes."""

from __future__ import annotations

import math
import random
from collections.abc import AsyncIterator, Callable, Hashable, Mapping
from contextlib import asynccontextmanager
from http.cookiejar import CookieJar
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import urlsplit

from twisted.internet.defer import Deferred, DeferredLock

from ntvmedia.clients.hls.intake import Check, Enough, Gathered, Intake, Sink, WrongLength
from ntvmedia.clients.hls.retries import Retries, retry_after
from ntvmedia.errors import NtvMediaError, PeerError
from ntvmedia.formats.fmp4_demuxer import FIRST_BOXES
from ntvmedia.formats.m3u8 import ByteRange, MediaPlaylist, MultivariantPlaylist
from ntvmedia.formats.m3u8_reader import ChannelList, parse_playlist
from ntvmedia.formats.mpegts_packets import PACKET_SIZE
from ntvmedia.outbound import OutboundError, origin_of, parse_target
from ntvmedia.outbound.client import Outbound
from ntvmedia.outbound.exchange import Answer
from ntvmedia.wire.hls.decryption import KEY_SIZE, Decrypter
from ntvmedia.wire.hls.resources import InitSection, Key, MediaSegment

MAX_PLAYLIST_BYTES: Final = 64 << 20
"""A week of segments of two seconds with long addresses."""

MAX_INIT_BYTES: Final = 16 << 20
"""Of an init section, which has a few kilobytes. `fmp4_demuxer` has a limit of its own."""

MAX_SEGMENT_BYTES: Final = 64 << 30
"""Of a segment: a whole film may be one."""

MAX_KEPT: Final = 512
MAX_KEPT_BYTES: Final = 32 << 20
"""Keys, and init sections, that are not loaded again: a stream that goes on for weeks may have a
new one for each segment."""

# Of an answer with a key. More than one is no key.
_MAX_KEY_BYTES: Final = 4096

# How long all of an answer that is small may take, in seconds.
_SMALL_SECONDS: Final = 60.0

_REFUSED: Final = (401, 403)

# Characters of a path in messages.
_SHOWN: Final = 120

_Name = TypeVar("_Name", bound=Hashable)


class LoadError(NtvMediaError):
    """Something could not be loaded, however often it was tried; the message is one clause.

    Attributes:
        status: Of the last answer; 0 where there was none.
        brief: The message without any address.
        is_permanent: As of `RemoteError`, whatever the status means.
    """

    def __init__(
        self, message: str, status: int = 0, brief: str = "", *, is_permanent: bool = False
    ) -> None:
        super().__init__(message)
        self.status = status
        self.brief = brief or message
        self.is_permanent = is_permanent


class Manner(NamedTuple):
    """How servers are asked.

    Attributes:
        fields: Header fields for all of them.
        private_fields: Header fields for one origin only, by that.
        cookies: None to have none.
        idle_seconds: How long a server may be silent.
        retries: When to ask again.
        key: Of all that is encrypted, instead of those that playlists name; empty for those.
    """

    fields: Mapping[str, str] = {}
    private_fields: Mapping[str, Mapping[str, str]] = {}
    cookies: CookieJar | None = None
    idle_seconds: float = 30.0
    retries: Retries = Retries()
    key: bytes = b""


class _Kept(dict[_Name, bytes]):
    """What is not loaded again: what was wanted last, as much as there is room for."""

    def __init__(self) -> None:
        super().__init__()
        self._sizes = 0

    def add(self, name: _Name, value: bytes, size: int) -> None:
        """Keep something, and forget what has not been wanted for longest."""
        self[name] = value
        self._sizes += size
        while len(self) > 1 and (len(self) > MAX_KEPT or self._sizes > MAX_KEPT_BYTES):
            self._sizes -= len(self.pop(next(iter(self))))

    def __getitem__(self, name: _Name) -> bytes:
        # To the end: it was wanted last.
        value = self.pop(name)
        self[name] = value
        return value


class Loader:
    """Loads what playlists name.

    All that is awaited fails with `LoadError`, or `PeerError` for what came and is of no use; what
    a sink raises passes.

    Args:
        reactor: Its time.
        outbound: What asks.
        manner: How it asks.
        report: Called with a line when something is tried again.
    """

    def __init__(
        self,
        reactor: Any,
        outbound: Outbound,
        manner: Manner,
        report: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self._reactor = reactor
        self._outbound = outbound
        self._manner = manner
        self._report = report
        self._random = random.Random()  # noqa: S311 - a wait, no secret
        self._keys: _Kept[str] = _Kept()
        self._init_sections: _Kept[InitSection] = _Kept()
        self._locks: dict[object, DeferredLock] = {}

    async def playlist(
        self, url: str, variables: Mapping[str, str] = {}
    ) -> tuple[MediaPlaylist | MultivariantPlaylist, str]:
        """Load a playlist.

        Args:
            url: Of it.
            variables: Of the multivariant playlist that named it.

        Returns:
            It, and where it came from after redirects.
        """
        sink = Gathered()
        answer = await self._ask("the playlist", url, sink, limit_bytes=MAX_PLAYLIST_BYTES)
        try:
            return parse_playlist(sink.value(), answer.url, variables=variables), answer.url
        except PeerError as error:
            raise _broken("the playlist", url, error) from None

    async def key(self, key: Key) -> bytes:
        """Return a key's 16 bytes; each is loaded once."""
        if self._manner.key:
            return self._manner.key
        if not key.url:
            raise LoadError(key.problem)
        async with self._turn(key.url):
            if key.url not in self._keys:
                sink = Gathered()
                await self._ask("the key", key.url, sink, limit_bytes=_MAX_KEY_BYTES)
                value = sink.value()
                if len(value) != KEY_SIZE:
                    what = f"{len(value):,} bytes instead of 16"
                    raise LoadError(
                        f"the key at {_shown(key.url)} has {what}", brief=f"the key has {what}"
                    )
                self._keys.add(key.url, value, KEY_SIZE)
            return self._keys[key.url]

    async def init_section(self, section: InitSection) -> bytes:
        """Return an init section's bytes, decrypted; each is loaded once."""
        async with self._turn(section):
            if section not in self._init_sections:
                sink = Gathered()
                length = 0 if section.byte_range is None else section.byte_range.length
                if length > MAX_INIT_BYTES:
                    raise LoadError(f"the init section is {length:,} bytes long")
                await self._ask(
                    "the init section",
                    section.url,
                    sink,
                    # Where a server does not know ranges, all comes that is before it.
                    limit_bytes=MAX_SEGMENT_BYTES if length else MAX_INIT_BYTES,
                    byte_range=section.byte_range,
                )
                data = sink.value()
                if section.key is not None and not _is_clear(data):
                    data = await self._decrypted(section, section.key, data)
                self._init_sections.add(section, data, len(data))
            return self._init_sections[section]

    async def _decrypted(self, section: InitSection, key: Key, data: bytes) -> bytes:
        if not key.iv:
            why = "it is encrypted, and the playlist tells no IV for it"
            raise LoadError(
                f"the init section, {_shown(section.url)}: {why}",
                brief=f"the init section: {why}",
            )
        decrypter = Decrypter(await self.key(key), key.iv)
        try:
            return decrypter.update(data) + decrypter.finish()
        except PeerError as error:
            raise _broken("the init section", section.url, error) from None

    async def segment(
        self,
        segment: MediaSegment,
        sink: Sink,
        check: Check | None = None,
        *,
        statuses: frozenset[int] | None = None,
        received: Callable[[int], None] | None = None,
    ) -> None:
        """Load a segment, and decrypt it.

        Args:
            segment: One that is no gap.
            sink: Gets it.
            check: Tells whether it is media.
            statuses: The answers after which to ask again; None for those of `Retries`.
            received: Called with bytes that came over the network, as they come.
        """
        key = None if segment.key is None else await self.key(segment.key)
        await self._ask(
            f"segment {segment.number}",
            segment.url,
            sink,
            limit_bytes=MAX_SEGMENT_BYTES,
            timeout_seconds=math.inf,
            byte_range=segment.byte_range,
            decrypter=_decrypters(key, segment.key),
            check=check,
            statuses=statuses,
            received=received,
        )

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        done: Deferred[None] = Deferred(lambda _done: later.cancel())
        later = self._reactor.callLater(seconds, done.callback, None)
        await done

    @asynccontextmanager
    async def _turn(self, what: object) -> AsyncIterator[None]:
        """Let one after the other load the same thing."""
        lock = self._locks.setdefault(what, DeferredLock())
        try:
            async with lock:
                yield
        finally:
            if not lock.locked and not lock.waiting:
                self._locks.pop(what, None)

    async def _ask(
        self,
        what: str,
        url: str,
        sink: Sink,
        *,
        limit_bytes: int,
        timeout_seconds: float = _SMALL_SECONDS,
        byte_range: ByteRange | None = None,
        decrypter: Callable[[], Decrypter] | None = None,
        check: Check | None = None,
        statuses: frozenset[int] | None = None,
        received: Callable[[int], None] | None = None,
    ) -> Answer:
        retries = self._manner.retries
        wanted = retries.statuses if statuses is None else statuses
        tries = 0
        while True:
            tries += 1
            wait, is_permanent = 0.0, False
            intake = Intake(sink, byte_range, None if decrypter is None else decrypter(), check)
            try:
                answer = await self._try(
                    url, intake, byte_range, limit_bytes, timeout_seconds, received
                )
                if answer.status in ((200, 206) if byte_range is not None else (200,)):
                    intake.end()
                    return answer
                status, reason = answer.status, _meaning(what, answer.status)
                wait = retry_after(answer.headers)
                is_final = status not in wanted
            except OutboundError as error:
                # The address is told below.
                reason = str(error).removeprefix(f"{origin_of(url)}: ")
                status, is_final = 0, error.is_permanent
                is_permanent = is_final
            except WrongLength as error:
                status, reason, is_final = 0, str(error), False
            except PeerError as error:
                raise _broken(what, url, error) from None
            message = f"{what}, {_shown(url)}: {reason}"
            if is_final or tries > retries.times:
                brief = f"{what}: {reason}"
                raise LoadError(message, status, brief, is_permanent=is_permanent)
            wait = max(wait, retries.wait(tries, self._random.random))
            self._report(f"{message}; again in {wait:.1f} s")
            await self.sleep(wait)

    async def _try(
        self,
        url: str,
        intake: Intake,
        byte_range: ByteRange | None,
        limit_bytes: int,
        timeout_seconds: float,
        received: Callable[[int], None] | None,
    ) -> Answer:
        manner = self._manner
        fields = manner.fields
        if byte_range is not None:
            length, offset = byte_range
            fields = {**fields, "Range": f"bytes={offset}-{offset + length - 1}"}
        accepted: list[Answer] = []

        def accept(answer: Answer) -> Callable[[bytes], None]:
            take = intake.accept(answer)
            accepted.append(answer)
            if received is None:
                return take

            def count(data: bytes) -> None:
                received(len(data))
                take(data)

            return count

        try:
            return await self._outbound.get(
                url,
                headers=manner.private_fields.get(origin_of(url)),
                shared_headers=fields,
                cookies=manner.cookies,
                limit_bytes=limit_bytes,
                timeout_seconds=timeout_seconds,
                idle_seconds=manner.idle_seconds,
                receiver=accept,
            )
        except Enough:
            return accepted[-1]


def _decrypters(key: bytes | None, described: Key | None) -> Callable[[], Decrypter] | None:
    if key is None or described is None:
        return None
    iv = described.iv
    return lambda: Decrypter(key, iv)


def _broken(what: str, url: str, error: PeerError) -> LoadError:
    """Return what is told of what came and is of no use."""
    reason = error.args[0]
    # A playlist may be another one in a moment: one of no segments becomes one of some.
    is_permanent = isinstance(error, ChannelList)
    message, brief = f"{what}, {_shown(url)}: {reason}", f"{what}: {reason}"
    return LoadError(message, brief=brief, is_permanent=is_permanent)


def _is_clear(data: bytes) -> bool:
    """Whether an init section begins as one does that is not encrypted: MP4, or MPEG-TS."""
    is_mpegts = len(data) % PACKET_SIZE == 0 and not data[::PACKET_SIZE].strip(b"G")
    return data[4:8] in FIRST_BOXES or is_mpegts


def _meaning(what: str, status: int) -> str:
    if status in _REFUSED:
        return f"the server refuses it ({status})"
    if status in (404, 410):
        return f"the server does not have it ({status})"
    if 200 <= status < 300:
        return f"the server answers {status}, which is not {what}"
    return f"the server answers {status}"


def _shown(url: str) -> str:
    """Return an address without what may be secret in it: user, password and query."""
    path = urlsplit(url).path
    path = path if len(path) <= _SHOWN else f"…{path[-_SHOWN:]}"
    try:
        return f"{parse_target(url).origin}{path}"
    except OutboundError:
        return path
