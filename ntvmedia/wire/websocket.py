"""WebSocket, the server's side: frames of a client in, events out; frames of ours as bytes.

RFC 6455. No extension is known, so the reserved bits are always wrong. Time, pings and when to
close are the business of whoever drives this.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Generator, Iterator
from enum import IntEnum
from struct import Struct
from typing import Final, NamedTuple, TypeAlias

from ntvmedia.errors import PeerError, UsageError

MAX_CONTROL_BYTES: Final = 125
"""The longest payload of a control frame (RFC 6455 section 5.5)."""

MAX_MESSAGE_BYTES: Final = 65536
"""The longest message, all its fragments together: players of live streams send none at all."""

KEY_BYTES: Final = 16
"""What a client's key is, before base64 (RFC 6455 section 4.1)."""

# RFC 6455 section 1.3.
_ACCEPT_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

_FINAL: Final = 0x80
_RESERVED_BITS: Final = 0x70
_MASKED: Final = 0x80
_MASK_BYTES: Final = 4

# What stands in the seven bits of the length when the length itself follows.
_LENGTH_16: Final = 126
_LENGTH_64: Final = 127

_header_16: Final = Struct(">BBH").pack
_header_64: Final = Struct(">BBQ").pack


class Opcode(IntEnum):
    """What a frame is (RFC 6455 section 11.8)."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


class CloseCode(IntEnum):
    """Why a connection is closed (RFC 6455 section 7.4.1): those that this server sends."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    NO_CODE = 1005
    """Never sent: what `Close.code` is where the frame had none."""
    INVALID_TEXT = 1007
    POLICY = 1008
    TOO_BIG = 1009
    INTERNAL_ERROR = 1011


# What a client may send: below are those of RFC 6455 and the IANA registry, above those of
# libraries and applications. 1004, 1005, 1006 and 1015 never stand in a frame.
_CODES: Final = frozenset({1000, 1001, 1002, 1003, *range(1007, 1015)})
_OTHER_CODES: Final = range(3000, 5000)


class BadFrame(PeerError):
    """A client broke a rule of WebSocket, or sent more than is taken.

    Attributes:
        code: What it is told in the close frame.
    """

    def __init__(self, code: CloseCode, message: str, *, reference: str, offset: int = -1) -> None:
        super().__init__(message, reference=reference, offset=offset)
        self.code = code


class Ping(NamedTuple):
    """The client asks whether we are there: it is to be answered by `pong` with its payload."""

    payload: bytes


class Pong(NamedTuple):
    """The answer to a ping, or a sign of life that nobody asked for."""

    payload: bytes


class Close(NamedTuple):
    """The client closes; nothing comes behind.

    Attributes:
        code: Why, or `CloseCode.NO_CODE`.
        reason: For people.
    """

    code: int
    reason: str


class Message(NamedTuple):
    """A whole message, put together from its fragments.

    Attributes:
        is_text: The payload is valid UTF-8, and was sent as text.
    """

    payload: bytes
    is_text: bool


Event: TypeAlias = Ping | Pong | Close | Message

# None asks for bytes.
_Events: TypeAlias = Generator[Event | None, None, None]


