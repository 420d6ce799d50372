"""FLV made of packets while a stream is live, for HTTP-FLV, WebSocket-FLV and recordings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from struct import Struct
from typing import Final

from ntvmedia.codecs.description import describe
from ntvmedia.formats import amf0, flv, flv_writer
from ntvmedia.formats.flv import MAX_BODY_SIZE, TagType
from ntvmedia.media.packets import MediaKind, Packet, Track

_AUDIO: Final = MediaKind.AUDIO
_VIDEO: Final = MediaKind.VIDEO

# The tag header of `flv.tag_header` with its fields merged: type and size, low timestamp and its
# high byte, then the stream id. 4 + 4 + 3 bytes.
_tag_header: Final = Struct(">II3x").pack
_back_pointer: Final = Struct(">I").pack
_TAG_AND_POINTER: Final = flv.TAG_HEADER_SIZE


class FLVSerialiser:
    """Turn the packets of one video, one audio and one data track into FLV.

    Of several tracks of a kind the first counts. Timestamps are the stream's own, modulo 2**32.
    What the publisher says of the stream in its metadata is not repeated but for "encoder": all
    else is taken from the tracks.

    Args:
        legacy_hevc: Write HEVC under codec id 12, which no document knows and older players
            do, instead of as Enhanced RTMP's "hvc1".
    """

    def __init__(self, *, legacy_hevc: bool = False) -> None:
        self._legacy_hevc = legacy_hevc
        self._tracks: dict[MediaKind, Track] = {}
        self._carried: frozenset[int] = frozenset()
        self._encoder = ""

    def tracks_changed(
        self, tracks: Sequence[Track], metadata: Mapping[str, object], timestamp: int
    ) -> bytes:
        """Take the tracks to send; called before all else, and whenever one appears or changes.

        Returns:
            The sequence headers that differ from the last, stamped `timestamp` milliseconds:
            running viewers need no more. A track that was not in the file's header is sent all
            the same; players that trusted the header ignore it.
        """
        before = self._tracks
        self._tracks = {}
        for track in tracks:
            if flv_writer.can_carry(track):
                self._tracks.setdefault(track.kind, track)
        self._carried = frozenset(track.id for track in self._tracks.values())
        encoder = metadata.get("encoder")
        self._encoder = encoder if isinstance(encoder, str) else ""
        return b"".join(
            self._sequence_start(track, timestamp)
            for kind, track in self._tracks.items()
            if _decoding(track) != _decoding(before.get(kind))
        )

    def header(self, timestamp: int) -> bytes:
        """Return what a viewer needs before its first block: file header, metadata, headers.

        Args:
            timestamp: For all of its tags, in milliseconds.
        """
        parts = [
            flv.file_header(_AUDIO in self._tracks, _VIDEO in self._tracks),
            flv.tag(TagType.SCRIPT, timestamp, self.metadata()),
        ]
        # Players make their decoders in this order: the audio one must not wait for a picture.
        parts += [
            self._sequence_start(self._tracks[kind], timestamp)
            for kind in (_AUDIO, _VIDEO)
            if kind in self._tracks
        ]
        return b"".join(parts)

    def packet(self, packet: Packet, parts: list[bytes]) -> None:
        """Append one packet's tag to `parts`; nothing where its track is not carried."""
        track, dts, _pts, _is_keyframe, payload = packet
        if track.id not in self._carried:
            return
        kind = track.kind
        if kind is _VIDEO:
            first = 0x09000000
            timestamp = (dts + 45) // 90
        else:
            first = 0x08000000 if kind is _AUDIO else 0x12000000
            rate = track.clock_rate
            timestamp = (dts * 1000 + (rate >> 1)) // rate
        prefix = flv_writer.body_prefix(packet, legacy_hevc=self._legacy_hevc)
        size = len(prefix) + len(payload)
        if size > MAX_BODY_SIZE:
            return
        timestamp = (timestamp & 0xFFFFFF) << 8 | timestamp >> 24 & 0xFF
        parts += (
            _tag_header(first | size, timestamp) + prefix,
            payload,
            _back_pointer(size + _TAG_AND_POINTER),
        )

    def trailer(self) -> bytes:
        """Return what ends the output: an FLV file just ends."""
        return b""

    def frame(self, block: bytes) -> bytes:
        """Return a finished block as it is: what stands around blocks is their transport's."""
        return block

    def metadata(self) -> bytes:
        """Write the body of the script tag "onMetaData" (FLV 10.1 E.5)."""
        fields: dict[str, object] = {}
        video = self._tracks.get(_VIDEO)
        if video is not None:
            seen = describe(video)
            if seen.width and seen.height:
                fields["width"] = float(seen.width)
                fields["height"] = float(seen.height)
            if seen.frame_rate:
                fields["framerate"] = float(seen.frame_rate)
            fields["videocodecid"] = self._codec_number(video)
        audio = self._tracks.get(_AUDIO)
        if audio is not None:
            heard = describe(audio)
            fields["audiocodecid"] = self._codec_number(audio)
            fields["audiosamplerate"] = float(heard.sample_rate or audio.clock_rate)
            fields["stereo"] = (heard.channels or audio.channels) == 2
        if self._encoder:
            fields["encoder"] = self._encoder
        return amf0.encode("onMetaData", amf0.ECMAArray(fields))  # type: ignore[arg-type]

    def _codec_number(self, track: Track) -> float:
        return float(flv_writer.codec_number(track, legacy_hevc=self._legacy_hevc))

    def _sequence_start(self, track: Track, timestamp: int) -> bytes:
        """Write all that comes before a track's packets."""
        if track.kind is MediaKind.DATA:
            return b""
        kind = TagType.VIDEO if track.kind is _VIDEO else TagType.AUDIO
        bodies = (
            flv_writer.sequence_start(track, legacy_hevc=self._legacy_hevc),
            flv_writer.color_info(track, legacy_hevc=self._legacy_hevc),
        )
        return b"".join(flv.tag(kind, timestamp, body) for body in bodies if body)


def _decoding(track: Track | None) -> tuple[object, ...]:
    """What of a track makes its sequence header."""
    return () if track is None else (track.codec, track.config, track.color_info)
