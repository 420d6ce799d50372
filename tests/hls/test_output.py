"""The HLS output case by case, over a whole server in memory: section C1 of the traps."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.logger import LogLevel, capturedLogs

from tests.hls.checker import LARGEST_SEGMENT
from tests.hls.m3u8 import MediaPlaylist, parse_multivariant
from tests.hls.renditions import Renditions
from tests.hls.rig import PATH, Player, Rig
from tests.hls.source import FRAME_SECONDS, video_track
from tests.hls.ts import AAC, H264, read_segment
from tests.hls.watching import KEPT_SECONDS, Watching, check_headers

SESSION_SECONDS = 10.0


def watch(rig: Rig, path: str = PATH) -> Watching:
    """Begin a session that polls from now on."""
    watching = Watching(rig, path)
    watching.join()
    return watching


def listed(watching: Watching) -> MediaPlaylist:
    """Return what the session sees now."""
    return watching.poll()


@pytest.mark.parametrize("phase", [0.0, 0.24, 0.8, 1.04, 1.6, 1.92])
def test_first_playlist(rigs: Any, phase: float) -> None:
    """Whenever somebody comes, there is a playlist within 2.5 s at a GOP of 2 s."""
    rig = rigs()
    rig.run(4.0 + phase)
    assert Watching(rig).join() <= 2.5


def test_first_of_all(rigs: Any) -> None:
    """So it is for who asks before the stream is published: the request is held, not refused."""
    rig = rigs(publish=False)
    pending = rig.ask(PATH)
    rig.run(5.0)
    answer = pending.answer
    assert answer is None
    rig.publish()
    began = rig.now
    while answer is None:
        rig.run(FRAME_SECONDS)
        answer = pending.answer
    pending.leave()
    assert answer.status == 200
    playlist = parse_multivariant(answer.body).variants[0].uri
    player = Player(rig)
    player.playlist = f"/liveshow/{playlist}"
    player.wait()
    assert rig.now - began <= 2.5 + 1.0  # whose first second goes by until the tracks are known


def test_absent(rigs: Any) -> None:
    """Nobody publishes: 404 when the wait is over, which no cache may keep (C-PL-12)."""
    rig = rigs(publish=False)
    pending = rig.ask(PATH)
    rig.run(16.0)
    answer = pending.answer
    pending.leave()
    assert answer is not None
    assert (answer.status, answer.headers["cache-control"]) == (404, "no-store")
    assert "access-control-allow-origin" in answer.headers


def test_held_client_leaves(rigs: Any) -> None:
    """Who goes away while its request is held is forgotten: see the end of the fixture."""
    rig = rigs(gop=8.0)
    player = Player(rig)
    player.join()
    for _ in range(50):
        player.ask().leave()
    pending = player.ask()
    rig.run(1.0)
    assert pending.answer is None
    pending.leave()
    rig.run(20.0)


@pytest.mark.parametrize(
    ("gop", "configured", "target"),
    [(2.0, 4.0, 4), (10.0, 4.0, 10), (2.0, 2.0, 2), (1.0, 2.0, 2), (3.52, 2.0, 4), (0.08, 2.0, 2)],
)
def test_target(rigs: Any, gop: float, configured: float, target: int) -> None:
    """C-PL-01, C-PL-02: the larger of the configured length and the longest GOP, rounded up."""
    rig = rigs(gop=gop, hls_segment_seconds=configured)
    rig.run(2 * gop + 0.4)
    watching = watch(rig)
    rig.run(target * 8)
    playlist = listed(watching)
    assert playlist.target == target
    assert watching.monitor.keyless == watching.monitor.runs == 0
    lengths = [float(x.duration) for x in playlist.segments][1:]
    most = target if gop < target else gop
    assert all(most - gop - 0.1 <= x <= most + 0.1 for x in lengths), lengths


def test_longer_group(rigs: Any) -> None:
    """C-PL-02, C-PL-04: a GOP longer than the target is cut in time, and told in the log once."""
    rig = rigs()
    watching = watch(rig)
    rig.run(10.0)
    with capturedLogs() as logged:
        rig.encoder.gop_seconds = 1e9
        rig.run(60.0)
    assert watching.monitor.keyless > 10
    assert listed(watching).target == 2
    warnings = [x for x in logged if x["log_level"] is LogLevel.warn]
    assert len(warnings) == 1, warnings


def test_endless_group(rigs: Any) -> None:
    """C-PL-04: where no second keyframe ever comes there is a playlist too, and it goes on."""
    rig = rigs(gop=1e9)
    player = Player(rig)
    player.join()
    waited = player.wait(60.0)
    assert waited < 31.0
    watching = watch(rig)
    rig.run(90.0)
    assert watching.monitor.gaps == watching.monitor.runs == 0


@pytest.mark.long
def test_largest_segment(rigs: Any) -> None:
    """C-PL-04: a segment never grows over 50 MB, whatever the target would allow."""
    rig = rigs(hls_segment_seconds=30.0, hub={"max_publisher_bitrate_kbps": 0})
    rig.encoder.gop_seconds = 30.0
    rig.encoder.size = 1_000_000
    watching = watch(rig)
    sizes: list[int] = []
    fetch = watching.player.fetch

    def measured(uri: str) -> Any:
        answer = fetch(uri)
        sizes.append(len(answer.body))
        return answer

    watching.player.fetch = measured  # type: ignore[method-assign]
    watching.monitor.paused()
    rig.run(15.0)
    assert sizes
    assert max(sizes) <= LARGEST_SEGMENT


@pytest.mark.parametrize("away", [0.4, 5.0, 12.0])
def test_publisher_returns(rigs: Any, away: float) -> None:
    """C-PL-06, C-PL-10: within its grace: the list goes on, with one discontinuity."""
    rig = rigs()
    watching = watch(rig)
    rig.run(9.0)
    rig.lose()
    rig.run(away)
    rig.publish(5000.0)
    rig.run(9.0)
    assert watching.monitor.runs == 1
    assert watching.monitor.remakes == 0
    assert (watching.monitor.gaps > 0) is (away > 3.0)


@pytest.mark.parametrize("away", [30.0, 300.0])
def test_publisher_returns_late(rigs: Any, away: float) -> None:
    """C-PL-06, C-PL-15: after its grace: the numbers go on, and new names are new."""
    rig = rigs()
    watching = watch(rig)
    rig.run(9.0)
    rig.lose()
    rig.run(15.2)
    watching.ended()
    before = listed(watching)
    watching.is_polling = away < KEPT_SECONDS
    rig.run(away)
    if not watching.is_polling:
        watching.monitor.may_be_remade()
    watching.published()
    watching.ledger.forget()
    rig.publish()
    rig.run(1.2)
    if not watching.is_polling:
        watching.join()
    rig.run(9.0)
    after = listed(watching)
    assert after.segments[-1].number > before.segments[-1].number
    assert watching.monitor.runs + watching.monitor.remakes == 1
    assert not {x.uri for x in before.segments if not x.gap} & {
        x.uri for x in after.segments if x.number > before.segments[-1].number
    }


def test_stall(rigs: Any) -> None:
    """C-PL-22: a publisher that is silent: gaps in time, and a discontinuity when it goes on."""
    rig = rigs(hub={"publisher_silence": 60.0})
    watching = watch(rig)
    rig.run(9.0)
    rig.run(20.0, silent=True)
    gaps = [x for x in listed(watching).segments if x.gap]
    assert len(gaps) >= 5
    rig.run(9.0)
    assert watching.monitor.runs == 1


def test_end(rigs: Any) -> None:
    """C-PL-15: the last short segment is listed, then nothing; the list stays for a minute."""
    rig = rigs()
    watching = watch(rig)
    rig.run(9.0)
    sent = len(rig.encoder.sent["video"])
    rig.unpublish()
    watching.ended()
    playlist = listed(watching)
    assert not playlist.ended
    rig.run(KEPT_SECONDS - 1.0)
    assert listed(watching) == playlist
    watching.monitor.check_all(rig.now)
    media = read_segment(watching.player.fetch(playlist.segments[-1].uri).body)
    assert b"<%08d>" % (sent - 1) in media.video[-1].payload
    watching.is_polling = False
    rig.run(120.0)
    assert rig.get(watching.player.playlist).status == 404


def test_end_list(rigs: Any) -> None:
    """C-PL-15: EXT-X-ENDLIST is there with the option `hls_end_list`, and only at the end."""
    rig = rigs(hls_end_list=True)
    watching = watch(rig)
    rig.run(9.0)
    rig.lose()
    rig.run(5.0)
    assert not listed(watching).ended
    rig.publish()
    rig.run(5.0)
    rig.unpublish()
    watching.ended()
    assert listed(watching).ended


def test_restart(rigs: Any) -> None:
    """C-PL-07, G-LC-06: after a restart numbers are higher, and names are new."""
    rig = rigs()
    watching = watch(rig)
    rig.run(9.0)
    watching.is_polling = False
    rig.restart()
    watching.leave()
    watching.monitor.server_restarted()
    rig.run(1.0)
    watching.published()
    rig.publish()
    rig.run(1.2)
    watching.join()
    rig.run(9.0)
    assert watching.monitor.remakes == 1


@pytest.mark.parametrize("at_once", [True, False])
def test_configuration(rigs: Any, at_once: bool) -> None:
    """C-PL-09, A-MD-04: another configuration is one discontinuity; the same one is none."""
    rig = rigs()
    watching = watch(rig)
    for _ in range(5):
        rig.run(2.6)
        rig.announce()
    assert watching.monitor.runs == 0
    rig.encoder.video = video_track(1)
    rig.encoder.cut()
    rig.encoder.wants_key = at_once
    rig.announce()
    rig.run(8.0)
    assert watching.monitor.runs == 1
    last = listed(watching).segments[-1]
    sets = read_segment(watching.player.fetch(last.uri).body).video[0].payload
    assert video_track(1).config[8:20] in sets


def test_clock_step(rigs: Any) -> None:
    """C-PL-11: when the wall clock is set, the dates of a stream follow its media as before."""
    rig = rigs()
    watching = watch(rig)
    rig.run(9.0)
    rig.wall_offset -= 3600.0
    watching.ledger.clock_stepped()
    rig.run(20.0)
    assert watching.monitor.runs == 0


def test_headers(rigs: Any) -> None:
    """C-PL-12, C-PL-13: caches keep segments and never a playlist; pages of all sites may read."""
    rig = rigs()
    watching = watch(rig)
    rig.run(9.0)
    for path in (PATH, watching.player.playlist):
        answer = rig.get(path, b"Origin: https://page.example")
        check_headers(answer.headers)
        assert "etag" not in answer.headers
        again = rig.get(path, b'If-None-Match: "x"', b"If-Modified-Since: " + b"x")
        assert again.status == 200
        head = rig.get(path, method=b"HEAD")
        assert head.status == 200
        assert head.headers["content-type"] == answer.headers["content-type"]
    segment = watching.player.fetch(listed(watching).segments[-1].uri)
    assert segment.headers["content-type"] == "video/mp2t"
    assert "max-age=" in segment.headers["cache-control"]
    assert "no-" not in segment.headers["cache-control"]
    assert segment.headers["access-control-allow-origin"] == "*"
    missing = watching.player.fetch("0-none.ts")
    assert (missing.status, missing.headers["cache-control"]) == (404, "no-store")


def test_range(rigs: Any) -> None:
    """A part of a segment can be asked for (RFC 9110 section 14)."""
    rig = rigs()
    watching = watch(rig)
    uri = listed(watching).segments[-1].uri
    whole = watching.player.fetch(uri).body
    folder = watching.player.playlist.rpartition("/")[0]
    part = rig.get(f"{folder}/{uri}", b"Range: bytes=188-375")
    if part.status == 206:
        assert part.body == whole[188:376]
    else:
        assert (part.status, part.body) == (200, whole)


def test_token(rigs: Any) -> None:
    """C-PL-19: what was in the query of the first address is not needed for those below it."""
    rig = rigs()
    watching = watch(rig, f"{PATH}?token=a%26b&user=x")
    rig.run(5.0)
    assert "?" not in watching.player.playlist
    assert all("/" not in x.uri for x in listed(watching).segments)


def test_goes_on_after_gap(rigs: Any) -> None:
    """C-PL-22: whenever a publisher goes on after a gap, the next segment comes in time."""
    for silence in (3.2, 4.0, 4.8, 5.6, 6.4, 7.2, 8.0, 8.8):
        rig = rigs()
        watching = watch(rig)
        rig.run(8.8)
        rig.run(silence, silent=True)
        rig.run(8.0)
        assert watching.monitor.runs == 1


@pytest.mark.parametrize("format_", ["ts", "fmp4", "ll"])
def test_multivariant(rigs: Any, format_: str) -> None:
    """C-PL-21: what is said of the stream is right, and BANDWIDTH no less than the segments."""
    rig = rigs(hls_always=True, hls_format=format_)
    rig.encoder.size = 5000
    rig.run(30.0)
    renditions = Renditions(rig)
    renditions.join()
    rig.run(20.0)
    player = Player(rig)
    player.join()
    multivariant = player.multivariant
    assert multivariant is not None
    whole, sound = multivariant.variants
    assert not multivariant.media
    assert whole.attributes["CODECS"] == "avc1.640028,mp4a.40.2"
    assert whole.attributes["RESOLUTION"] == "1920x1080"
    assert "FRAME-RATE" in whole.attributes
    assert sound.attributes["CODECS"] == "mp4a.40.2"
    for variant, watching in zip((whole, sound), renditions.watching.values(), strict=True):
        playlist = listed(watching)
        assert multivariant.version == playlist.version
        bits = [len(watching.player.fetch(x.uri).body) * 8 for x in playlist.segments]
        peak = max(
            size / float(x.duration) for size, x in zip(bits, playlist.segments, strict=True)
        )
        average = sum(bits) / float(playlist.duration)
        assert peak <= int(variant.attributes["BANDWIDTH"]) <= 2 * peak
        told = int(variant.attributes["AVERAGE-BANDWIDTH"])
        assert 0.7 * average <= told <= 1.4 * average


@pytest.mark.parametrize(
    ("query", "video", "audio", "types"),
    [
        ("", True, True, [H264, AAC]),
        ("?audio=1", True, True, [AAC]),
        ("", False, True, [AAC]),
        ("", True, False, [H264]),
    ],
)
def test_tracks(rigs: Any, query: str, video: bool, audio: bool, types: list[int]) -> None:
    """C-TS-04, P-503: the map of the segments and CODECS have the tracks that there are."""
    rig = rigs(publish=False)
    rig.encoder.has_video, rig.encoder.has_audio = video, audio
    rig.publish()
    rig.run(1.6)
    watching = Watching(rig, PATH + query)
    assert watching.join() <= 2.5
    rig.run(20.0)
    multivariant = watching.player.multivariant
    assert multivariant is not None
    assert all(not x.has_video for x in multivariant.variants[1 if video else 0 :])
    codecs = multivariant.variants[0].attributes["CODECS"].split(",")
    assert [{"a": H264, "m": AAC}[x[0]] for x in codecs] == types
    media = read_segment(watching.player.fetch(listed(watching).segments[-1].uri).body)
    assert list(media.types.values()) == types
    assert watching.monitor.runs == 0


@pytest.mark.parametrize("format_", ["ts", "fmp4", "ll"])
def test_renditions(rigs: Any, format_: str) -> None:
    """C-PL-08, C-PL-24: sound alone has the same target and discontinuities as all together."""
    rig = rigs(hls_format=format_)
    renditions = Renditions(rig)
    renditions.join()
    for away in (1.0, 6.0, 0.4):
        rig.run(7.0)
        rig.lose()
        rig.run(away)
        rig.publish(100.0)
    rig.run(7.0)
    assert [x.monitor.runs for x in renditions.watching.values()] == [3, 3]
    assert renditions.checks > 60
    renditions.leave()


def test_silence_before_keyframe(rigs: Any) -> None:
    """C-PL-22: packets that wait for their keyframe do not hide how long the media was silent.

    The pictures get another configuration in the middle of a group and are left out from there on;
    the sound goes on, then nothing comes for a while. What comes first after it are pictures that
    are left out too: they are no sign that the timeline has moved.
    """
    rig = rigs(publish=False, hls_segment_seconds=1.0, hls_segment_count=3, hls_sessions=False)
    rig.publish()
    rig.run(1.2)
    watching = watch(rig)
    rig.encoder.video = video_track(1)
    rig.encoder.wants_key = False
    rig.encoder.cut()
    rig.announce()
    rig.run(0.4)
    rig.run(5.88, silent=True)
    rig.encoder.gop_seconds = 7.0
    for _ in range(2):
        rig.run(1.5)
        player = Player(rig)
        player.join()
        player.wait()
    rig.run(9.0)
    assert watching.monitor.runs > 0


@pytest.mark.parametrize(("format_", "pauses"), [("ts", True), ("ts", False), ("ll", True)])
def test_others_come(rigs: Any, format_: str, pauses: bool) -> None:
    """C-PL-09: who comes and asks for the other lists breaks none that is watched.

    Those that nobody asks for are no longer made, and begun anew.
    """
    rig = rigs(hls_format=format_, hls_always=True)
    watching = watch(rig)
    if pauses:
        watching.leave()
        rig.run(24.0)
        watching.player.wait()
        watching.is_polling = True
    rig.run(4.0)
    rig.set_options(hls_always=False)
    for away in (1.6, 1.6, 12.0):
        rig.run(away)
        other = Player(rig)
        other.join()
        assert other.multivariant is not None
        for uri in other.multivariant.uris:
            other.other(uri).wait()
    rig.run(8.0)
    assert watching.monitor.runs == watching.monitor.gaps == 0
