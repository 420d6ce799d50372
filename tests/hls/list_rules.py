"""What holds for every media playlist by itself: draft-pantos-hls-rfc8216bis, and this project."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from tests.hls.listing import MediaPlaylist, Opening, Part, Segment
from tests.hls.text import demand

# In target durations: how far from the end parts may be listed (6.2.2), and what may be skipped.
PARTS_TARGETS = 3
SKIP_TARGETS = 6

# In part targets (4.4.3.8); the draft demands two and advises three.
HOLD_BACK_TARGETS = 3

# What a part that has no reason to be short has of the part target (4.4.4.9).
LEAST_PART = Decimal("0.85")

# Each number is rounded to a millisecond.
ROUNDING = Decimal("0.001")


def check_media(playlist: MediaPlaylist) -> None:
    """Check a media playlist that could be read.

    Raises:
        Violation: It breaks a rule.
    """
    target = playlist.target
    demand(1 <= target <= 3600, "target", f"EXT-X-TARGETDURATION:{target}")
    uris = [x.uri for x in playlist.segments]
    uris += [x.uri for segment in playlist.segments for x in segment.parts]
    uris += [x.uri for x in playlist.parts] + [playlist.hint] * bool(playlist.hint)
    demand(len(set(uris)) == len(uris), "same-uri", f"an address twice: {uris}")
    for segment in playlist.segments:
        length = segment.duration
        demand(length > 0, "extinf", f"{segment.uri} lasts {length} s")
        whole = int(length.quantize(Decimal(1), ROUND_HALF_UP))
        demand(whole <= target, "too-long", f"{length} s, target {target} s (4.4.4.1, 6.2.1)")
        # Before version 6 the target was the maximum, not rounded (section 8).
        demand(
            playlist.version >= 6 or length <= target,
            "version",
            f"{length} s over the target of {target} s needs version 6 (section 8)",
        )
    following: list[Segment | Opening] = [*playlist.segments[1:]]
    if playlist.opening is not None:
        following.append(playlist.opening)
    for before, after in zip(playlist.segments, following, strict=False):
        check_dates(before, after)
        same = after.map == before.map or after.discontinuity
        demand(same, "map-changed", f"another EXT-X-MAP after {before.uri}, no discontinuity")
    maps = {bool(x.map) for x in playlist.segments}
    demand(len(maps) == 1, "map-missing", "some segments have an EXT-X-MAP, and some none")
    _check_control(playlist)
    if playlist.part_target:
        _check_parts(playlist)
    else:
        has_parts = bool(playlist.parts) or any(x.parts for x in playlist.segments)
        demand(not has_parts, "part-inf", "parts without EXT-X-PART-INF (4.4.3.7)")
        demand(not playlist.hint, "part-inf", "a hint without EXT-X-PART-INF")
    if playlist.skipped:
        rest = playlist.after(playlist.number + playlist.skipped - 1)
        control = playlist.control
        until = control.can_skip_until if control is not None else Decimal(0)
        demand(until > 0, "skip", "EXT-X-SKIP without CAN-SKIP-UNTIL (6.2.5.1)")
        demand(rest >= until, "skip-boundary", f"only {rest} s are not skipped (6.2.5.1)")


def _check_control(playlist: MediaPlaylist) -> None:
    control, target = playlist.control, playlist.target
    if control is None:
        demand(not playlist.part_target, "server-control", "parts need PART-HOLD-BACK (4.4.3.8)")
        return
    back = control.hold_back
    demand(not back or back >= 3 * target, "hold-back", f"HOLD-BACK={back} (4.4.3.8)")
    until = control.can_skip_until
    far = not until or until >= SKIP_TARGETS * target
    demand(far, "can-skip-until", f"CAN-SKIP-UNTIL={until} (4.4.3.8)")
    least = HOLD_BACK_TARGETS * playlist.part_target
    part_back = control.part_hold_back
    demand(part_back >= least, "part-hold-back", f"PART-HOLD-BACK={part_back} (4.4.3.8)")


def _check_parts(playlist: MediaPlaylist) -> None:
    target = playlist.part_target
    for segment in playlist.segments:
        if not segment.parts:
            continue
        _check_lengths(segment.parts, target)
        away = playlist.after(segment.number)
        old = away > PARTS_TARGETS * playlist.target
        demand(not old, "old-parts", f"parts of {segment.uri}, {away} s from the end (6.2.2)")
        total = sum((x.duration for x in segment.parts), Decimal(0))
        off = abs(total - segment.duration)
        good = off <= ROUNDING * (len(segment.parts) + 1)
        # A picture that is shown for longer than a part may be: no player likes a gap there.
        good |= total < segment.duration and any(x.duration >= target for x in segment.parts)
        demand(good, "parts-sum", f"{segment.uri}: {segment.duration} s, its parts {total} s")
    _check_lengths(playlist.parts, target)
    demand(not (playlist.ended and playlist.hint), "hint-at-end", "a hint with EXT-X-ENDLIST")


def _check_lengths(parts: tuple[Part, ...], target: Decimal) -> None:
    for place, part in enumerate(parts):
        text = f"{part.uri}: {part.duration} s, PART-TARGET {target} s (4.4.4.9, C-LL-07)"
        demand(part.duration > 0, "part-empty", text)
        demand(part.duration <= target, "part-too-long", text)
        is_last = place == len(parts) - 1
        excused = is_last or part.independent or part.gap or parts[place + 1].gap
        demand(excused or part.duration >= LEAST_PART * target, "part-too-short", text)


def check_dates(before: Segment, after: Segment | Opening) -> None:
    """Check the dates of a segment and the next one.

    Raises:
        Violation: Inside one run they do not follow the durations; or at a discontinuity the
            mapping is ambiguous: it goes back by a second or more (6.2.1).
    """
    end = before.date + float(before.duration) * 1000
    text = f"{before.uri} ends at {end:.1f} ms, what follows begins at {after.date} ms"
    if after.discontinuity:
        back = end - after.date >= 1000 or after.date <= before.date
        demand(not back, "date-ambiguous", f"{text} (6.2.1)")
    else:
        # Both dates and the duration are rounded to a millisecond.
        demand(abs(end - after.date) <= 2, "date-step", f"{text} (C-PL-11)")
