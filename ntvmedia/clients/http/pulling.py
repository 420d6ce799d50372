"""One pull over HTTP: what the answer is, who takes it, and what is done when it breaks off."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater

from ntvmedia.avtools.job import DataInput, Job, limits_of
from ntvmedia.avtools.process import RunningJob, run_job
from ntvmedia.clients.copies import copies
from ntvmedia.clients.hls.source import HLSPull
from ntvmedia.clients.http.containers import FLVReader, MPEGTSReader, Reader
from ntvmedia.clients.http.detection import Detected, Detector, Kind
from ntvmedia.clients.http.mp4_order import MP4Order
from ntvmedia.clients.http.refusals import refusal, without_origin
from ntvmedia.clients.http.replays import Memory, ReplayFilter
from ntvmedia.clients.pacing import FILE, LIVE, Pacer
from ntvmedia.clients.passing import tell_passed
from ntvmedia.errors import PeerError, RemoteError
from ntvmedia.interfaces import IHost, IPullSink
from ntvmedia.media.hops import HOPS_FIELD, write_hops
from ntvmedia.media.relaying import OutputOptions, PullOptions
from ntvmedia.outbound import OutboundError
from ntvmedia.outbound.exchange import Answer
from ntvmedia.outbound.flow import Flow

RECONNECTS: Final = 3
LASTING_SECONDS: Final = 10.0
"""Connections in a row that do not last, after which it is for the task to wait. Some servers end
every connection after some minutes, and a viewer need not see it."""

RECONNECT_SECONDS: Final = 1.0
"""From a loss to the next try."""

# In `PullOptions.memory`.
_MEMORY: Final = "http.replays"

# Bytes of a body that goes on for years.
_NO_LIMIT: Final = 1 << 62


class _IsPlaylist(Exception):
    """The answer is a playlist of HLS, which is asked for again by whoever follows it."""


class Pull:
    """A pull.

    Args:
        host: The server.
        url: As typed.
        options: How.
        outputs: What is made of it, and who gets it; one or more.
    """

    def __init__(
        self,
        host: IHost,
        url: str,
        options: PullOptions,
        outputs: Sequence[tuple[OutputOptions, IPullSink]],
    ) -> None:
        self._host = host
        self._url = url
        self._options = options
        self._outputs = tuple(outputs)
        self._is_copied = all(output.is_copy for output, _sink in self._outputs)
        self._fields = hops_fields(options)
        self._note: Callable[[str], None] = self._outputs[0][1].noted
        self._pacer: Pacer | None = None
        self._filter: ReplayFilter | None = None
        self._body: _Body | None = None
        self._packets = 0
        # What was given on already, by the pulls before this too (E-ST-07).
        memory = {} if options.memory is None else options.memory
        self._memories: dict[int, Memory] = memory.setdefault(_MEMORY, {})

    async def run(self) -> None:
        """Pull until the end.

        Raises:
            RemoteError: It did not get that far.
        """
        try:
            await self._run()
            # Whoever has ended may begin anew, with the same.
            self._memories.clear()
        finally:
            if self._filter is not None and not self._filter.passed:
                # It has nothing but what was there: with another pull, that is all there is.
                self._memories.clear()
            if self._pacer is not None:
                self._pacer.stop()
            if self._body is not None:
                self._body.close()

    async def _run(self) -> None:
        seconds = self._host.reactor.seconds
        tries = 0
        while True:
            began = seconds()
            body = self._body = _Body(self)
            try:
                await self._ask(body)
                problem = None
            except _IsPlaylist:
                options = self._options
                await HLSPull(self._host, self._url, options, self._outputs, self._fields).run()
                return
            except RemoteError as error:
                problem = error
            self._packets += body.packets
            self._check(body, problem)
            if body.is_file or body.job is not None:
                break
            if body.packets and seconds() - began >= LASTING_SECONDS:
                tries = 0
            if tries == RECONNECTS or (problem is not None and problem.status):
                if problem is not None:
                    raise problem
                break
            tries += 1
            why = "the answer ended" if problem is None else str(problem)
            self._note(f"{why}; connecting again")
            await deferLater(self._host.reactor, RECONNECT_SECONDS)
            if self._filter is not None:
                self._filter.reconnected()
        if self._pacer is not None:
            await self._pacer.end()

    def _check(self, body: _Body, problem: RemoteError | None) -> None:
        """Raise what no other connection would mend, or should."""
        if problem is None:
            if not self._packets and body.job is None:
                raise RemoteError("the answer has no media that could be passed on")
            return
        if problem.is_permanent or not self._packets or body.is_file or body.job is not None:
            raise problem

    async def _ask(self, body: _Body) -> None:
        """Take one answer, to its end."""
        host = self._host
        asking: Deferred[Answer] = host.outbound.get(
            self._url,
            shared_headers=self._fields,
            limit_bytes=_NO_LIMIT,
            timeout_seconds=math.inf,
            idle_seconds=self._options.stall_seconds,
            receiver=body.begin,
            flow=body.flow,
        )
        body.asking = asking
        try:
            try:
                await asking
            except CancelledError:
                if not body.is_over:
                    raise
            else:
                body.end()
            if body.job is not None:
                await body.finished
        except OutboundError as error:
            raise without_origin(error, body.url or self._url) from None
        except PeerError as error:
            raise RemoteError(f"what came is broken: {error.args[0]}") from None

    # What a body asks for.

    def answered(self, answer: Answer) -> None:
        """Look at which servers a stream has passed, before anything of it.

        Raises:
            RemoteError: This one is among them.
        """
        hops = answer.headers.get(HOPS_FIELD.lower(), "")
        for _output, sink in self._outputs:
            tell_passed(sink, hops, self._host.server_id)

    def opened(self, found: Detected, flow: Flow, *, is_file: bool) -> Reader | RunningJob:
        """Return who takes a body."""
        if found.kind is Kind.OTHER or not self._is_copied:
            return self._child(found.format, flow)
        if self._pacer is None:
            sink = copies(self._outputs)
            manner = FILE if is_file else LIVE
            self._pacer = Pacer(self._host.reactor, sink, manner, self._paused, self._resumed)
            # A file is played from its beginning each time.
            self._filter = ReplayFilter(self._pacer, None if is_file else self._memories)
        assert self._filter is not None
        if self._pacer.is_full:
            flow.pause()
        reader = FLVReader if found.kind is Kind.FLV else MPEGTSReader
        return reader(self._filter, self._note)

    def _child(self, name: str, flow: Flow) -> RunningJob:
        outputs = tuple(output for output, _sink in self._outputs)
        stall = self._options.stall_seconds
        limits = limits_of(outputs)._replace(stall_seconds=stall)
        sinks = [sink for _output, sink in self._outputs]

        def paused(is_paused: bool) -> None:
            if is_paused:
                flow.pause()
            else:
                flow.resume()

        job = Job(DataInput(name), outputs, limits=limits)
        return run_job(self._host.reactor, job, sinks, paused=paused)

    def _paused(self) -> None:
        if self._body is not None:
            self._body.flow.pause()

    def _resumed(self) -> None:
        if self._body is not None:
            self._body.flow.resume()


class _Body:
    """One answer.

    Args:
        pull: Whose it is.

    Attributes:
        flow: Pauses it.
        url: Where it came from, after redirects; empty before it did.
        is_file: Its length is known: it has an end, and was made before.
        job: The child that takes it, where one does.
        asking: What it is the answer to.
        is_over: Nothing more of it is wanted.
        finished: Fires, or fails, as the child does.
    """

    def __init__(self, pull: Pull) -> None:
        self.flow = Flow()
        self.url = ""
        self.is_file = False
        self.job: RunningJob | None = None
        self.asking: Deferred[Answer] | None = None
        self.is_over = False
        self.finished: Deferred[None] = Deferred()
        self._pull = pull
        self._detector: Detector | None = None
        self._reader: Reader | None = None
        self._order: MP4Order | None = None

    @property
    def packets(self) -> int:
        """How many came of it."""
        return 0 if self._reader is None else self._reader.packets

    def begin(self, answer: Answer) -> Callable[[bytes], None]:
        """Look at the head of the answer; return what takes its body.

        Raises:
            RemoteError: It is a refusal.
        """
        self.url = answer.url
        status = answer.status
        if status != 200:
            raise refusal(status)
        self._pull.answered(answer)
        self.is_file = "content-length" in answer.headers
        self._detector = Detector(answer.headers.get("content-type", ""))
        return self._receive

    def end(self) -> None:
        """All of it came."""
        if self._detector is not None:
            self._open(self._detector.end())
        if self._reader is not None:
            self._reader.end()
        elif self.job is not None:
            self.job.end()

    def close(self) -> None:
        """Give everything back."""
        self.is_over = True
        if self.job is not None:
            self.job.stop()

    def _receive(self, data: bytes) -> None:
        if self._reader is not None:
            self._reader.receive_data(data)
        elif self.job is not None:
            if self._order is not None:
                self._look(self._order, data)
            self.job.write_data(data)
        else:
            assert self._detector is not None
            found = self._detector.receive_data(data)
            if found is not None:
                self._open(found)

    def _open(self, found: Detected) -> None:
        if found.kind is Kind.HLS:
            raise _IsPlaylist
        assert self._detector is not None
        head = self._detector.head
        self._detector = None
        if found.format == "mov":
            self._order = MP4Order()
            self._look(self._order, head)
        taker = self._pull.opened(found, self.flow, is_file=self.is_file)
        if isinstance(taker, RunningJob):
            self.job = taker
            taker.done.addBoth(self._job_done)
            taker.write_data(head)
        else:
            self._reader = taker
            taker.receive_data(head)

    def _look(self, order: MP4Order, data: bytes) -> None:
        order.receive_data(data)
        if order.is_settled:
            self._order = None

    def _job_done(self, result: Any) -> None:
        """Ask for nothing more: the child has ended, well or not."""
        if self.is_over:
            return
        self.is_over = True
        # Not the child's own Deferred, which is in the middle of this: what waits may wake up here.
        if self.asking is not None:
            self.asking.cancel()
        self.finished.callback(result)


def hops_fields(options: PullOptions) -> dict[str, str]:
    """Return the header field that tells which servers the stream has passed."""
    return {HOPS_FIELD: write_hops(options.hops)} if options.hops else {}
