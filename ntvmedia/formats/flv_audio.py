"""Audio messages of every kind: FLV 10.1 E.4.2, and E-RTMP v2 "Enhanced Audio"."""

from __future__ import annotations

from typing import Final

from ntvmedia.codecs import aac, ac3, mpegaudio
from ntvmedia.errors import LimitExceeded, PeerError
from ntvmedia.formats import flv_tracks
from ntvmedia.formats.flv_codes import CODECS_BY_AUDIO_FOURCC, AudioPacketType, SoundFormat
from ntvmedia.formats.flv_enhanced import Part, parse_audio, spelled
from ntvmedia.formats.flv_states import Event, Tally, TrackState, TrackStates
from ntvmedia.media.packets import Codec, Packet, Track
from ntvmedia.media.timebase import from_milliseconds

# Longest message in which frames are searched for: each one found costs microseconds, and the
# longest frame of MP3, ADTS and E-AC-3 has 8 KiB.
MAX_SPLIT_BYTES: Final = 64 * 1024

_LEGACY: Final = "FLV 10.1 E.4.2.1"
_ENHANCED: Final = "E-RTMP v2, ExAudioTagBody"

_AAC_HEADER: Final = 0
_AAC_RAW: Final = 1
_ORDER_NATIVE: Final = 1
_ORDER_CUSTOM: Final = 2


