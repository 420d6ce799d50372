"""What is in a segment, whatever its format."""

from __future__ import annotations

from typing import NamedTuple, Self

# Times are of 90 kHz and 33 bits, as those of MPEG-TS.
WRAP = 1 << 33


class Unit(NamedTuple):
    """A picture, or some sound.

    Attributes:
        pts: 33 bits, of 90 kHz.
        dts: Likewise.
        payload: As the format has it.
        is_random_access: The format says that decoding can begin here.
    """

    pts: int
    dts: int
    payload: bytes
    is_random_access: bool


class Media:
    """What was found in a segment, or in a part of one."""

    __slots__ = ()

    @property
    def video(self) -> list[Unit]:
        """The pictures, or nothing."""
        raise NotImplementedError

    @property
    def audio(self) -> list[Unit]:
        """The sound, or nothing."""
        raise NotImplementedError

    @property
    def sounds(self) -> list[bytes]:
        """The frames of the sound, each without any header of the format."""
        raise NotImplementedError

    @property
    def begins_with_key(self) -> bool:
        """Whether decoding can begin with its first picture; true without pictures."""
        raise NotImplementedError

    def check_follows(self, before: Self) -> None:
        """Check that it goes on where another one ended.

        Raises:
            Violation: Counters, clocks or times of the format do not.
        """
        raise NotImplementedError

    @property
    def start(self) -> int:
        """The PTS of the first picture, or sound where there are none."""
        return (self.video or self.audio)[0].pts

    @property
    def lead(self) -> int:
        """How many ticks before `start` the first sound is to be heard, where it is the first."""
        audio = self.audio
        return max(0, step(audio[0].pts, self.start)) if audio else 0


def step(before: int, after: int) -> int:
    """Return the difference of two 33-bit times, over a wrap too."""
    return (after - before + WRAP // 2) % WRAP - WRAP // 2
