"""The moov box of MP4 and QuickTime: its tracks, with their samples where it has them.

ISO/IEC 14496-12, cited as "14496-12 n": section 8.2 to 8.8; Apple's "QuickTime File Format" where
files of cameras differ.
"""

from __future__ import annotations

from itertools import product
from string import ascii_lowercase
from struct import Struct
from typing import Final, NamedTuple

from ntvmedia.errors import LimitExceeded, PeerError
from ntvmedia.formats.fmp4_descriptions import Description, parse_descriptions
from ntvmedia.formats.fmp4_language import language
from ntvmedia.formats.fmp4_reader import (
    Box,
    child,
    children,
    required,
    unpack,
    version_and_flags,
    whole_box,
)
from ntvmedia.formats.fmp4_samples import Clock, Sample, Samples, parse_edit
from ntvmedia.formats.fmp4_tables import NO_TABLES, parse_tables
from ntvmedia.media.packets import Packet, Track

MAX_TRACKS: Final = 64
"""Tracks of a file, of all kinds; cameras write up to ten."""

_MOOV: Final = "14496-12 8.2.1"
_MDHD: Final = "14496-12 8.4.2"
_TREX: Final = "14496-12 8.8.3"

_timescale_0: Final = Struct(">12xI")
_timescale_1: Final = Struct(">20xI")
_language_0: Final = Struct(">20xH")
_language_1: Final = Struct(">32xH")
_track_id_0: Final = Struct(">12xI")
_track_id_1: Final = Struct(">20xI")
_handler: Final = Struct(">8xI")
_five_words: Final = Struct(">4x5I")
_count: Final = Struct(">4xI")

_VIDEO: Final = int.from_bytes(b"vide", "big")
_AUDIO: Final = int.from_bytes(b"soun", "big")

_ENABLED: Final = 1
_SELF_CONTAINED: Final = 1

# ISO 639-2/T to the two letters of ISO 639-1, which BCP 47 demands where there are two.
_TWO_LETTERS: Final = {
    language("".join(letters)).code: "".join(letters)
    for letters in product(ascii_lowercase, repeat=2)
}


class Defaults(NamedTuple):
    """What holds for the samples of a track's fragments that tell nothing (14496-12 8.8.3).

    Attributes:
        description: Counted from 1, as everywhere in the file.
        duration: In the media's ticks.
        size: In bytes.
        flags: sample_flags (14496-12 8.8.3.1).
    """

    description: int = 1
    duration: int = 0
    size: int = 0
    flags: int = 0


class MovieTrack(NamedTuple):
    """One track of a file.

    Attributes:
        id: track_ID.
        track: As its first description that can be read has it.
        descriptions: All its sample entries.
        clock: From media time to packets.
        samples: Those that the moov box lists: none of a fragmented file.
        end: When they end, in the media's ticks: where fragments go on.
        defaults: Of its fragments.
    """

    id: int
    track: Track
    descriptions: tuple[Description, ...]
    clock: Clock
    samples: Samples
    end: int
    defaults: Defaults

    @property
    def duration(self) -> int:
        """When the last of `samples` ends, in ticks of the track's clock."""
        return self.samples.duration

    def packet(self, sample: Sample, data: bytes) -> Packet | None:
        """Make a packet of a sample; None where it has nothing that can be read.

        Args:
            sample: Of `samples`.
            data: The bytes of the file that it tells.
        """
        description = self.descriptions[sample.description]
        track, form = description.track, description.form
        if track is None:
            return None
        if form is not None:
            try:
                data = form(data)
            except PeerError:
                return None
        return Packet(track, sample.dts, sample.pts, sample.is_sync, data) if data else None


class Movie(NamedTuple):
    """What a moov box tells.

    Attributes:
        tracks: Those of pictures and sound that can be read. Of each kind they are numbered in
            their order, but those that the file has switched off come last.
        is_fragmented: More samples may follow in fragments.
        left_out: The sample entries of the pictures and sound that cannot be read: "mp4v", "encv".
        defaults: By track_ID, of all tracks.
    """

    tracks: tuple[MovieTrack, ...]
    is_fragmented: bool
    left_out: tuple[str, ...]
    defaults: dict[int, Defaults]


def parse_movie(moov: bytes) -> Movie:
    """Read a moov box, its header included.

    Nothing of the samples' data is needed: `MovieTrack.samples` tells where each one is in the
    file, and `MovieTrack.packet` makes a packet of it.

    Raises:
        PeerError: It is broken, or compressed, or refers to nothing.
        LimitExceeded: There are more than `MAX_TRACKS`, or a track has too many samples.
    """
    box = whole_box(moov, b"moov")
    if child(box, b"cmov") is not None:
        # A few bytes may become any number of them.
        raise PeerError("a compressed moov box", reference=_MOOV, offset=box.offset)
    movie_timescale = _movie_timescale(box)
    defaults = _parse_defaults(box)
    left_out: list[str] = []
    found: list[tuple[bool, MovieTrack, str]] = []
    for index, trak in enumerate(x for x in children(box) if x.kind == b"trak"):
        if index == MAX_TRACKS:
            raise LimitExceeded(
                "too many tracks", reference=_MOOV, limit=MAX_TRACKS, offset=trak.offset
            )
        one = _parse_track(trak, movie_timescale, defaults, left_out)
        if one is not None:
            found.append(one)
    found.sort(key=lambda one: not one[0])
    tracks: list[MovieTrack] = []
    numbers: dict[str, int] = {}
    for _enabled, track, tag in found:
        kind = track.track.kind
        number = numbers.get(kind, 0)
        numbers[kind] = number + 1
        named = tuple(one.numbered(number, tag) for one in track.descriptions)
        first = next(one.track for one in named if one.track is not None)
        tracks.append(track._replace(track=first, descriptions=named))
    is_fragmented = child(box, b"mvex") is not None
    return Movie(tuple(tracks), is_fragmented, tuple(left_out), defaults)


