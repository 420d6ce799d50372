"""Low-latency HLS case by case, over a whole server in memory: section C5 of the traps."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, NamedTuple

import pytest

from tests.hls.following import CACHED_TARGETS, Following
from tests.hls.m3u8 import MediaPlaylist, parse_media
from tests.hls.renditions import Renditions
from tests.hls.resources import Answer
from tests.hls.rig import Pending, Player, Rig
from tests.hls.source import FRAME_SECONDS
from tests.hls.watching import Watching

# An answer comes after so many target durations at latest, and a second for a server that looks
# only so often (6.2.5.2).
HOLD_TARGETS, SLACK_SECONDS = 3, 1.0

ABSENT = "-"


def follow(rig: Rig, **options: Any) -> Following:
    """Begin a session that follows from now on."""
    following = Following(rig, **options)
    following.join()
    return following


def read(player: Player) -> MediaPlaylist:
    """Return the playlist as it is now."""
    return parse_media(player.poll().body)


@pytest.fixture
def low(rigs: Any) -> Any:
    """Make rigs of low latency."""

    def make(**options: Any) -> Rig:
        rig: Rig = rigs(**{"hls_format": "ll", **options})
        return rig

    return make


class Wish(NamedTuple):
    """What a request asks for: texts, or `ABSENT`."""

    msn: str
    part: str
    skip: str

    @property
    def query(self) -> str:
        """Return the query."""
        names = zip(("_HLS_msn", "_HLS_part", "_HLS_skip"), self, strict=True)
        return "&".join(f"{name}={value}" for name, value in names if value != ABSENT)

    def verdict(self, playlist: MediaPlaylist) -> str:
        """Say what is right: "refuse", "answer" or "hold" (6.2.5.2)."""
        if self.msn == ABSENT:
            return "answer" if self.part == ABSENT else "refuse"
        if not all(re.fullmatch(r"\d{1,19}|-", x) for x in (self.msn, self.part)):
            return "refuse"
        last, (following, parts) = playlist.segments[-1].number, playlist.next
        if int(self.msn) > last + 2:
            return "refuse"
        if self.part == ABSENT:
            return "answer" if int(self.msn) <= last else "hold"
        # The Advance Part Limit.
        limit = 3 / playlist.part_target if playlist.part_target < 1 else Decimal(3)
        msn, part = int(self.msn), int(self.part)
        if msn == following and part - (parts - 1) > limit:
            return "refuse"
        if msn > following and part > limit:
            return "refuse"
        return "answer" if self.is_in(playlist) else "hold"

    def is_in(self, playlist: MediaPlaylist) -> bool:
        """Whether the playlist has what is asked for, or something later."""
        if self.part == ABSENT:
            return int(self.msn) <= playlist.segments[-1].number
        msn, part = int(self.msn), int(self.part)
        following, parts = playlist.next
        if msn >= following:
            return msn == following and part < parts
        # A part beyond the last of its segment is the first of the next.
        found = {x.number: len(x.parts) for x in playlist.segments}
        beyond = msn == following - 1 and part >= found[msn]
        return not beyond or parts > 0


def wishes(playlist: MediaPlaylist) -> list[Wish]:
    """Return every combination at and around the edges."""
    first, last = playlist.segments[0].number, playlist.segments[-1].number
    parts, finished = len(playlist.parts), len(playlist.segments[-1].parts)
    most = parts - 1 + int(3 / playlist.part_target)
    numbers = [0, first - 1, first, last - 1, last, last + 1, last + 2, last + 3, last + 4, 1 << 62]
    places = [0, 1, parts - 1, parts, parts + 1, finished - 1, finished, finished + 1]
    places += [most - 1, most, most + 1, 10**6]
    odd = ["", "x", "-1", "1.5", "+1", "0x1", "%00", "%D9%A3", "9" * 25]
    made = [
        Wish(msn, part, skip)
        for msn in [ABSENT, *map(str, numbers)]
        for part in [ABSENT, *map(str, dict.fromkeys(places))]
        for skip in (ABSENT, "YES", "v2", "NO")
    ]
    for text in odd:
        made += [Wish(text, ABSENT, ABSENT), Wish(str(last), text, ABSENT)]
    return made


def test_matrix(low: Any) -> None:
    """C-LL-01 to C-LL-03: every combination is answered as it has to be, and when it has to be.

    What is held is answered in the moment in which the playlist has it, and not before.
    """
    rig = low(hls_segment_count=10)
    player = Player(rig)
    player.join()
    player.wait()
    for _ in range(50):
        rig.run(0.5)
        player.poll()
    rig.run(0.56)
    playlist = read(player)
    assert len(playlist.parts) > 2
    held: dict[Wish, Pending] = {}
    counts = {"refuse": 0, "answer": 0, "hold": 0}
    for wish in wishes(playlist):
        verdict = wish.verdict(playlist)
        counts[verdict] += 1
        pending = player.ask(f"?{wish.query}" if wish.query else "")
        answer = pending.answer
        if verdict == "hold":
            assert answer is None, (wish, answer)
            assert not pending.has_begun
            held[wish] = pending
            continue
        pending.leave()
        assert answer is not None, wish
        assert answer.status == (400 if verdict == "refuse" else 200), (wish, answer)
        if verdict == "answer":
            check_version(wish, answer, playlist)
    assert min(counts.values()) > 30, counts
    began, first = rig.now, playlist
    while held:
        rig.run(FRAME_SECONDS)
        now = read(player)
        for wish, pending in list(held.items()):
            answer = pending.answer
            assert (answer is not None) is wish.is_in(now), (wish, now.next)
            if answer is not None:
                check_version(wish, answer, now, first)
                del held[wish]
                pending.leave()
        waited = rig.now - began
        assert waited <= HOLD_TARGETS * playlist.target + SLACK_SECONDS, list(held)
    assert not rig.held


def check_version(
    wish: Wish, answer: Answer, playlist: MediaPlaylist, base: MediaPlaylist | None = None
) -> None:
    """Check that an answer is this version, as a delta update where that was asked for."""
    got = parse_media(answer.body, base or playlist)
    assert got.segments == playlist.segments
    assert (got.parts, got.hint) == (playlist.parts, playlist.hint)
    assert (got.skipped > 0) is (wish.skip in ("YES", "v2")), wish
    cache = answer.headers["cache-control"]
    assert cache in ("no-store", "no-cache", f"max-age={CACHED_TARGETS * playlist.target}")


def test_end_list(low: Any) -> None:
    """C-LL-03: of a list that has ended every version is the last one."""
    rig = low(hls_end_list=True)
    following = follow(rig)
    rig.run(7.0)
    rig.unpublish()
    following.ended()
    rig.run(1.0)
    playlist = following.poll()
    assert playlist.ended
    assert not playlist.hint
    last = playlist.segments[-1].number
    for query in (f"_HLS_msn={last + 1}&_HLS_part=0", f"_HLS_msn={last + 50}", "_HLS_msn=0"):
        pending = following.player.ask(f"?{query}")
        answer = pending.answer
        pending.leave()
        assert answer is not None
        assert answer.status == 200
        assert parse_media(answer.body, playlist).ended
    assert not rig.held


@pytest.mark.parametrize("reorders", [False, True])
@pytest.mark.parametrize("gop", [1.0, 2.0, 3.52])
def test_follow(low: Any, gop: float, reorders: bool) -> None:
    """C-LL-06 to C-LL-09: a player that does all that it may sees each part in time, and once."""
    rig = low(gop=gop, hls_segment_seconds=1.0)
    rig.encoder.reorders = reorders
    rig.run(3 * gop)
    following = follow(rig)
    rig.run(1.0)
    following.monitor.parts_are_due = True
    rig.run(20.0)
    parts = following.monitor.parts
    assert following.versions >= 80
    assert following.deltas > 20 or gop > 3  # else nothing is far enough from the end
    assert parts.hints >= 80
    assert following.hinted >= 80
    assert parts.missed == following.refused == following.unavailable == 0
    assert following.monitor.runs == following.monitor.gaps == following.monitor.keyless == 0
    target = read(following.player).part_target
    assert 0.1 <= target <= 0.3
    following.leave()


def test_audio(low: Any) -> None:
    """C-LL-11, C-FM-06: sound alone has parts too."""
    rig = low(publish=False)
    rig.encoder.has_video = False
    rig.publish()
    rig.run(1.6)
    following = follow(rig)
    rig.run(15.0)
    assert following.hinted > 40
    assert following.monitor.runs == following.monitor.gaps == 0
    following.leave()


def test_reports(low: Any) -> None:
    """C-LL-11, C-PL-24: what each list says of the others is so."""
    rig = low()
    renditions = Renditions(rig)
    renditions.join()
    rig.run(20.0)
    assert len(renditions.watching) == 2
    assert renditions.reports > renditions.checks
    renditions.leave()


def test_ordinary_player(low: Any) -> None:
    """C-LL-13: who knows nothing of parts polls, and is answered at once."""
    rig = low()
    watching = Watching(rig)
    watching.join()
    rig.run(20.0)
    assert watching.monitor.segments > 8
    assert watching.monitor.runs == watching.monitor.gaps == watching.monitor.keyless == 0


def test_no_blocking(low: Any) -> None:
    """C-LL-15: with `hls_blocking` off nobody is promised to be held, and nobody is."""
    rig = low(hls_blocking=False)
    watching = Watching(rig)
    watching.join()
    rig.run(9.0)
    playlist = watching.poll()
    assert playlist.control is not None
    assert not playlist.control.can_block
    assert playlist.parts or playlist.segments[-1].parts
    assert not playlist.hint
    number, part = playlist.next
    for query in (f"_HLS_msn={number}&_HLS_part={part}", f"_HLS_msn={number}"):
        pending = watching.player.ask(f"?{query}")
        answer = pending.answer
        pending.leave()
        assert answer is not None
        assert answer.status in (200, 400)
    assert not rig.held


def test_part_names(low: Any) -> None:
    """C-LL-09: what is neither listed nor hinted is not there; a hint sends nothing before."""
    rig = low(gop=4.0)
    player = Player(rig)
    player.join()
    player.wait()
    rig.run(3.0)
    playlist = read(player)
    match = re.fullmatch(r"(.*?)(\d+)(-[^-]*)", playlist.hint)
    assert match is not None
    for ahead in (1, 2, 50):
        name = f"{match[1]}{int(match[2]) + ahead}{match[3]}"
        assert player.fetch(name).status == 404, name
    folder = player.playlist.rpartition("/")[0]
    pending = rig.ask(f"{folder}/{playlist.hint}")
    while pending.answer is None:
        assert not pending.has_begun
        assert playlist.hint not in {x.uri for x in read(player).parts}
        rig.run(FRAME_SECONDS)
    assert pending.answer.status == 200
    assert pending.answer.headers["content-type"] == "video/mp4"
    assert "max-age=" in pending.answer.headers["cache-control"]
    assert playlist.hint in {x.uri for x in read(player).parts}
    pending.leave()
    assert not rig.held


def test_stall(low: Any, long_dose: bool) -> None:
    """C-LL-04: the publisher stalls while 500 are held: each has an answer in time."""
    rig = low(hub={"publisher_silence": 60.0})
    players = [Player(rig) for _ in range(5)]
    for player in players:
        player.join()
        player.wait()
    rig.run(5.0)
    playlist = read(players[0])
    number, part = playlist.next
    asked = [f"?_HLS_msn={number}&_HLS_part={part}", f"?_HLS_msn={number + 1}&_HLS_part=3"]
    count = 500 if long_dose else 50
    pendings = [players[x % 5].ask(asked[x % 2]) for x in range(count)]
    hint = rig.ask(f"{players[0].playlist.rpartition('/')[0]}/{playlist.hint}")
    assert rig.held == count + 1
    rig.run(HOLD_TARGETS * playlist.target + SLACK_SECONDS, silent=True)
    answers = [x.answer for x in (*pendings, hint)]
    assert all(x is not None and x.status in (200, 404, 503) for x in answers)
    assert not rig.held
    for pending in (*pendings, hint):
        pending.leave()
    rig.run(5.0)


def test_unpublish(low: Any) -> None:
    """C-LL-04: the stream ends while players wait: all are answered at once."""
    rig = low()
    player = Player(rig)
    player.join()
    player.wait()
    rig.run(5.0)
    playlist = read(player)
    number, part = playlist.next
    pendings = [player.ask(f"?_HLS_msn={number}&_HLS_part={part + 5}") for _ in range(20)]
    pendings += [player.ask(f"?_HLS_msn={number + 1}") for _ in range(20)]
    folder = player.playlist.rpartition("/")[0]
    pendings.append(rig.ask(f"{folder}/{playlist.hint}"))
    assert rig.held == 41
    rig.unpublish()
    answers = [x.answer for x in pendings]
    assert all(x is not None and x.status in (200, 404) for x in answers)
    assert not rig.held
    for pending in pendings:
        pending.leave()


def test_nobody_is_published(low: Any) -> None:
    """C-LL-04: who asks for what comes next of a stream that is over is not held for ever."""
    rig = low()
    player = Player(rig)
    player.join()
    player.wait()
    rig.run(5.0)
    rig.unpublish()
    playlist = read(player)
    number, part = playlist.next
    pending = player.ask(f"?_HLS_msn={number}&_HLS_part={part}")
    rig.run(HOLD_TARGETS * playlist.target + SLACK_SECONDS)
    answer = pending.answer
    pending.leave()
    assert answer is not None
    assert answer.status in (200, 404, 503)
    assert answer.status == 200 or answer.headers["cache-control"] == "no-store"
    assert not rig.held


def test_players_leave(low: Any, long_dose: bool) -> None:
    """C-LL-05: players that go away while they are held are forgotten."""
    rig = low()
    player = Player(rig)
    player.join()
    player.wait()
    rig.run(4.0)
    for _ in range(10_000 if long_dose else 500):
        playlist = read(player)
        number, part = playlist.next
        folder = player.playlist.rpartition("/")[0]
        reload = player.ask(f"?_HLS_msn={number}&_HLS_part={part}")
        hint = rig.ask(f"{folder}/{playlist.hint}")
        assert rig.held == 2
        reload.leave()
        hint.leave()
        assert not rig.held
    rig.run(3.0)


@pytest.mark.parametrize(("burst", "gop"), [(0.8, 2.0), (2.0, 2.0), (5.04, 5.04)])
def test_bursts(low: Any, burst: float, gop: float) -> None:
    """C-LL-15: where the source delivers seconds at once parts are as long as ever."""
    rig = low(gop=gop, hls_segment_seconds=gop)
    rig.run(2 * gop)
    watching = Watching(rig)
    watching.join()
    rig.run(3.0)
    # The first burst comes no later after a segment than the others will.
    segments = watching.monitor.segments
    while watching.monitor.segments == segments:
        rig.run(FRAME_SECONDS)
    watching.ledger.dates_are_free()
    for _ in range(round(15 / burst)):
        rig.reactor.advance(burst - FRAME_SECONDS)
        rig.run(FRAME_SECONDS)
        watching.monitor.paused()
        watching.poll()
    assert watching.monitor.runs == watching.monitor.gaps == watching.monitor.parts.missed == 0
    assert watching.monitor.parts.parts > 60


def test_pause(low: Any) -> None:
    """C-LL-12: after a pause what is old is not there, quickly, and the player goes on."""
    rig = low()
    others = Watching(rig)
    others.join()
    player = Player(rig)
    player.join()
    player.wait()
    rig.run(5.0)
    playlist = read(player)
    number, part = playlist.next
    for _ in range(12):  # the session is kept by what it asks for, and that is no playlist
        rig.run(5.0)
        player.fetch(others.poll().segments[-1].uri)
    for uri in (playlist.hint, playlist.parts[0].uri, playlist.segments[0].uri):
        gone = player.fetch(uri)
        assert (gone.status, gone.headers["cache-control"]) == (404, "no-store")
    pending = player.ask(f"?_HLS_msn={number}&_HLS_part={part}&_HLS_skip=YES")
    answer = pending.answer
    pending.leave()
    assert answer is not None
    assert answer.status == 200
    now = read(player)
    assert now.number > number
    assert player.fetch(now.segments[-1].uri).status == 200


def test_publisher_returns(low: Any) -> None:
    """C-PL-06, C-LL-08: no part is lost with the publisher; the next run has its tags first."""
    rig = low()
    following = follow(rig)
    for away in (0.4, 3.0, 9.0):
        rig.run(9.0)
        rig.lose()
        rig.run(away)
        rig.publish(5000.0)
    rig.run(9.0)
    assert following.monitor.runs == 3
    assert following.monitor.remakes == 0
    following.leave()


def test_part_length(low: Any) -> None:
    """C-LL-07: the part target is what the application asks for, in whole pictures."""
    for wanted in (0.1, 0.2, 0.5, 1.0):
        rig = low(hls_part_seconds=wanted, gop=4.0, hls_segment_seconds=4.0)
        following = follow(rig)
        rig.run(13.0)
        playlist = following.poll()
        assert abs(float(playlist.part_target) - wanted) <= max(FRAME_SECONDS, wanted / 5)
        assert following.monitor.parts.missed == 0
        following.leave()
