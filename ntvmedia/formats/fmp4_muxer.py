"""Fragmented MP4 made of packets: an init segment, and fragments whenever they are asked for.

ISO/IEC 14496-12, cited as "ISOBMFF n". What RFC 8216 section 3.3 and "CMAF" (ISO/IEC 23000-19)
ask for beyond that is done too, but that all tracks are in one fragment, as HLS allows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ntvmedia.formats.fmp4_boxes import (
    NOT_SYNC,
    SYNC,
    SampleEntry,
    TrackHeader,
    file_type,
    movie,
)
from ntvmedia.formats.fmp4_entries import sample_entry
from ntvmedia.formats.fmp4_fragment import Run, build_fragment
from ntvmedia.formats.fmp4_frames import measurer, trimmer
from ntvmedia.formats.fmp4_language import language
from ntvmedia.media.packets import Codec, MediaKind, Packet, Track

# A sample's duration has 32 bits. What stands still for longer than half of that, 6 hours of
# pictures, goes on as another timeline.
_LONGEST_STEP: Final = 0x7FFFFFFF

# Composition offsets have 32 bits and a sign.
_LARGEST_OFFSET: Final = 0x7FFFFFFF
_MASK: Final = 0xFFFFFFFF

# `tfdt` has 64 bits: no stream gets there, but a broken publisher may say so.
_LATEST_TIME: Final = 1 << 62

# The last sample of a timeline is no longer than this, in seconds, however long the one before.
_LONGEST_LAST: Final = 1

# How long a frame is that stands alone, and whose codec does not tell: as at 25 a second.
_USUAL_FRAME_RATE: Final = 25

_NOT_KNOWN: Final = -1
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
        self._streams: dict[int, _Stream] = {}
        for track in tracks:
            entry = sample_entry(track)
            if entry is not None and track.id not in self._streams:
                self._streams[track.id] = _Stream(track, len(self._streams) + 1, entry)
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
        if time == _NOT_KNOWN:
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
                stream.end(_NOT_KNOWN)
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


class _Stream:
    """A track, and its samples that no fragment has yet.

    Attributes:
        track: What it carries.
        track_id: In the file.
        entry: How it is described.
        wants_frame: A frame would describe it better.
        is_video: It is pictures.
        trim: Takes from its payloads what a sample has not; None where they are samples.
        measure: Tells how long its packets are; None for pictures.
        is_held: The last sample has no duration yet.
        last: Decode time of the last sample, or where it ends if it is not held; `_NOT_KNOWN` at
            the start of a timeline.
        durations: Of the samples: one less than there are samples while one is held.
    """

    __slots__ = (
        "_counted",
        "_flags",
        "_offsets",
        "_other_track",
        "_payloads",
        "_recent",
        "_samples",
        "_sizes",
        "_start",
        "_step",
        "durations",
        "entry",
        "is_held",
        "is_video",
        "last",
        "measure",
        "track",
        "track_id",
        "trim",
        "wants_frame",
    )

    def __init__(self, track: Track, track_id: int, entry: SampleEntry) -> None:
        self.track = self._other_track = track
        self.track_id = track_id
        self.entry = entry
        self.wants_frame = not entry.is_complete
        self.is_video = track.kind is _VIDEO
        self.trim = trimmer(track)
        self.measure = measurer(track)
        self._step = max(round(track.clock_rate / (entry.frame_rate or _USUAL_FRAME_RATE)), 1)
        self._recent: list[int] = []
        self.durations: list[int] = []
        self._sizes: list[int] = []
        self._flags: list[int] = []
        self._offsets: list[int] = []
        self._payloads: list[bytes] = []
        self.restart()

    def restart(self) -> None:
        """Begin another timeline; all samples are written."""
        self.is_held = False
        self.last = self._counted = _NOT_KNOWN
        self._start = self._samples = 0

    def knows(self, track: Track) -> bool:
        """Whether packets of `track` are for the same decoder."""
        mine = self.track
        if track is mine or track is self._other_track:
            return True
        if (track.codec, track.clock_rate, track.config) != (
            mine.codec,
            mine.clock_rate,
            mine.config,
        ):
            return False
        self._other_track = track
        return True

    def describe(self, payload: bytes) -> None:
        """Learn what a frame tells."""
        entry = sample_entry(self.track, payload)
        if entry is not None and entry.is_complete:
            self.entry = entry
            self.wants_frame = False

    def time(self, told: int, samples: int) -> int:
        """Return where the next sample begins; `_NOT_KNOWN` where it is on another timeline.

        Nothing changes, so that it is the same for a packet that follows and then comes.

        Args:
            told: Decode time of the packet.
            samples: How long it is; 0 where that is not known.
        """
        if not 0 <= told <= _LATEST_TIME:
            told = min(max(told, 0), _LATEST_TIME)
        last = self.last
        if last < 0:
            return told
        # As `mpegts_clock.SampleClock` has it.
        counted = self._counted
        if counted >= 0 and 2 * abs(told - counted) <= samples:
            told = counted
        step = told - last
        if step > _LONGEST_STEP or step < -self.track.clock_rate - 1:
            return _NOT_KNOWN
        if not self.is_held:
            return last
        return told if step > 0 else last + 1

    def take(self, time: int, samples: int, pts: int, is_keyframe: bool, payload: bytes) -> None:
        """Hold a sample; the one before it has its duration.

        Args:
            time: As `time` says.
        """
        if self.last < 0:
            self._start = time
        self.is_held = True
        self.last = time
        self._samples = samples
        if self.is_video:
            offset = pts - time
            if not -_LARGEST_OFFSET <= offset <= _LARGEST_OFFSET:
                offset = 0
            self._offsets.append(offset & _MASK)
            self._flags.append(SYNC if is_keyframe else NOT_SYNC)
        else:
            # Sound is heard when it is decoded, and each of its frames is a beginning.
            self._counted = time + samples if samples else _NOT_KNOWN
            self._offsets.append(0)
            self._flags.append(SYNC)
        self._sizes.append(len(payload))
        self._payloads.append(payload)

    def end(self, time: int) -> None:
        """End the sample that is held.

        Args:
            time: Where it ends; `_NOT_KNOWN` for what is usual.
        """
        if time < 0:
            # The shorter of the last two: before one of them pictures may be missing.
            step = min([*self._recent, *self.durations][-2:], default=self._step)
            usual = self._samples or min(step, _LONGEST_LAST * self.track.clock_rate)
            time = self.last + min(usual, _LONGEST_STEP)
        self.durations.append(time - self.last)
        self.last = time
        self.is_held = False

    def run(self) -> Run:
        """Give out the samples whose durations are known: one or more."""
        run = Run(
            self.track_id,
            self._start,
            self.durations,
            self._sizes,
            self._flags,
            self._offsets,
            self._payloads,
        )
        self._start = self.last
        self._recent = [*self._recent, *self.durations[-2:]][-2:]
        self.durations = []
        if self.is_held:
            self._sizes = [run.sizes.pop()]
            self._flags = [run.flags.pop()]
            self._offsets = [run.offsets.pop()]
            self._payloads = [run.payloads.pop()]
        else:
            self._sizes, self._flags, self._offsets, self._payloads = [], [], [], []
        return run
