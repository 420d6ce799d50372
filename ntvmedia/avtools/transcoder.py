"""A stream that the server has, made into others by a child process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from ntvmedia.avtools.job import Job, PacketsInput, limits_of
from ntvmedia.avtools.process import run_job
from ntvmedia.interfaces import IPullSink
from ntvmedia.media.packets import Packet, Track
from ntvmedia.media.relaying import OutputOptions


@implementer(IPullSink)
class Transcoder:
    """The sink of a source that does not transcode itself.

    It is never waited for: where it is too slow, packets are dropped up to the next keyframe.

    Args:
        reactor: Starts processes, and has the time.
        outputs: What is made, and the sink that gets it. What is said of the stream goes to all,
            notes go to the first.

    Attributes:
        done: Fires after `end`, when all was given out, and after `stop`; fails with
            `RemoteError`. The sinks are not called any more then.
    """

    def __init__(self, reactor: Any, outputs: Sequence[tuple[OutputOptions, IPullSink]]) -> None:
        options = tuple(option for option, _sink in outputs)
        self._sinks = [sink for _options, sink in outputs]
        job = Job(PacketsInput(), options, limits=limits_of(options))
        self._job = run_job(reactor, job, self._sinks)
        self.done: Deferred[None] = self._job.done

    @property
    def dropped(self) -> int:
        """Packets that were given, and dropped as the encoders were too slow."""
        return self._job.dropped

    @property
    def pid(self) -> int:
        """Of the child process; 0 when it is gone."""
        return self._job.pid

    def track_received(self, track: Track) -> None:
        self._job.track_received(track)

    def metadata_received(self, fields: Mapping[str, object]) -> None:
        if not self.done.called and not self._job.is_stopped:
            for sink in self._sinks:
                sink.metadata_received(fields)

    def packet_received(self, packet: Packet) -> None:
        self._job.packet_received(packet)

    def batch_ended(self) -> None:
        """Do nothing: what comes of it, comes later."""

    def noted(self, line: str) -> None:
        if not self.done.called and not self._job.is_stopped:
            self._sinks[0].noted(line)

    def end(self) -> None:
        """Say that the source has ended: `done` fires when all that it gave is encoded."""
        self._job.end()

    def stop(self) -> Deferred[None]:
        """End at once; as `RunningJob.stop`."""
        return self._job.stop()