def _movie_timescale(moov: Box) -> int:
    mvhd = child(moov, b"mvhd")
    if mvhd is None:
        return 1
    version, _flags = version_and_flags(mvhd)
    (timescale,) = unpack(_timescale_1 if version == 1 else _timescale_0, mvhd)
    # Only edit lists need it; there are files with 0.
    return timescale or 1


def _parse_defaults(moov: Box) -> dict[int, Defaults]:
    """Read trex of each track."""
    mvex = child(moov, b"mvex")
    found: dict[int, Defaults] = {}
    if mvex is not None:
        for trex in children(mvex):
            if trex.kind == b"trex":
                if len(found) >= MAX_TRACKS:
                    raise LimitExceeded(
                        "too many tracks", reference=_TREX, limit=MAX_TRACKS, offset=trex.offset
                    )
                track_id, *values = unpack(_five_words, trex)
                found[track_id] = Defaults(*values)
    return found


def _parse_track(
    trak: Box, movie_timescale: int, defaults: dict[int, Defaults], left_out: list[str]
) -> tuple[bool, MovieTrack, str] | None:
    """Read a track.

    Returns:
        Whether it is enabled, the track without number, and its language; None where it cannot be
        read, or is neither of pictures nor of sound.
    """
    mdia = required(trak, b"mdia")
    hdlr = child(mdia, b"hdlr")
    (kind,) = (0,) if hdlr is None else unpack(_handler, hdlr)
    if kind not in (_VIDEO, _AUDIO):
        return None
    is_video = kind == _VIDEO
    tkhd = required(trak, b"tkhd")
    version, flags = version_and_flags(tkhd)
    (track_id,) = unpack(_track_id_1 if version == 1 else _track_id_0, tkhd)
    timescale, tag = _parse_media_header(mdia)
    minf = required(mdia, b"minf")
    stbl = required(minf, b"stbl")
    stsd = required(stbl, b"stsd")
    descriptions = parse_descriptions(stsd, timescale, is_video, _parse_references(minf))
    known = [one for one in descriptions if one.track is not None]
    left_out += [one.name for one in descriptions if one.track is None]
    if not known:
        return None
    track = known[0].track
    assert track is not None
    if any(one.track is not None and one.track.clock_rate != track.clock_rate for one in known):
        # One clock for all of it: who follows the track counts on.
        raise PeerError("a track with several sample rates", reference=_MOOV, offset=stsd.offset)
    edit = parse_edit(trak)
    clock = edit.clock(timescale, track.clock_rate, movie_timescale)
    frame_sizes = {one.frame_size for one in known}
    frame_size = frame_sizes.pop() if len(frame_sizes) == 1 else 0
    tables = parse_tables(stbl, frame_size, len(descriptions))
    samples = Samples(tables, edit, clock, movie_timescale, is_video)
    one = MovieTrack(
        track_id,
        track,
        tuple(descriptions),
        clock,
        samples,
        tables.end if tables is not NO_TABLES else 0,
        defaults.get(track_id, Defaults()),
    )
    return flags & _ENABLED != 0, one, tag


def _parse_media_header(mdia: Box) -> tuple[int, str]:
    """Read the timescale and the language of a track (14496-12 8.4.2, 8.4.6)."""
    mdhd = required(mdia, b"mdhd")
    version, _flags = version_and_flags(mdhd)
    (timescale,) = unpack(_timescale_1 if version == 1 else _timescale_0, mdhd)
    if not timescale:
        raise PeerError("a track with a timescale of 0", reference=_MDHD, offset=mdhd.offset)
    elng = child(mdia, b"elng")
    if elng is not None:
        text = bytes(elng.body[4:]).partition(b"\0")[0].decode("latin-1")
        # Judged by the rules by which it is written.
        known = language(text)
        if known.tag or known != language(""):
            return timescale, text
    (packed,) = unpack(_language_1 if version == 1 else _language_0, mdhd)
    code = "".join(chr((packed >> shift & 31) + 0x60) for shift in (10, 5, 0))
    # QuickTime's own codes, which are small numbers, give no letters.
    if code == "und" or not code.isalpha() or not code.islower():
        return timescale, ""
    return timescale, _TWO_LETTERS.get(code, code)


def _parse_references(minf: Box) -> list[bool]:
    """Tell of each data reference whether it is to another file, which is never opened."""
    dinf = child(minf, b"dinf")
    dref = None if dinf is None else child(dinf, b"dref")
    if dref is None:
        return []
    (count,) = unpack(_count, dref)
    found: list[bool] = []
    for reference in children(dref, 8):
        if len(found) == count:
            break
        _version, flags = version_and_flags(reference)
        # An empty one refers to nothing, whatever its flags.
        found.append(not flags & _SELF_CONTAINED and len(reference.body) > 4)
    return found
