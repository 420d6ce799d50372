"""The process that makes one MP4 file of segments; `merging` starts it.

It reads a job as JSON from its standard input, and writes lines of JSON: `{"done": SECONDS}` now
and then; at last `{"error": TEXT}`, or a `Result`.
"""

from __future__ import annotations

import json
import math
import os
import resource
import signal
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

from ntvmedia.cli.hls_download.folder import Entry, entries_of, segment_path
from ntvmedia.errors import NtvMediaError
from ntvmedia.formats.hls_joining import Joiner, Piece, Source
from ntvmedia.formats.mp4_muxer import Muxer
from ntvmedia.media.packets import MediaKind, Packet

# Of the process: a day of pictures and sound is 10 million samples, of 40 bytes each.
_MAX_MEMORY: Final = 4 << 30

_BLOCK: Final = 1 << 20

# What is moved at a time to make room at the beginning of the file.
_MOVED: Final = 16 << 20

_TOLD_SECONDS: Final = 0.5

# Frames of sound that wait for the first picture: half an hour.
_MAX_HELD: Final = 100_000


class Job(NamedTuple):
    """What is to be done.

    Attributes:
        folder: With journal and segments.
        sources: Of each playlist: `first` and `last`, the places of its segments; `language`;
            `only`, what of it is wanted, or null.
        out: The file to make; what is there is replaced.
        trims: Sound that comes before the first picture, or after the last, is left out.
    """

    folder: str
    sources: list[dict[str, Any]]
    out: str
    trims: bool


class Result(NamedTuple):
    """What was made.

    Attributes:
        seconds: How long its pictures are, or its sound where it has none.
        discontinuities: Where times were put right.
        frame_seconds: How long a frame is, of the track with the longest ones, on average.
        left_out: Pictures and frames of sound that are not in it.
        unknown: What tracks are not in it since MP4 cannot carry them: names of codecs.
        size: Bytes.
    """

    seconds: float
    discontinuities: int
    frame_seconds: float
    left_out: int
    unknown: list[str]
    size: int


def main() -> None:
    """Do one job."""
    # Ctrl-C is for the parent, which ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_AS, (_MAX_MEMORY, _MAX_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    job = Job(**json.load(sys.stdin))
    try:
        _tell(**merge(job)._asdict())
    except NtvMediaError as error:
        _tell(error=str(error))
    except MemoryError:
        _tell(error="there is too little memory to merge the segments")
    except OSError as error:
        _tell(error=f"{error.filename or job.out}: {error.strerror}")


def merge(job: Job) -> Result:
    """Make the file.

    Raises:
        NtvMediaError: What was loaded is no media, or has none that MP4 can carry.
        OSError: It cannot be written.
    """
    folder = Path(job.folder)
    entries = {(entry.source, entry.place): entry for entry in entries_of(folder)}
    joiner = Joiner(
        [
            Source(
                _pieces(folder, entries, number, range(source["first"], source["last"] + 1)),
                source["language"],
                None if source["only"] is None else MediaKind(source["only"]),
            )
            for number, source in enumerate(job.sources)
        ]
    )
    packets = _Trimmed(joiner) if job.trims else iter(joiner)
    muxer = Muxer()
    spans: dict[int, _Span] = {}
    told = time.monotonic()
    with Path(job.out).open("w+b") as file:
        for packet in packets:
            for data in muxer.packet(packet):
                file.write(data)
            track = packet.track
            span = spans.get(track.id)
            if span is None:
                span = spans[track.id] = _Span(packet)
            span.count += 1
            span.last = packet.dts
            now = time.monotonic()
            if now - told > _TOLD_SECONDS:
                told = now
                _tell(done=packet.dts / track.clock_rate)
        for data in muxer.finish():
            file.write(data)
        file.flush()
        if not file.tell():
            raise NothingThere("there is nothing in the segments that can be put into MP4")
        _prepend(file, muxer.header(), muxer.duration_seconds)
        os.fsync(file.fileno())
        size = os.fstat(file.fileno()).st_size
    # Tracks of pictures have lower ids than those of sound with the same number.
    main = spans[min(spans)]
    return Result(
        main.seconds,
        joiner.discontinuities,
        max(span.seconds / span.count for span in spans.values()),
        joiner.dropped + joiner.damaged + muxer.left_out,
        sorted({*joiner.unread, *(x.codec.value for x in muxer.left_out_tracks.values())}),
        size,
    )


class _Span:
    """How long a track is, by decode times: those of presentation have the same length.

    Attributes:
        count: Of its packets.
        last: Decode time of the last one.
    """

    def __init__(self, first: Packet) -> None:
        self.count = 0
        self.last = self._first = first.dts
        self._rate = first.track.clock_rate

    @property
    def seconds(self) -> float:
        """From the first packet to the end of the last one, which is as long as the others."""
        steps = (self.last - self._first) / self._rate
        return steps * self.count / (self.count - 1) if self.count > 1 else 0.0


class NothingThere(NtvMediaError):
    """No packet could be used."""


def _pieces(
    folder: Path, entries: dict[tuple[int, int], Entry], source: int, places: range
) -> Iterator[Piece]:
    """Yield what was loaded of a playlist."""
    for index in places:
        entry = entries.get((source, index))
        if entry is None:
            yield Piece((), missing=True)
            continue
        path = folder / entry.init
        yield Piece(
            _blocks(segment_path(folder, source, index)),
            path.read_bytes if entry.init else b"",
            entry.duration,
            entry.discontinuity,
            entry.size < 0,
            f"segment {entry.number}",
        )


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while data := file.read(_BLOCK):
            yield data


class _Trimmed:
    """Packets without the sound that comes before the first picture, or after the last.

    In the middle of a stream a segment has sound from before its first picture, and playlists of
    pictures and of sounds have segments of other lengths.

    Args:
        packets: Roughly in the order of their times.
    """

    def __init__(self, packets: Joiner) -> None:
        self._packets = packets

    def __iter__(self) -> Iterator[Packet]:
        begin: float | None = None
        end = 0.0
        held: deque[tuple[float, Packet]] = deque()
        for packet in self._packets:
            rate = packet.track.clock_rate
            if packet.track.kind is not MediaKind.VIDEO:
                held.append((packet.pts / rate, packet))
            else:
                begin = packet.pts / rate if begin is None else begin
                end = max(end, packet.pts / rate)
                yield packet
            if begin is None and len(held) > _MAX_HELD:
                # There are no pictures at all.
                begin, end = -math.inf, math.inf
            while held and begin is not None and held[0][0] <= end:
                start, sound = held.popleft()
                if start >= begin:
                    yield sound
        if begin is None:
            yield from (sound for _start, sound in held)


def _prepend(file: BinaryIO, header: bytes, seconds: float) -> None:
    """Put a header before all that is in a file, without another file.

    Args:
        file: With the media.
        header: Of any length.
        seconds: What is told meanwhile: the whole is done, but for this.
    """
    descriptor = file.fileno()
    place = os.fstat(descriptor).st_size
    while place:
        count = min(_MOVED, place)
        place -= count
        _write_at(descriptor, os.pread(descriptor, count, place), place + len(header))
        _tell(done=seconds)
    _write_at(descriptor, header, 0)


def _write_at(descriptor: int, data: bytes, place: int) -> None:
    view = memoryview(data)
    while view:
        count = os.pwrite(descriptor, view, place)
        view = view[count:]
        place += count


def _tell(**message: object) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
