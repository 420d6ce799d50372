"""One try to pull one source: from the first question to the last byte given back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ntvmedia.errors import RemoteError
from ntvmedia.hub.publication import Publication
from ntvmedia.hub.stream import Stream
from ntvmedia.interfaces import IPullSink
from ntvmedia.media import MediaKind, Packet, StreamKey, Track
from ntvmedia.media.relaying import OutputOptions, PullOptions
from ntvmedia.relay.intake import Intake
from ntvmedia.relay.sources import Sources

FIRST_MEDIA_SECONDS: Final = 20.0
"""What a source may take until its first media, where `stall_seconds` is less: mmsh is tried
before mmst, and HLS asks for three files."""

CLOSING_SECONDS: Final = 5.0
"""What a source may take to give everything back; then the next try does not wait for it."""


class Outcome(NamedTuple):
    """Why an attempt is over.

    Attributes:
        reason: One lower-case clause, without user, password and query.
        is_permanent: As of `RemoteError`, as is `is_absent`.
        is_end: The source came to its end.
    """

    reason: str
    is_permanent: bool = False
    is_end: bool = False
    is_absent: bool = False

    @classmethod
    def of(cls, error: RemoteError) -> Outcome:
        """Return that of a pull that failed."""
        return cls(str(error), error.is_permanent, is_absent=error.is_absent)


_END: Final = Outcome("the source has ended", is_end=True)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What attempts need of the server.

    Attributes:
        host: As sources are given it.
        sources: Who pulls.
        streams: Those of the hub that is published in, by key.
        publish: Begins a stream in it; as of `Intake`.
        make_transcoder: Called with the reactor, and pairs of `OutputOptions` and `IPullSink`.
            Returns an `IPullSink` with `done`, a Deferred that fires when it has ended; `end()`,
            which says that no more comes; and `stop()`, which returns another Deferred.
        wall_clock: Seconds since 1970.
        fraction: Returns a number from 0 to below 1, another each time.
    """

    host: Any
    sources: Sources
    streams: Mapping[StreamKey, Stream]
    publish: Callable[[StreamKey, Any], Publication]
    make_transcoder: Callable[[Any, Sequence[tuple[OutputOptions, Any]]], Any]
    wall_clock: Callable[[], float]
    fraction: Callable[[], float]


class Listener(Protocol):
    """Who makes attempts."""

    def attempt_up(self, attempt: Attempt) -> None:
        """The main output is published."""

    def attempt_ready(self, attempt: Attempt) -> None:
        """The next packet of an armed attempt is one to begin with; `release` it now."""

    def attempt_lost(self, attempt: Attempt, outcome: Outcome) -> None:
        """It is over by itself; called once, and not after `end`. Its streams wait for the next."""

    def noted(self, line: str) -> None:
        """Keep a line for the operator."""


