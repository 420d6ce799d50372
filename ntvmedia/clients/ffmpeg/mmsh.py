"""Windows Media over HTTP: asked by the server itself, and read by a child process.

FFmpeg has this protocol too, but ends at the first loop of a server (a second ASF header), and
follows redirects past the network policy.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import CancelledError, Deferred

from ntvmedia.clients.http.refusals import refusal, without_origin
from ntvmedia.errors import PeerError, RemoteError
from ntvmedia.media.relaying import PullOptions
from ntvmedia.outbound import OutboundError
from ntvmedia.outbound.exchange import Answer
from ntvmedia.outbound.flow import Flow
from ntvmedia.wire.mmsh import (
    MAX_HEADER_BYTES,
    PLAYER,
    ChunkReader,
    Data,
    Ended,
    Header,
    describe_fields,
    play_fields,
)

if TYPE_CHECKING:
    from ntvmedia.avtools.process import RunningJob

# A live stream has no end.
_NO_LIMIT: Final = 1 << 62

# Chunks and the head of the answer around a header.
_FRAMING_BYTES: Final = 64 << 10


class _Enough(Exception):
    """What was wanted is there; the rest of the answer is not."""


async def describe(host: Any, url: str, seconds: float) -> Header:
    """Ask for the header of a stream.

    Args:
        host: The server.
        url: Of HTTP, with user and password.
        seconds: How long all of it may take.

    Raises:
        RemoteError: There is none.
    """
    reader = ChunkReader()
    found: list[Header] = []

    def take(data: bytes) -> None:
        reader.receive_data(data)
        for event in reader.events():
            if isinstance(event, Header):
                found.append(event)
                raise _Enough

    asking = host.outbound.get(
        url,
        shared_headers={"User-Agent": PLAYER, "Accept": "*/*", "Pragma": describe_fields()},
        limit_bytes=MAX_HEADER_BYTES + _FRAMING_BYTES,
        timeout_seconds=seconds,
        receiver=lambda answer: _accept(answer, take),
    )
    await _answered(asking, url)
    if not found:
        raise RemoteError("the server sent no ASF header")
    return found[0]


class Play:
    """One stream, from the first packet to the last.

    Args:
        host: The server.
        url: Of HTTP, with user and password.
        header: As `describe` found it.
        options: How.
        start: Starts the child process that reads ASF; called with what it is to tell by that it
            has enough for the moment.
    """

    job: RunningJob

    def __init__(
        self,
        host: Any,
        url: str,
        header: Header,
        options: PullOptions,
        start: Callable[[Callable[[bool], None]], RunningJob],
    ) -> None:
        self._host = host
        self._url = url
        self._header = header
        self._options = options
        self._start = start
        self._flow = Flow()
        self._reader = ChunkReader()
        self._seen: bytes | None = None
        self._asking: Deferred[Answer] | None = None
        self._is_over = False
        # The job's own Deferred may be in the middle of its callbacks when one waits for it.
        self._done: Deferred[None] = Deferred()

    @property
    def has_tracks(self) -> bool:
        """Whether the child process found something of use."""
        return self.job.has_tracks

    async def run(self) -> None:
        """Play to the end.

        Raises:
            RemoteError: It did not get that far.
        """
        self.job = job = self._start(self._paused)
        job.done.addBoth(self._job_done)
        try:
            self._asking = asking = self._host.outbound.get(
                self._url,
                shared_headers={
                    "User-Agent": PLAYER,
                    "Accept": "*/*",
                    "Pragma": play_fields(self._header.streams),
                },
                limit_bytes=_NO_LIMIT,
                timeout_seconds=math.inf,
                idle_seconds=self._options.stall_seconds,
                receiver=lambda answer: _accept(answer, self._take),
                flow=self._flow,
            )
            try:
                await _answered(asking, self._url)
            except CancelledError:
                if not self._is_over:
                    raise
            job.end()
            await self._done
        finally:
            self._is_over = True
            await job.stop()

    def _take(self, data: bytes) -> None:
        self._reader.receive_data(data)
        for event in self._reader.events():
            if isinstance(event, Data):
                self.job.write_data(event.data)
            elif isinstance(event, Ended):
                raise _Enough
            elif self._seen is None:
                self._seen = event.data
                self.job.write_data(event.data)
            elif _media_of(event) != _media_of(self._header):
                # Another item of a playlist, which the child cannot go on with.
                raise _Enough

    def _paused(self, is_paused: bool) -> None:
        if is_paused:
            self._flow.pause()
        else:
            self._flow.resume()

    def _job_done(self, result: Any) -> None:
        """Ask for nothing more: the child has ended, well or not."""
        was_over, self._is_over = self._is_over, True
        if was_over:
            return
        self._done.callback(result)  # or fails with it
        if self._asking is not None:
            self._asking.cancel()


def _media_of(header: Header) -> tuple[tuple[int, ...], int, int]:
    """Return what two headers of the same media have in common; times and ids differ."""
    return header.streams, header.packet_size, len(header.data)


def _accept(answer: Answer, take: Callable[[bytes], None]) -> Callable[[bytes], None]:
    if answer.status != 200:
        raise refusal(answer.status)
    return take


async def _answered(asking: Deferred[Answer], url: str) -> None:
    try:
        await asking
    except _Enough:
        return
    except OutboundError as error:
        raise without_origin(error, url) from None
    except PeerError as error:
        raise RemoteError(f"what came is not of Windows Media: {error.args[0]}") from None
