"""Looking at what is in a source, without taking it. In the server's process."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from ntvmedia.avtools.job import PROBE_LIMITS, Job, Probe
from ntvmedia.avtools.process import run_job
from ntvmedia.errors import RemoteError


def probe(reactor: Any, job: Job) -> Deferred[Probe]:
    """Have a child process look at a source.

    Args:
        reactor: As of `run_job`.
        job: With the input; its outputs are not used, and its limits are those of probes but for
            `open_seconds`.

    Returns:
        Fires with what is in it, once the child is gone. Fails with `RemoteError`. May be
        cancelled.
    """
    return Deferred.fromCoroutine(_probe(reactor, job))


async def _probe(reactor: Any, job: Job) -> Probe:
    limits = PROBE_LIMITS._replace(open_seconds=job.limits.open_seconds)
    running = run_job(reactor, job._replace(outputs=(), probe=True, limits=limits), ())
    try:
        await running.done
    finally:
        await running.stop()
    if running.probe is None:
        raise RemoteError("the helper process found nothing to tell")
    return running.probe
