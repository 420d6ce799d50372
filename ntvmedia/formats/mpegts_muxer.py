"""MPEG-TS made of packets: one program, a PES packet for each frame.

ISO/IEC 13818-1, cited as "H.222.0 n". What Apple's "HLS Authoring Specification" and RFC 8216
section 3.2 ask for beyond that is done too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ntvmedia.formats import mpegts_pes
from ntvmedia.formats.mpegts_clock import PCR_MAX_GAP, START, ProgramClock, SampleClock
from ntvmedia.formats.mpegts_frames import MAX_AUDIO_BYTES, Carriage, Framer, carriage
from ntvmedia.formats.mpegts_packets import (
    CLOCK_RATE,
    DISCONTINUITY,
    NULL_PID,
    RANDOM_ACCESS,
    PacketWriter,
    pcr_field,
)
from ntvmedia.formats.mpegts_tables import PAT_PID, Program, Stream, build_pat, build_pmt
from ntvmedia.media.packets import Codec, MediaKind, Packet, Track
from ntvmedia.media.timebase import rescale

MAX_TRACKS: Final = 48
"""As many as fit one section of a PMT, whatever their descriptors."""

PMT_PID: Final = 0x1000
FIRST_PID: Final = 0x100
"""A track's PID is this and its id: at most 0x4FE, and the same whatever other tracks there are."""

_PROGRAM: Final = 1

# Packets of the track that has the PCRs carry one if the last is so far behind: 30 ms, which is
# every picture at 30 a second. Packets of others let one go before them at 70 ms, so that with
# frames of sound 30 ms apart there is one every 100 ms.
_PCR_INTERVAL: Final = 2700
_PCR_OVERDUE: Final = 6300

# A track whose time falls back by more than this, 1 s, is on another timeline: its stream was
# published anew. By less, it is disorder.
_FALL_BACK: Final = 90000

_VIDEO: Final = MediaKind.VIDEO
_PRIVATE: Final = frozenset({Codec.AC3, Codec.EAC3, Codec.OPUS})


def can_carry(track: Track) -> bool:
    """Whether MPEG-TS can carry a track: H.264, HEVC, AAC, MP3, AC-3, E-AC-3 and Opus.

    Not AAC without a configuration, or with one that ADTS cannot tell (xHE-AAC, more than 8
    channels), nor Opus with a mapping of its own.
    """
    return carriage(track) is not None


class _Elementary:
    """One elementary stream.

    Attributes:
        track: What it carries.
        last: Decode time of its last PES packet; -1 before, which is 10 s before a stream's start.
        waiting: Frames of sound that are gathered for the next PES packet.
        waiting_bytes: Of those.
        waiting_ticks: How long they are, in ticks of the track.
        waiting_since: Time of the first, in ticks of 90 kHz.
    """

    __slots__ = (
        "clock",
        "clock_rate",
        "framer",
        "gather_ticks",
        "is_video",
        "last",
        "stream_id",
        "table_entry",
        "track",
        "waiting",
        "waiting_bytes",
        "waiting_since",
        "waiting_ticks",
        "writer",
    )

    def __init__(self, track: Track, found: Carriage, writer: PacketWriter) -> None:
        self.track = track
        self.framer: Framer = found.framer
        self.table_entry = Stream(found.stream_type, writer.pid, found.descriptors)
        self.writer = writer
        self.is_video = track.kind is _VIDEO
        self.clock_rate = track.clock_rate
        self.clock = SampleClock()
        self.last = -1
        self.gather_ticks = 0
        if self.is_video:
            self.stream_id = mpegts_pes.VIDEO_STREAM | track.number & 0x0F
        elif track.codec in _PRIVATE:
            self.stream_id = mpegts_pes.PRIVATE_STREAM
        else:
            self.stream_id = mpegts_pes.AUDIO_STREAM | track.number & 0x1F
        self.waiting: list[bytes] = []
        self.waiting_bytes = 0
        self.waiting_ticks = 0
        self.waiting_since = 0


