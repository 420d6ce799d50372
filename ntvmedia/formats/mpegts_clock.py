"""The clocks of an MPEG-TS multiplex: the program's (PCR), and the one that counts sound.

ISO/IEC 13818-1 (H.222.0) sections 2.4.2.2 and 2.7.2: a PCR at least every 100 ms, and no access
unit's decode time before the PCR that arrives with it.
"""

from __future__ import annotations

from typing import Final

START: Final = 10 * 90000
"""Time 0 of a stream in the multiplex, in ticks of 90 kHz: what lies before it is not negative.
Apple's segmenter begins at 10 s too."""

PCR_MAX_GAP: Final = 9000
"""Ticks of 90 kHz between two PCRs, at most: 100 ms (H.222.0 2.7.2)."""

# What the PCR is behind the decode times at first, which VLC adds to its delay: 400 ms. Encoders
# interleave to 0.1 s or so; FFmpeg's MPEG-TS, when it is pulled, has sound 0.3 s behind.
_FIRST_DELAY: Final = 36000

# It stays this much behind the track that lags most: 100 ms.
_MARGIN: Final = 9000

# A track that lags more is late: so the first PCR of a stream is 1 s and not negative.
_MAX_DELAY: Final = 9 * 90000

# After a longer gap nothing is filled in: a player's own clock went on meanwhile.
_MAX_FILLED: Final = 10 * 90000


class ProgramClock:
    """Tells which PCR goes with a packet.

    It follows the latest decode time of any track, at a distance that fits the track that lags
    most, as far as has been seen. When one lags more than any did before, the PCR waits until it
    is behind that one as well. So PCR <= DTS holds for whatever lag there is up to 10 s, but for
    the packets of a track that is seen to lag for the first time: those may lie before PCRs that
    were sent already. The distance never shrinks.

    Args:
        lag: Ticks by which a track is behind the others from the start, since it is gathered.

    Attributes:
        sent: The last PCR in ticks of 90 kHz; None before the first.
    """

    __slots__ = ("_delay", "_first_delay", "_latest", "sent")

    def __init__(self, lag: int) -> None:
        self.sent: int | None = None
        self._latest: int | None = None
        self._delay = self._first_delay = _FIRST_DELAY + lag

    def restart(self) -> None:
        """Begin anew with the next packet: another timeline."""
        self.sent = self._latest = None
        self._delay = self._first_delay

    def now(self, dts: int) -> int:
        """Return the PCR that goes with a packet; it may be one that was sent, or less."""
        latest = self._latest
        if latest is None or dts > latest:
            self._latest = latest = dts
        elif latest - dts + _MARGIN > self._delay:
            self._delay = min(latest - dts + _MARGIN, _MAX_DELAY)
        return latest - self._delay

    def gaps(self, pcr: int) -> list[int]:
        """Return the PCRs that are wanted between the last one and `pcr`."""
        if self.sent is None:
            return []
        gap = pcr - self.sent
        if not PCR_MAX_GAP < gap <= _MAX_FILLED:
            return []
        count = -(-gap // PCR_MAX_GAP)
        return [self.sent + gap * index // count for index in range(1, count)]


class SampleClock:
    """Counts sound on, sample by sample, so that rounded times make no gaps.

    Publishers tell times in milliseconds, which is half a millisecond off on the average; players
    hear each gap, or resample for it.
    """

    __slots__ = ("_next",)

    def __init__(self) -> None:
        self._next: int | None = None

    def time(self, told: int, samples: int) -> int:
        """Return a frame's time: as counted, or as told where both are half a frame apart.

        Args:
            told: In ticks of the track, which are samples.
            samples: How long the frame is; 0 where that is not known.
        """
        counted = self._next
        if counted is None or 2 * abs(told - counted) > samples:
            counted = told
        self._next = counted + samples if samples else None
        return counted

    def follows(self, told: int, samples: int) -> bool:
        """Whether `time` would count on."""
        return self._next is not None and 2 * abs(told - self._next) <= samples