class AudioReader:
    """Read the audio messages of one publisher, but those that `TagReader` reads by itself.

    Args:
        tally: Where broken tracks of a multitrack message are counted.

    Attributes:
        plain: Track 0 where its legacy messages only need cutting: AAC. None otherwise.
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
        if body[0] >> 4 == SoundFormat.ENHANCED:
            self._enhanced(timestamp, body, events)
        else:
            self._legacy(timestamp, body, events)

    def _legacy(self, timestamp: int, body: bytes, events: list[Event]) -> None:
        sound_format = body[0] >> 4
        state = self._states[0]
        if sound_format == SoundFormat.AAC:
            if len(body) < 2:
                raise PeerError("an audio message is cut off", reference=_LEGACY, offset=1)
            if body[1] == _AAC_HEADER:
                self._header(state, Codec.AAC, body[2:], events)
            elif body[1] == _AAC_RAW:
                self._aac(state, timestamp, 0, body[2:], events)
            else:
                raise PeerError(
                    f"AAC packet type {body[1]} is unknown", reference=_LEGACY, offset=1
                )
        elif sound_format in (SoundFormat.MP3, SoundFormat.MP3_8K):
            self._mp3(state, timestamp, 0, body[1:], events)
        else:
            track = flv_tracks.legacy_audio_track(body[0])
            payload = body[1:]
            if track.codec is Codec.PCM_S16LE:
                # Some cameras cut PCM at odd places: what is left of a sample is noise.
                payload = payload[: len(payload) // (2 * track.channels) * (2 * track.channels)]
            if payload:
                track = self._announce(state, track, events)
                _add(track, timestamp, 0, payload, events)

    def _enhanced(self, timestamp: int, body: bytes, events: list[Event]) -> None:
        message = parse_audio(body)
        for part in message.parts:
            try:
                self._part(timestamp, message.nano_offset, message.packet_type, part, events)
            except PeerError as error:
                if len(message.parts) == 1 and message.problem is None:
                    raise
                self._tally.count(error)
        if message.problem is not None:
            raise message.problem

    def _part(
        self, timestamp: int, nano_offset: int, packet_type: int, part: Part, events: list[Event]
    ) -> None:
        number, fourcc, body = part
        codec = CODECS_BY_AUDIO_FOURCC.get(fourcc)
        if codec is None:
            raise PeerError(f"audio FourCC {spelled(fourcc)} is unknown", reference=_ENHANCED)
        state = self._states[number]
        if packet_type == AudioPacketType.CODED_FRAMES:
            self._frames(state, codec, timestamp, nano_offset, body, events)
        elif packet_type == AudioPacketType.SEQUENCE_START:
            self._header(state, codec, body, events)
        elif packet_type == AudioPacketType.MULTICHANNEL_CONFIG:
            state.channels = _channel_count(body)
        elif packet_type != AudioPacketType.SEQUENCE_END:
            raise PeerError(f"audio packet type {packet_type} is unknown", reference=_ENHANCED)

    def _header(self, state: TrackState, codec: Codec, header: bytes, events: list[Event]) -> None:
        if header == state.header and state.track is not None and state.track.codec is codec:
            return
        # Only to Opus an empty one means something; with others the true one is still to come.
        if not header and codec is not Codec.OPUS:
            return
        if codec is Codec.AAC:
            track = flv_tracks.aac_track(state.number, header)
        elif codec is Codec.OPUS:
            track = flv_tracks.opus_track(state.number, header, state.channels)
        elif codec is Codec.FLAC:
            track = flv_tracks.flac_track(state.number, header)
        else:
            return  # The frames of AC-3 and MP3 tell all.
        state.header = header
        self._announce(state, track, events)

    def _frames(
        self,
        state: TrackState,
        codec: Codec,
        timestamp: int,
        nano_offset: int,
        payload: bytes,
        events: list[Event],
    ) -> None:
        if not payload:
            return
        if codec is Codec.AAC:
            self._aac(state, timestamp, nano_offset, payload, events)
        elif codec is Codec.MP3:
            self._mp3(state, timestamp, nano_offset, payload, events)
        elif codec in (Codec.AC3, Codec.EAC3):
            self._ac3(state, codec, timestamp, nano_offset, payload, events)
        else:
            _add(_known(state, codec), timestamp, nano_offset, payload, events)

    def _aac(
        self,
        state: TrackState,
        timestamp: int,
        nano_offset: int,
        payload: bytes,
        events: list[Event],
    ) -> None:
        if not payload:
            return
        # No raw AAC frame begins with 0xFF, which would be an end element and then another.
        if payload[0] != 0xFF:
            _add(_known(state, Codec.AAC), timestamp, nano_offset, payload, events)
            return
        _splittable(payload)
        frames = aac.split_adts(payload)
        track = state.track
        if track is None or track.codec is not Codec.AAC or state.header is None:
            # Without a sequence header, those of ADTS count: they have the same fields.
            track = self._announce(state, flv_tracks.adts_track(state.number, payload), events)
        samples = aac.parse_audio_specific_config(track.config).frame_length
        dts = _ticks(track, timestamp, nano_offset)
        for frame in frames:
            events.append(Packet(track, dts, dts, True, frame))
            dts += samples

    def _mp3(
        self,
        state: TrackState,
        timestamp: int,
        nano_offset: int,
        payload: bytes,
        events: list[Event],
    ) -> None:
        if not payload:
            return
        header = mpegaudio.parse_header(payload)
        _splittable(payload)
        # The flags of the message cannot say 48 kHz, and FFmpeg and others send what they like.
        track = self._announce(state, flv_tracks.mp3_track(state.number, header), events)
        dts = _ticks(track, timestamp, nano_offset)
        for frame in mpegaudio.split_frames(payload):
            events.append(Packet(track, dts, dts, True, frame))
            dts += header.samples

    def _ac3(
        self,
        state: TrackState,
        codec: Codec,
        timestamp: int,
        nano_offset: int,
        payload: bytes,
        events: list[Event],
    ) -> None:
        _splittable(payload)
        frames = ac3.split_syncframes(payload)
        if frames[0].codec is not codec:
            raise PeerError(
                f"a frame of {frames[0].codec} in a track of {codec}", reference=_ENHANCED
            )
        track = state.track
        if (
            track is None
            or track.codec is not codec
            or track.clock_rate != frames[0].sample_rate
            or track.channels != ac3.total_channels(frames)
        ):
            track = self._announce(state, flv_tracks.ac3_track(state.number, frames), events)
        _add(track, timestamp, nano_offset, payload, events)

    def _announce(self, state: TrackState, track: Track, events: list[Event]) -> Track:
        track = state.announce(track, events)
        if state.number == 0:
            self.plain = track if track.codec is Codec.AAC else None
        return track


def _known(state: TrackState, codec: Codec) -> Track:
    if state.track is None or state.track.codec is not codec:
        raise PeerError(f"{codec} before its sequence header", reference=_ENHANCED)
    return state.track


def _ticks(track: Track, timestamp: int, nano_offset: int) -> int:
    rate = track.clock_rate
    return from_milliseconds(timestamp, rate) + nano_offset * rate // 1_000_000_000


def _add(
    track: Track, timestamp: int, nano_offset: int, payload: bytes, events: list[Event]
) -> None:
    dts = _ticks(track, timestamp, nano_offset)
    events.append(Packet(track, dts, dts, True, payload))


def _splittable(payload: bytes) -> None:
    if len(payload) > MAX_SPLIT_BYTES:
        raise LimitExceeded(
            f"{len(payload)} bytes of audio in a message", reference=_LEGACY, limit=MAX_SPLIT_BYTES
        )


def _channel_count(body: bytes) -> int:
    """Read a multichannel configuration, of which only the number of channels is of use."""
    if len(body) < 2:
        raise PeerError("a multichannel configuration is cut off", reference=_ENHANCED)
    order, count = body[0], body[1]
    size = count if order == _ORDER_CUSTOM else 4 if order == _ORDER_NATIVE else 0
    if len(body) < 2 + size:
        raise PeerError("a channel map is longer than its message", reference=_ENHANCED)
    return count
