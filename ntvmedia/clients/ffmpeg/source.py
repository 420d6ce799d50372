"""What all sources that a child process reads have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import Deferred
from twisted.plugin import IPlugin
from zope.interface import implementer

from ntvmedia.errors import RemoteError
from ntvmedia.interfaces import IHost, IPullSink, ITranscodingSource
from ntvmedia.media.relaying import OutputOptions, PullOptions

if TYPE_CHECKING:
    from ntvmedia.avtools.job import Input, Probe
    from ntvmedia.avtools.process import RunningJob

OPEN_SECONDS: Final = 20.0
"""From the start of a child process to the first track, where nothing else is known: FFmpeg looks
at 2.5 s of a live source, and a keyframe may be 10 s away."""

Outputs = Sequence[tuple[OutputOptions, IPullSink]]


@implementer(IPlugin, ITranscodingSource)
class FFmpegSource:
    """A source of which a child process makes all that is wanted.

    A subclass says what its addresses mean.
    """

    schemes: tuple[str, ...] = ()
    transcodes = True

    def check(self, url: str) -> None:
        raise NotImplementedError

    def pull(self, host: IHost, url: str, options: Any, sink: IPullSink) -> Deferred[None]:
        return self.pull_transcoded(host, url, options, [(OutputOptions(), sink)])

    def pull_transcoded(
        self, host: IHost, url: str, options: Any, outputs: Outputs
    ) -> Deferred[None]:
        return Deferred.fromCoroutine(self._pull(host, url, options, outputs))

    def probe(self, host: IHost, url: str, options: Any) -> Deferred[Probe]:
        """Look at what is in it; the arguments are those of `pull`.

        Returns:
            Fires with what was found; fails as `pull` does. May be cancelled.
        """
        return Deferred.fromCoroutine(self._probe(host, url, options))

    def _input(self, host: Any, url: str, options: PullOptions) -> Input:
        """Say what the child process is to read.

        Raises:
            RemoteError: The address is none, or not allowed.
        """
        raise NotImplementedError

    async def _pull(self, host: Any, url: str, options: PullOptions, outputs: Outputs) -> None:
        await run(start(host, self._input(host, url, options), options, outputs))

    async def _probe(self, host: Any, url: str, options: PullOptions) -> Probe:
        return await look(host, self._input(host, url, options), OPEN_SECONDS)


def start(
    host: Any,
    source: Input,
    options: PullOptions,
    outputs: Outputs,
    open_seconds: float = OPEN_SECONDS,
    paused: Callable[[bool], None] | None = None,
) -> RunningJob:
    """Start a child process that pulls.

    Args:
        host: The server.
        source: What it reads.
        options: How.
        outputs: What it makes, and for whom.
        open_seconds: Until the first track.
        paused: As of `run_job`.
    """
    # Here, not at the top: the module of the plugins is loaded by every twistd on the machine.
    from ntvmedia.avtools.job import Job, limits_of
    from ntvmedia.avtools.process import run_job

    wanted = tuple(what for what, _sink in outputs)
    limits = limits_of(wanted, source)._replace(
        open_seconds=open_seconds, stall_seconds=options.stall_seconds
    )
    job = Job(source, wanted, limits=limits)
    return run_job(host.reactor, job, [sink for _what, sink in outputs], paused=paused)


async def run(running: RunningJob) -> None:
    """Wait for a job; when cancelled, until its process is gone and has given everything back.

    Raises:
        RemoteError: It came to nothing.
    """
    try:
        await running.done
    finally:
        await running.stop()


async def look(host: Any, source: Input, open_seconds: float) -> Probe:
    """Have a child process look at a source.

    Raises:
        RemoteError: It came to nothing.
    """
    from ntvmedia.avtools.job import PROBE_LIMITS, Job
    from ntvmedia.avtools.probing import probe

    limits = PROBE_LIMITS._replace(open_seconds=open_seconds)
    return await probe(host.reactor, Job(source, limits=limits))


def wrong(message: str) -> RemoteError:
    """Make the error of an address that is none."""
    return RemoteError(message, is_permanent=True)
