"""Bodies of HTTP in FLV and MPEG-TS, taken apart as they come."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from ntvmedia.errors import PeerError, RemoteError
from ntvmedia.formats import amf0, flv, mpegts_demuxer
from ntvmedia.formats.flv_reader import TagReader
from ntvmedia.interfaces import IMediaSink
from ntvmedia.media.packets import Codec, Packet, Track
from ntvmedia.media.timebase import unwrap
from ntvmedia.wire.rtmp.media_reader import MAX_METADATA_SIZE, check_size

PATIENCE_BYTES: Final = 4 << 20
"""Of a body of which nothing can be used; a second of the fastest broadcast."""

_TIME_BITS: Final = 32

# Captions and cue points, by the clock of FLV.
_DATA_TRACK: Final = Track(Codec.AMF0, clock_rate=1000)

# What is for the player of the connection that it came by.
_NOT_MEDIA: Final = frozenset({"|RtmpSampleAccess", "onStatus", "onPlayStatus"})


class Reader(Protocol):
    """Takes a body apart.

    Attributes:
        packets: How many came of it so far.
    """

    packets: int

    def receive_data(self, data: bytes) -> None:
        """Take the next bytes.

        Raises:
            PeerError: They are not of this format.
            RemoteError: Nothing in it can be used, for good.
        """

    def end(self) -> None:
        """Take what is left at the end. Raises as `receive_data`."""


class FLVReader:
    """Takes FLV apart.

    Args:
        sink: Gets what is in it.
        note: Called with a line for the operator.
    """

    def __init__(self, sink: IMediaSink, note: Callable[[str], None]) -> None:
        self.packets = 0
        self._sink = sink
        self._note = note
        self._demuxer = flv.Demuxer()
        self._tags = TagReader()
        self._time = 0
        self._bytes = 0
        self._problem = ""
        self._has_data = False

    def receive_data(self, data: bytes) -> None:
        """Take the next bytes."""
        self._demuxer.receive_data(data)
        try:
            self._take()
        finally:
            # What came before the damage counts.
            self._sink.batch_ended()
            self._tell()
        self._look(len(data))

    def end(self) -> None:
        """Do nothing: a tag that is cut off is of no use."""

    def _take(self) -> None:
        sink = self._sink
        for event in self._demuxer.events():
            if not isinstance(event, flv.Tag):
                continue
            kind, timestamp, body = event
            self._time = time = unwrap(timestamp, self._time, _TIME_BITS)
            if kind is flv.TagType.SCRIPT:
                self._script(time, body)
                continue
            read = self._tags.video if kind is flv.TagType.VIDEO else self._tags.audio
            for found in read(time, body):
                if isinstance(found, Packet):
                    self.packets += 1
                    sink.packet_received(found)
                else:
                    sink.track_received(found)

    def _script(self, time: int, body: bytes) -> None:
        try:
            name, *values = amf0.decode(body) or [None]
            check_size(values, MAX_METADATA_SIZE)
        except PeerError:
            return
        if name == "onMetaData":
            fields = next((value for value in values if isinstance(value, dict)), {})
            self._sink.metadata_received(dict(fields))
        elif isinstance(name, str) and name not in _NOT_MEDIA:
            if not self._has_data:
                self._has_data = True
                self._sink.track_received(_DATA_TRACK)
            self._sink.packet_received(Packet(_DATA_TRACK, time, time, True, body))

    def _tell(self) -> None:
        problem = self._tags.last_problem
        if problem and not self._problem:
            self._problem = problem
            self._note(f"some of it cannot be passed on: {problem}")

    def _look(self, count: int) -> None:
        problem = self._tags.last_problem
        if not self.packets:
            self._bytes += count
            if self._bytes > PATIENCE_BYTES and problem:
                raise RemoteError(f"nothing of it can be passed on: {problem}", is_permanent=True)


class MPEGTSReader:
    """Takes MPEG-TS apart: packets of 188, 192 or 204 bytes, whatever comes before them."""

    def __init__(self, sink: IMediaSink, note: Callable[[str], None]) -> None:
        self.packets = 0
        self._sink = sink
        self._note = note
        self._demuxer = mpegts_demuxer.Demuxer(recovery_points=True)
        self._bytes = 0
        self._told: set[str] = set()

    def receive_data(self, data: bytes) -> None:
        """Take the next bytes."""
        self._demuxer.receive_data(data)
        self._take(final=False)
        unread = self._demuxer.unread
        if len(unread) > len(self._told):
            names = ", ".join(sorted(unread - self._told))
            self._told |= unread
            self._note(f"{names} is left out: to have it, choose a codec to make of it")
        if not self.packets:
            self._bytes += len(data)
            if self._bytes > PATIENCE_BYTES and unread:
                names = ", ".join(sorted(unread))
                why = f"{names} cannot be passed on as it is: choose a codec to make of it"
                raise RemoteError(why, is_permanent=True)

    def end(self) -> None:
        """Take what is left at the end."""
        self._take(final=True)

    def _take(self, *, final: bool) -> None:
        sink = self._sink
        for event in self._demuxer.flush() if final else self._demuxer.events():
            if isinstance(event, Packet):
                self.packets += 1
                sink.packet_received(event)
            elif not isinstance(event, mpegts_demuxer.TrackEnded):
                sink.track_received(event)
        sink.batch_ended()
