"""The segments put together, in a process of their own: what servers send is read there."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from ntvmedia.cli.failures import Failed

# A process that has said nothing for so long, in seconds, hangs: it tells each second of work.
_SILENT_SECONDS: Final = 120.0

# Of what it writes to its error output, the last bytes are told.
_MAX_ERROR_BYTES: Final = 2000


def start_worker(reactor: Any) -> Worker:
    """Start the process; by the time that it is given its job it is ready.

    Args:
        reactor: Starts it.
    """
    worker = Worker(reactor)
    # Without `-P`, a file `json.py` in the folder that somebody works in would be imported.
    arguments = [sys.executable, "-P", "-m", "ntvmedia.cli.hls_download.merge_process"]
    reactor.spawnProcess(worker, sys.executable, arguments, env=None)
    return worker


class Worker(ProcessProtocol):
    """Talks to the process: JSON in, lines of JSON out."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._done: Deferred[dict[str, Any]] | None = None
        self._progressed: Callable[[float], None] = _ignore
        self._line = b""
        self._errors = b""
        self._result: dict[str, Any] = {}
        self._reason = ""
        self._ended: Failure | None = None
        self._watchdog: IDelayedCall | None = None

    def merge(
        self, job: Mapping[str, Any], progressed: Callable[[float], None]
    ) -> Deferred[dict[str, Any]]:
        """Put segments together; to be called once.

        Args:
            job: As `merge_process.Job` has it.
            progressed: Called with the seconds of media that are done.

        Returns:
            Fires with what the process says at the end, as `merge_process` tells. Fails with
            `Failed`. When cancelled, the process is killed.
        """
        self._done = Deferred(lambda _done: self.close())
        if self._ended is not None:
            self._tell(self._done, self._ended)
            return self._done
        self._progressed = progressed
        self._watchdog = self._reactor.callLater(_SILENT_SECONDS, self._hung)
        transport: Any = self.transport
        transport.write(json.dumps(job).encode("ascii"))
        transport.closeStdin()
        return self._done

    def close(self) -> None:
        """Kill the process, if it still runs."""
        if self.transport is not None and getattr(self.transport, "pid", None):
            self.transport.signalProcess("KILL")

    def outReceived(self, data: bytes) -> None:
        if self._watchdog is not None and self._watchdog.active():
            self._watchdog.reset(_SILENT_SECONDS)
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            try:
                message = json.loads(line)
            except ValueError:
                message = None
            if not isinstance(message, dict):
                self._end("says what is not understood")
                return
            if "done" in message:
                self._progressed(message["done"])
            else:
                self._result = message

    def errReceived(self, data: bytes) -> None:
        self._errors = (self._errors + data)[-_MAX_ERROR_BYTES:]

    def processEnded(self, reason: Failure) -> None:
        self._ended = reason
        if self._watchdog is not None and self._watchdog.active():
            self._watchdog.cancel()
        if self._done is not None and not self._done.called:
            self._tell(self._done, reason)

    def _tell(self, done: Deferred[dict[str, Any]], reason: Failure) -> None:
        """Say what became of the job."""
        if not (reason.check(ProcessDone) and self._result):
            done.errback(Failed(f"the process that merges {self._end_of(reason)}"))
        elif "error" in self._result:
            done.errback(Failed(self._result["error"]))
        else:
            done.callback(self._result)

    def _end_of(self, reason: Failure) -> str:
        if self._reason:
            return f"{self._reason}, and was ended"
        error = reason.value
        if isinstance(error, ProcessTerminated) and error.signal is not None:
            names = {number: number.name for number in signal.Signals}
            return f"was killed by signal {names.get(error.signal, error.signal)}"
        last = self._errors.decode("utf-8", "replace").strip().rpartition("\n")[2]
        return f"failed: {last or 'it says nothing'}"

    def _hung(self) -> None:
        self._end(f"did nothing for {_SILENT_SECONDS:g} seconds")

    def _end(self, reason: str) -> None:
        self._reason = reason
        self._result = {}
        self.close()


def _ignore(_seconds: float) -> None:
    pass


def job_of(
    folder: Path, sources: list[dict[str, Any]], out: Path, *, trims: bool
) -> dict[str, Any]:
    """Describe what is to be done.

    Args:
        folder: With journal and segments.
        sources: As in `merge_process.Job`.
        out: The file to make; what is there is replaced.
        trims: Sound that comes before the first picture, or after the last, is left out.
    """
    return {"folder": str(folder), "sources": sources, "out": str(out), "trims": trims}
