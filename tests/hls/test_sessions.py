"""Sessions of the HLS output: who watches, who may, and what is made for them."""

from __future__ import annotations

from typing import Any

import pytest

from ntvmedia.events import PlayEnded, PlayStarted
from tests.hls.m3u8 import parse_media
from tests.hls.rig import KEY, PATH, Player, Rig
from tests.hls.watching import Watching

SESSION_SECONDS = 10.0


def watch(rig: Rig, path: str = PATH) -> Watching:
    """Begin a session that polls from now on."""
    watching = Watching(rig, path)
    watching.join()
    return watching


def test_viewers(rigs: Any) -> None:
    """C-PL-20: a session is one viewer, counted once however often it asks, until it is silent."""
    rig = rigs()
    events: list[Any] = []
    rig.host.events.subscribe(PlayStarted, events.append)
    rig.host.events.subscribe(PlayEnded, events.append)
    first, second = watch(rig), Player(rig)
    second.join()
    second.wait()
    rig.run(1.0)
    stream = rig.host.hub.streams[KEY]
    assert [x.info.protocol for x in stream.viewers] == ["hls", "hls"]
    assert [type(x) for x in events] == [PlayStarted, PlayStarted]
    rig.run(SESSION_SECONDS + 2.0)
    assert len(stream.viewers) == 1
    assert [type(x) for x in events[2:]] == [PlayEnded]
    # It asks again within some minutes: the same session goes on.
    rig.run(60.0)
    assert second.poll().status == 200
    assert len(stream.viewers) == 2
    (viewer, _other) = stream.viewers
    assert viewer.bytes_out > 10_000
    assert first.polls > 100
    first.is_polling = False
    rig.run(SESSION_SECONDS + 2.0)
    assert not stream.viewers
    assert len(events) == 6


def test_kick(rigs: Any) -> None:
    """C-PL-20: who is sent away gets 403 for playlist and segments; others notice nothing."""
    rig = rigs()
    watching, other = watch(rig), Player(rig)
    other.join()
    other.wait()
    rig.run(1.0)
    stream = rig.host.hub.streams[KEY]
    victim = list(stream.viewers)[1]
    uri = parse_media(other.poll().body).segments[-1].uri
    victim.kick("the operator says so")
    assert len(stream.viewers) == 1
    assert (other.poll().status, other.fetch(uri).status) == (403, 403)
    rig.run(30.0)
    assert other.poll().status == 403
    assert len(stream.viewers) == 1
    assert watching.monitor.segments > 10


@pytest.mark.parametrize("format_", ["ts", "fmp4", "ll"])
def test_kick_is_whole(rigs: Any, format_: str) -> None:
    """P-204: who is sent away gets 403 for all that the session had, and for what it waits for."""
    rig = rigs(hls_format=format_, encrypted=True)
    player = Player(rig)
    player.join()
    player.wait()
    rig.run(6.5)
    playlist = parse_media(player.poll().body)
    last = playlist.segments[-1]
    assert last.key is not None
    names = [last.uri, last.key.uri, *[last.map] * bool(last.map)]
    pendings = []
    if format_ == "ll":
        names += [playlist.parts[0].uri, playlist.hint]
        number, part = playlist.next
        folder = player.playlist.rpartition("/")[0]
        pendings.append(player.ask(f"?_HLS_msn={number}&_HLS_part={part + 1}"))
        pendings.append(rig.ask(f"{folder}/{playlist.hint}"))
    assert [player.fetch(x).status for x in names if x != playlist.hint].count(200) >= 2
    (victim,) = rig.host.hub.streams[KEY].viewers
    victim.kick("the operator says so")
    rig.run(1.0)
    answers = [x.answer for x in pendings]
    assert all(x is not None and x.status == 403 for x in answers), answers
    for pending in pendings:
        pending.leave()
    assert player.poll().status == 403
    assert {player.fetch(x).status for x in names} == {403}
    assert not rig.host.hub.streams[KEY].viewers
    assert not rig.held


def test_one_viewer_of_many(rigs: Any) -> None:
    """C-PL-20: a session that watches several media playlists of its own is one viewer."""
    rig = rigs(hls_format="fmp4")
    player = Player(rig)
    player.join()
    assert player.multivariant is not None
    others = [player.other(x) for x in player.multivariant.uris]
    assert len(others) == 2
    for other in others:
        other.wait()
    for _ in range(10):
        rig.run(1.0)
        for other in others:
            other.poll()
    assert len(rig.host.hub.streams[KEY].viewers) == 1


def test_disabled(rigs: Any) -> None:
    """P-204: in an application that is disabled nobody plays any more."""
    rig = rigs()
    watching = watch(rig)
    rig.run(5.0)
    watching.is_polling = False
    rig.set_options(enabled=False)
    rig.run(SESSION_SECONDS + 5.0)
    assert rig.get(PATH).status == 403
    assert rig.get(watching.player.playlist).status in (403, 404)


