"""One media playlist of a stream that is relayed: followed, and its segments loaded in time."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple

from twisted.internet.defer import Deferred

from ntvmedia.clients.hls.loader import Loader, LoadError
from ntvmedia.clients.hls.pieces import Chunks, Pieces
from ntvmedia.clients.hls.retries import LATE
from ntvmedia.errors import PeerError, RemoteError
from ntvmedia.formats.hls_joining import Piece
from ntvmedia.formats.hls_media import is_media
from ntvmedia.formats.m3u8 import MediaPlaylist, MultivariantPlaylist
from ntvmedia.wire.hls.follower import (
    EDGE_TARGETS,
    Follower,
    Identity,
    Start,
    identity,
    name_of,
)
from ntvmedia.wire.hls.resources import MediaSegment

MAX_WAITING: Final = 2
"""Segments that are loaded and not yet begun, of one playlist."""

MAX_LISTED: Final = 3600
"""Segments of a list that grows that are known and not yet loaded; older ones are passed over."""

STRIKES: Final = 3
"""Times in a row that a list cannot be had, or is none, before it counts as gone."""

SEGMENT_STRIKES: Final = 5
"""Segments in a row that cannot be had."""

# Target durations, besides `stall_seconds`, for which a list may stand still.
_STANDS_STILL_TARGETS: Final = 4

# What is said of a list that is no more there, and of one that nobody may have.
_GONE: Final = (404, 410)
_REFUSED: Final = (401, 403)


class Place(NamedTuple):
    """Where a media playlist is.

    Attributes:
        url: As it is asked for.
        variables: Of the multivariant playlist that named it.
    """

    url: str
    variables: Mapping[str, str] = {}


class Channel:
    """Follows a list, and loads what is in it.

    Args:
        reactor: Its time.
        loader: Loads.
        place: Where the list is.
        stall_seconds: As of `PullOptions`.
        added: Called when there is another piece, or the end.
        note: Called with a line for the operator.
        renew: Asked where the list is now, when it is gone.
        after: The last segment that was given on before: it is not again, nor any before it, as
            long as the list has it (E-ST-07). None for none.

    Attributes:
        pieces: What was loaded.
        missed: Segments that were not had.
        is_continued: The list goes on from what was given on before.
    """

    def __init__(
        self,
        reactor: Any,
        loader: Loader,
        place: Place,
        stall_seconds: float,
        added: Callable[[], None],
        note: Callable[[str], None],
        renew: Callable[[RemoteError], Awaitable[Place]],
        after: Identity | None = None,
    ) -> None:
        self.pieces = Pieces()
        self.missed = 0
        self.is_continued = False
        self._reactor = reactor
        self._loader = loader
        self._place = place
        self._stall_seconds = stall_seconds
        self._added = added
        self._note = note
        self._renew = renew
        self._after = after
        self._follower = Follower()
        self._listed: deque[MediaSegment] = deque()
        self._listed_seconds = 0.0
        # What waits for a segment to be listed, or for room.
        self._waiting: Deferred[None] | None = None
        self._is_complete = False
        self._is_live = False
        # A segment was left out that may have begun something new.
        self._discontinuity = False

    @property
    def is_live(self) -> bool:
        """Whether the list grows, or did."""
        return self._is_live

    @property
    def has_nothing(self) -> bool:
        """Whether the list has ended, and there is nothing of it to be given on."""
        return self._follower.ended and not self._listed and not len(self.pieces)

    @property
    def behind_seconds(self) -> float:
        """How much is there and was not begun."""
        return self._listed_seconds + self.pieces.seconds

    @property
    def edge_seconds(self) -> float:
        """How far behind the end of the list it is to be."""
        return EDGE_TARGETS * self._follower.target_duration

    def begin(self, playlist: MediaPlaylist, base: str, number: int | None = None) -> int | None:
        """Take the list as it was loaded first.

        Args:
            playlist: As read.
            base: Where it came from.
            number: Of the segment with which to begin, if the list has it; None for where players
                begin.

        Returns:
            The number of the segment with which it begins; None where there is none.

        Raises:
            PeerError: It leads to what cannot be loaded.
        """
        self._is_live = not playlist.ended
        last = playlist.media_sequence + len(playlist.segments)
        is_there = number is not None and playlist.media_sequence <= number < last
        if is_there:
            self._follower = Follower(Start.FIRST)
        found = self._follower.playlist_received(_from_edge(playlist), base)
        if is_there and number is not None:
            found = [segment for segment in found if segment.number >= number]
        after = self._after
        if after is not None and _has(playlist, after):
            self.is_continued = True
            found = [segment for segment in found if segment.number > after.number]
        self._list(found)
        return found[0].number if found else None

    async def follow(self) -> None:
        """Load the list again and again, until it has ended.

        Raises:
            RemoteError: It is gone, or stands still.
        """
        follower, seconds = self._follower, self._reactor.seconds
        asked = heard = seconds()
        strikes = 0
        while not follower.ended:
            await self._loader.sleep(max(asked + follower.reload_seconds - seconds(), 0.0))
            asked = seconds()
            try:
                playlist, base = await media_playlist(self._loader, self._place)
            except RemoteError as error:
                strikes += 1
                if error.status not in (*_GONE, *_REFUSED) and strikes < STRIKES:
                    self._note(f"{error}; it is asked for again")
                    continue
                self._place = await self._renew(error)
                strikes = 0
                continue
            strikes = 0
            found = follower.playlist_received(_from_edge(playlist), base)
            if found:
                heard = seconds()
                self._list(found)
            else:
                still = seconds() - heard
                patience = _STANDS_STILL_TARGETS * follower.target_duration
                if still > max(self._stall_seconds, patience):
                    raise RemoteError(f"the playlist has nothing new for {still:.0f} seconds")
        self._is_complete = True
        self.look()

    async def load(self) -> None:
        """Load what is listed, in order, as far as there is room.

        Raises:
            RemoteError: Too many segments in a row cannot be had.
        """
        strikes = 0
        while True:
            while not self._listed or len(self.pieces) >= MAX_WAITING:
                if self._is_complete and not self._listed:
                    self.pieces.is_over = True
                    self._added()
                    return
                self._waiting = Deferred()
                await self._waiting
            segment = self._listed.popleft()
            self._listed_seconds -= segment.duration
            try:
                piece = await self._load(segment)
                strikes = 0
            except (LoadError, PeerError) as error:
                strikes += 1
                if getattr(error, "status", 0) in _REFUSED or strikes >= SEGMENT_STRIKES:
                    raise remote(error) from None
                self._note(f"{remote(error)}; it is left out")
                piece = Piece((), duration=segment.duration, missing=True)
                self.missed += 1
                self._discontinuity |= segment.discontinuity
            name = Identity(segment.number, name_of(segment.url), segment.byte_range)
            self.pieces.add(piece, name)
            self._added()

    def look(self) -> None:
        """Go on loading, if there is room now."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)

    async def _load(self, segment: MediaSegment) -> Piece:
        if segment.gap:
            self._discontinuity |= segment.discontinuity
            return Piece((), duration=segment.duration, missing=True)
        init = b""
        if segment.init_section is not None:
            init = await self._loader.init_section(segment.init_section)
        sink = Chunks()
        await self._loader.segment(segment, sink, is_media, statuses=LATE)
        discontinuity = segment.discontinuity or self._discontinuity
        self._discontinuity = False
        name = f"segment {segment.number}"
        return Piece(tuple(sink.chunks), init, segment.duration, discontinuity, name=name)

    def _list(self, found: list[MediaSegment]) -> None:
        listed = self._listed
        for segment in found:
            listed.append(segment)
            self._listed_seconds += segment.duration
        while self._is_live and len(listed) > MAX_LISTED:
            left_out = listed.popleft()
            self._listed_seconds -= left_out.duration
            self._discontinuity |= left_out.discontinuity
            self.missed += 1
        self.look()


