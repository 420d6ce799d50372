"""What breaks: publishers, players, the server itself, its clock, and its own code."""

from __future__ import annotations

import re
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from ntvmedia.wire.rtmp.events import Accepted, Ended
from tests.e2e.conftest import StartServer
from tests.e2e.hostile import (
    HANDSHAKE,
    Base,
    RTMPPeer,
    Watchers,
    close_all,
    closing_times,
    connect,
    flv_request,
    inject,
    metric,
    play_flv,
    play_rtmp,
    publish_rtmp,
    publisher,
    reset,
    state_of,
    undisturbed,
)
from tests.e2e.media import assert_part, packets
from tests.e2e.processes import Program, wait_until
from tests.e2e.server import Server
from tests.endpoints.rtmp.server import AUDIO, VIDEO, frame, sound

# Writes each event to the log, which has no other trace of all of them.
TELL_EVENTS = """
from ntvmedia.events.bus import EventBus
emit = EventBus.emit
def told(self, event):
    if hasattr(event, "key"):
        print("EVENT", type(event).__name__, event.key, getattr(event, "session", 0), flush=True)
    emit(self, event)
EventBus.emit = told
"""


@pytest.fixture(autouse=True)
def close_peers(start_server: StartServer) -> Iterator[None]:
    """Leave no connection to the next test, nor to the stop of the server."""
    yield
    close_all()


def feed(peer: RTMPPeer, second: int) -> None:
    """Publish a second of small pictures and sounds."""
    if not second:
        peer.session.send_track(VIDEO)
        peer.session.send_track(AUDIO)
    for milliseconds in range(1000 * second, 1000 * second + 1000, 40):
        peer.session.send_packet(frame(milliseconds, is_keyframe=milliseconds % 1000 == 0))
        peer.session.send_packet(sound(milliseconds))
    peer.flush()


def is_in_state(server: Server, name: str, state: str) -> bool:
    """Whether a stream is in a state."""
    return state_of(server, name) == state


def unpaired(server: Server) -> Counter[str]:
    """Return which sessions of the log have a start and no end, or anything twice."""
    found = Counter(re.findall(r"^EVENT (\w+(?:Started|Ended) \S+ \d+)$", server.log, re.MULTILINE))
    wrong = Counter({event: count for event, count in found.items() if count != 1})
    for event in found:
        other = event.replace("Started", "@").replace("Ended", "Started").replace("@", "Ended")
        if other not in found:
            wrong[event] += 1
    return wrong


def test_publishers_that_go(
    start_server: StartServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clip: Path
) -> None:
    """G-RS-08, A-SE-03, G-HK-03: FIN, RST, SIGKILL, silence: the stream waits, viewers stay.

    One start and one end are told for each that published and for each that watched.
    """
    inject(monkeypatch, tmp_path, TELL_EVENTS)
    server = start_server("hub.publisher_silence=2", "hub.publisher_grace=10")
    names = {way: f"liveshow/{way}" for way in ("fin", "rst", "kill", "silence")}
    peers = {way: publish_rtmp(server, names[way]) for way in ("fin", "rst", "silence")}
    for peer in peers.values():
        feed(peer, 0)
    command = f"ffmpeg -v error -re -i {clip} -c copy -f flv {server.rtmp(names['kill'])}"
    with Program(command.split(), tmp_path) as killed:
        wait_until(lambda: state_of(server, names["kill"]) == "live", "it was published")
        viewers = {way: play_flv(server, name) for way, name in names.items()}
        killed.send(signal.SIGKILL)
        peers["fin"].close()
        reset(peers["rst"].socket)
        for name in names.values():
            wait_until(partial(is_in_state, server, name, "waiting"), f"{name} had lost it", 6)
    assert server.api("status")["viewers"] == len(names)
    assert server.api("status")["publishers"] == 0
    # The silent one was told, and hung up on.
    peers["silence"].wait_for(Ended)
    for way, name in names.items():
        again = publish_rtmp(server, name)
        feed(again, 0)
        feed(again, 1)
        assert state_of(server, name) == "live"
        # The viewer of before goes on with it.
        viewers[way].settimeout(5)
        taken = b""
        while b"%08d" % 1960 not in taken:
            piece = viewers[way].recv(65536)
            assert piece, f"the viewer of {name} was cut"
            taken += piece
        again.session.leave()
        again.flush()
        wait_until(partial(is_in_state, server, name, "none"), f"{name} had ended", 5)
    closing_times(list(viewers.values()), 5)
    assert server.log.count("EVENT PublishStarted") == 2 * len(names)
    assert unpaired(server) == Counter()