class Muxer:
    """Writes the packets of one program.

    Times are those of the stream and 10 s, modulo 2**33: the same in every output of a stream.
    PCR <= DTS <= PTS, and PCRs are at most 100 ms apart; see `ProgramClock` for tracks that lag.
    Nothing is raised for packets: broken ones are left out.

    When times fall back by more than a second, a new timeline has begun: counters go on, and the
    next PCR has the discontinuity indicator (H.222.0 2.4.3.5).

    Args:
        tracks: Those to send. What cannot be carried is left out; of the rest, 48.
        audio_gather_seconds: With 0 each frame of sound is a PES packet. Else frames are gathered
            for at most this long, which saves up to 184 bytes a frame, until a picture is as much
            ahead, or `flush`. Without pictures it is at most 0.1 s, since sound has the PCRs.
    """

    def __init__(self, tracks: Sequence[Track], *, audio_gather_seconds: float = 0.0) -> None:
        self._gather_seconds = audio_gather_seconds
        self._gather_time = round(audio_gather_seconds * CLOCK_RATE)
        self._clock = ProgramClock(self._gather_time)
        # Their counters go on when a track goes and comes back.
        self._writers = {pid: PacketWriter(pid) for pid in (PAT_PID, PMT_PID)}
        self._streams: dict[int, _Elementary] = {}
        self._clocked: _Elementary | None = None
        self._is_new_timeline = False
        self._pat = build_pat([(_PROGRAM, PMT_PID)])
        self._program = Program(_PROGRAM, 0, NULL_PID, ())
        self._pmt = b""
        self._choose(tracks)
        self._pmt = build_pmt(self._program)

    def tables(self) -> bytes:
        """Return PAT and PMT, 376 bytes or more; their continuity counters go on."""
        writers = self._writers
        return writers[PAT_PID].section(self._pat) + writers[PMT_PID].section(self._pmt)

    def tracks_changed(self, tracks: Sequence[Track]) -> None:
        """Send these tracks from now on. Call `flush` before, and write `tables` after it.

        The PMT gets a new version if it is another. What was gathered of a track that is not
        there any more, or changed, is lost.
        """
        before = self._program
        self._choose(tracks)
        if self._program != before:
            version = (before.version + 1) & 31
            self._program = self._program._replace(version=version)
            self._pmt = build_pmt(self._program)

    def packet(self, packet: Packet, parts: list[bytes]) -> None:
        """Append the bytes of a packet to `parts`: in pieces, of whole MPEG-TS packets together.

        Nothing is appended where the track is not carried, the packet is broken or too large, or
        it is sound that waits for more.
        """
        track, dts, pts, is_keyframe, _payload = packet
        stream = self._streams.get(track.id)
        if stream is None:
            return
        data = stream.framer.data(packet)
        if not data:
            return
        rate = stream.clock_rate
        if rate != CLOCK_RATE:
            dts, pts = rescale(dts, rate, CLOCK_RATE), rescale(pts, rate, CLOCK_RATE)
        last = stream.waiting_since if stream.waiting else stream.last
        if dts + START < last - _FALL_BACK:
            self._restart(parts)
        if not stream.is_video:
            self._sound(stream, packet, data, parts)
            return
        dts = max(dts + START, stream.last + 1)
        pts = max(pts + START, dts)
        if self._gather_time:
            for other in self._streams.values():
                if other.waiting and dts - other.waiting_since >= self._gather_time:
                    self._write_waiting(other, parts)
        self._write(stream, dts, pts, data, is_keyframe, parts)

    def flush(self, parts: list[bytes]) -> None:
        """Append the sound that waits for more: at the end of a segment, and of the stream."""
        for stream in self._streams.values():
            if stream.waiting:
                self._write_waiting(stream, parts)

    def _restart(self, parts: list[bytes]) -> None:
        """Begin another timeline, after all that there is of the last one."""
        self.flush(parts)
        self._clock.restart()
        for stream in self._streams.values():
            stream.last = -1
        self._is_new_timeline = True

    def _choose(self, tracks: Sequence[Track]) -> None:
        before = self._streams
        self._streams = {}
        for track in tracks:
            known = before.get(track.id)
            if known is not None and known.track == track:
                self._streams[track.id] = known
            elif len(self._streams) < MAX_TRACKS and (found := carriage(track)) is not None:
                pid = FIRST_PID + track.id
                writer = self._writers.setdefault(pid, PacketWriter(pid))
                stream = self._streams[track.id] = _Elementary(track, found, writer)
                if known is not None:
                    stream.last = known.last
        streams = list(self._streams.values())
        has_video = any(stream.is_video for stream in streams)
        # The PCRs go with the pictures: a program without any has them with its sound.
        self._clocked = next((x for x in streams if x.is_video or not has_video), None)
        for stream in streams:
            stream.gather_ticks = int(self._gather_seconds * stream.clock_rate)
            if stream is self._clocked:
                most = PCR_MAX_GAP * stream.clock_rate // CLOCK_RATE
                stream.gather_ticks = min(stream.gather_ticks, most)
        self._program = self._program._replace(
            pcr_pid=self._clocked.writer.pid if self._clocked is not None else NULL_PID,
            streams=tuple(stream.table_entry for stream in streams),
        )

    def _sound(self, stream: _Elementary, packet: Packet, data: bytes, parts: list[bytes]) -> None:
        told, rate = packet.pts, stream.clock_rate
        samples = stream.framer.samples(packet.payload)
        if stream.waiting and (
            not stream.clock.follows(told, samples)
            or stream.waiting_ticks + samples > stream.gather_ticks
            or stream.waiting_bytes + len(data) > MAX_AUDIO_BYTES
        ):
            self._write_waiting(stream, parts)
        ticks = stream.clock.time(told, samples)
        if stream.gather_ticks:
            if not stream.waiting:
                stream.waiting_since = rescale(ticks, rate, CLOCK_RATE) + START
            stream.waiting.append(data)
            stream.waiting_bytes += len(data)
            stream.waiting_ticks += samples
            # Another one as long would be too much; or nobody knows how long this is.
            if not samples or stream.waiting_ticks + samples > stream.gather_ticks:
                self._write_waiting(stream, parts)
            return
        pts = max((ticks * CLOCK_RATE + (rate >> 1)) // rate + START, stream.last + 1)
        self._write(stream, pts, pts, data, True, parts)

    def _write_waiting(self, stream: _Elementary, parts: list[bytes]) -> None:
        pts = max(stream.waiting_since, stream.last + 1)
        data = b"".join(stream.waiting)
        stream.waiting = []
        stream.waiting_bytes = stream.waiting_ticks = 0
        self._write(stream, pts, pts, data, True, parts)

    def _write(
        self,
        stream: _Elementary,
        dts: int,
        pts: int,
        data: bytes,
        is_keyframe: bool,
        parts: list[bytes],
    ) -> None:
        stream.last = dts
        adaptation = b""
        clock = self._clock
        pcr = clock.now(dts)
        sent = clock.sent
        since = _PCR_OVERDUE if sent is None else pcr - sent
        if since > PCR_MAX_GAP and self._clocked is not None:
            for between in clock.gaps(pcr):
                parts.append(self._clocked.writer.fill(pcr_field(0, between)))
                clock.sent = between
        if stream is self._clocked:
            # A segment must begin with a PCR, even while it waits for a track that lags.
            if is_keyframe and stream.is_video and sent is not None and pcr <= sent:
                pcr, since = sent + 1, _PCR_INTERVAL
            if since >= _PCR_INTERVAL or (is_keyframe and stream.is_video):
                flags = RANDOM_ACCESS if is_keyframe else 0
                if self._is_new_timeline:
                    flags |= DISCONTINUITY
                    self._is_new_timeline = False
                adaptation = pcr_field(flags, pcr)
                clock.sent = pcr
        elif since >= _PCR_OVERDUE and self._clocked is not None:
            flags = DISCONTINUITY if self._is_new_timeline else 0
            self._is_new_timeline = False
            parts.append(self._clocked.writer.fill(pcr_field(flags, pcr)))
            clock.sent = pcr
        if is_keyframe and stream.is_video and not adaptation:
            adaptation = _RANDOM_ACCESS_ONLY
        head = mpegts_pes.header(stream.stream_id, len(data), pts, dts)
        stream.writer.write(head + data, adaptation, parts)


_RANDOM_ACCESS_ONLY: Final = bytes((RANDOM_ACCESS,))
