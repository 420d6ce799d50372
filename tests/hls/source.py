"""An encoder without pictures: packets of H.264 and AAC that each say their number."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ntvmedia.media import Codec, Packet, Track
from tests.codecs.vectors import (
    AV1C_720,
    AVCC_576I,
    AVCC_1080,
    AVCC_BASELINE,
    HVCC_720,
    OPUS_STEREO,
    VP9_360,
    VPCC_360,
)

VIDEO_CONFIGS = (AVCC_1080, AVCC_576I, AVCC_BASELINE)

# AAC-LC, 8 kHz, mono (ISO/IEC 14496-3 1.6.2.1): few frames a second, so that an hour is quick.
AUDIO = Track(Codec.AAC, clock_rate=8000, config=b"\x15\x88", channels=1)

# 12.5 pictures a second, and 7.8 frames of sound.
FRAME_TICKS = 7200
FRAME_SECONDS = FRAME_TICKS / 90000
SOUND_TICKS = 1024

# Frames of the second track of sound are numbered from here, those of the third from twice that.
TRACK_STEP = 10_000_000

# What segments of MPEG-TS do not carry, or players do not take in them.
OTHERS = {
    Codec.HEVC: Track(Codec.HEVC, config=HVCC_720),
    Codec.AV1: Track(Codec.AV1, config=AV1C_720),
    Codec.VP9: Track(Codec.VP9, config=VPCC_360),
    Codec.OPUS: Track(Codec.OPUS, clock_rate=48000, config=OPUS_STEREO, channels=2),
}

# An Opus packet of six frames of 20 ms (RFC 6716 3.2.5).
_OPUS_TICKS = 5760

_NUMBER = re.compile(rb"<(\d{8})>")


def video_track(config: int = 0) -> Track:
    """Return the track of one of several decoder configurations."""
    return Track(Codec.H264, config=VIDEO_CONFIGS[config % len(VIDEO_CONFIGS)])


def track_name(track: Track) -> str:
    """Return what the frames of a track are counted under: "video", "audio", "audio1"..."""
    return f"{track.kind.value}{track.number or ''}"


def number_of(payload: bytes) -> int:
    """Return what a frame says of itself."""
    match = _NUMBER.search(payload)
    assert match is not None, payload[:40]
    return int(match[1])


def picture(codec: Codec, text: bytes, size: int, *, is_keyframe: bool) -> bytes:
    """Return a picture of this size at least, as its codec has it in a packet."""
    match codec:
        case Codec.HEVC:  # IDR_W_RADL or TRAIL_R
            nal = (b"\x26\x01\xaf" if is_keyframe else b"\x02\x01\xd0") + text
        case Codec.AV1:  # a frame OBU with its size: KEY_FRAME or INTER_FRAME, shown
            body = (b"\x10" if is_keyframe else b"\x30") + text
            body = body.ljust(size - 2, b"\xaa")[:127]
            return b"\x32" + bytes([len(body)]) + body
        case Codec.VP9:  # frame_marker, profile 0, KEY_FRAME with its sync code
            return ((VP9_360[:10] if is_keyframe else b"\x86\0") + text).ljust(size, b"\xaa")
        case _:  # Baseline slices: first_mb_in_slice 0, slice_type I or P, parameter set 0
            nal = (b"\x65\x88\x84" if is_keyframe else b"\x41\x9a\x21") + text
    nal = nal.ljust(size, b"\xaa")
    return len(nal).to_bytes(4, "big") + nal


@dataclass(frozen=True, slots=True)
class Sent:
    """A frame that was sent.

    Attributes:
        at: When: monotonic seconds.
        is_keyframe: Of a picture.
        run: Frames of two runs do not belong together: see `Encoder.cut`.
    """

    at: float
    is_keyframe: bool
    run: int


class Encoder:
    """Makes packets as time goes by.

    Args:
        now: Monotonic seconds.
        has_video: It sends pictures.
        has_audio: It sends sound.
        languages: Of more tracks of sound, whose numbers are 1 and above.
        codecs: Of the pictures and the sound: H.264 and AAC, or what else there is in `OTHERS`.

    Attributes:
        gop_seconds: From one keyframe to the next.
        wants_key: The next picture is a keyframe, whatever the time.
        size: Bytes of a picture.
        reorders: Two of three pictures are shown before one that is sent before them.
        video: The track, of the configuration in use.
        sounds: The tracks of sound.
        sent: All frames that were sent, numbered for each track: see `track_name`.
        run: Counts what makes a discontinuity.
    """

    def __init__(
        self,
        now: float,
        *,
        has_video: bool = True,
        has_audio: bool = True,
        languages: Sequence[str] = (),
        codecs: tuple[Codec, Codec] = (Codec.H264, Codec.AAC),
    ) -> None:
        self.gop_seconds = 2.0
        self.wants_key = True
        self.size = 60
        self.reorders = False
        self.video = OTHERS[codecs[0]] if codecs[0] in OTHERS else video_track()
        self.has_video, self.has_audio = has_video, has_audio
        self.sounds = [OTHERS.get(codecs[1], AUDIO)]
        for language in languages:
            self.sounds.append(replace(self.sounds[0], number=len(self.sounds), language=language))
        self.sent: dict[str, list[Sent]] = {"video": []}
        self.sent.update((track_name(x), []) for x in self.sounds)
        self.run = 0
        self.begin(now)

    @property
    def _sound_ticks(self) -> int:
        return _OPUS_TICKS if self.sounds[0].codec is Codec.OPUS else SOUND_TICKS

    @property
    def _sound_seconds(self) -> float:
        return self._sound_ticks / self.sounds[0].clock_rate

    def begin(self, now: float, clock: float = 0.0) -> None:
        """Begin to send, with a clock of its own that stands at so many seconds."""
        self._began = now
        self._clock = round(clock * 1000)
        self._pictures = self._sounds = 0
        self._key_at = 0.0
        self.wants_key = True

    def skip(self, now: float) -> None:
        """Send nothing of the time until now: what was made meanwhile is lost."""
        passed = now - self._began
        self._pictures = max(self._pictures, int(passed * 90000 / FRAME_TICKS) + 1)
        self._sounds = max(self._sounds, int(passed / self._sound_seconds) + 1)

    def cut(self) -> None:
        """From here on it is something else: the publisher or its configuration changed."""
        self.run += 1

    def tracks(self) -> list[Track]:
        """Return the tracks."""
        return [self.video] * self.has_video + self.sounds * self.has_audio

    def packets(self, now: float) -> Iterator[Packet]:
        """Make all that is due, in order of time."""
        passed = now - self._began + 1e-6
        while True:
            picture = self._pictures * FRAME_TICKS / 90000
            sound = self._sounds * self._sound_seconds
            if self.has_video and picture <= passed and (picture <= sound or not self.has_audio):
                yield self._picture(now, picture)
            elif self.has_audio and sound <= passed:
                yield from self._sound(now)
            elif self.has_video and picture <= passed:
                yield self._picture(now, picture)
            else:
                return

    def _picture(self, now: float, at: float) -> Packet:
        is_keyframe = self.wants_key or at - self._key_at >= self.gop_seconds - 0.001
        if is_keyframe:
            self._key_at, self.wants_key = at, False
        text = b"<%08d>" % len(self.sent["video"])
        dts = self._clock * 90 + self._pictures * FRAME_TICKS
        pts = dts
        if self.reorders:
            # Of every three that are not keyframes the first is shown last: two B-pictures.
            place = round((at - self._key_at) * 90000) // FRAME_TICKS
            pts += FRAME_TICKS * (1 if is_keyframe else (3, 0, 0)[(place - 1) % 3])
        self._pictures += 1
        self.sent["video"].append(Sent(now, is_keyframe, self.run))
        payload = picture(self.video.codec, text, self.size, is_keyframe=is_keyframe)
        return Packet(self.video, dts, pts, is_keyframe, payload)

    def _sound(self, now: float) -> Iterator[Packet]:
        ticks = self._sound_ticks
        dts = self._clock * self.sounds[0].clock_rate // 1000 + self._sounds * ticks
        self._sounds += 1
        for track in self.sounds:
            sent = self.sent[track_name(track)]
            text = b"<%08d>" % (track.number * TRACK_STEP + len(sent))
            # A single channel element of AAC; or a packet of Opus with its frames all as long.
            is_opus = track.codec is Codec.OPUS
            text = b"\xff\x06" + text.ljust(12, b"\0") if is_opus else b"\x21" + text
            sent.append(Sent(now, True, self.run))
            yield Packet(track, dts, dts, True, text)
