"""Fragmented MP4 made of packets: an init segment, and fragments whenever they are asked for.

ISO/IEC 14496-12, cited as "ISOBMFF n". What RFC 8216 section 3.3 and "CMAF" (ISO/IEC 23000-19)
ask for beyond that is done too, but that all tracks are in one fragment, as HLS allows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ntvmedia.formats.fmp4_boxes import TrackHeader, file_type, movie
from ntvmedia.formats.fmp4_entries import sample_entry
from ntvmedia.formats.fmp4_fragment import build_fragment
from ntvmedia.formats.fmp4_language import language
from ntvmedia.formats.mp4_timeline import NOT_KNOWN, Timeline
from ntvmedia.media.packets import Codec, MediaKind, Packet, Track

_VIDEO: Final = MediaKind.VIDEO


def can_carry(track: Track) -> bool:
    """Whether a track can be sent as fragmented MP4 to players of HLS.

    H.264, HEVC, AV1, VP9, AAC, MP3, Opus, FLAC, AC-3 and E-AC-3 can, if they have a configuration
    that can be used. It may be missing where a frame says the same: VP9, MP3, AC-3, E-AC-3; and
    where there is a usual one: Opus. MP4 has forms for VP8, VVC and G.711 too, which no such
    player takes.
    """
    return sample_entry(track) is not None


class Muxer:
    """Writes the packets of some tracks, of one configuration each.

    Times are those of the stream. In each track, a sample begins where the one before it ends:
    `tfdt` and the durations of a fragment make the next `tfdt`. So the last sample of each track
    is held back until the next one tells how long it is. Sound is counted in samples, as
    publishers' times are rounded; where half a frame or more is missing, the sample before the
    hole is longer.

    Nothing is raised for packets. Those without data are left out. When times fall back by more
    than a second, or stand still for hours, `finish` is done, and its bytes come with the next.

    Args:
        tracks: Those to send; what cannot be carried is left out. Their `track_ID` count from 1.

    Attributes:
        tracks: Those that are sent.
        content_type: "video/mp4", or "audio/mp4" where there are no pictures.
    """

    def __init__(self, tracks: Sequence[Track]) -> None:
        self._streams: dict[int, Timeline] = {}
        for track in tracks:
            entry = sample_entry(track)
            if entry is not None and track.id not in self._streams:
                self._streams[track.id] = Timeline(track, len(self._streams) + 1, entry)
        streams = list(self._streams.values())
        self.tracks: tuple[Track, ...] = tuple(stream.track for stream in streams)
        # Pictures first: a player that has them can begin to decode while sound comes in.
        self._in_order = [x for x in streams if x.is_video] + [x for x in streams if not x.is_video]
        has_video = any(stream.is_video for stream in streams)
        self.content_type: Final = "video/mp4" if has_video else "audio/mp4"
        self._sequence_number = 0
        self._finished: list[bytes] = []

    def packet(self, packet: Packet) -> None:
        """Take a packet; those of other tracks, or of one with another configuration, are ignored.

        The payload is kept, by reference, until a fragment has it.
        """
        track, dts, pts, is_keyframe, payload = packet
        stream = self._streams.get(track.id)
        if stream is None or not payload or not (track is stream.track or stream.knows(track)):
            return
        trim = stream.trim
        if trim is not None:
            payload = trim(payload)
        if stream.wants_frame and is_keyframe:
            stream.describe(payload)
        measure = stream.measure
        samples = 0 if measure is None else measure(payload)
        time = stream.time(dts, samples)
        if time == NOT_KNOWN:
            data = self.finish()
            self._finished.append(data)
            time = stream.time(dts, samples)
        if stream.is_held:
            stream.durations.append(time - stream.last)
        stream.take(time, samples, pts, is_keyframe, payload)

    def fragment(self, following: Packet | None = None) -> bytes:
        """Return the samples whose durations are known as `moof` and `mdat`; `b""` for none.

        Args:
            following: The packet that will be given next: the sample of its track that is held
                back ends where it begins, and is there too.
        """
        if following is not None:
            track, dts, _pts, _is_keyframe, payload = following
            stream = self._streams.get(track.id)
            if stream is not None and stream.is_held and payload and stream.knows(track):
                measure = stream.measure
                stream.end(stream.time(dts, 0 if measure is None else measure(payload)))
        return self._written()

    def finish(self) -> bytes:
        """Return all samples that are there: the timeline ends.

        The last sample of each track is as long as its codec says, or as the one before it. The
        next packets may be of any time. Sequence numbers go on.
        """
        for stream in self._in_order:
            if stream.is_held:
                stream.end(NOT_KNOWN)
        data = self._written()
        for stream in self._in_order:
            stream.restart()
        return data

    def init_segment(self) -> bytes:
        """Return `ftyp` and `moov`.

        What is told of AC-3, E-AC-3, MP3 and VP9, and of AV1 without sequence header, comes from
        the first frame that was given; so ask after that.
        """
        has_av1 = any(track.codec is Codec.AV1 for track in self.tracks)
        streams = self._streams.values()
        kinds = [stream.track.kind for stream in streams]
        headers = []
        for index, stream in enumerate(streams):
            track = stream.track
            code, tag = language(track.language)
            # Players that know nothing of groups play what is enabled: the first of each kind.
            headers.append(
                TrackHeader(
                    stream.track_id,
                    track.kind,
                    track.clock_rate,
                    stream.entry,
                    code,
                    tag,
                    is_enabled=track.kind not in kinds[:index],
                    alternate_group=_group(track.kind) if kinds.count(track.kind) > 1 else 0,
                )
            )
        return file_type([b"av01"] if has_av1 else []) + movie(headers)

    def _written(self) -> bytes:
        runs = [stream.run() for stream in self._in_order if stream.durations]
        if runs:
            self._sequence_number += 1
            self._finished.append(build_fragment(self._sequence_number, runs))
        data = self._finished
        self._finished = []
        return data[0] if len(data) == 1 else b"".join(data)


def _group(kind: MediaKind) -> int:
    return 1 if kind is _VIDEO else 2
