"""A test card: colour bars, a clock that runs, something that moves, and a tone.

So that a newcomer sees a picture with no encoder at hand. In the child process only.
"""

from __future__ import annotations

import math
import time
from array import array
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Final

import av

from ntvmedia.avtools.clock import TICKS
from ntvmedia.avtools.job import CardInput
from ntvmedia.avtools.transcoding import Pipeline

_SAMPLE_RATE: Final = 48000
_SOUND_FRAME: Final = 1024

# 75 % colour bars in Y, Cb, Cr of BT.709 (ITU-R BT.1729): grey, yellow, cyan, green, magenta, red,
# blue.
_BARS: Final = (
    (180, 128, 128),
    (168, 44, 136),
    (145, 147, 44),
    (133, 63, 52),
    (63, 193, 204),
    (51, 109, 212),
    (28, 212, 120),
)
_BLACK: Final = 16
_WHITE: Final = 235

# Digits of 3 by 5 dots, a row in three bits, the highest to the left.
_DIGITS: Final = {
    "0": (7, 5, 5, 5, 7),
    "1": (2, 6, 2, 2, 7),
    "2": (7, 1, 7, 4, 7),
    "3": (7, 1, 3, 1, 7),
    "4": (5, 5, 7, 1, 1),
    "5": (7, 4, 7, 1, 7),
    "6": (7, 4, 7, 5, 7),
    "7": (7, 1, 2, 2, 2),
    "8": (7, 5, 7, 5, 7),
    "9": (7, 5, 7, 1, 7),
    ":": (0, 2, 0, 2, 0),
    ".": (0, 0, 0, 0, 2),
}
_GLYPH_WIDTH: Final = 4
_GLYPH_HEIGHT: Final = 5

# Characters of a time: hours, minutes, seconds and hundredths.
_CLOCK_LENGTH: Final = 11

# Pictures are due a little before their time: encoding takes some.
_AHEAD_SECONDS: Final = 0.02

_AMPLITUDE: Final = 0.1 * 32767


