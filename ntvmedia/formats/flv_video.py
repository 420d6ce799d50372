"""Video messages of every kind: FLV 10.1 E.4.3, and E-RTMP v2 "Enhanced Video"."""

from __future__ import annotations

from typing import Final

from ntvmedia.codecs import av1, nal
from ntvmedia.errors import LimitExceeded, PeerError
from ntvmedia.formats.flv_codes import (
    CODECS_BY_VIDEO_FOURCC,
    LEGACY_HEVC_ID,
    NAL_CODECS,
    VIDEO_CODEC_IDS,
    AVCPacketType,
    FrameType,
    VideoPacketType,
)
from ntvmedia.formats.flv_enhanced import Part, parse_video, spelled
from ntvmedia.formats.flv_states import Event, Tally, TrackState, TrackStates
from ntvmedia.formats.flv_tracks import MAX_CONFIG_BYTES, video_track
from ntvmedia.media.packets import Codec, Packet, Track

_LEGACY: Final = "FLV 10.1 E.4.3.1"
_ENHANCED: Final = "E-RTMP v2, ExVideoTagBody"

_LEGACY_CODECS: Final = {
    **{number: codec for codec, number in VIDEO_CODEC_IDS.items()},
    LEGACY_HEVC_ID: Codec.HEVC,
}
_KEY_TYPES: Final = (FrameType.KEY, FrameType.GENERATED_KEY)

# Neither has anything for us; the second is AV1's descriptor of MPEG-TS.
_IGNORED: Final = (VideoPacketType.SEQUENCE_END, VideoPacketType.MPEG2TS_SEQUENCE_START)

# An AMF0 string, the name of the only metadata that is defined (E-RTMP v2 "Metadata Frame").
_COLOR_INFO: Final = b"\x02\x00\x09colorInfo"


