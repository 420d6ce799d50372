"""The bodies of FLV tags and RTMP media messages, turned into tracks and packets.

FLV 10.1 E.4.2 (audio) and E.4.3 (video); E-RTMP v2 "Enhanced Audio" and "Enhanced Video". Here are
the two messages that nearly every stream is made of, read the short way; `flv_video` and
`flv_audio` read all others.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Final

from ntvmedia.codecs import nal
from ntvmedia.errors import PeerError
from ntvmedia.formats.flv_audio import AudioReader
from ntvmedia.formats.flv_states import Event, Tally
from ntvmedia.formats.flv_video import VideoReader
from ntvmedia.media.packets import Packet

# An AVC frame (FLV 10.1 E.4.3): FrameType, codec id and packet type as one number; composition
# time, whose upper byte has the sign; length of the first NAL unit. 9 bytes.
_avc_frame: Final = Struct(">HbHI").unpack_from
_AVC_KEY: Final = 0x1701
_AVC_FRAMES: Final = (0x2701, _AVC_KEY)

# A Packet in 60 % of the time that its constructor takes, which checks the number of its arguments.
_new: Final = tuple.__new__


class TagReader:
    """Read the media of one publisher.

    Nothing that a message holds makes it raise: what cannot be read is left out and counted, and
    the next message is read as usual.
    """

    def __init__(self) -> None:
        self._tally = Tally()
        self._video = VideoReader(self._tally)
        self._audio = AudioReader(self._tally)

    @property
    def dropped(self) -> int:
        """How many messages, or tracks within them, could not be read."""
        return self._tally.dropped

    @property
    def last_problem(self) -> str:
        """Why the last one could not be read; empty before the first."""
        return self._tally.last_problem

    def video(self, timestamp: int, body: bytes) -> Sequence[Event]:
        """Read one video message.

        Args:
            timestamp: Decode time in milliseconds, unbounded.

        Returns:
            New and changed tracks, each before its first packet, and packets. Often empty.
        """
        size = len(body)
        track = self._video.plain
        if size > 9 and track is not None:
            kind, high, low, length = _avc_frame(body)
            if kind in _AVC_FRAMES:
                payload = body[5:]
                # Most frames are one NAL unit that fills the message.
                if length + 9 == size or nal.is_well_formed(payload):
                    dts = timestamp * 90
                    pts = dts + (high << 16 | low) * 90
                    return (_new(Packet, (track, dts, pts, kind == _AVC_KEY, payload)),)
        if not size:
            return ()
        events: list[Event] = []
        try:
            self._video.read(timestamp, body, events)
        except PeerError as error:
            self._tally.count(error)
        return events

    def audio(self, timestamp: int, body: bytes) -> Sequence[Event]:
        """Read one audio message.

        Args:
            timestamp: Decode time in milliseconds, unbounded.

        Returns:
            New and changed tracks, each before its first packet, and packets. Often empty: an
            empty body means "silence" (E-RTMP v2 "Enhanced Audio"), and is no error.
        """
        size = len(body)
        track = self._audio.plain
        # 0xFF after the header is ADTS: see `AudioReader`.
        if (
            track is not None
            and size > 2
            and body[1] == 1
            and body[2] != 255
            and body[0] >> 4 == 10
        ):
            # `media.from_milliseconds`, without the call.
            dts = (timestamp * track.clock_rate + 500) // 1000
            return (_new(Packet, (track, dts, dts, True, body[2:])),)
        if not size:
            return ()
        events: list[Event] = []
        try:
            self._audio.read(timestamp, body, events)
        except PeerError as error:
            self._tally.count(error)
        return events