class Attempt:
    """A pull, its outputs and its watchdog (E-ST-01, E-ST-02).

    Args:
        surroundings: The server.
        listener: Is told.
        url: Of the source, with all secrets.
        index: Which of the sources it is.
        options: For the source.
        outputs: What is made, the main one first.
        keys: The streams that these are, in order.
        peer: The source, as it may be shown.
        ends_at_end: A source's end is that of the streams.
        is_held: Publish nothing until `release`.

    Attributes:
        index: As given.
        is_up: The main output is published.
        done: Fires when everything has been given back.
    """

    _log = Logger()

    def __init__(
        self,
        surroundings: Surroundings,
        listener: Listener,
        url: str,
        index: int,
        options: PullOptions,
        outputs: Sequence[OutputOptions],
        keys: Sequence[StreamKey],
        peer: str,
        *,
        ends_at_end: bool = False,
        is_held: bool = False,
    ) -> None:
        self.index = index
        self.is_up = False
        self.done: Deferred[None] = Deferred()
        self._surroundings = surroundings
        self._reactor = surroundings.host.reactor
        self._listener = listener
        self._url = url
        self._options = options
        self._ends_at_end = ends_at_end
        self._is_held = is_held
        self._is_armed = False
        silence = surroundings.host.settings.hub.publisher_silence
        seconds = self._reactor.seconds
        self._outputs = [
            (
                output,
                Intake(self, surroundings.publish, key, peer, output, seconds, silence),
            )
            for output, key in zip(outputs, keys, strict=True)
        ]  # fmt: skip
        self._main = self._outputs[0][1]
        self._source: Any = None
        self._started_at = 0.0
        self._saw_media = False
        self._has_ended = False
        self._watchdog: IDelayedCall | None = None
        self._pulling: Deferred[None] | None = None
        self._transcoder: Any = None
        self._is_over = False
        self._still = 0

    @property
    def bytes_in(self) -> int:
        """Media bytes so far, of the main output."""
        return self._main.bytes_in

    @property
    def has_media(self) -> bool:
        """Whether something came."""
        return self._main.started_at is not None

    @property
    def media_seconds(self) -> float:
        """From the first media to the last."""
        first, last = self._main.started_at, self._main.media_at
        return 0.0 if first is None or last is None else last - first

    def start(self) -> None:
        """Ask the source. What comes of it may be told before this returns."""
        self._started_at = self._reactor.seconds()
        try:
            self._source = source = self._surroundings.sources.find(self._url)
            source.check(self._url)
            # One that waits for something of this server may do so for ever.
            if not getattr(source, "is_patient", False):
                self._watch(max(self._options.stall_seconds, FIRST_MEDIA_SECONDS))
            pulling = self._pull(source)
        except RemoteError as error:
            self._lose(Outcome.of(error))
            self._given_back()
            return
        except Exception:
            self._log.failure("a source failed")
            self._lose(Outcome("the source failed; see the server's log"))
            self._given_back()
            return
        self._pulling = pulling
        self._still += 1
        pulling.addCallbacks(self._ended, self._failed)
        pulling.addErrback(self._bug)
        pulling.addBoth(self._pull_over)
        if self._is_over:
            pulling.cancel()

    def arm(self) -> None:
        """Say by `attempt_ready` when there is a packet to begin with: a keyframe."""
        self._is_armed = True

    def release(self) -> None:
        """Publish from the packet on that comes now. Idempotent."""
        self._is_held = False

    def end(self, reason: str, *, lost: bool) -> None:
        """Give everything back. Idempotent.

        Args:
            reason: One lower-case clause.
            lost: The streams wait for another to go on with them; else they end.
        """
        self._is_over = True
        watchdog, self._watchdog = self._watchdog, None
        if watchdog is not None:
            watchdog.cancel()
        for _options, intake in self._outputs:
            intake.close(reason, lost=lost)
        transcoder, self._transcoder = self._transcoder, None
        if transcoder is not None:
            self._still += 1
            transcoder.stop().addErrback(self._bug).addBoth(self._one_less)
        pulling, self._pulling = self._pulling, None
        if pulling is not None:
            pulling.cancel()
        self._given_back()

    # The pull

    def _pull(self, source: Any) -> Deferred[None]:
        host, url, options, outputs = (
            self._surroundings.host, self._url, self._options, self._outputs,
        )  # fmt: skip
        pulling: Deferred[None]
        if len(outputs) == 1 and outputs[0][0].is_copy:
            pulling = source.pull(host, url, options, outputs[0][1])
        elif all(output.is_copy for output, _intake in outputs):
            pulling = source.pull(host, url, options, Fan([intake for _output, intake in outputs]))
        elif source.transcodes:
            pulling = source.pull_transcoded(host, url, options, outputs)
        else:
            encoded = [pair for pair in outputs if not pair[0].is_copy]
            copies = [intake for output, intake in outputs if output.is_copy]
            intakes = [intake for _output, intake in outputs]
            transcoder = self._surroundings.make_transcoder(self._reactor, encoded)
            self._transcoder = transcoder
            transcoder.done.addCallbacks(self._transcoded, self._failed).addErrback(self._bug)
            pulling = source.pull(
                host, url, options, Fan([*copies, transcoder], self.noted, intakes)
            )
        return pulling

    def _ended(self, _result: None) -> None:
        if self._is_over:
            return
        if self._transcoder is not None:
            # It has the last pictures still.
            self._has_ended = True
            self._transcoder.end()
        else:
            self._lose(_END)

    def _transcoded(self, _result: None) -> None:
        if not self._is_over:
            self._lose(_END if self._has_ended else Outcome("the transcoder has ended"))

    def _failed(self, failure: Failure) -> None:
        if self._is_over:
            if not failure.check(RemoteError, CancelledError):
                self._log.failure("a source failed while it was stopped", failure)
            return
        error = failure.value
        if isinstance(error, RemoteError):
            self._lose(Outcome.of(error))
            return
        if failure.check(CancelledError):
            # Who pulls stops with the server, and before the tasks do.
            self._lose(Outcome("it was cancelled"))
            return
        self._log.failure("a source failed", failure)
        self._lose(Outcome("the source failed; see the server's log"))

    def _bug(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self._log.failure("an attempt failed", failure)

    def _pull_over(self, _result: object) -> None:
        self._pulling = None
        self._one_less(None)

    def _one_less(self, _result: object) -> None:
        self._still -= 1
        self._given_back()

    def _given_back(self) -> None:
        if self._is_over and not self._still and not self.done.called:
            self.done.callback(None)

    def _lose(self, outcome: Outcome) -> None:
        if self._is_over:
            return
        self.end(outcome.reason, lost=not (outcome.is_end and self._ends_at_end))
        self._listener.attempt_lost(self, outcome)

    # Of intakes

    def may_begin(self, intake: Intake, packet: Packet) -> bool:
        if not self._saw_media and not self._is_over:
            self._first_media()
        # A keyframe; sound has nothing but those.
        begins = packet[3] and (packet[0].kind is MediaKind.VIDEO or not intake.has_video)
        if self._is_held and self._is_armed and intake is self._main and begins:
            self._listener.attempt_ready(self)
        return not self._is_held and not self._is_over

    def began(self, intake: Intake) -> None:
        if intake is self._main and not self._is_over:
            self.is_up = True
            self._listener.attempt_up(self)

    def refused(self, reason: str) -> None:
        self._lose(Outcome(reason))

    def noted(self, line: str) -> None:
        if not self._is_over:
            self._listener.noted(line)

    def _first_media(self) -> None:
        self._saw_media = True
        # Of a stream of this server it is known which servers it has passed.
        hops_of = getattr(self._source, "hops_of", None)
        if hops_of is not None:
            for _options, intake in self._outputs:
                intake.hops = hops_of(self._surroundings.host, self._url)
        self._watch(self._options.stall_seconds)

    # Watchdog

    def _watch(self, seconds: float) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
        self._watchdog = self._reactor.callLater(seconds, self._look)

    def _look(self) -> None:
        self._watchdog = None
        found = [x for x in (intake.media_at for _o, intake in self._outputs) if x is not None]
        since = max(found, default=self._started_at)
        patience = self._options.stall_seconds
        if not found:
            patience = max(patience, FIRST_MEDIA_SECONDS)
        left = since + patience - self._reactor.seconds()
        if left > 0:
            self._watch(left)
        else:
            self._lose(Outcome(f"no media for {patience:g} seconds"))


@implementer(IPullSink)
class Fan:
    """Gives all that a source has to several sinks.

    Args:
        sinks: Each an `IPullSink`, or an `IMediaSink` besides `noted`.
        noted: Takes lines; by default the first sink does.
        ends: What is told where the stream was before; by default the sinks are.
    """

    def __init__(
        self,
        sinks: Sequence[Any],
        noted: Callable[[str], None] | None = None,
        ends: Sequence[Intake] = (),
    ) -> None:
        self._sinks = tuple(sinks)
        self._ends: Sequence[Any] = ends or self._sinks
        self._noted: Callable[[str], None] = sinks[0].noted if noted is None else noted

    def track_received(self, track: Track) -> None:
        for sink in self._sinks:
            sink.track_received(track)

    def metadata_received(self, fields: Mapping[str, object]) -> None:
        for sink in self._sinks:
            sink.metadata_received(fields)

    def packet_received(self, packet: Packet) -> None:
        for sink in self._sinks:
            sink.packet_received(packet)

    def batch_ended(self) -> None:
        for sink in self._sinks:
            sink.batch_ended()

    def noted(self, line: str) -> None:
        self._noted(line)

    def passed(self, hops: tuple[str, ...]) -> None:
        """As of `IPullSink`."""
        for end in self._ends:
            end.passed(hops)

    @property
    def patience(self) -> float:
        """That of the one with the least: none where one does not say."""
        return min(getattr(sink, "patience", 0.0) for sink in self._sinks)


def when_done(attempts: Iterable[Attempt], reactor: Any) -> Deferred[None]:
    """Return a Deferred that fires when attempts have given everything back, or time is over."""
    waiting = [attempt for attempt in attempts if not attempt.done.called]
    if not waiting:
        return succeed(None)
    answer: Deferred[None] = Deferred()
    timer = reactor.callLater(CLOSING_SECONDS, answer.callback, None)
    left = len(waiting)

    def one_less(_result: None) -> None:
        nonlocal left
        left -= 1
        if not left and timer.active():
            timer.cancel()
            answer.callback(None)

    for attempt in waiting:
        attempt.done.addCallback(one_less)
    return answer
