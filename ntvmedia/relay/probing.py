"""What is in a source: asked once, by hand, before a task is made of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from ntvmedia.avtools.job import Probe, ProbedTrack
from ntvmedia.codecs.description import describe
from ntvmedia.errors import RemoteError
from ntvmedia.interfaces import IPullSink
from ntvmedia.media import MediaKind, Packet, Track
from ntvmedia.relay.addresses import scheme_of
from ntvmedia.relay.intake import MAX_TRACKS

PROBE_SECONDS: Final = 3.0
"""Of media that are looked at."""

PATIENCE_SECONDS: Final = 20.0
"""Until the first media."""

# A longer step of a track's times is a jump of its clock.
_LONGEST_STEP_SECONDS: Final = 10.0


def probe(host: Any, source: Any, url: str, options: Any) -> Deferred[Probe]:
    """Find out what is in a source.

    One that can say it itself, by a method `probe` with the same arguments, does. Else it is pulled
    for `PROBE_SECONDS`.

    Args:
        host: The server.
        source: The `ISource` of the address.
        url: With user and password.
        options: A `PullOptions`.

    Returns:
        Fires with what was found. Fails with `RemoteError`. May be cancelled.
    """
    asked = getattr(source, "probe", None)
    if asked is not None:
        answer: Deferred[Probe] = asked(host, url, options)
        return answer
    return _Look(host.reactor, scheme_of(url)).begin(source.pull, host, url, options)


@implementer(IPullSink)
class _Look:
    """Takes a stream for a short while, and keeps nothing of it."""

    def __init__(self, reactor: Any, form: str) -> None:
        self._reactor = reactor
        self._form = form
        self._tracks: dict[int, Track] = {}
        self._keyframes: dict[int, bytes] = {}
        self._bytes: dict[int, int] = {}
        # By track: the last decode time, how many steps led there, and their ticks.
        self._steps: dict[int, tuple[int, int, int]] = {}
        self._began_at: float | None = None
        self._timer = reactor.callLater(PATIENCE_SECONDS, self._enough)
        self._pulling: Deferred[None] | None = None
        self._is_enough = False
        self._answer: Deferred[Probe] = Deferred(self._cancelled)

    def begin(self, pull: Any, host: Any, url: str, options: Any) -> Deferred[Probe]:
        """Pull."""
        try:
            pulling: Deferred[None] = pull(host, url, options, self)
        except RemoteError:
            self._timer.cancel()
            raise
        self._pulling = pulling
        pulling.addBoth(self._over)
        if self._is_enough:
            pulling.cancel()
        return self._answer

    def track_received(self, track: Track) -> None:
        if track.id in self._tracks or len(self._tracks) < MAX_TRACKS:
            self._tracks[track.id] = track

    def metadata_received(self, fields: Mapping[str, object]) -> None:
        """Hints are not looked at."""

    def packet_received(self, packet: Packet) -> None:
        track = packet.track
        if track.id not in self._tracks:
            return
        if self._began_at is None and track.kind is not MediaKind.DATA:
            self._began_at = self._reactor.seconds()
            self._timer.reset(PROBE_SECONDS)
        if packet.is_keyframe:
            self._keyframes.setdefault(track.id, packet.payload)
        last, steps, ticks = self._steps.get(track.id, (packet.dts, 0, 0))
        step = packet.dts - last
        if 0 < step <= _LONGEST_STEP_SECONDS * track.clock_rate:
            steps, ticks = steps + 1, ticks + step
        self._steps[track.id] = packet.dts, steps, ticks
        self._bytes[track.id] = self._bytes.get(track.id, 0) + len(packet.payload)

    def batch_ended(self) -> None:
        """Nothing is passed on."""

    def noted(self, line: str) -> None:
        """What was found says enough."""

    def _cancelled(self, _answer: Deferred[Probe]) -> None:
        self._enough()

    def _enough(self) -> None:
        self._is_enough = True
        if self._pulling is not None:
            self._pulling.cancel()

    def _over(self, result: object) -> None:
        if self._timer.active():
            self._timer.cancel()
        if self._answer.called:  # cancelled
            return
        if self._began_at is not None:
            self._answer.callback(self._found())
        elif isinstance(result, Failure) and not result.check(CancelledError):
            self._answer.errback(result)
        else:
            self._answer.errback(RemoteError("no media came"))

    def _found(self) -> Probe:
        began_at = self._began_at if self._began_at is not None else 0.0
        # What comes first is often what a server has since its last keyframe, all at once.
        spans = [
            ticks / self._tracks[id_].clock_rate
            for id_, (_last, _steps, ticks) in self._steps.items()
        ]
        seconds = max(self._reactor.seconds() - began_at, 0.001, *spans)
        tracks = [self._track(track, seconds) for track in self._tracks.values()]
        return Probe(self._form, bitrate_kbps=sum(x.bitrate_kbps for x in tracks),
                     tracks=tuple(tracks))  # fmt: skip

    def _track(self, track: Track, seconds: float) -> ProbedTrack:
        found = describe(track, self._keyframes.get(track.id, b""))
        rate = found.frame_rate
        if rate is None and track.kind is MediaKind.VIDEO:
            _last, steps, ticks = self._steps.get(track.id, (0, 0, 0))
            rate = round(steps * track.clock_rate / ticks, 2) if ticks else 0.0
        return ProbedTrack(
            track.kind.value,
            track.codec.value,
            found.profile,
            found.width,
            found.height,
            rate or 0.0,
            found.sample_rate,
            found.channels,
            round(self._bytes.get(track.id, 0) * 8 / seconds / 1000),
            track.language,
        )