class TestCard:
    """Draws pictures and makes sound.

    Args:
        card: What is shown.
    """

    __test__ = False  # pytest: it is none of its own

    def __init__(self, card: CardInput) -> None:
        self._card = card
        width, height = card.width, card.height
        row, chroma_rows = bytearray(), (bytearray(), bytearray())
        for x in range(width):
            row.append(_BARS[x * len(_BARS) // width][0])
        for x in range(0, width, 2):
            for place, plane in enumerate(chroma_rows):
                plane.append(_BARS[x * len(_BARS) // width][place + 1])
        # Black below, for the clock and for what moves.
        self._bars = height * 3 // 4 & ~1
        self._luma = row * self._bars + bytes((_BLACK,)) * width * (height - self._bars)
        half = (height - self._bars) // 2
        self._chroma = [
            bytes(plane * (self._bars // 2) + bytes((128,)) * (width // 2) * half)
            for plane in chroma_rows
        ]
        below = height - self._bars
        # As large as fits into half of the strip and the width.
        room = min(below // 2 // (_GLYPH_HEIGHT + 2), width // (_CLOCK_LENGTH * _GLYPH_WIDTH))
        self._scale = max(1, room)
        tone = card.tone
        period = (
            _SAMPLE_RATE // math.gcd(_SAMPLE_RATE, tone) if tone else 1
        )  # samples after which it repeats
        wave = array(
            "h",
            (
                round(_AMPLITUDE * math.sin(2 * math.pi * tone * n / _SAMPLE_RATE))
                for n in range(period)
            ),
        ).tobytes()
        self._wave = wave * (_SOUND_FRAME // period + 2)
        self._period = period

    def picture(self, number: int, clock_seconds: float) -> Any:
        """Return a picture, as `av.VideoFrame` of yuv420p.

        Args:
            number: Of it, from 0.
            clock_seconds: What the clock shows.
        """
        card = self._card
        luma = bytearray(self._luma)
        self._draw_clock(luma, clock_seconds)
        self._draw_block(luma, number)
        frame: Any = av.VideoFrame(card.width, card.height, "yuv420p")
        drawn: tuple[bytes | bytearray, ...] = (luma, *self._chroma)
        for plane, data in zip(frame.planes, drawn, strict=True):
            plane.update(_with_stride(data, plane.width, plane.height, plane.line_size))
        return frame

    def sound(self, first_sample: int) -> Any:
        """Return `_SOUND_FRAME` samples from one on, as `av.AudioFrame` of s16, mono."""
        start = first_sample % self._period * 2
        frame: Any = av.AudioFrame("s16", "mono", _SOUND_FRAME)
        frame.sample_rate = _SAMPLE_RATE
        data = self._wave[start : start + 2 * _SOUND_FRAME]
        frame.planes[0].update(data.ljust(frame.planes[0].buffer_size, b"\0"))
        return frame

    def _draw_clock(self, luma: bytearray, seconds: float) -> None:
        hundredths = round(seconds * 100)
        minutes, rest = divmod(hundredths, 6000)
        text = f"{minutes // 60 % 24:02}:{minutes % 60:02}:{rest // 100:02}.{rest % 100:02}"
        scale, width = self._scale, self._card.width
        left = (width - len(text) * _GLYPH_WIDTH * scale) // 2
        top = self._bars + max(
            0, (self._card.height - self._bars) // 4 - _GLYPH_HEIGHT * scale // 2
        )
        for place, character in enumerate(text):
            for y, bits in enumerate(_DIGITS[character]):
                for x in range(3):
                    if bits >> 2 - x & 1:
                        at = left + (place * _GLYPH_WIDTH + x) * scale
                        self._fill(luma, at, top + y * scale, scale, scale)

    def _draw_block(self, luma: bytearray, number: int) -> None:
        """Draw what goes from left to right, once in four seconds."""
        card = self._card
        side = max(4, (card.height - self._bars) // 4)
        steps = max(1, round(4 * card.frame_rate))
        left = number % steps * (card.width - side) // steps
        top = max(self._bars, card.height - side - side // 2)
        self._fill(luma, left, top, side, side)

    def _fill(self, luma: bytearray, left: int, top: int, width: int, height: int) -> None:
        left, right = max(0, left), min(left + width, self._card.width)
        line = bytes((_WHITE,)) * max(0, right - left)
        for y in range(max(0, top), min(top + height, self._card.height)):
            start = y * self._card.width + left
            luma[start : start + len(line)] = line


def _with_stride(data: bytes | bytearray, width: int, height: int, line_size: int) -> bytes:
    """Bring rows to the length that FFmpeg keeps them in."""
    if line_size == width:
        return bytes(data)
    padding = bytes(line_size - width)
    return b"".join(data[y * width : (y + 1) * width] + padding for y in range(height))


class CardPlayer:
    """Gives a test card to a pipeline, as time goes on.

    Args:
        card: What is shown.
        pipeline: Whose outputs encode it.
        wall_seconds: Returns seconds since 1970, for the clock in the picture, in UTC.
    """

    def __init__(
        self, card: CardInput, pipeline: Pipeline, wall_seconds: Callable[[], float]
    ) -> None:
        self._card = card
        self._drawn = TestCard(card)
        self._pipeline = pipeline
        self._wall_seconds = wall_seconds
        self._pictures = 0
        self._samples = 0
        pipeline.add_pictures(0, card.frame_rate)
        pipeline.add_sound(1, _SAMPLE_RATE, 1)

    def play_until(self, seconds: float) -> None:
        """Give all up to a time, in seconds from the beginning, in the order of their times."""
        rate = Fraction(self._card.frame_rate)
        while True:
            picture = Fraction(self._pictures) / rate
            sound = Fraction(self._samples, _SAMPLE_RATE)
            if min(picture, sound) >= seconds:
                return
            if picture <= sound:
                frame = self._drawn.picture(self._pictures, self._wall_seconds())
                self._pipeline.feed_frame(0, frame, int(picture * TICKS))
                self._pictures += 1
            else:
                frame = self._drawn.sound(self._samples)
                self._pipeline.feed_frame(1, frame, int(sound * TICKS))
                self._samples += _SOUND_FRAME

    def next_at(self) -> float:
        """Return when the next picture is due, in seconds from the beginning."""
        return self._pictures / self._card.frame_rate


def run_card(pipeline: Pipeline, card: CardInput, flush: Callable[[], None]) -> None:
    """Give a test card to a pipeline until this process ends.

    Args:
        pipeline: Whose outputs encode it.
        card: What is shown.
        flush: Called when something was given: send it on.
    """
    player = CardPlayer(card, pipeline, time.time)
    began = time.monotonic()
    while True:
        now = time.monotonic() - began
        player.play_until(now + _AHEAD_SECONDS)
        flush()
        time.sleep(max(0.0, player.next_at() - _AHEAD_SECONDS - (time.monotonic() - began)))