def test_silence_gives_way(start_server: StartServer) -> None:
    """A-SE-01, A-SE-03: a second publisher is refused, unless the first was silent for a time."""
    server = start_server("hub.takeover_silence=1.5")
    first = publish_rtmp(server, "liveshow/one")
    feed(first, 0)
    finish(RTMPPeer(server, "liveshow/one", publishing=True))
    time.sleep(1.6)
    viewer = play_flv(server, "liveshow/one")
    third = publish_rtmp(server, "liveshow/one")
    feed(third, 0)
    first.wait_for(Ended)
    assert server.api("status")["viewers"] == 1
    assert metric(server, "ntvmedia_refused_publishers_total") == 1
    viewer.close()


def test_player_that_vanished(start_server: StartServer) -> None:
    """A-CK-21: a peer that answers no ping is cut, though the kernel takes all that is sent."""
    server = start_server("rtmp.ping_interval=1", "rtmp.ping_timeout=2")
    encoder = publish_rtmp(server, "liveshow/quiet")
    feed(encoder, 0)
    play_rtmp(server, "liveshow/quiet")
    wait_until(lambda: server.api("status")["viewers"] == 1, "it played")
    start = time.monotonic()
    second = 1
    while server.api("status")["viewers"]:
        feed(encoder, second)
        second += 1
        time.sleep(0.5)
        assert time.monotonic() - start < 8
    assert time.monotonic() - start > 2
    assert server.log.count("no answer to a ping for 2 s") == 1
    assert state_of(server, "liveshow/quiet") == "live"


