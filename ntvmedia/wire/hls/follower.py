"""Which segments of a media playlist to load next, while it grows (RFC 8216bis section 6.3).

draft-pantos-hls-rfc8216bis, cited by section. Parts of low latency are passed over.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from enum import Enum
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from ntvmedia.formats.m3u8 import ByteRange, MediaPlaylist, Segment
from ntvmedia.wire.hls.resources import MediaSegment, media_segment

EDGE_TARGETS: Final = 3
"""Target durations that a player stays behind the end of a list that grows (section 6.3.3)."""

STALE_LISTS: Final = 3
"""Lists in a row that end before one that was there: caches behind one name do not all have the
same. What is still older after them is a server that has begun anew."""

# Segments that are known again: more than lists with a window have.
_REMEMBERED: Final = 400

# Nobody is asked more often than this, in seconds, nor more seldom, whatever the list says: some
# write milliseconds.
_SHORTEST_RELOAD: Final = 0.5
_LONGEST_RELOAD: Final = 60.0


class Start(Enum):
    """Where to begin in a list that has not ended; one that has begins with its first segment."""

    FIRST = "with its first segment"
    EDGE = "some seconds before its end, as players do; those that keep all begin with the first"


class Identity(NamedTuple):
    """What a segment is known by, wherever its list came from and whatever token is in its address.

    Attributes:
        number: Media sequence number.
        name: What stands last in the path of its address.
        byte_range: Which part of that.
    """

    number: int
    name: str
    byte_range: ByteRange | None


class _Place(NamedTuple):
    """Where a list goes on.

    Attributes:
        first: Index of the first segment that is new; behind the last one if there is none.
        is_new: It has nothing to do with the lists before.
        is_stale: It is older than one before.
    """

    first: int
    is_new: bool = False
    is_stale: bool = False


class Follower:
    """Follows one media playlist.

    Give it each playlist that was loaded; load the segments that it returns, in order; wait for
    `reload_seconds`, and load the playlist again, until it has ended.

    Args:
        start: Where to begin.
        after: The last segment that was loaded at another time: what the list has after it
            follows, or all that the list has.

    Attributes:
        ended: The list has said that there is nothing more.
        missed: Segments that left the list before they were seen.
        restarts: How often the list has begun anew.
        target_duration: Seconds, of the list as last read.
    """

    def __init__(self, start: Start = Start.EDGE, after: Identity | None = None) -> None:
        self.ended = False
        self.missed = 0
        self.restarts = 0
        self.target_duration = 0.0
        self._start = start
        self._seen: deque[Identity] = deque(() if after is None else (after,), _REMEMBERED)
        self._known = set(self._seen)
        # Number of the first segment of the list before; -1 where there was none.
        self._first_number = -1
        # Discontinuities before the last segment that was given, as its list counts them.
        self._discontinuities = 0
        # Old lists in a row.
        self._stale = 0
        # Segments are known by their names alone.
        self._numbers_lie = False
        self._changed = True

    @property
    def reload_seconds(self) -> float:
        """How long to wait from the last request of the list to the next one (section 6.3.4)."""
        wait = self.target_duration if self._changed else self.target_duration / 2
        return min(max(wait, _SHORTEST_RELOAD), _LONGEST_RELOAD)

    def playlist_received(self, playlist: MediaPlaylist, url: str) -> list[MediaSegment]:
        """Take a playlist.

        Args:
            playlist: As read.
            url: Where it came from, after redirects.

        Returns:
            The segments that are new, in order.

        Raises:
            PeerError: One of them leads to what is not asked for, or is encrypted in a way that
                is not known. The follower is not to be used any more.
        """
        number = playlist.media_sequence
        first, is_new, is_stale = self._place(playlist)
        count = playlist.discontinuity_sequence
        found: list[MediaSegment] = []
        for index, segment in enumerate(playlist.segments):
            count += segment.discontinuity
            if index < first:
                continue
            discontinuity = segment.discontinuity
            if not found and self._seen:
                missed = 0 if is_new else self._missed(number + index)
                self.missed += missed
                # Those that are missing may have begun something new.
                discontinuity |= is_new or (missed > 0 and count != self._discontinuities)
            found.append(media_segment(segment, number + index, url, discontinuity=discontinuity))
        if found:
            if is_new:
                self._seen.clear()
            self._seen += [
                identity(x, number + first + i) for i, x in enumerate(playlist.segments[first:])
            ]
            self._known = set(self._seen)
            self._discontinuities = count
        self._stale = self._stale + 1 if is_stale else 0
        self._changed = bool(found)
        if not is_stale:
            self._first_number = number
        self.target_duration = playlist.target_duration
        self.ended = playlist.ended and not is_stale
        return found

    def _place(self, playlist: MediaPlaylist) -> _Place:
        """Find the first segment that is new."""
        number, segments = playlist.media_sequence, playlist.segments
        if not self._seen:
            return _Place(self._beginning(playlist))
        if not segments:
            return _Place(0)
        nothing = _Place(len(segments), is_stale=True)
        listed = [identity(segment, number + i) for i, segment in enumerate(segments)]
        if self._numbers_lie:
            return self._place_by_name(listed) or (
                nothing if self._may_be_stale(listed) else self._begun_anew()
            )
        # Where the numbers say that it goes on.
        following = self._seen[-1].number + 1 - number
        is_older = following > len(segments)
        if not self._known.isdisjoint(listed):
            if not is_older:
                return _Place(following)
            return nothing if self._stale < STALE_LISTS else self._begun_anew()
        if following <= 0:
            # All that was known has left the list. What goes on from another time does so with
            # all that is left of it.
            return _Place(0, is_new=following < 0 and self._first_number < 0)
        found = self._place_by_name(listed)
        if found is not None:
            # The same segment with another number: this server does not count as it should.
            self._numbers_lie = True
            return found
        if is_older and self._stale < STALE_LISTS:
            return nothing
        if not is_older and 0 <= self._first_number <= number:
            # Nothing of it is known, and yet the numbers go on: each list has other addresses.
            return _Place(following)
        return self._begun_anew()

    def _place_by_name(self, listed: list[Identity]) -> _Place | None:
        """Find what follows the last segment, if it is there under any number."""
        names = [found[1:] for found in listed]
        last = self._seen[-1][1:]
        # Some have one name for all, in different folders.
        is_unique = sum(known[1:] == last for known in self._seen) == 1
        if is_unique and last in names and len(set(names)) == len(names):
            return _Place(names.index(last) + 1)
        return None

    def _may_be_stale(self, listed: list[Identity]) -> bool:
        """Whether a list has segments that were there before, and what follows is not in it."""
        names = {known[1:] for known in self._known}
        return self._stale < STALE_LISTS and any(found[1:] in names for found in listed)

    def _begun_anew(self) -> _Place:
        self.restarts += 1
        return _Place(0, is_new=True)

    def _beginning(self, playlist: MediaPlaylist) -> int:
        """Return the index of the segment to begin with (sections 6.3.3, 4.4.2.2)."""
        if self._start is Start.FIRST or playlist.ended or playlist.kind:
            return 0
        durations = [segment.duration for segment in playlist.segments]
        behind = EDGE_TARGETS * playlist.target_duration
        start = playlist.start_seconds
        if start is not None:
            # Never nearer to the end than that, whatever the list wants.
            behind = max(behind, -start if start < 0 else sum(durations) - start)
        return edge(durations, behind)

    def _missed(self, number: int) -> int:
        """Return how many segments came and went since the last one that was given."""
        return 0 if self._numbers_lie else max(number - self._seen[-1].number - 1, 0)


def edge(durations: Sequence[float], behind: float) -> int:
    """Return the index of the last segment that begins so many seconds before the end, or 0."""
    index = len(durations)
    while index and behind > 0:
        index -= 1
        behind -= durations[index]
    return index


def identity(segment: Segment, number: int) -> Identity:
    """Return what a segment of a list is known by.

    Args:
        segment: As read.
        number: Its media sequence number.
    """
    return Identity(number, name_of(segment.uri), segment.byte_range)


def name_of(address: str) -> str:
    """Return what stands last in the path of an address."""
    with suppress(ValueError):
        address = urlsplit(address).path
    return address.rpartition("/")[2]
