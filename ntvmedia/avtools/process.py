"""Child processes, as the server sees them: `run_job` starts one, and it does one job.

Whatever becomes of the child, a crash, a hang, a flood, or more memory than it may have, is a
`RemoteError` of its job alone. Nothing here imports `av`.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessTerminated
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ntvmedia.avtools.complaints import Complaints
from ntvmedia.avtools.feeding import Feed
from ntvmedia.avtools.framing import (
    Frame,
    FrameReader,
    FrameType,
    build_frame,
    read_error,
    read_numbered,
    read_packet,
    read_track,
)
from ntvmedia.avtools.job import Job, PacketsInput, Probe, build_job, read_probe
from ntvmedia.avtools.watching import CPUShare, cpu_seconds_of
from ntvmedia.errors import PeerError, RemoteError
from ntvmedia.interfaces import IMediaSink, IPullSink
from ntvmedia.media.packets import Packet, Track

KILL_SECONDS: Final = 2.0
"""After it was asked to end; it has nothing to save."""

MAX_BYTES_A_SECOND: Final = 64 << 20
"""What is read of a child: 500 Mb/s of media. A child that has more waits."""

LOOK_SECONDS: Final = 1.0
"""How often it is looked after."""

# No proxies, no tokens, no preloaded libraries: of the server's surroundings these alone, which
# Python or the driver of a graphics card may need.
_KEPT: Final = (
    "CUDA_VISIBLE_DEVICES",
    "LD_LIBRARY_PATH",
    "LIBVA_DRIVERS_PATH",
    "LIBVA_DRIVER_NAME",
    "PYTHONHOME",
)
_ENVIRONMENT: Final = {
    "LANG": "C.UTF-8",
    "PATH": "/usr/bin:/bin",
    # Each thread's own heap would be 64 MiB of address space.
    "MALLOC_ARENA_MAX": "2",
}

# -P: nothing is imported from the current folder.
_ARGUMENTS: Final = ("-P", "-m", "ntvmedia.avtools.worker")


def run_job(
    reactor: Any,
    job: Job,
    sinks: Sequence[IPullSink],
    *,
    paused: Callable[[bool], None] | None = None,
) -> RunningJob:
    """Start a child process that does a job.

    Args:
        reactor: Starts processes, and has the time.
        job: What is to be done.
        sinks: One for each output, in their order. The first is also told the notes.
        paused: Of a job whose data the server gives: called with True when it is to wait, and
            with False when it may go on.

    Returns:
        The job; whoever gets it has to take an interest in its `done`.
    """
    return RunningJob(reactor, job, sinks, paused)


@implementer(IMediaSink)
class RunningJob:
    """A job that a child process does.

    For those with input of the server's it is the sink of tracks and packets, and `write_data`
    takes bytes; what comes before the child is ready waits, as far as there is room.

    Attributes:
        done: Fires with None when all was done, or after `stop`. Fails with `RemoteError`; in each
            case the process is gone, and the sinks are not called any more. To cancel it is to
            stop: then it fails with `CancelledError` at once.
        probe: What was found, after `done`, where that was the job.
        media_seconds: When the last packet came, by the reactor's clock; when it started before.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        job: Job,
        sinks: Sequence[IPullSink],
        paused: Callable[[bool], None] | None = None,
    ) -> None:
        self._reactor = reactor
        self._job = job
        self._sinks = tuple(sinks)
        self._tracks: dict[tuple[int, int], Track] = {}
        self._stopping: list[Deferred[None]] = []
        self._is_stopped = False
        self._is_gone = False
        self._has_ended = False
        self._error: RemoteError | None = None
        self._reader = FrameReader()
        self._complaints = Complaints(self._noted)
        self._share = CPUShare()
        self._timers: dict[str, IDelayedCall] = {}
        self._second_ends = 0.0
        self._bytes_this_second = 0
        self._process: Any = None
        self._feed: Feed | None = None
        self._fed_at: float | None = None
        self._started = self.media_seconds = reactor.seconds()
        self.probe: Probe | None = None
        self.done: Deferred[None] = Deferred(self._cancelled)
        try:
            self._process = reactor.spawnProcess(
                _Protocol(self),
                sys.executable,
                [sys.executable, *_ARGUMENTS, str(os.getpid())],
                env=_environment(),
                childFDs={0: "w", 1: "r", 2: "r"},
            )
        except OSError as error:
            self._is_gone = True
            why = f"the helper process cannot be started: {error.strerror}"
            self.done.errback(RemoteError(why))
            return
        self._feed = Feed(self._process.pipes[0], paused or _ignore)
        self._feed.write(build_frame(FrameType.JOB, build_job(job)))
        self._later("look", LOOK_SECONDS, self._look)

    @property
    def pid(self) -> int:
        """The process id; 0 when it is gone."""
        return 0 if self._is_gone else self._process.pid or 0

    @property
    def is_stopped(self) -> bool:
        """Whether its owner has ended it."""
        return self._is_stopped

    @property
    def has_tracks(self) -> bool:
        """Whether the source was opened, and something of use found in it."""
        return bool(self._tracks)

    @property
    def dropped(self) -> int:
        """Packets that were given, and dropped as the child was too slow."""
        return 0 if self._feed is None else self._feed.dropped

    def stop(self) -> Deferred[None]:
        """End it: ask, and kill it after `KILL_SECONDS`.

        Returns:
            Fires when the process is gone.
        """
        gone: Deferred[None] = Deferred()
        if self._is_gone:
            gone.callback(None)
            return gone
        self._stopping.append(gone)
        if not self._is_stopped:
            self._is_stopped = True
            self._end_with(signal.SIGTERM)
        return gone

    def track_received(self, track: Track) -> None:
        if self._feed is not None:
            self._feed.track_received(track)

    def metadata_received(self, fields: Any) -> None:
        """Do nothing: an encoder has no use for it."""

    def packet_received(self, packet: Packet) -> None:
        if self._feed is not None:
            if self._fed_at is None:
                self._fed_at = self._reactor.seconds()
            self._feed.packet_received(packet)

    def batch_ended(self) -> None:
        """Do nothing: each packet is written at once."""

    def write_data(self, data: bytes) -> None:
        """Give bytes of the input; see `paused` of `run_job`."""
        if self._feed is not None:
            self._feed.write_data(data)

    def end(self) -> None:
        """Say that no more packets or data come: `done` fires when the child has ended all."""
        if self._feed is not None:
            self._feed.write(build_frame(FrameType.END))

    # What the process does.

    def data_received(self, descriptor: int, data: bytes) -> None:
        """Take what the child wrote."""
        now = self._reactor.seconds()
        if descriptor == 2:
            self._complaints.receive_data(data, now)
            return
        if self._is_stopped or self._error is not None:
            return
        self._hold_back(len(data), now)
        self._reader.receive_data(data)
        touched: set[int] = set()
        try:
            for frame in self._reader.frames():
                self._take(frame, touched, now)
                if self.is_stopped:
                    return
            for output in touched:
                self._sinks[output].batch_ended()
        except PeerError as error:
            self._fail(RemoteError(f"the helper process said what it never says: {error}"))
        except Exception:
            # Twisted would read no more, and the process would wait for ever.
            self._log.failure("a sink failed; its job is ended")
            self._fail(RemoteError("the server failed to take what came; see its log"))

    def exited(self) -> None:
        """Read on what it left, also where it was to wait."""
        # One that was killed as it started may be gone before Twisted has given it to us.
        if self._process is not None:
            self._process.resumeProducing()

    def ended(self, reason: Failure) -> None:
        """The process is gone, and all that it wrote was read."""
        self._is_gone = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        if self._feed is not None:
            self._feed.close()
        if not self.done.called:
            error = None if self._is_stopped else self._error or self._verdict(reason)
            if error is None:
                self.done.callback(None)
            else:
                self.done.errback(error)
        stopping, self._stopping = self._stopping, []
        for gone in stopping:
            gone.callback(None)

    def _verdict(self, reason: Failure) -> RemoteError | None:
        ending = reason.value
        number = ending.signal if isinstance(ending, ProcessTerminated) else None
        if number == signal.SIGXCPU:
            return RemoteError("the helper process took more processor time than it may")
        if number is not None:
            name = signal.Signals(number).name
            return RemoteError(f"the helper process crashed ({name})")
        if isinstance(ending, ProcessTerminated) and ending.exitCode:
            return RemoteError(f"the helper process failed with status {ending.exitCode}")
        return None if self._has_ended else RemoteError("the helper process ended without a word")

    def _take(self, frame: Frame, touched: set[int], now: float) -> None:
        kind, body = frame
        if kind is FrameType.PACKET:
            output, track_id, is_keyframe, dts, pts, payload = read_packet(body)
            track = self._tracks.get((output, track_id))
            if track is None:
                raise PeerError("a packet of no track", reference="avtools framing")
            self.media_seconds = now
            self._fed_at = None
            touched.add(output)
            self._sinks[output].packet_received(Packet(track, dts, pts, is_keyframe, payload))
        elif kind is FrameType.TRACK:
            output, track = read_track(body)
            sink = self._sink(output)
            self._tracks[output, track.id] = track
            self.media_seconds = now
            touched.add(output)
            sink.track_received(track)
        elif kind is FrameType.METADATA:
            output, fields = read_numbered(body)
            self._sink(output).metadata_received(fields)
        elif kind is FrameType.NOTE:
            self._complaints.add(body.decode("utf-8", "replace"), now)
        elif kind is FrameType.PROBED:
            self.probe = read_probe(body)
        elif kind is FrameType.ERROR:
            self._error = read_error(body)
        elif kind is FrameType.ENDED:
            self._has_ended = True
        else:
            raise PeerError(f"a frame {kind.name}", reference="avtools framing")

    def _sink(self, output: int) -> IPullSink:
        if output >= len(self._sinks):
            raise PeerError(f"an output {output}", reference="avtools framing")
        return self._sinks[output]

    def _noted(self, line: str) -> None:
        if self._sinks and not self._is_stopped and not self.done.called:
            self._sinks[0].noted(line)

    # Looking after it.

    def _look(self) -> None:
        self._later("look", LOOK_SECONDS, self._look)
        now = self._reactor.seconds()
        limits = self._job.limits
        if limits.cpu_share:
            taken = cpu_seconds_of(self.pid)
            if taken is not None and self._share.add(taken, now) > limits.cpu_share:
                self._fail(RemoteError("the helper process takes too much of the processor"))
                return
        since, allowed = self._silent_since()
        if since is not None and now - since > allowed:
            what = "no media" if self._tracks else "nothing that could be used"
            self._fail(RemoteError(f"{what} for {allowed:g} seconds"))

    def _silent_since(self) -> tuple[float | None, float]:
        """Return since when something is due, and how long that may take."""
        limits = self._job.limits
        if isinstance(self._job.input, PacketsInput):
            # An encoder that was given nothing owes nothing.
            return self._fed_at, limits.open_seconds if not self._tracks else limits.stall_seconds
        if not self._tracks:
            return self._started, limits.open_seconds
        return self.media_seconds, limits.stall_seconds

    def _hold_back(self, count: int, now: float) -> None:
        """Let a child that has far too much wait: the pipe fills, and its writes block."""
        if now >= self._second_ends:
            self._second_ends = now + 1.0
            self._bytes_this_second = 0
        self._bytes_this_second += count
        if self._bytes_this_second > MAX_BYTES_A_SECOND and "resume" not in self._timers:
            self._process.pauseProducing()
            self._later("resume", self._second_ends - now, self._process.resumeProducing)

    def _fail(self, error: RemoteError) -> None:
        """End it at once: what it would still say is of no interest."""
        if self._error is None:
            self._error = error
        self._end_with(signal.SIGKILL)

    def _cancelled(self, _done: object) -> None:
        self.stop()

    def _end_with(self, number: signal.Signals) -> None:
        if self._is_gone:
            return
        if self._feed is not None:
            self._feed.close()
        self._process.resumeProducing()
        # Not through Twisted, which knows names only, and says so when it was reaped meanwhile.
        pid = self._process.pid
        if pid is not None:
            os.kill(pid, number)
        if number == signal.SIGTERM:
            self._later("kill", KILL_SECONDS, lambda: self._end_with(signal.SIGKILL))

    def _later(self, name: str, seconds: float, call: Callable[[], object]) -> None:
        def due() -> None:
            del self._timers[name]
            call()

        if name not in self._timers:
            self._timers[name] = self._reactor.callLater(seconds, due)


class _Protocol(ProcessProtocol):
    """Tells a job what its process does."""

    def __init__(self, job: RunningJob) -> None:
        self._job = job

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        self._job.data_received(childFD, data)

    def processExited(self, reason: Failure) -> None:
        self._job.exited()

    def processEnded(self, reason: Failure) -> None:
        self._job.ended(reason)


def _environment() -> dict[str, str]:
    """Return the child's surroundings: it finds the modules that this process has."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    path = os.pathsep.join(str(Path(x).absolute()) for x in sys.path if x)
    return {**_ENVIRONMENT, **kept, "PYTHONPATH": path}


def _ignore(_is_paused: bool) -> None:
    pass
