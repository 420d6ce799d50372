"""RTMP chunks made of a live stream's packets once, for any number of players."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from struct import Struct
from typing import Final

from ntvmedia.formats import amf0, flv_writer
from ntvmedia.formats.flv_serialiser import FLVSerialiser
from ntvmedia.media import MediaKind, Packet, Track
from ntvmedia.wire.rtmp import multitrack
from ntvmedia.wire.rtmp.chunks import MessageType
from ntvmedia.wire.rtmp.session import CHUNK_SIZE
from ntvmedia.wire.rtmp.writer import MAX_PAYLOAD, append_message, message_bytes

MESSAGE_STREAM_ID: Final = 1
"""What the first `createStream` of a connection is answered by."""

AUDIO_CHUNK_STREAM: Final = 4
DATA_CHUNK_STREAM: Final = 5
VIDEO_CHUNK_STREAM: Final = 6

_MAX_STREAM_ID: Final = (1 << 32) - 1
_MASK: Final = (1 << 32) - 1
_EXTENDED: Final = 0xFFFFFF

_AUDIO: Final = MediaKind.AUDIO
_VIDEO: Final = MediaKind.VIDEO
_TYPES: Final = {
    MediaKind.AUDIO: (AUDIO_CHUNK_STREAM, int(MessageType.AUDIO)),
    MediaKind.DATA: (DATA_CHUNK_STREAM, int(MessageType.DATA_AMF0)),
    MediaKind.VIDEO: (VIDEO_CHUNK_STREAM, int(MessageType.VIDEO)),
}

# Chunk stream id and time; length and type; message stream id (RTMP 1.0 section 5.3.1.2.1).
_header: Final = Struct(">III").pack


class RTMPSerialiser:
    """Turn packets into whole messages with full headers: bytes that fit any connection.

    The connection has to have announced the same chunk size (`ServerSession` does with its
    answer to `connect`), and to play on the same message stream. Timestamps are the stream's own,
    modulo 2**32.

    Args:
        message_stream_id: 1 to 2**32 - 1.
        chunk_size: In bytes.
        legacy_hevc: Write HEVC under codec id 12 instead of as Enhanced RTMP's "hvc1".
        has_multitrack: Send all tracks, those after the first of a kind as Enhanced RTMP's
            multitrack, instead of the first only.
        publishing: Mark metadata as to be kept by a server ("@setDataFrame").
    """

    def __init__(
        self,
        *,
        message_stream_id: int = MESSAGE_STREAM_ID,
        chunk_size: int = CHUNK_SIZE,
        legacy_hevc: bool = False,
        has_multitrack: bool = False,
        publishing: bool = False,
    ) -> None:
        self._message_stream_id = message_stream_id
        # In its header it is little-endian.
        self._swapped_id = int.from_bytes(message_stream_id.to_bytes(4, "little"), "big")
        self._chunk_size = chunk_size
        self._legacy_hevc = legacy_hevc
        self._has_multitrack = has_multitrack
        self._metadata_prefix = amf0.encode("@setDataFrame") if publishing else b""
        self._script = FLVSerialiser(legacy_hevc=legacy_hevc)
        self._tracks: dict[int, Track] = {}
        # By track id: which are sent, and which of them as further tracks.
        self._further: dict[int, bool] = {}

    def tracks_changed(
        self, tracks: Sequence[Track], metadata: Mapping[str, object], timestamp: int
    ) -> bytes:
        """Take the tracks to send; called before all else, and whenever one appears or changes.

        Returns:
            The sequence headers that differ from the last, stamped `timestamp` milliseconds.
        """
        self._script.tracks_changed(tracks, metadata, timestamp)
        before = self._tracks
        self._tracks = {}
        self._further = {}
        kinds = set()
        for track in tracks:
            if track.kind not in kinds and _can_carry(track):
                kinds.add(track.kind)
                self._further[track.id] = False
            elif (
                self._has_multitrack and flv_writer.can_carry(track) and multitrack.can_carry(track)
            ):
                self._further[track.id] = True
            else:
                continue
            self._tracks[track.id] = track
        return b"".join(
            self._sequence_start(track, timestamp)
            for track in self._tracks.values()
            if _decoding(track) != _decoding(before.get(track.id))
        )

    def header(self, timestamp: int) -> bytes:
        """Return what a player needs before its first block: metadata and sequence headers.

        Args:
            timestamp: Of all its messages, in milliseconds.
        """
        # Players make their decoders in this order: the audio one must not wait for a picture.
        tracks = sorted(self._tracks.values(), key=lambda track: track.kind is not _AUDIO)
        starts = [self._sequence_start(track, timestamp) for track in tracks]
        return b"".join([self.metadata(timestamp), *starts])

    def metadata(self, timestamp: int) -> bytes:
        """Return the message "onMetaData", made from the tracks (FLV 10.1 E.5).

        Args:
            timestamp: In milliseconds.
        """
        return self._message(
            MediaKind.DATA, timestamp, self._metadata_prefix + self._script.metadata()
        )

    def packet(self, packet: Packet, parts: list[bytes]) -> None:
        """Append one packet's message to `parts`; nothing where its track is not carried."""
        track, dts, _pts, _is_keyframe, payload = packet
        further = self._further.get(track.id)
        if further is None:
            return
        kind = track.kind
        if kind is _VIDEO:
            timestamp = (dts + 45) // 90 & _MASK
            chunk_stream_id = VIDEO_CHUNK_STREAM
            type_id = 9
        else:
            rate = track.clock_rate
            timestamp = (dts * 1000 + (rate >> 1)) // rate & _MASK
            chunk_stream_id, type_id = _TYPES[kind]
        if further:
            prefix = multitrack.body_prefix(packet)
        else:
            prefix = flv_writer.body_prefix(packet, legacy_hevc=self._legacy_hevc)
        size = len(prefix) + len(payload)
        if size <= self._chunk_size and timestamp < _EXTENDED:
            # As `append_message` does it, without its checks: most packets come this way.
            parts.append(
                _header(chunk_stream_id << 24 | timestamp, size << 8 | type_id, self._swapped_id)
                + prefix
            )
            parts.append(payload)
        elif size <= MAX_PAYLOAD:
            append_message(
                parts,
                chunk_stream_id,
                timestamp,
                type_id,
                self._message_stream_id,
                prefix,
                payload,
                self._chunk_size,
            )

    def trailer(self) -> bytes:
        """Return nothing: each player's session says the end on its own."""
        return b""

    def frame(self, block: bytes) -> bytes:
        """Return a block as it is."""
        return block

    def _sequence_start(self, track: Track, timestamp: int) -> bytes:
        """Write all that comes before a track's packets."""
        if track.kind is MediaKind.DATA:
            return b""
        if self._further[track.id]:
            bodies = (multitrack.sequence_start(track), multitrack.color_info(track))
        else:
            bodies = (
                flv_writer.sequence_start(track, legacy_hevc=self._legacy_hevc),
                flv_writer.color_info(track),
            )
        return b"".join(self._message(track.kind, timestamp, body) for body in bodies if body)

    def _message(self, kind: MediaKind, timestamp: int, body: bytes) -> bytes:
        chunk_stream_id, type_id = _TYPES[kind]
        return message_bytes(
            chunk_stream_id, timestamp, type_id, self._message_stream_id, body, self._chunk_size
        )


def _can_carry(track: Track) -> bool:
    return track.kind is MediaKind.DATA or flv_writer.can_carry(track)


def _decoding(track: Track | None) -> tuple[object, ...]:
    """What of a track makes its sequence header."""
    return () if track is None else (track.codec, track.config, track.color_info)
