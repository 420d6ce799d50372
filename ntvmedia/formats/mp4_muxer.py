"""Ordinary MP4 made of packets: one file with `moov` first, that plays as soon as it begins.

ISO/IEC 14496-12, cited as "ISOBMFF n". `moov` tells where all samples are, so it is known when
the last one is: media data go into a file of their own, and are put behind the header at the end.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from ntvmedia.errors import UsageError
from ntvmedia.formats.fmp4_boxes import TrackHeader, box, ordinary_movie
from ntvmedia.formats.fmp4_entries import sample_entry
from ntvmedia.formats.fmp4_movie import MAX_TRACKS
from ntvmedia.formats.mp4_timeline import NOT_KNOWN
from ntvmedia.formats.mp4_track import FileTrack
from ntvmedia.media.packets import VIDEO_CLOCK_RATE, Codec, Packet, Track
from ntvmedia.media.timebase import rescale

CHUNK_BYTES: Final = 1 << 20
"""After so many a chunk ends, whatever it lasts: this is held of each track, and a sample more."""

# Of codecs that have one.
_BRANDS: Final = {Codec.H264: b"avc1", Codec.AV1: b"av01"}

_MAX_32: Final = 0xFFFFFFFF

# The minor version that FFmpeg writes: nothing is specified, and every player has seen it.
_MINOR_VERSION: Final = struct.pack(">I", 0x200)


class Muxer:
    """Writes the packets of any tracks.

    Packets come in decode order of each track, and roughly by time over all of them. Times are on
    one timeline, of any origin; the file begins with what is presented first of all tracks, and
    keeps all distances. A track is made of what one id has, of one codec: with another codec, or
    after `fmp4_descriptions.MAX_ENTRIES` configurations, the id goes on as another track. All
    other changes of the configuration, that of the clock too, stay in the track.

    Within a track, times are put right as `Timeline` does. What falls back by more than a second
    goes right behind the last sample, and what follows keeps its distance to it, unless the next
    packet says that the one was wrong. What leaves a hole of more than `LONGEST_STEP` ticks comes
    after so many.

    Nothing is raised for packets. What cannot be carried is left out: packets without data, of
    codecs that MP4 has no form for, without usable configuration, of more than
    `fmp4_movie.MAX_TRACKS` tracks.

    Attributes:
        left_out: Packets that are not in the file.
        left_out_tracks: Of which they are, by id.
        duration_seconds: Of the presentation; 0 before `finish`.
    """

    def __init__(self) -> None:
        self.left_out = 0
        self.left_out_tracks: dict[int, Track] = {}
        self.duration_seconds = 0.0
        # By id, that which its packets are for; by id and codec; and all.
        self._streams: dict[int, FileTrack] = {}
        self._by_codec: dict[tuple[int, Codec], FileTrack] = {}
        self._all: list[FileTrack] = []
        # Bytes that were given out.
        self._size = 0
        self._is_finished = False

    def packet(self, packet: Packet) -> list[bytes]:
        """Take a packet; its payload is kept, by reference, until a chunk has it.

        Returns:
            What is to be appended to the media data; mostly nothing.

        Raises:
            UsageError: `finish` was called before.
        """
        track, dts, pts, is_keyframe, payload = packet
        stream = self._streams.get(track.id)
        if stream is None or not payload or not (track is stream.track or stream.knows(track)):
            stream = self._switched(packet)
            if stream is None:
                return []
        trim = stream.trim
        if trim is not None:
            payload = trim(payload)
        if stream.sets and is_keyframe:
            payload = stream.with_sets(payload)
        if stream.wants_frame and is_keyframe:
            stream.describe(payload)
        measure = stream.measure
        samples = 0 if measure is None else measure(payload)
        if stream.other_rate:
            dts = rescale(dts, stream.other_rate, stream.clock_rate)
            pts = rescale(pts, stream.other_rate, stream.clock_rate)
        if stream.is_doubtful:
            stream.settle(dts)
        time = stream.time(dts - stream.origin, samples)
        if time == NOT_KNOWN:
            time = stream.resume(dts)
        data: list[bytes] = []
        if stream.is_held:
            if time >= stream.due or stream.gathered >= CHUNK_BYTES:
                data.append(stream.chunk(time, self._size))
                self._size += len(data[0])
            else:
                stream.durations.append(time - stream.last)
        stream.gathered += len(payload)
        stream.take(time, samples, pts - stream.origin, is_keyframe, payload)
        return data

    def finish(self) -> list[bytes]:
        """Return the rest of the media data: the last samples last as long as is usual for them.

        Raises:
            UsageError: This was called before.
        """
        self._check_open()
        self._is_finished = True
        self._streams.clear()
        data = []
        for stream in self._all:
            data.append(stream.chunk(NOT_KNOWN, self._size))
            self._size += len(data[-1])
            stream.close()
        if data:
            begins = min(stream.begins for stream in self._all)
            self.duration_seconds = float(max(stream.ends for stream in self._all) - begins)
        return data

    def header(self) -> bytes:
        """Return what the file begins with: `ftyp`, `moov` and the head of `mdat`.

        All that `packet` and `finish` returned stands right behind it.

        Raises:
            UsageError: `finish` was not called, or no packet could be carried.
        """
        if not self._is_finished:
            raise UsageError("finish comes before the header")
        if not self._all:
            raise UsageError("a file without samples has no header")
        codecs = {stream.track.codec for stream in self._all}
        brands = [brand for codec, brand in _BRANDS.items() if codec in codecs]
        file_type = box(b"ftyp", b"isom", _MINOR_VERSION, b"isomiso2mp41", *brands)
        media_head = _media_head(self._size)
        movie = _Movie(self._all)
        around = len(file_type) + len(media_head)
        first_byte = around + movie.size(is_wide=False)
        is_wide = first_byte + max(stream.table.last_chunk for stream in self._all) > _MAX_32
        if is_wide:
            first_byte = around + movie.size(is_wide=True)
        return file_type + movie.written(first_byte, is_wide=is_wide) + media_head

    def _check_open(self) -> None:
        if self._is_finished:
            raise UsageError("the file is finished")

    def _switched(self, packet: Packet) -> FileTrack | None:
        """Find what a packet belongs to that has no data, or whose track is new or has changed.

        Returns:
            None if the packet is left out.
        """
        self._check_open()
        track, dts, _pts, is_keyframe, payload = packet
        stream = self._by_codec.get((track.id, track.codec)) if payload else None
        if stream is None or not (stream.knows(track) or stream.recall(track)):
            entry = sample_entry(track, payload if is_keyframe else b"") if payload else None
            if entry is not None and stream is not None and not stream.is_full:
                stream.reconfigure(track, entry)
            elif entry is not None and len(self._all) < MAX_TRACKS:
                stream = FileTrack(track, len(self._all) + 1, entry, dts)
                self._all.append(stream)
                self._by_codec[track.id, track.codec] = stream
            else:
                self.left_out += 1
                self.left_out_tracks[track.id] = track
                return None
        self._streams[track.id] = stream
        return stream


class _Movie:
    """The `moov` box, but for the places of the chunks, which depend on its size.

    Args:
        tracks: With samples, and closed.
    """

    def __init__(self, tracks: Sequence[FileTrack]) -> None:
        # Pictures first, as players expect them.
        in_order = sorted(tracks, key=lambda track: not track.is_video)
        start = min(track.begins for track in tracks)
        # An instant on any track's clock can be told apart from the next one.
        self._timescale = max(VIDEO_CLOCK_RATE, *(track.clock_rate for track in tracks))
        self._tables = [track.table for track in in_order]
        self._headers: list[TrackHeader] = []
        for track in in_order:
            # What one id has had with several codecs follows itself, and is no alternative.
            ids = list(dict.fromkeys(x.track.id for x in tracks if x.is_video is track.is_video))
            group = (1 if track.is_video else 2) if len(ids) > 1 else 0
            # As in fragmented MP4: the first of each kind is enabled.
            is_enabled = track.track.id == ids[0]
            self._headers.append(
                track.header(start, self._timescale, is_enabled=is_enabled, alternate_group=group)
            )
        self._duration = max(header.duration for header in self._headers)

    def size(self, *, is_wide: bool) -> int:
        """Return its size in bytes, which does not depend on the places in it."""
        places = sum(table.chunk_offsets_size(is_wide=is_wide) for table in self._tables)
        return len(ordinary_movie(self._headers, self._timescale, self._duration)) + places

    def written(self, first_byte: int, *, is_wide: bool) -> bytes:
        """Write it.

        Args:
            first_byte: The place in the file of the first byte of media data.
            is_wide: Places have 64 bits.
        """
        headers = [
            header._replace(tables=header.tables + table.chunk_offsets(first_byte, is_wide=is_wide))
            for header, table in zip(self._headers, self._tables, strict=True)
        ]
        return ordinary_movie(headers, self._timescale, self._duration)


def _media_head(size: int) -> bytes:
    """Write the head of `mdat` for so many bytes of data (ISOBMFF 4.2)."""
    if size + 8 > _MAX_32:
        # 1 says that a size of 64 bits follows.
        return struct.pack(">I4sQ", 1, b"mdat", size + 16)
    return struct.pack(">I4s", size + 8, b"mdat")
