"""What becomes of the body of an answer on its way: cut to its range, decrypted, looked at."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Protocol, TypeAlias

from ntvmedia.formats.m3u8 import ByteRange
from ntvmedia.outbound.exchange import Answer
from ntvmedia.wire.hls.decryption import KEY_SIZE, Decrypter

_CONTENT_RANGE: Final = re.compile(r"bytes (\d{1,19})-(\d{1,19})/")


class Sink(Protocol):
    """Where a body goes."""

    def begin(self) -> None:
        """Forget what came: it comes from the beginning, at the first try and at each other."""

    def write(self, data: bytes) -> None:
        """Take the next bytes."""


class Gathered:
    """A sink that keeps all, for what is small."""

    def __init__(self) -> None:
        self._data = bytearray()

    def begin(self) -> None:
        self._data.clear()

    def write(self, data: bytes) -> None:
        self._data += data

    def value(self) -> bytes:
        """Return what came."""
        return bytes(self._data)


Check: TypeAlias = Callable[[bytes, bool], bool]
"""Whether the first bytes of a segment tell that it is media; given those, and whether that is all
of it."""


class WrongLength(Exception):
    """The body is not what was asked for; asking again may help. The message is a clause."""


class Enough(Exception):
    """All that was wanted of a longer body is there: not an error."""


class Intake:
    """Takes one body.

    Args:
        sink: Where it goes.
        byte_range: Which part of it is wanted; None for all.
        decrypter: None where it is clear.
        check: Called with what has come first, and whether that is all, until it returns true;
            raises `PeerError` where that is no media. The sink gets nothing before.
    """

    def __init__(
        self,
        sink: Sink,
        byte_range: ByteRange | None,
        decrypter: Decrypter | None,
        check: Check | None,
    ) -> None:
        self._sink = sink
        self._range = byte_range
        self._decrypter = decrypter
        self._check = check
        self._head = b""
        self._skip = 0
        self._wanted: int | None = None
        # More comes than is wanted.
        self._is_cut = False
        self._received = 0
        sink.begin()

    def accept(self, answer: Answer) -> Callable[[bytes], None]:
        """Look at the head of the answer.

        Returns:
            What takes the body. Where it is not what was asked for, that raises `Enough`.

        Raises:
            WrongLength: It is another part.
        """
        if self._range is None:
            return self._receive if answer.status == 200 else _ignore
        length, offset = self._range
        if answer.status == 206:
            match = _CONTENT_RANGE.match(answer.headers.get("content-range", ""))
            if match is not None and int(match[1]) != offset:
                raise WrongLength(f"bytes from {int(match[1]):,} came instead of {offset:,}")
        elif answer.status == 200:
            # A server that does not know ranges: what comes before is passed over.
            self._skip = offset
            self._is_cut = True
        else:
            return _ignore
        self._wanted = length
        return self._receive

    def _receive(self, data: bytes) -> None:
        if self._skip:
            skipped = min(self._skip, len(data))
            self._skip -= skipped
            data = data[skipped:]
        if self._wanted is not None:
            rest = self._wanted - self._received
            self._is_cut |= len(data) > rest
            data = data[:rest]
        self._received += len(data)
        if data:
            self._pass_on(data if self._decrypter is None else self._decrypter.update(data))
        if self._is_cut and self._received == self._wanted:
            raise Enough

    def _pass_on(self, data: bytes) -> None:
        if self._check is not None:
            data = self._head + data
            if not self._check(data, False):
                self._head = data
                return
            self._check, self._head = None, b""
        if data:
            self._sink.write(data)

    def end(self) -> int:
        """All of it is there.

        Returns:
            How many bytes came over the network.

        Raises:
            WrongLength: It is shorter than what was asked for, or empty.
            PeerError: It does not decrypt, or is no media.
        """
        if self._wanted is not None and self._received != self._wanted:
            raise WrongLength(f"{self._received:,} bytes came instead of {self._wanted:,}")
        if not self._received:
            raise WrongLength("the answer is empty")
        if self._decrypter is not None:
            if self._received % KEY_SIZE:
                # Cut off, where nobody told its length.
                raise WrongLength(
                    f"{self._received:,} bytes came, which is no multiple of 16, and encrypted"
                )
            self._pass_on(self._decrypter.finish())
        if self._check is not None:
            self._check(self._head, True)
            self._sink.write(self._head)
        return self._received


def _ignore(_data: bytes) -> None:
    raise Enough