def test_killed(
    start_server: StartServer, tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G-LC-02: after a SIGKILL with streams running, the next start takes the same ports and data.

    Its clients' connections, which the kernel still has, do not hinder it.
    """
    first = start_server()
    with publisher(first, clip, tmp_path), Watchers(first, "liveshow/steady", 5):
        first.program.send(signal.SIGKILL)
        first.program.wait(5)
        ports = iter([first.rtmp_port, first.http_port, first.rtsp_port])
        monkeypatch.setattr("tests.e2e.server.free_port", ports.__next__)
        second = start_server(options=(f"--data={first.folder / 'data'}",))
    assert (second.rtmp_port, second.http_port) == (first.rtmp_port, first.http_port)
    assert second.rtsp_port == first.rtsp_port
    with undisturbed(second, clip, tmp_path):
        time.sleep(2)


def test_drain(start_server: StartServer, tmp_path: Path, clip: Path) -> None:
    """G-LC-01: publishers, players and some that do not listen: all over within the grace.

    Players have all that was sent until then, and end well.
    """
    server = start_server(options=("--grace=4",))
    rtmp, flv = tmp_path / "rtmp.flv", tmp_path / "flv.flv"
    name = "liveshow/steady"
    play = "ffmpeg -v error -i {} -map 0 -c copy -f flv {}"
    with (
        publisher(server, clip, tmp_path),
        Program(play.format(server.rtmp(name), rtmp).split(), tmp_path, "rtmp") as one,
        Program(play.format(server.flv(name), flv).split(), tmp_path, "flv") as two,
    ):
        deaf = publish_rtmp(server, "liveshow/deaf")
        feed(deaf, 0)
        play_flv(server, name, 4096)
        play_rtmp(server, name, 4096)
        connect(server.rtmp_port).sendall(HANDSHAKE[:100])
        connect(server.http_port).sendall(b"GET / HTTP/1.1\r\n")
        waiting = connect(server.http_port)
        waiting.sendall(flv_request("liveshow/none"))
        for path in (rtmp, flv):
            wait_until(partial(has_grown, path), "it was played")
        time.sleep(2)
        start = time.monotonic()
        server.program.send(signal.SIGTERM)
        ports = (server.http_port, server.rtmp_port)
        wait_until(lambda: not any(map(listens, ports)), "the ports were closed", 2)
        assert server.program.wait(20) == -signal.SIGTERM
        assert time.monotonic() - start < 4 + 2
        one.wait(10)
        two.finish(10)
    for path in (rtmp, flv):
        assert_part(packets(path), packets(clip) * 3, 40)


def has_grown(path: Path) -> bool:
    """Whether there is something in a file."""
    return path.exists() and path.stat().st_size > 0


def listens(port: int) -> bool:
    """Whether somebody takes connections there."""
    try:
        with connect(port):
            return True
    except ConnectionError:
        return False


# The wall clock as everything in the process sees it, Twisted included, which takes `time.time`
# when it is imported. SIGUSR1 puts it an hour ahead, SIGUSR2 two hours back.
STEPPED_CLOCK = """
import signal, time
real, offset = time.time, [0.0]
time.time = lambda: real() + offset[0]
def step(number, _frame):
    offset[0] += 3600.0 if number == signal.SIGUSR1 else -7200.0
signal.signal(signal.SIGUSR1, step)
signal.signal(signal.SIGUSR2, step)
"""


def test_clock_steps(
    start_server: StartServer, tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G-RS-05: the wall clock is set an hour ahead, and two hours back, while all is running.

    Nobody is cut or held up, and timers fire when they would have.
    """
    inject(monkeypatch, tmp_path, STEPPED_CLOCK)
    server = start_server("rtmp.handshake_timeout=2", "hub.play_wait=2")
    name = "liveshow/steady"
    with undisturbed(server, clip, tmp_path), Watchers(server, name, 3) as watchers:
        started_at = server.api(f"streams/{name}")["started_at"]
        assert abs(started_at - time.time()) < 60
        for number, off in ((signal.SIGUSR1, 3600), (signal.SIGUSR2, -3600)):
            watchers.largest_gap()
            waiting = connect(server.http_port)
            waiting.sendall(flv_request("liveshow/none"))
            silent = connect(server.rtmp_port)
            server.program.send(number)
            late = connect(server.rtmp_port)
            took = closing_times([waiting, silent, late], 8)
            assert min(took) > 1, took
            assert max(took) < 5, took
            assert watchers.largest_gap() < 1
            # The clock was really set.
            other = publish_rtmp(server, f"liveshow/step{number}")
            feed(other, 0)
            stamp = server.api(f"streams/liveshow/step{number}")["started_at"]
            assert abs(stamp - time.time() - off) < 60
            other.close()
        assert server.api("status")["uptime_seconds"] < 120


# A bug in each place where a peer's bytes lead, at a word that the peer says.
BUGS = """
from ntvmedia.endpoints.http.connection import HTTPConnection
from ntvmedia.endpoints.http.live import LiveHandler
from ntvmedia.endpoints.rtmp.connection import RTMPConnection
from ntvmedia.wire.rtmp.chunks import ChunkReader
from ntvmedia.wire.rtmp.server import ServerSession

def break_at(owner, name, is_bug):
    original = getattr(owner, name)
    def broken(*arguments):
        if is_bug(*arguments):
            raise ZeroDivisionError("injected into " + name)
        return original(*arguments)
    setattr(owner, name, broken)

break_at(ChunkReader, "receive_data", lambda self, data: b"bug-chunks" in data)
break_at(ServerSession, "receive_media", lambda self, data, *_: b"bug-media" in data)
break_at(RTMPConnection, "_handle", lambda self, event: getattr(event, "name", "") == "bug-event")
break_at(RTMPConnection, "_publish", lambda self, event: event.name == "bug-publish")
break_at(RTMPConnection, "_play", lambda self, event: event.name == "bug-play")
break_at(RTMPConnection, "tick", lambda self, now: self._session.received == 1)
break_at(HTTPConnection, "_serve", lambda self, head, raw: head.target == b"/bug-serve")
break_at(LiveHandler, "__call__", lambda self, exchange: exchange.address.key.stream == "bug-route")
"""


def test_bugs(
    start_server: StartServer, tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G-LC-08: a bug in what serves one connection ends that one, with one traceback.

    All others go on: their media is complete.
    """
    inject(monkeypatch, tmp_path, BUGS)
    server = start_server()
    server.expect_trouble()
    with undisturbed(server, clip, tmp_path):
        base = Base(server)
        strikes: list[Callable[[], socket.socket | RTMPPeer]] = [
            lambda: sent(server.rtmp_port, HANDSHAKE + b"bug-chunks"),
            lambda: bad_media(server),
            lambda: RTMPPeer(server, "liveshow/bug-event", publishing=True),
            lambda: RTMPPeer(server, "liveshow/bug-publish", publishing=True),
            lambda: RTMPPeer(server, "liveshow/bug-play"),
            lambda: sent(server.rtmp_port, b"\x03"),
            lambda: sent(server.http_port, b"GET /bug-serve HTTP/1.1\r\nHost: a\r\n\r\n"),
            lambda: sent(server.http_port, flv_request("liveshow/bug-route")),
        ]
        for number, strike in enumerate(strikes, 1):
            peer = strike()
            if isinstance(peer, RTMPPeer):
                finish(peer)
            else:
                closing_times([peer], 10)
                peer.close()
            wait_until(partial(has_broken, server, number), "it broke", 5)
            assert server.log.count("ZeroDivisionError: injected into") == number
        base.wait_until_back()
    assert server.log.count("Traceback (most recent call last)") == len(strikes)


def has_broken(server: Server, times: int) -> bool:
    """Whether the log tells of so many injected bugs."""
    return server.log.count("injected into") >= times


def sent(port: int, data: bytes) -> socket.socket:
    """Connect and send something."""
    peer = connect(port)
    peer.sendall(data)
    return peer


def finish(peer: RTMPPeer) -> None:
    """Read until the server hangs up."""
    start = time.monotonic()
    try:
        while peer.read():
            assert time.monotonic() - start < 10
    except ConnectionError:
        return
    finally:
        peer.close()


def bad_media(server: Server) -> RTMPPeer:
    """Publish, until the server breaks at what is sent."""
    peer = publish_rtmp(server, "liveshow/bug")
    feed(peer, 0)
    peer.socket.sendall(b"bug-media")
    assert any(isinstance(event, Accepted) for event in peer.events)
    return peer


def come_and_go(server: Server, number: int, errors: list[BaseException]) -> None:
    """Publish or play, a moment each time, and leave in one way or another."""
    publishing = number % 2 == 0
    try:
        for turn in range(8):
            name = f"liveshow/race{turn % 2}"
            peer = RTMPPeer(server, name, publishing=publishing)
            peer.socket.settimeout(0.2)
            with suppress(TimeoutError, ConnectionError):
                while peer.read():
                    if publishing and any(isinstance(x, Accepted) for x in peer.events):
                        feed(peer, 0)
                        break
            (reset if (turn + number) % 3 else socket.socket.close)(peer.socket)
    except BaseException as error:
        errors.append(error)


def test_many_at_once(
    start_server: StartServer, tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G-HK-03: many publish the same name, and fall, at the same time; one start and end each."""
    inject(monkeypatch, tmp_path, TELL_EVENTS)
    server = start_server("hub.publisher_grace=1")
    with undisturbed(server, clip, tmp_path):
        base = Base(server)
        errors: list[BaseException] = []
        threads = [
            threading.Thread(target=come_and_go, args=(server, number, errors))
            for number in range(12)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert not errors
        wait_until(lambda: server.api("status")["streams"] == 1, "all of them had ended", 5)
        base.wait_until_back()
    server.stop()
    assert server.log.count("EVENT PublishStarted liveshow/race") > 2
    assert unpaired(server) == Counter()
