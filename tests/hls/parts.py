"""What must stay true of the parts of a low-latency playlist over time: section C5 of the traps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from tests.hls.list_rules import PARTS_TARGETS
from tests.hls.m3u8 import MediaPlaylist, Opening, Part, Segment, demand
from tests.hls.media import Media
from tests.hls.mp4 import Fragments
from tests.hls.resources import Resources

# Parts are listed in milliseconds or finer, and samples may be of 90 kHz.
_TOLERANCE_SECONDS = 0.0021

# So much earlier than a part may go it is asked for once more.
_LAST_LOOK_SECONDS = 0.5


class _Listed(NamedTuple):
    """The parts of one segment in one version."""

    opening: Opening
    parts: tuple[Part, ...]


@dataclass(slots=True)
class _Joined:
    """What the parts of a segment have together."""

    media: Fragments | None = None
    taken: int = 0


class PartMonitor:
    """Watches the parts of one media playlist.

    Args:
        resources: Fetches them.

    Attributes:
        parts: How many there were.
        hints: How many of them were hinted before.
        missed: How many hints named what did not come, at discontinuities.
    """

    def __init__(self, resources: Resources) -> None:
        self.parts = self.hints = self.missed = 0
        self._resources = resources
        self._samples: dict[int, _Joined] = {}
        self._before: tuple[int, Fragments] | None = None
        self._removed: dict[str, float] = {}

    def forget(self) -> None:
        """What comes need not follow what was, and what was need not be there."""
        self._removed.clear()
        self._before = None

    def compare(self, before: MediaPlaylist, after: MediaPlaylist, polled_at: float) -> None:
        """Check that from one version to the next parts are only added, or old ones removed."""
        target = after.part_target
        same = before.part_target == target and before.control == after.control
        demand(same, "control-changed", f"{before.control}, {after.control} (6.2.1, C-LL-07)")
        if not target:
            return
        now = _listed(after)
        for number, (opening, parts) in _listed(before).items():
            if number not in now:
                gone = number < after.number or any(x.number == number for x in after.segments)
                demand(gone, "parts-lost", f"the parts of segment {number} (6.2.2)")
                away = after.after(number)
                far = away >= PARTS_TARGETS * after.target or number < after.number
                demand(far, "parts-early", f"of segment {number}, {away} s from the end (6.2.2)")
                until = polled_at + PARTS_TARGETS * after.target
                self._removed.update((x.uri, until) for x in parts if not x.gap)
                if number > before.segments[-1].number:
                    self._before = None  # it had more, which were not seen
                continue
            other = now[number]
            text = f"of segment {number}: {parts}, {other.parts}"
            demand(other.parts[: len(parts)] == parts, "part-changed", f"{text} (6.2.1)")
            complete = before.segments[-1].number >= number
            demand(not complete or other.parts == parts, "part-changed", f"{text} (6.2.1)")
            demand(other.opening == opening, "segment-changed", f"{opening}, {other.opening}")
        self._check_hint(before, now)

    def take(self, playlist: MediaPlaylist) -> int:
        """Fetch and check the parts that are new; return how many they are."""
        count = 0
        for number in [x for x in self._samples if x < playlist.number]:
            del self._samples[number]
        for number, (opening, parts) in sorted(_listed(playlist).items()):
            joined = self._samples.setdefault(number, _Joined())
            for place in range(joined.taken, len(parts)):
                # The last picture before a hole lasts until the next one.
                stretched = parts[place].duration >= playlist.part_target
                self._take(number, opening, parts[place], joined, stretched=stretched)
                joined.taken += 1
                count += 1
        self.parts += count
        return count

    def check_segment(
        self, segment: Segment, media: Media, playlist: MediaPlaylist, *, first: bool
    ) -> None:
        """Check a new segment against its parts.

        Args:
            segment: As it is listed.
            media: What is in it.
            playlist: Where it is.
            first: It is of the first version, whose list may begin with a segment that was made
                of what was there before anybody asked.
        """
        if not playlist.part_target:
            return
        if not segment.parts:
            away = playlist.after(segment.number)
            far = first or away >= PARTS_TARGETS * playlist.target
            demand(far, "no-parts", f"{segment.uri}, {away} s from the end (6.2.2)")
            return
        joined = self._samples[segment.number].media
        if joined is not None:
            assert isinstance(media, Fragments)
            counts = [{number: len(x) for number, x in y.units.items()} for y in (media, joined)]
            text = f"{segment.uri}: samples by track {counts[0]}, in its parts {counts[1]}"
            demand(media.units == joined.units, "parts-differ", f"{text} (4.4.4.9)")

    def look_again(self, now: float) -> None:
        """Fetch what was removed from the list shortly before it may go (C-LL-12)."""
        for uri, until in list(self._removed.items()):
            if now > until:
                del self._removed[uri]
            elif now > until - _LAST_LOOK_SECONDS:
                del self._removed[uri]
                self._resources.again(uri, "part-gone-early")

    def _check_hint(self, before: MediaPlaylist, now: dict[int, _Listed]) -> None:
        number, index = before.next
        found = now.get(number)
        if found is not None and len(found.parts) == index:
            number, index = number + 1, 0
            found = now.get(number)
        if found is None or len(found.parts) <= index or not before.hint:
            return
        if found.parts[index].uri == before.hint:
            self.hints += 1
            return
        self.missed += 1
        text = f"{found.parts[index].uri} came, the hint was {before.hint} (C-LL-09)"
        demand(found.opening.discontinuity and not index, "hint-wrong", text)

    def _take(
        self, number: int, opening: Opening, part: Part, joined: _Joined, *, stretched: bool
    ) -> None:
        if part.gap:
            self._before = None
            return
        media = self._resources.read(part.uri, opening.map, opening.key, f"segment {number}")
        assert isinstance(media, Fragments)
        before, self._before = self._before, (number, media)
        joins = joined.media is not None or not opening.discontinuity
        if joins and before is not None and before[0] in (number, number - 1):
            media.check_follows(before[1])
        begins = media.begins_with_key and bool(media.video or not media.init.has_video)
        text = f"{part.uri} begins with a keyframe: {begins} (C-LL-08)"
        demand(part.independent is begins, "part-independent", text)
        said, span = float(part.duration), media.seconds
        good = abs(said - span) <= _TOLERANCE_SECONDS or (stretched and said < span)
        demand(good, "part-duration", f"{part.uri}: {said} s, {span:.4f} s of media (C-LL-07)")
        if joined.media is None:
            joined.media = Fragments(media.init)
        joined.media.extend(media)


def _listed(playlist: MediaPlaylist) -> dict[int, _Listed]:
    found = {x.number: _Listed(x.opening, x.parts) for x in playlist.segments if x.parts}
    if playlist.opening is not None:
        found[playlist.next[0]] = _Listed(playlist.opening, playlist.parts)
    return found
