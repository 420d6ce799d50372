"""A strict reader of fragmented MP4, written from ISO/IEC 14496-12 and not from the server.

A section number without a document is of ISO/IEC 14496-12:2022.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple, Self

from tests.hls.media import WRAP, Media, Unit
from tests.hls.text import demand

# Where the boxes of a sample entry begin: 12.1.3 and 12.2.3.
_VISUAL_ENTRY, _AUDIO_ENTRY = 78, 28

# The box with the decoder configuration, by the type of the sample entry.
_VIDEO_ENTRIES = {"avc1": "avcC", "hvc1": "hvcC", "av01": "av1C", "vp09": "vpcC", "vp08": "vpcC"}
_AUDIO_ENTRIES = {
    "mp4a": "esds",
    "Opus": "dOps",
    "fLaC": "dfLa",
    "ac-3": "dac3",
    "ec-3": "dec3",
}

# Of tfhd (8.8.7) and trun (8.8.8).
_BASE_DATA_OFFSET, _DESCRIPTION, _EMPTY, _BASE_IS_MOOF = 0x1, 0x2, 0x10000, 0x20000
_DEFAULT_DURATION, _DEFAULT_SIZE, _DEFAULT_FLAGS = 0x8, 0x10, 0x20
_DATA_OFFSET, _FIRST_FLAGS = 0x1, 0x4
_DURATION, _SIZE, _FLAGS, _OFFSET = 0x100, 0x200, 0x400, 0x800
_NON_SYNC = 0x10000  # sample_is_non_sync_sample, 8.8.3.1

_MOST_SAMPLES = 1_000_000


class Box(NamedTuple):
    """A box: its type, where it begins, and what is in it."""

    kind: str
    offset: int
    body: bytes


@dataclass(frozen=True, slots=True)
class TrackInit:
    """A track as the initialisation section describes it.

    Attributes:
        number: track_ID.
        entry: The type of its sample entry.
        timescale: Ticks a second.
        config: The body of the box with the decoder configuration.
        width: Of pictures.
        height: Likewise.
        channels: Of sound.
        defaults: Of trex: duration, size, flags.
    """

    number: int
    entry: str
    timescale: int
    config: bytes
    width: int
    height: int
    channels: int
    defaults: tuple[int, int, int]

    @property
    def is_video(self) -> bool:
        """Whether it is pictures."""
        return self.entry in _VIDEO_ENTRIES


@dataclass(frozen=True, slots=True)
class Init:
    """A Media Initialization Section (HLS draft 3.3).

    Attributes:
        brands: Of ftyp.
        tracks: By track_ID, in order.
    """

    brands: tuple[str, ...]
    tracks: dict[int, TrackInit]

    @property
    def has_video(self) -> bool:
        """Whether there are pictures."""
        return any(x.is_video for x in self.tracks.values())

    @property
    def content_type(self) -> str:
        """Its media type."""
        return "video/mp4" if self.has_video else "audio/mp4"


@dataclass(slots=True)
class Fragments(Media):
    """What is in one segment or part.

    Attributes:
        init: What it belongs to.
        units: By track_ID, in order.
        starts: tfdt of the first fragment, by track_ID.
        ends: Where the last sample ends, in the track's ticks.
        numbers: mfhd of each fragment.
    """

    init: Init
    units: dict[int, list[Unit]] = field(default_factory=dict)
    starts: dict[int, int] = field(default_factory=dict)
    ends: dict[int, int] = field(default_factory=dict)
    numbers: list[int] = field(default_factory=list)

    def _of(self, *, video: bool) -> list[Unit]:
        tracks = self.init.tracks.values()
        return next((self.units.get(x.number, []) for x in tracks if x.is_video is video), [])

    @property
    def video(self) -> list[Unit]:
        """The samples of the track of pictures."""
        return self._of(video=True)

    @property
    def audio(self) -> list[Unit]:
        """The samples of the first track of sound."""
        return self._of(video=False)

    @property
    def sounds(self) -> list[bytes]:
        """Their payloads."""
        return [x.payload for x in self.audio]

    @property
    def begins_with_key(self) -> bool:
        """Whether the first picture is a sync sample, or there is none."""
        return not self.video or self.video[0].is_random_access

    def check_follows(self, before: Self) -> None:
        """Check the decode times and the numbers of the fragments (C-FM-02, C-FM-03)."""
        for number, start in self.starts.items():
            end = before.ends.get(number, start)
            text = f"track {number} goes on at {start}, and ended at {end} (C-FM-02)"
            demand(start == end, "tfdt-across", text)
        text = f"fragment {self.numbers[0]} after {before.numbers[-1]} (C-FM-03)"
        demand(self.numbers[0] > before.numbers[-1], "mfhd", text)
        # A track that has nothing here goes on from where it was.
        self.ends = {**before.ends, **self.ends}

    @property
    def seconds(self) -> float:
        """How long the pictures last, or the sound where there are none."""
        chosen = (x for x in self.init.tracks.values() if self.units.get(x.number))
        track = min(chosen, key=lambda x: not x.is_video)
        return (self.ends[track.number] - self.starts[track.number]) / track.timescale

    def extend(self, more: Fragments) -> None:
        """Take what follows: the next part."""
        for number, units in more.units.items():
            self.units.setdefault(number, []).extend(units)
            self.starts.setdefault(number, more.starts[number])
        self.ends.update(more.ends)
        self.numbers.extend(more.numbers)


def boxes(data: bytes, offset: int = 0) -> list[Box]:
    """Cut into boxes (4.2).

    Raises:
        Violation: They do not fill it.
    """
    found, at = [], 0
    while at < len(data):
        demand(at + 8 <= len(data), "box", f"{len(data) - at} bytes behind the last box")
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        demand(8 <= size <= len(data) - at, "box", f"{kind!r} of {size} bytes at {offset + at}")
        found.append(Box(kind.decode("latin-1"), offset + at, data[at + 8 : at + size]))
        at += size
    return found


def _one(found: list[Box], kind: str, inside: str) -> bytes:
    bodies = [x.body for x in found if x.kind == kind]
    demand(len(bodies) == 1, "box-count", f"{len(bodies)} {kind} in {inside}")
    return bodies[0]


def _number(data: bytes, at: int, size: int = 4) -> int:
    demand(at + size <= len(data), "box", f"{len(data)} bytes, {at + size} are needed")
    return int.from_bytes(data[at : at + size], "big")


# The initialisation section


def read_init(data: bytes) -> Init:
    """Read an initialisation section.

    Raises:
        Violation: It breaks a rule of ISO/IEC 14496-12 or 3.3 of the HLS draft.
    """
    top = boxes(data)
    kinds = [x.kind for x in top]
    demand(kinds == ["ftyp", "moov"], "init", f"{kinds} where ftyp and moov belong")
    brands = top[0].body
    demand(len(brands) >= 8 and not len(brands) % 4, "ftyp", f"{len(brands)} bytes")
    names = [brands[x : x + 4].decode("latin-1") for x in range(0, len(brands), 4) if x != 4]
    # default-base-is-moof is of iso5, a signed trun of iso6 (annex E); CMAF 7.2 has cmfc.
    demand({"iso5", "iso6", "cmfc"} & set(names), "ftyp", f"brands {names}")
    movie = boxes(top[1].body, 8)
    header = _one(movie, "mvhd", "moov")
    demand(_number(header, 20 if header[0] == 1 else 12) > 0, "mvhd", "no timescale")
    extends = boxes(_one(movie, "mvex", "moov"))
    defaults = {
        _number(x.body, 4): (_number(x.body, 12), _number(x.body, 16), _number(x.body, 20))
        for x in extends
        if x.kind == "trex"
    }
    tracks: dict[int, TrackInit] = {}
    for box in movie:
        if box.kind == "trak":
            track = _read_track(boxes(box.body), defaults)
            demand(track.number not in tracks, "track-id", f"track {track.number} twice (8.3.2)")
            tracks[track.number] = track
    demand(tracks, "init", "no track")
    demand(tracks.keys() == defaults.keys(), "trex", f"{list(defaults)} for {list(tracks)}")
    return Init(tuple(names), tracks)


def _read_track(found: list[Box], defaults: dict[int, tuple[int, int, int]]) -> TrackInit:
    demand(all(x.kind != "edts" for x in found), "edit-list", "there is one")
    header = _one(found, "tkhd", "trak")
    number = _number(header, 20 if header[0] == 1 else 12)
    demand(number > 0, "track-id", "track 0 (8.3.2)")
    media = boxes(_one(found, "mdia", "trak"))
    times = _one(media, "mdhd", "mdia")
    timescale = _number(times, 20 if times[0] == 1 else 12)
    demand(timescale > 0, "mdhd", "no timescale")
    handler = _one(media, "hdlr", "mdia")[8:12]
    information = boxes(_one(media, "minf", "mdia"))
    is_video = handler == b"vide"
    demand(is_video or handler == b"soun", "hdlr", f"handler {handler!r}")
    _one(information, "vmhd" if is_video else "smhd", "minf")
    _one(information, "dinf", "minf")
    table = boxes(_one(information, "stbl", "minf"))
    for kind, at in (("stts", 4), ("stsc", 4), ("stsz", 8), ("stco", 4)):
        demand(_number(_one(table, kind, "stbl"), at) == 0, "samples", f"{kind} has some")
    descriptions = _one(table, "stsd", "stbl")
    entries = boxes(descriptions[8:])
    demand(_number(descriptions, 4) == len(entries) == 1, "stsd", f"{len(entries)} entries")
    entry, body = entries[0].kind, entries[0].body
    known = _VIDEO_ENTRIES if is_video else _AUDIO_ENTRIES
    demand(entry in known, "stsd", f"{entry} for handler {handler!r}")
    inside = boxes(body[_VISUAL_ENTRY if is_video else _AUDIO_ENTRY :])
    config = _one(inside, known[entry], entry)
    width = height = channels = 0
    if is_video:
        width, height = _number(body, 24, 2), _number(body, 26, 2)
        demand(width and height, "stsd", f"{width}x{height} pictures")
    else:
        channels = _number(body, 16, 2)
        demand(channels, "stsd", "no channels")
    demand(number in defaults, "trex", f"none for track {number}")
    return TrackInit(number, entry, timescale, config, width, height, channels, defaults[number])


def specific_info(esds: bytes) -> tuple[int, bytes]:
    """Return objectTypeIndication and DecoderSpecificInfo of an esds (ISO/IEC 14496-1 7.2.6)."""
    found: dict[int, bytes] = {}

    def walk(data: bytes) -> None:
        at = 0
        while at < len(data):
            tag, length, at = data[at], 0, at + 1
            while True:
                byte = data[at]
                length, at = length << 7 | byte & 0x7F, at + 1
                if not byte & 0x80:
                    break
            body = data[at : at + length]
            demand(len(body) == length and tag not in found, "esds", f"descriptor {tag}")
            found[tag] = body
            at += length
            if tag == 3:
                demand(not body[2] & 0xE0, "esds", f"flags {body[2]:#x}")
                walk(body[3:])
            elif tag == 4:
                walk(body[13:])

    walk(esds[4:])
    demand({3, 4, 6} <= found.keys(), "esds", f"descriptors {list(found)}")
    return found[4][0], found.get(5, b"")


# Fragments


def read_fragments(data: bytes, init: Init) -> Fragments:
    """Read a segment or a part.

    Raises:
        Violation: It breaks a rule of ISO/IEC 14496-12 or 3.3 of the HLS draft.
    """
    found = Fragments(init)
    top = boxes(data)
    if top and top[0].kind == "styp":
        top.pop(0)
    demand(top, "fragments", "nothing")
    kinds = [x.kind for x in top if x.kind not in ("sidx", "prft", "emsg")]
    demand(kinds == ["moof", "mdat"] * (len(kinds) // 2), "fragments", f"{kinds}")
    movie: Box | None = None
    for box in top:
        if box.kind == "moof":
            movie = box
        elif box.kind == "mdat":
            assert movie is not None
            _read_fragment(data, movie, box, found)
            movie = None
        else:
            demand(movie is None, "fragments", f"{box.kind} between moof and mdat")
    demand(any(found.units.values()), "empty", "no samples")
    increase = all(b > a for a, b in pairwise(found.numbers))
    demand(increase, "mfhd", f"fragments {found.numbers} (C-FM-03)")
    return found


def _read_fragment(data: bytes, movie: Box, payload: Box, found: Fragments) -> None:
    inside = boxes(movie.body)
    header = _one(inside, "mfhd", "moof")
    found.numbers.append(_number(header, 4))
    ranges: list[tuple[int, int]] = []
    seen: set[int] = set()
    for box in inside:
        if box.kind != "traf":
            continue
        number = _read_run(data, movie.offset, boxes(box.body), found, ranges)
        demand(number not in seen, "traf", f"two of track {number}")
        seen.add(number)
    # Every byte of mdat is of one sample.
    at = payload.offset + 8
    for begin, end in sorted(ranges):
        demand(begin == at, "mdat", f"a sample at {begin}, the last one ended at {at}")
        at = end
    end = payload.offset + 8 + len(payload.body)
    demand(at == end, "mdat", f"samples until {at}, and mdat until {end}")


def _read_run(
    data: bytes, base: int, inside: list[Box], found: Fragments, ranges: list[tuple[int, int]]
) -> int:
    header = _one(inside, "tfhd", "traf")
    flags, number = _number(header, 1, 3), _number(header, 4)
    track = found.init.tracks.get(number)
    demand(track is not None, "track-id", f"track {number} is not in the initialisation section")
    assert track is not None
    good = flags & _BASE_IS_MOOF and not flags & (_BASE_DATA_OFFSET | _EMPTY)
    demand(good, "tfhd", f"flags {flags:#x}: HLS has default-base-is-moof (3.3)")
    at, defaults = 8, list(track.defaults)
    if flags & _DESCRIPTION:
        demand(_number(header, at) == 1, "tfhd", "another sample entry")
        at += 4
    for place, bit in enumerate((_DEFAULT_DURATION, _DEFAULT_SIZE, _DEFAULT_FLAGS)):
        if flags & bit:
            defaults[place] = _number(header, at)
            at += 4
    decode = _one(inside, "tfdt", "traf")
    demand(decode[0] == 1, "tfdt", "32 bits (C-FM-02)")
    time = _number(decode, 4, 8)
    if number in found.ends:
        text = f"track {number} at {time}, and ended at {found.ends[number]} (C-FM-02)"
        demand(found.ends[number] == time, "tfdt", text)
    units = found.units.setdefault(number, [])
    for box in inside:
        if box.kind == "trun":
            run = list(_samples(box.body, defaults))
            if not run:
                continue
            found.starts.setdefault(number, time)
            place = base + run[0].place
            for sample in run:
                body = data[place : place + sample.size]
                demand(len(body) == sample.size, "trun", f"track {number}: beyond the end")
                ranges.append((place, place + sample.size))
                place += sample.size
                units.append(_unit(track, time, sample, body))
                time += sample.duration
    found.ends[number] = time
    return number


class _Sample(NamedTuple):
    place: int
    duration: int
    size: int
    flags: int
    offset: int


def _samples(body: bytes, defaults: list[int]) -> Iterator[_Sample]:
    flags, count = _number(body, 1, 3), _number(body, 4)
    demand(body[0] == 1, "trun", "unsigned composition offsets (C-FM-01)")
    demand(flags & _DATA_OFFSET, "trun", "no data offset (8.8.8)")
    demand(count <= _MOST_SAMPLES, "trun", f"{count} samples")
    place, at = int.from_bytes(body[8:12], "big", signed=True), 12
    first = None
    if flags & _FIRST_FLAGS:
        demand(not flags & _FLAGS, "trun", "flags of the first sample and of each (8.8.8)")
        first, at = _number(body, at), at + 4
    for index in range(count):
        values = list(defaults)
        for slot, bit in enumerate((_DURATION, _SIZE, _FLAGS)):
            if flags & bit:
                values[slot], at = _number(body, at), at + 4
        if first is not None and index == 0:
            values[2] = first
        offset = 0
        if flags & _OFFSET:
            offset, at = int.from_bytes(body[at : at + 4], "big", signed=True), at + 4
        demand(values[0] > 0, "duration-zero", f"sample {index}")
        demand(values[1] > 0, "size-zero", f"sample {index}")
        yield _Sample(place, values[0], values[1], values[2], offset)
    demand(at == len(body), "trun", f"{len(body) - at} bytes too many")


def _unit(track: TrackInit, time: int, sample: _Sample, body: bytes) -> Unit:
    is_sync = not sample.flags & _NON_SYNC
    _check_payload(track, body, is_sync=is_sync)
    dts = time * 90000 // track.timescale % WRAP
    pts = (time + sample.offset) * 90000 // track.timescale % WRAP
    return Unit(pts, dts, body, is_sync)


def nal_units(body: bytes, length_bytes: int) -> list[bytes]:
    """Cut a sample into its NAL units (ISO/IEC 14496-15 4.3.3)."""
    found, at = [], 0
    while at < len(body):
        size = _number(body, at, length_bytes)
        at += length_bytes
        demand(0 < size <= len(body) - at, "nal", f"a NAL unit of {size} bytes at {at}")
        found.append(body[at : at + size])
        at += size
    return found


def _check_payload(track: TrackInit, body: bytes, *, is_sync: bool) -> None:
    entry = track.entry
    if entry == "avc1":
        kinds = [x[0] & 0x1F for x in nal_units(body, (track.config[4] & 3) + 1)]
        demand(not {7, 8, 13} & set(kinds), "sets-inside", f"NAL units {kinds} in avc1")
        demand((5 in kinds) is is_sync, "sync", f"NAL units {kinds}, sync {is_sync}")
    elif entry == "hvc1":
        kinds = [x[0] >> 1 & 0x3F for x in nal_units(body, (track.config[21] & 3) + 1)]
        demand(not {32, 33, 34} & set(kinds), "sets-inside", f"NAL units {kinds} in hvc1")
        key = any(16 <= x <= 21 for x in kinds)
        demand(key is is_sync, "sync", f"NAL units {kinds}, sync {is_sync}")
    elif entry == "av01":
        demand(body[0] >> 3 & 0x0F != 2, "delimiter", "a temporal delimiter (AV1-ISOBMFF 2.4)")
    elif not track.is_video:
        demand(is_sync, "sync", f"sound of {entry} that is no sync sample")
        adts = entry == "mp4a" and body[0] == 0xFF and body[1] & 0xF6 == 0xF0
        demand(not adts, "adts", "a frame with its ADTS header")