class VideoReader:
    """Read the video messages of one publisher, but those that `TagReader` reads by itself.

    Args:
        tally: Where broken tracks of a multitrack message are counted.

    Attributes:
        plain: Track 0 where its legacy messages only need cutting: H.264 with lengths of 4
            bytes. None otherwise.
    """

    def __init__(self, tally: Tally) -> None:
        self.plain: Track | None = None
        self._tally = tally
        self._states = TrackStates()

    def read(self, timestamp: int, body: bytes, events: list[Event]) -> None:
        """Read one message that is not empty, and add to `events` what is in it.

        Args:
            timestamp: Decode time in milliseconds, unbounded.

        Raises:
            PeerError: It cannot be read, or not to its end.
        """
        if body[0] & 0x80:
            self._enhanced(timestamp, body, events)
        else:
            self._legacy(timestamp, body, events)

    def _legacy(self, timestamp: int, body: bytes, events: list[Event]) -> None:
        frame_type = body[0] >> 4
        if frame_type == FrameType.COMMAND:
            return
        number = body[0] & 0x0F
        codec = _LEGACY_CODECS.get(number)
        if codec is None:
            raise PeerError(f"video codec id {number} is not supported", reference=_LEGACY)
        state = self._states[0]
        dts = timestamp * 90
        if codec in NAL_CODECS:
            if len(body) < 5:
                raise PeerError("a video message is cut off", reference=_LEGACY, offset=len(body))
            packet_type = body[1]
            if packet_type == AVCPacketType.NALU:
                offset = signed24(body, 2)
                self._frame(state, codec, dts, offset, frame_type, body[5:], events)
            elif packet_type == AVCPacketType.SEQUENCE_HEADER:
                self._header(state, codec, body[5:], events)
            elif packet_type != AVCPacketType.END_OF_SEQUENCE:
                raise PeerError(
                    f"AVC packet type {packet_type} is unknown", reference=_LEGACY, offset=1
                )
            return
        # VP6 has a byte of cropping before each frame, the same in all (FLV 10.1 E.4.3.3).
        start = 2 if codec is Codec.VP6F else 1
        if len(body) > start:
            self._announce(state, Track(codec, config=body[1:start]), events)
            self._frame(state, codec, dts, 0, frame_type, body[start:], events)

    def _enhanced(self, timestamp: int, body: bytes, events: list[Event]) -> None:
        message = parse_video(body)
        # 90 ticks are a million nanoseconds.
        dts = timestamp * 90 + message.nano_offset * 9 // 100_000
        frame_type = body[0] >> 4 & 7
        for part in message.parts:
            try:
                self._part(dts, frame_type, message.packet_type, part, events)
            except PeerError as error:
                if len(message.parts) == 1 and message.problem is None:
                    raise
                self._tally.count(error)
        if message.problem is not None:
            raise message.problem

    def _part(
        self, dts: int, frame_type: int, packet_type: int, part: Part, events: list[Event]
    ) -> None:
        number, fourcc, body = part
        codec = CODECS_BY_VIDEO_FOURCC.get(fourcc)
        if codec is None:
            raise PeerError(f"video FourCC {spelled(fourcc)} is unknown", reference=_ENHANCED)
        state = self._states[number]
        if packet_type == VideoPacketType.CODED_FRAMES_X:
            self._frame(state, codec, dts, 0, frame_type, body, events)
        elif packet_type == VideoPacketType.CODED_FRAMES:
            offset = 0
            if codec in NAL_CODECS:
                if len(body) < 3:
                    raise PeerError("the composition time is cut off", reference=_ENHANCED)
                offset, body = signed24(body, 0), body[3:]
            self._frame(state, codec, dts, offset, frame_type, body, events)
        elif packet_type == VideoPacketType.SEQUENCE_START:
            self._header(state, codec, body, events)
        elif packet_type == VideoPacketType.METADATA:
            self._metadata(state, body, events)
        elif packet_type not in _IGNORED:
            raise PeerError(f"video packet type {packet_type} is unknown", reference=_ENHANCED)

    def _metadata(self, state: TrackState, body: bytes, events: list[Event]) -> None:
        # Other names may be defined one day: they are nothing to us, and no mistake.
        if not body.startswith(_COLOR_INFO):
            return
        if len(body) > MAX_CONFIG_BYTES:
            raise LimitExceeded(
                f"colorInfo of {len(body)} bytes", reference=_ENHANCED, limit=MAX_CONFIG_BYTES
            )
        state.color_info = body
        if state.track is not None:
            self._announce(state, state.track, events)

    def _header(self, state: TrackState, codec: Codec, header: bytes, events: list[Event]) -> None:
        # FFmpeg 9 begins AV1 with an empty one, before its encoder has made the true one.
        if not header:
            return
        # Most encoders repeat it, some with each keyframe: nothing changes then.
        if header == state.header and state.track is not None and state.track.codec is codec:
            return
        track, length_size = video_track(codec, state.number, header)
        state.header = header
        state.length_size = length_size
        self._announce(state, track, events)

    def _frame(
        self,
        state: TrackState,
        codec: Codec,
        dts: int,
        offset: int,
        frame_type: int,
        payload: bytes,
        events: list[Event],
    ) -> None:
        """Add one frame; `offset` is its composition time in milliseconds."""
        track = state.track
        is_keyframe = frame_type in _KEY_TYPES
        if track is None or track.codec is not codec:
            if codec is not Codec.VP8 or not is_keyframe:
                raise PeerError(f"{codec} before its sequence header", reference=_ENHANCED)
            # A keyframe of VP8 tells all that its sequence header would.
            track = self._announce(state, Track(codec, state.number), events)
        if codec in NAL_CODECS:
            payload = nal.normalise(payload, state.length_size)
        elif codec is Codec.AV1:
            payload = av1.normalise(payload)
        if payload:
            events.append(Packet(track, dts, dts + offset * 90, is_keyframe, payload))

    def _announce(self, state: TrackState, track: Track, events: list[Event]) -> Track:
        track = state.announce(track, events)
        if state.number == 0:
            is_plain = track.codec is Codec.H264 and state.length_size == 4
            self.plain = track if is_plain else None
        return track


def signed24(data: bytes, position: int) -> int:
    """Read an SI24: -8388608 to 8388607 milliseconds."""
    value = data[position] << 16 | data[position + 1] << 8 | data[position + 2]
    return value - 0x1000000 if value & 0x800000 else value
