"""Movie fragments for tests: read by hand, with all their times, apart from the code under test."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple


class Seen(NamedTuple):
    """A sample, with its times in ticks of its track."""

    dts: int
    pts: int
    duration: int
    flags: int
    payload: bytes


@dataclass
class Track:
    """The samples of one track, and where each of its fragments begins: time and first sample."""

    samples: list[Seen] = field(default_factory=list)
    starts: list[tuple[int, int]] = field(default_factory=list)

    def check_chain(self) -> None:
        """C-FM-02: `tfdt` and the durations give the next `tfdt`."""
        for (_start, first), (start, after) in pairwise(self.starts):
            ended = self.samples[first:after][-1]
            assert ended.dts + ended.duration == start


@dataclass
class File:
    """What is in some fragments: tracks by their number, and the numbers of the fragments."""

    tracks: dict[int, Track] = field(default_factory=dict)
    numbers: list[int] = field(default_factory=list)

    def payloads(self, number: int) -> list[bytes]:
        """Return the samples of a track."""
        return [sample.payload for sample in self.tracks[number].samples]


def boxes(data: bytes) -> list[tuple[bytes, bytes]]:
    """Cut into boxes: type and body."""
    found = []
    while data:
        size = int.from_bytes(data[:4], "big")
        assert 8 <= size <= len(data)
        found.append((data[4:8], data[8:size]))
        data = data[size:]
    return found


def inside(data: bytes, *path: bytes) -> bytes:
    """Return the body of the first box at a path."""
    for kind in path:
        data = next(body for name, body in boxes(data) if name == kind)
    return data


def read(data: bytes, file: File | None = None) -> File:
    """Read fragments, after those that `file` has."""
    file = File() if file is None else file
    place = 0
    for (kind, movie), (other, media) in zip(boxes(data)[::2], boxes(data)[1::2], strict=True):
        assert (kind, other) == (b"moof", b"mdat")
        size = len(movie) + 8
        (name, header), *fragments = boxes(movie)
        assert name == b"mfhd" and header[:4] == bytes(4)
        file.numbers.append(int.from_bytes(header[4:], "big"))
        at = size + 8
        for name, body in fragments:
            assert name == b"traf"
            at = _read_track(body, data[place:], at, file)
        assert at == size + 8 + len(media)
        place += at
    return file


def _read_track(body: bytes, fragment: bytes, at: int, file: File) -> int:
    """Read a `traf`, whose data begins at `at`; return where that ends."""
    (a, header), (b, time), (c, run) = boxes(body)
    assert (a, b, c) == (b"tfhd", b"tfdt", b"trun")
    flags, number = struct.unpack_from(">II", header)
    assert flags & ~0x38 == 0x020000
    rest = list(struct.unpack(f">{len(header) // 4 - 2}I", header[8:]))
    defaults = [rest.pop(0) if flags & bit else None for bit in (0x08, 0x10, 0x20)]
    assert not rest
    assert time[:4] == b"\x01\0\0\0" and len(time) == 12
    dts = int.from_bytes(time[4:], "big")
    flags, count, place = struct.unpack_from(">IIi", run)
    assert flags & ~0xF05 == 0x01000000 and flags & 1 and place == at and count > 0
    words = [int.from_bytes(run[x : x + 4], "big") for x in range(12, len(run), 4)]
    first = words.pop(0) if flags & 4 else None
    track = file.tracks.setdefault(number, Track())
    track.starts.append((dts, len(track.samples)))
    for index in range(count):
        duration, size, sample_flags = (
            words.pop(0) if flags & bit else default
            for bit, default in zip((0x100, 0x200, 0x400), defaults, strict=True)
        )
        offset = words.pop(0) if flags & 0x800 else 0
        offset -= (offset >> 31) << 32
        if first is not None and index == 0:
            sample_flags = first
        assert duration and size and sample_flags is not None
        payload = fragment[at : at + size]
        assert len(payload) == size
        track.samples.append(Seen(dts, dts + offset, duration, sample_flags, payload))
        at += size
        dts += duration
    assert not words
    return at