async def media_playlist(loader: Loader, place: Place) -> tuple[MediaPlaylist, str]:
    """Load a playlist that must list segments.

    Returns:
        It, and where it came from.

    Raises:
        RemoteError: It cannot be had, or is none.
    """
    playlist, base = await any_playlist(loader, place)
    if isinstance(playlist, MultivariantPlaylist):
        raise RemoteError("a variant leads to another multivariant playlist", is_permanent=True)
    return playlist, base


async def any_playlist(
    loader: Loader, place: Place
) -> tuple[MediaPlaylist | MultivariantPlaylist, str]:
    """Load a playlist of either kind. As `media_playlist`."""
    try:
        return await loader.playlist(place.url, place.variables)
    except LoadError as error:
        raise remote(error) from None


def remote(error: LoadError | PeerError) -> RemoteError:
    """Return what a task is told."""
    if isinstance(error, PeerError):
        # What is encrypted in another way, or leads to a file of this machine, stays so.
        return RemoteError(str(error.args[0]), is_permanent=True)
    status = error.status
    is_permanent = error.is_permanent or status in (*_REFUSED, *_GONE)
    return RemoteError(error.brief, status, is_permanent=is_permanent)


def _has(playlist: MediaPlaylist, wanted: Identity) -> bool:
    """Say whether a list has a segment still."""
    index = wanted.number - playlist.media_sequence
    if not 0 <= index < len(playlist.segments):
        return False
    return identity(playlist.segments[index], wanted.number) == wanted


def _from_edge(playlist: MediaPlaylist) -> MediaPlaylist:
    """Let a list that keeps its beginning be begun at its end, as long as it grows: it is live."""
    return playlist if playlist.ended else replace(playlist, kind="")
