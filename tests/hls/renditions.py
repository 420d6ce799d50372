"""All media playlists of one multivariant playlist, watched at once: C-PL-24."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import combinations
from urllib.parse import urljoin

from tests.hls.ledger import Ledger
from tests.hls.m3u8 import MediaPlaylist, Segment, Violation, demand
from tests.hls.media import Media, step
from tests.hls.rig import PATH, Player, Rig
from tests.hls.watching import POLL_SECONDS, Watching

# What begins with a frame of sound and what begins with a picture begin at different times, but
# both say when: the dates are rounded to a millisecond, times of sound to its sample.
_TIMES_TOLERANCE_MS = 10

# Where segments of the same content begin.
_ALIGNED_TOLERANCE_MS = 5

# A list is not made until it is asked for, and not reported before.
_FIRST_CHECKS = 3

# Sound goes on for a moment where pictures have ended, and the other way round.
_OVERLAP_MS = 700


class Renditions:
    """One session that watches all there is, as a player may that switches.

    Args:
        rig: The server.
        ledger: Called with the address of a media playlist, says what is published in it.
        path: Of the multivariant playlist.

    Attributes:
        player: The session.
        watching: By the address of each media playlist as the multivariant playlist has it.
        checks: How often they were compared.
        reports: How many EXT-X-RENDITION-REPORT were right.
    """

    def __init__(
        self, rig: Rig, ledger: Callable[[str], Ledger] | None = None, path: str = PATH
    ) -> None:
        self.rig = rig
        self.player = Player(rig, path)
        self.watching: dict[str, Watching] = {}
        self.checks = self.reports = 0
        self._ledger = ledger or (lambda uri: Ledger(rig))
        self._polled_at = 0.0
        self._offsets: dict[int, dict[str, float]] = {}
        self._before: dict[str, MediaPlaylist] = {}

    def join(self) -> None:
        """Begin the session."""
        self.player.join()
        assert self.player.multivariant is not None
        for uri in self.player.multivariant.uris:
            watching = Watching(self.rig, player=self.player.other(uri), ledger=self._ledger(uri))
            watching.on_segment = partial(self._segment, uri)  # type: ignore[method-assign]
            self.watching[uri] = watching
            watching.player.wait()
        self.rig.on_step = self.step
        self.poll()

    def step(self) -> None:
        """Poll when it is time."""
        if self.rig.now - self._polled_at >= POLL_SECONDS - 0.001:
            self.poll()

    def poll(self) -> None:
        """Read all media playlists in one moment, and compare them."""
        self._polled_at = self.rig.now
        for uri, watching in self.watching.items():
            try:
                watching.poll()
            except Violation as error:
                error.add_note(uri)
                raise
        self.check()

    def leave(self) -> None:
        """Ask no more."""
        self.rig.on_step = lambda: None

    @property
    def playlists(self) -> dict[str, MediaPlaylist]:
        """What was read last, by address."""
        found = {uri: x.monitor.playlist for uri, x in self.watching.items()}
        return {uri: x for uri, x in found.items() if x is not None}

    def check(self) -> None:
        """Compare what was read last.

        Raises:
            Violation: They do not belong together (6.2.4).
        """
        self.checks += 1
        playlists = self.playlists
        assert self.player.multivariant is not None
        for (one, first), (other, second) in combinations(playlists.items(), 2):
            text = f"of {one} and {other} (6.2.4, C-PL-24)"
            demand(
                first.target == second.target, "targets", f"{first.target}, {second.target} {text}"
            )
            same = first.control == second.control
            demand(same, "controls", f"{first.control}, {second.control} {text}")
            version = self.player.multivariant.version
            demand(first.version == second.version == version, "versions", f"{version} {text}")
            self._check_discontinuities(first, second, text)
        for uri, playlist in playlists.items():
            if playlist.part_target and len(playlists) > 1:
                self._check_reports(uri, playlist)
        self._before = playlists

    def check_aligned(self, *uris: str) -> int:
        """Check that segments of several playlists begin and end together, wherever both have any.

        Returns:
            How many were compared.
        """
        count = 0
        for one, other in combinations(uris, 2):
            first, second = self.playlists[one].segments, self.playlists[other].segments
            dates = [x.date for x in second]
            for segment in first:
                if not dates[0] <= segment.date <= dates[-1]:
                    continue
                nearest = min(dates, key=lambda x, at=segment.date: abs(x - at))  # type: ignore[misc]
                off = abs(nearest - segment.date)
                demand(off <= _ALIGNED_TOLERANCE_MS, "aligned", f"{segment.uri}, by {off} ms")
                count += 1
        return count

    def _segment(self, uri: str, segment: Segment, media: Media) -> None:
        """Compare times and dates with those of the others (6.2.4: matching timestamps)."""
        ticks = media.start - segment.date * 90
        known = self._offsets.setdefault(segment.discontinuity_number, {})
        for other, offset in known.items():
            off = abs(step(round(offset), ticks)) / 90
            text = f"{segment.uri}: its times are {off:.1f} ms from those of {other}"
            demand(off <= _TIMES_TOLERANCE_MS, "times-differ", f"{text} at the same date (6.2.4)")
        known.setdefault(uri, ticks)

    def _check_discontinuities(
        self, first: MediaPlaylist, second: MediaPlaylist, text: str
    ) -> None:
        for one in first.segments:
            end = one.date + float(one.duration) * 1000
            for other in second.segments:
                until = other.date + float(other.duration) * 1000
                overlap = min(end, until) - max(one.date, other.date)
                if one.gap or other.gap or overlap < _OVERLAP_MS:
                    continue
                numbers = one.discontinuity_number, other.discontinuity_number
                # Where only one of them is broken the others know when that one goes on: a
                # segment that has begun by then cannot be told to have been another.
                later = one if numbers[0] > numbers[1] else other
                same = abs(numbers[0] - numbers[1]) <= later.discontinuity
                demand(
                    same,
                    "discontinuities-differ",
                    lambda one=one, other=other: (  # type: ignore[misc]
                        f"{one.discontinuity_number} of {one.uri}, {other.discontinuity_number} of "
                        f"{other.uri}, {text}"
                    ),
                )

    def _check_reports(self, uri: str, playlist: MediaPlaylist) -> None:
        """Check what one says of the others: C-LL-11."""
        here = urljoin(self.player.path, uri)
        known = {urljoin(self.player.path, x): x for x in self.watching}
        reported = [urljoin(here, x.uri) for x in playlist.reports]
        demand(len(set(reported)) == len(reported), "report-twice", f"{reported}")
        missing = known.keys() - set(reported) - {here}
        settled = self.checks > _FIRST_CHECKS
        demand(not missing or not settled, "report-missing", f"of {missing} in {uri} (6.2.4)")
        for report, address in zip(playlist.reports, reported, strict=True):
            demand(address in known and address != here, "report-uri", f"{report.uri} in {uri}")
            other = known[address]
            said = (report.number, report.part + 1)
            edge = _edge(self.playlists[other])
            before = _last_part(self._before.get(other, self.playlists[other]))
            # A gap has no parts, and LAST-PART has to say something. And a list need not be made
            # anew where nothing has come but one part of another.
            least = (before[0], before[1] - 1) if before[1] > 1 else (before[0] - 1, 0)
            if self._before.get(uri) == playlist:
                least = (0, 0)
            good = least <= said <= max(edge, (edge[0], 1))
            text = f"{uri} says {said} of {other}, which is at {edge}, and was at {before}"
            demand(good, "report-wrong", f"{text} (4.4.5.4, C-LL-11)")
            self.reports += said == edge


def _edge(playlist: MediaPlaylist) -> tuple[int, int]:
    """Return the number of the last segment, and how many parts it has; also of an open one."""
    if playlist.parts:
        return playlist.next
    last = playlist.segments[-1]
    return last.number, len(last.parts)


def _last_part(playlist: MediaPlaylist) -> tuple[int, int]:
    """Return the number of the last segment that has parts, and how many."""
    if playlist.parts:
        return playlist.next
    numbers = [(x.number, len(x.parts)) for x in playlist.segments if x.parts]
    return max(numbers, default=(playlist.number, 0))
