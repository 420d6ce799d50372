"""Bit fields and Exp-Golomb codes, most significant bit first.

Used for headers and parameter sets, which are small; never for coded pictures or sound.
"""

from __future__ import annotations

from typing import Final

from ntvmedia.errors import PeerError

# ISO/IEC 14496-10 and 23008-2 have no ue(v) syntax element above 2**32 - 2.
MAX_LEADING_ZEROS: Final = 31


class BitReader:
    """Reads numbers from bytes, bit by bit.

    Args:
        data: What is read. Emulation prevention bytes must be gone.
        reference: The document and section that a reading past the end breaks.
    """

    __slots__ = ("_data", "_end", "_reference", "position")

    def __init__(self, data: bytes, reference: str) -> None:
        self._data = data
        self._end = len(data) * 8
        self._reference = reference
        self.position = 0

    @property
    def left(self) -> int:
        """Bits that have not been read."""
        return self._end - self.position

    def u(self, count: int) -> int:
        """Read an unsigned number of `count` bits.

        Raises:
            PeerError: Fewer bits are left; nothing is consumed.
        """
        start = self.position
        stop = start + count
        if stop > self._end:
            raise PeerError("the data ends early", reference=self._reference, offset=start >> 3)
        self.position = stop
        window = int.from_bytes(self._data[start >> 3 : (stop + 7) >> 3], "big")
        return window >> (-stop & 7) & ((1 << count) - 1)

    def flag(self) -> bool:
        """Read one bit."""
        return self.u(1) != 0

    def skip(self, count: int) -> None:
        """Pass over `count` bits.

        Raises:
            PeerError: Fewer bits are left.
        """
        if count > self._end - self.position:
            raise PeerError(
                "the data ends early", reference=self._reference, offset=self.position >> 3
            )
        self.position += count

    def align(self) -> None:
        """Go to the next byte boundary, unless at one."""
        self.position += -self.position & 7

    def ue(self) -> int:
        """Read an unsigned Exp-Golomb code: 0 to 2**32 - 2 (ISO/IEC 14496-10 section 9.1).

        Raises:
            PeerError: The code has more than 31 leading zeros, or the data ends.
        """
        zeros = 0
        while not self.u(1):
            zeros += 1
            if zeros > MAX_LEADING_ZEROS:
                raise PeerError(
                    "an Exp-Golomb code has more than 31 leading zeros",
                    reference=self._reference,
                    offset=self.position >> 3,
                )
        return (1 << zeros) - 1 + self.u(zeros)

    def se(self) -> int:
        """Read a signed Exp-Golomb code (ISO/IEC 14496-10 section 9.1.1).

        Raises:
            PeerError: As `ue`.
        """
        code = self.ue()
        return (code + 1) >> 1 if code & 1 else -(code >> 1)


class BitWriter:
    """Collects bit fields into bytes."""

    __slots__ = ("_bits", "_value")

    def __init__(self) -> None:
        self._value = 0
        self._bits = 0

    def u(self, value: int, count: int) -> None:
        """Append the lowest `count` bits of a number that is not negative."""
        self._value = self._value << count | (value & ((1 << count) - 1))
        self._bits += count

    def ue(self, value: int) -> None:
        """Append an unsigned Exp-Golomb code."""
        self.u(value + 1, 2 * (value + 1).bit_length() - 1)

    def se(self, value: int) -> None:
        """Append a signed Exp-Golomb code."""
        self.ue(2 * value - 1 if value > 0 else -2 * value)

    def align(self) -> None:
        """Append zeros up to a byte boundary."""
        self.u(0, -self._bits & 7)

    def to_bytes(self) -> bytes:
        """Return what was appended, filled with zeros to whole bytes."""
        self.align()
        return self._value.to_bytes(self._bits >> 3, "big")