def test_unknown(rigs: Any) -> None:
    """What nobody was given is 404: sessions, renditions, files; no path leads elsewhere."""
    rig = rigs()
    watching = watch(rig)
    folder = watching.player.playlist.rpartition("/")[0]
    session = folder.rpartition("/")[0]
    for path in (
        *(f"{folder}/index.m3u", f"{folder}/", folder, f"{session}/av2/index.m3u8"),
        *(f"{session}/../ts-av/index.m3u8", f"{folder}/../ts-av/index.m3u8"),
        *(f"{folder}/%2e%2e/ts-av/index.m3u8", f"{folder}/index.m3u8/x", f"{session}/index.m3u8"),
        "/liveshow/test/~AAAAAAAAAAAAAAAAAAAAAA/ts-av/index.m3u8",
        "/liveshow/test/~x/ts-av/index.m3u8",
        "/liveshow/other" + watching.player.playlist.removeprefix("/liveshow/test"),
        "/tv/test" + watching.player.playlist.removeprefix("/liveshow/test"),
    ):
        assert rig.get(path).status == 404, path
    # Here there are sessions: whoever has none is told so.
    assert rig.get("/liveshow/test/~/ts-av/index.m3u8").status in (403, 404)
    assert rig.get(watching.player.playlist, method=b"POST").status == 405


def test_no_sessions(rigs: Any) -> None:
    """With `hls_sessions` off all have the same addresses, as a CDN wants it."""
    rig = rigs(hls_sessions=False)
    first, second = watch(rig), Player(rig)
    second.join()
    assert first.player.playlist == second.playlist == "/liveshow/test/~/ts-av/index.m3u8"
    assert rig.get(PATH).body == rig.get(PATH).body
    rig.run(20.0)
    assert first.poll().segments


def test_sessions_differ(rigs: Any) -> None:
    """Two sessions have addresses that nobody guesses, and the same bytes behind them."""
    rig = rigs()
    players = [Player(rig) for _ in range(3)]
    for player in players:
        player.join()
        player.wait()
    names = {x.playlist.split("/")[3] for x in players}
    assert len(names) == 3
    assert all(len(x) == 23 and x[0] == "~" for x in names)
    assert len({x.poll().body for x in players}) == 1
    uri = parse_media(players[0].poll().body).segments[-1].uri
    assert len({x.fetch(uri).body for x in players}) == 1


def test_always(rigs: Any) -> None:
    """With `hls_always` there is a full list before anybody asks; without, nothing is made."""
    rig = rigs(hls_always=True)
    rig.run(20.0)
    player = Player(rig)
    player.join()
    playlist = parse_media(player.poll().body)
    assert len(playlist.segments) >= 7
    other = rigs()
    other.run(20.0)
    assert not other.host.hub.streams[KEY].audience.sinks


def test_muxed_while_watched(rigs: Any) -> None:
    """Some time after the last session has gone nothing is made any more."""
    rig = rigs()
    watching = watch(rig)
    rig.run(5.0)
    assert rig.host.hub.streams[KEY].audience.sinks
    watching.leave()
    rig.run(SESSION_SECONDS + 25.0)
    assert not rig.host.hub.streams[KEY].audience.sinks
    watching.player.wait()
    watching.is_polling = True
    rig.run(10.0)
    assert watching.monitor.remakes == 1


@pytest.mark.parametrize("sessions", [True, False])
def test_published_anew(rigs: Any, sessions: bool) -> None:
    """C-PL-15: who polls on after the end of a stream sees it go on when it is published again."""
    rig = rigs(hls_sessions=sessions)
    watching = watch(rig)
    rig.run(5.0)
    rig.unpublish()
    watching.ended()
    rig.run(5.0)
    watching.published()
    watching.ledger.forget()
    rig.publish(5.0)
    rig.run(10.0)
    assert watching.monitor.runs == 1
    assert watching.monitor.gaps == 0


@pytest.mark.parametrize(
    ("gop", "away"), [(2.0, 10.5), (2.0, 13.04), (2.0, 25.92), (3.18, 11.0), (1.0, 10.6)]
)
def test_session_resumes(rigs: Any, gop: float, away: float) -> None:
    """C-PL-20, C-PL-10: after a pause the list goes on with other times: a discontinuity says so.

    What was listed before can still be had for as long as a player may want it (6.2.1).
    """
    rig = rigs(gop=gop)
    rig.run(2 * gop)
    watching = watch(rig)
    rig.run(8.8)
    watching.leave()
    rig.run(away)
    watching.player.wait()
    watching.is_polling = True
    rig.run(10.0)
    assert watching.monitor.gaps == watching.monitor.keyless == 0