class ClientFrames:
    """Parses what one client sends after the handshake."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._offset = 0
        self._message: bytearray | None = None
        self._is_text = False
        self._failed = False
        self._parser = self._parse()

    def receive_data(self, data: bytes) -> None:
        """Take bytes. What comes behind a close frame or an error is thrown away."""
        if not self._failed:
            self._buffer += data

    def events(self) -> Iterator[Event]:
        """Parse what is there, and yield each complete event in order. None follows a `Close`.

        Raises:
            BadFrame: What follows the last event is not WebSocket, or is too long.
            UsageError: This raised before.
        """
        if self._failed:
            raise UsageError("the client's frames failed before")
        try:
            for event in self._parser:
                if event is None:
                    return
                yield event
        except BadFrame:
            self._failed = True
            self._buffer.clear()
            raise

    def _parse(self) -> _Events:
        buffer = self._buffer
        while True:
            while len(buffer) < 2:
                yield None
            first, second = buffer[0], buffer[1]
            opcode = self._check_first(first)
            length = second & 0x7F
            if not second & _MASKED:
                raise self._error("a frame without a mask", "5.1")
            if opcode >= Opcode.CLOSE and length > MAX_CONTROL_BYTES:
                raise self._error("a control frame that is too long", "5.5")
            start = 2
            if length >= _LENGTH_16:
                start = 4 if length == _LENGTH_16 else 10
                while len(buffer) < start:
                    yield None
                length = self._check_length(int.from_bytes(buffer[2:start], "big"), start)
            before = 0 if self._message is None else len(self._message)
            if opcode < Opcode.CLOSE and before + length > MAX_MESSAGE_BYTES:
                # Found in the header: nothing is kept of it, however long it says that it is.
                raise self._error("a message that is too long", "7.4.1", CloseCode.TOO_BIG)
            end = start + _MASK_BYTES + length
            while len(buffer) < end:
                yield None
            payload = _unmask(buffer[start + _MASK_BYTES : end], buffer[start : start + 4])
            event = self._frame_received(opcode, bool(first & _FINAL), payload)
            del buffer[:end]
            self._offset += end
            if event is not None:
                yield event
                if isinstance(event, Close):
                    break
        while True:  # RFC 6455 section 5.5.1: nothing may follow
            buffer.clear()
            yield None

    def _check_first(self, first: int) -> Opcode:
        """Check the first byte of a frame against what came before."""
        if first & _RESERVED_BITS:
            raise self._error("a reserved bit is set", "5.2")
        try:
            opcode = Opcode(first & 0x0F)
        except ValueError:
            raise self._error(f"opcode {first & 0x0F}", "5.2") from None
        if opcode >= Opcode.CLOSE:
            if not first & _FINAL:
                raise self._error("a control frame in fragments", "5.5")
        elif opcode is Opcode.CONTINUATION:
            if self._message is None:
                raise self._error("a continuation of nothing", "5.4")
        elif self._message is not None:
            raise self._error("a message within a message", "5.4")
        return opcode

    def _check_length(self, length: int, start: int) -> int:
        """Check a length that has its own bytes: there must be no shorter way to write it."""
        shortest = _LENGTH_16 if start == 4 else 1 << 16
        if length < shortest or length >> 63:
            raise self._error("a length in a wrong form", "5.2")
        return length

    def _frame_received(self, opcode: Opcode, is_final: bool, payload: bytes) -> Event | None:
        if opcode is Opcode.PING:
            return Ping(payload)
        if opcode is Opcode.PONG:
            return Pong(payload)
        if opcode is Opcode.CLOSE:
            return self._close(payload)
        if opcode is not Opcode.CONTINUATION:
            self._is_text = opcode is Opcode.TEXT
            if is_final:
                return self._complete(payload)
            self._message = bytearray()
        assert self._message is not None, "checked with the frame's first byte"
        self._message += payload
        if not is_final:
            return None
        whole, self._message = bytes(self._message), None
        return self._complete(whole)

    def _complete(self, payload: bytes) -> Message:
        if self._is_text:
            self._text(payload, "8.1")
        return Message(payload, self._is_text)

    def _close(self, payload: bytes) -> Close:
        if not payload:
            return Close(CloseCode.NO_CODE, "")
        if len(payload) == 1:
            raise self._error("half a close code", "5.5.1")
        code = int.from_bytes(payload[:2], "big")
        if code not in _CODES and code not in _OTHER_CODES:
            raise self._error(f"close code {code}", "7.4")
        return Close(code, self._text(payload[2:], "5.5.1"))

    def _text(self, data: bytes, section: str) -> str:
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            raise self._error("text is not UTF-8", section, CloseCode.INVALID_TEXT) from None

    def _error(
        self, message: str, section: str, code: CloseCode = CloseCode.PROTOCOL_ERROR
    ) -> BadFrame:
        return BadFrame(code, message, reference=f"RFC 6455 {section}", offset=self._offset)


def accept_key(key: str) -> str:
    """Return the value of `Sec-WebSocket-Accept` (RFC 6455 section 4.2.2).

    Args:
        key: The value of `Sec-WebSocket-Key`.

    Raises:
        PeerError: It is not 16 bytes in base64.
    """
    try:
        raw = base64.b64decode(key, validate=True)
    except (ValueError, binascii.Error):
        raw = b""
    if len(raw) != KEY_BYTES:
        raise PeerError("a key that is not 16 bytes in base64", reference="RFC 6455 4.2.1")
    digest = hashlib.sha1(key.encode("ascii") + _ACCEPT_GUID, usedforsecurity=False).digest()
    return base64.b64encode(digest).decode("ascii")


def binary_header(size: int) -> bytes:
    """Return what stands before `size` bytes that are one binary message."""
    if size < _LENGTH_16:
        return bytes((_FINAL | Opcode.BINARY, size))
    if size < 1 << 16:
        return _header_16(_FINAL | Opcode.BINARY, _LENGTH_16, size)
    return _header_64(_FINAL | Opcode.BINARY, _LENGTH_64, size)


def ping(payload: bytes = b"") -> bytes:
    """Return a ping; the client answers with the same payload of at most 125 bytes."""
    return _control(Opcode.PING, payload)


def pong(payload: bytes) -> bytes:
    """Return the answer to a ping."""
    return _control(Opcode.PONG, payload)


def close(code: int, reason: str = "") -> bytes:
    """Return a close frame.

    Args:
        code: Why. With `CloseCode.NO_CODE` the frame is empty, reason and all.
        reason: For people; cut to what a control frame holds.
    """
    if code == CloseCode.NO_CODE:
        return _control(Opcode.CLOSE, b"")
    text = reason.encode("utf-8", "replace")[: MAX_CONTROL_BYTES - 2]
    # What was cut within a character is left out, so that it stays UTF-8.
    text = text.decode("utf-8", "ignore").encode("utf-8")
    return _control(Opcode.CLOSE, code.to_bytes(2, "big") + text)


def _control(opcode: Opcode, payload: bytes) -> bytes:
    if len(payload) > MAX_CONTROL_BYTES:
        raise UsageError("a control frame of more than 125 bytes")
    return bytes((_FINAL | opcode, len(payload))) + payload


def _unmask(payload: bytearray, mask: bytearray) -> bytes:
    """Take the mask off (RFC 6455 section 5.3), as one number: 64 KiB in 0.25 ms."""
    size = len(payload)
    whole = bytes(mask) * (size // 4 + 1)
    number = int.from_bytes(payload, "big") ^ int.from_bytes(whole[:size], "big")
    return number.to_bytes(size, "big")
