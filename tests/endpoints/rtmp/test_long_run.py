"""Weeks of media in seconds: a publisher, a player and the server on a clock of their own."""

from __future__ import annotations

import gc
import random

import pytest
from twisted.logger import Logger, LogPublisher

from ntvmedia.config import HubSettings
from ntvmedia.endpoints.rtmp.connection import RTMPConnection
from ntvmedia.media import MediaKind, Packet
from tests.endpoints.rtmp.server import KEY, Peer, Server, frame, sound

HOUR = 3600.0
DAY = 24 * HOUR

# Where other servers broke, in seconds: fields of 24 bits of milliseconds; of 32 bits at 90, 48 and
# 44.1 kHz; of 33 bits at 90 kHz (MPEG-TS); of 31 bits, and 32, of milliseconds.
EDGES = (
    (1 << 24) / 1000,
    (1 << 32) / 90_000,
    (1 << 32) / 48_000,
    (1 << 33) / 90_000,
    (1 << 32) / 44_100,
    (1 << 31) / 1000,
    (1 << 32) / 1000,
)

# Around an edge every frame is sent; elsewhere one after the other at a distance of this, which the
# timeline takes for what it is since as much time has passed on the clock.
FINE_SECONDS, COARSE_SECONDS = 0.04, 240.0
WINDOW_SECONDS = 12.0

# The player's sound comes with the picture, but for rounding to milliseconds and to samples.
MOST_DRIFT_SECONDS = 0.1


class LongRun:
    """A stream that runs, and who watches it.

    Args:
        restarts: Seconds, on the average, after which the publisher is lost and comes back with
            times from 0; 0 for never.
    """

    def __init__(self, restarts: float) -> None:
        self._dice = random.Random(10)
        self._restarts = restarts
        self.server = Server(HubSettings(publisher_silence=600.0))
        self.restarted = 0
        self._began_at = 0.0
        self._encoder = self.server.publisher()
        self._last = {MediaKind.VIDEO: -1.0, MediaKind.AUDIO: -1.0}
        self.received = 0
        self._send()
        self._player = self.server.player()

    @property
    def now(self) -> float:
        """Seconds since the start."""
        return self.server.reactor.seconds()

    def run_until(self, end: float) -> None:
        """Let time pass."""
        while self.now < end:
            left = min((abs(edge - self.now) for edge in EDGES), default=DAY)
            near = left < WINDOW_SECONDS
            self._step(FINE_SECONDS if near else min(COARSE_SECONDS, left - WINDOW_SECONDS + 1))
            if (
                not near
                and self._restarts
                and self._dice.random() < COARSE_SECONDS / self._restarts
            ):
                self._restart()

    def _step(self, seconds: float) -> None:
        self.server.reactor.advance(seconds)
        self._send()
        self.server.hub.tick()
        self.server.factory.tick()
        self._take()

    def _send(self) -> None:
        milliseconds = round((self.now - self._began_at) * 1000)
        self._encoder.send(frame(milliseconds, is_keyframe=True), sound(milliseconds))
        # What the server tells a publisher it has no use for; nor have we.
        self._encoder.events.clear()

    def _take(self) -> None:
        self._player.exchange()
        for event in self._player.events:
            if isinstance(event, Packet):
                seconds = event.dts / event.track.clock_rate
                assert seconds > self._last[event.track.kind], "time ran backwards"
                self._last[event.track.kind] = seconds
                self.received += 1
        self._player.events.clear()
        video, audio = self._last.values()
        assert abs(video - audio) < MOST_DRIFT_SECONDS

    def _restart(self) -> None:
        self._encoder.lose()
        self.server.reactor.advance(self._dice.uniform(0.5, 10))
        self.server.hub.tick()
        self._began_at = self.now
        self._encoder = self.server.publisher()
        self.restarted += 1
        self._step(FINE_SECONDS)

    def others_come_and_go(self) -> None:
        """Have some more publish and play for a moment."""
        peers: list[Peer] = [self.server.player(), self.server.publisher(name="other")]
        peers[1].send(frame(0, is_keyframe=True), sound(0))
        peers += [self.server.player(name="other"), self.server.player(name="none")]
        for peer in peers:
            peer.lose()
        # Longer than anything waits: grace, who waits for a stream, an idle stream.
        for _ in range(8):
            self._step(4.0)

    def size(self) -> tuple[int, int]:
        """Return how many objects there are in all, and timers."""
        self.server.told.clear()
        gc.collect()
        return len(gc.get_objects()), len(self.server.reactor.getDelayedCalls())

    @property
    def position(self) -> float:
        """The time of the last picture that came to the player, in seconds."""
        return self._last[MediaKind.VIDEO]


@pytest.mark.parametrize("restarts", [0.0, 8 * HOUR], ids=["one", "restarts"])
def test_long_run(restarts: float, long_dose: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """G-RS-10: 50 days of media: no step back, no drift, nothing that grows.

    Alone through every edge of the publisher's clock; or with a publisher that is lost three times
    a day, where the stream's own time, which goes on, passes them.
    """
    # Twisted keeps log events, with all that they name, until somebody begins to write a log.
    monkeypatch.setattr(RTMPConnection, "_log", Logger(observer=LogPublisher()))
    run = LongRun(restarts)
    days = [30 * HOUR, 5 * DAY, 25 * DAY, 50 * DAY, *([120 * DAY] if long_dose else [])]
    run.run_until(HOUR)
    run.others_come_and_go()
    objects, timers = run.size()
    for end in days:
        run.run_until(end)
        run.others_come_and_go()
        now_objects, now_timers = run.size()
        assert now_timers <= timers
        assert now_objects - objects < 500
        assert len(run.server.hub.streams) == 1
        assert run.server.hub.viewers == 1
        assert len(run.server.hub.streams[KEY].backlog) <= 4
    # Each restart may move it a little: by what the publisher was away, or less.
    assert abs(run.now - run.position) < 1 + 10 * run.restarted
    if restarts:
        assert run.restarted > 100
    else:
        assert abs(run.now - run.position) < 1
    assert run.received > 10_000
