"""Tests of ntvmedia.wire.websocket: RFC 6455, with its own examples."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from ntvmedia.errors import PeerError, UsageError
from ntvmedia.wire.websocket import (
    MAX_MESSAGE_BYTES,
    BadFrame,
    ClientFrames,
    Close,
    CloseCode,
    Event,
    Message,
    Ping,
    Pong,
    accept_key,
    binary_header,
    close,
    ping,
    pong,
)

# RFC 6455 section 5.7.
MASKED_HELLO = bytes.fromhex("818537fa213d7f9f4d5158")
MASKED_PONG = bytes.fromhex("8a8537fa213d7f9f4d5158")


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    final: bool = True,
    mask: bytes | None = b"\x37\xfa\x21\x3d",
    reserved: int = 0,
) -> bytes:
    """Write a frame as a client does, byte by byte; written apart from the module."""
    first = (0x80 if final else 0) | reserved << 4 | opcode
    bit = 0 if mask is None else 0x80
    size = len(payload)
    if size < 126:
        head = bytes([first, bit | size])
    elif size < 65536:
        head = bytes([first, bit | 126]) + size.to_bytes(2, "big")
    else:
        head = bytes([first, bit | 127]) + size.to_bytes(8, "big")
    if mask is None:
        return head + payload
    return head + mask + bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))


def parse(pieces: Sequence[bytes]) -> tuple[list[Event], tuple[str, int] | None]:
    """Return the events of a stream in pieces, and how it failed."""
    frames = ClientFrames()
    found: list[Event] = []
    for piece in pieces:
        frames.receive_data(piece)
        try:
            found += frames.events()
        except BadFrame as error:
            return found, (str(error), error.code)
    return found, None


def failure(data: bytes) -> tuple[int, str]:
    """Return the close code and the rule for bytes that are wrong."""
    frames = ClientFrames()
    frames.receive_data(data)
    with pytest.raises(BadFrame) as caught:
        list(frames.events())
    return caught.value.code, caught.value.reference


def test_accept_key() -> None:
    """RFC 6455 section 1.3: its own example."""
    assert accept_key("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize(
    "key",
    [
        "",
        "dGhlIHNhbXBsZSBub25j",
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZSE=",
        "dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ==",
        "dGhlIHNhbXBsZSBu b25jZQ==",
        "é" * 24,
    ],
)
def test_bad_key(key: str) -> None:
    """B-WS-02: a key is 16 bytes in base64."""
    with pytest.raises(PeerError, match=r"RFC 6455 4\.2\.1"):
        accept_key(key)


def test_examples() -> None:
    """RFC 6455 section 5.7: a masked text, a masked pong."""
    assert parse([MASKED_HELLO]) == ([Message(b"Hello", True)], None)
    assert parse([MASKED_PONG]) == ([Pong(b"Hello")], None)
    assert frame(1, b"Hello") == MASKED_HELLO


def test_examples_of_ours() -> None:
    """RFC 6455 section 5.7: the heads of binary messages, and a ping."""
    assert binary_header(256).hex() == "827e0100"
    assert binary_header(65536).hex() == "827f0000000000010000"
    assert ping(b"Hello").hex() == "890548656c6c6f"
    assert pong(b"Hello").hex() == "8a0548656c6c6f"


@pytest.mark.parametrize(
    ("size", "head"),
    [
        (1, "8201"),
        (125, "827d"),
        (126, "827e007e"),
        (65535, "827effff"),
        (2**40, "827f0000010000000000"),
    ],
)
def test_binary_header(size: int, head: str) -> None:
    """RFC 6455 section 5.2: a length is written in the shortest way."""
    assert binary_header(size).hex() == head


def test_close_frames() -> None:
    """RFC 6455 section 5.5.1: a code and a reason that fits, cut between characters; or nothing."""
    assert close(1000).hex() == "880203e8"
    assert close(1008, "kicked") == b"\x88\x08\x03\xf0kicked"
    assert close(CloseCode.NO_CODE, "lost") == b"\x88\x00"
    long = close(1001, "é" * 100)
    assert (len(long), long[1]) == (2 + 2 + 122, 124)
    assert long[4:].decode("utf-8") == "é" * 61
    assert close(1000, "\udc80") == b"\x88\x03\x03\xe8?"


def test_control_frame_of_ours_too_long() -> None:
    """A ping of more than 125 bytes is our own mistake."""
    with pytest.raises(UsageError):
        ping(bytes(126))


def test_fragments() -> None:
    """RFC 6455 section 5.4: fragments make one message, with control frames between them."""
    data = (
        frame(1, b"Hel", final=False)
        + frame(9, b"there?")
        + frame(0, b"", final=False)
        + frame(0, b"lo")
        + frame(2, b"\xff")
    )
    assert parse([data]) == (
        [Ping(b"there?"), Message(b"Hello", True), Message(b"\xff", False)],
        None,
    )


def test_character_in_two_fragments() -> None:
    """RFC 6455 section 5.6: a fragment may end within a character."""
    data = frame(1, b"\xc3", final=False) + frame(0, b"\xa9")
    assert parse([data]) == ([Message("é".encode(), True)], None)


@pytest.mark.parametrize(
    ("payload", "event"),
    [
        (b"", Close(1005, "")),
        (b"\x03\xe8", Close(1000, "")),
        (b"\x03\xe9bye \xe2\x82\xac", Close(1001, "bye €")),
        (b"\x03\xf6", Close(1014, "")),
        (b"\x0b\xb8", Close(3000, "")),
        (b"\x13\x87", Close(4999, "")),
    ],
)
def test_close(payload: bytes, event: Close) -> None:
    """RFC 6455 section 7.4: code and reason. What comes behind a close frame is thrown away."""
    assert parse([frame(8, payload) + b"\xff\xff" + frame(9), frame(9)]) == ([event], None)


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535])
def test_bad_close_code(code: int) -> None:
    """RFC 6455 section 7.4: these never stand in a frame."""
    assert failure(frame(8, code.to_bytes(2, "big"))) == (1002, "RFC 6455 7.4")


@pytest.mark.parametrize(
    ("data", "code", "section"),
    [
        (frame(8, b"\x03"), 1002, "5.5.1"),
        (frame(8, b"\x03\xe8\xff"), 1007, "5.5.1"),
        (frame(1, b"\xff"), 1007, "8.1"),
        (frame(1, b"\xc3", final=False) + frame(0, b"(", final=True), 1007, "8.1"),
        *((frame(opcode), 1002, "5.2") for opcode in (3, 7, 11, 15)),
        *((frame(2, b"x", reserved=bits), 1002, "5.2") for bits in (1, 2, 4)),
        (frame(9, b"x", reserved=4), 1002, "5.2"),
        (frame(2, b"x", mask=None), 1002, "5.1"),
        (frame(9, b"", mask=None), 1002, "5.1"),
        (frame(9, bytes(126)), 1002, "5.5"),
        (frame(9, bytes(65536)), 1002, "5.5"),
        (frame(9, b"", final=False), 1002, "5.5"),
        (frame(8, b"", final=False), 1002, "5.5"),
        (frame(0, b"x"), 1002, "5.4"),
        (frame(2, b"x") + frame(0, b"x"), 1002, "5.4"),
        (frame(2, b"x", final=False) + frame(2, b"x"), 1002, "5.4"),
        (b"\x82\xfe\x00\x7d", 1002, "5.2"),
        (b"\x82\xff\x00\x00\x00\x00\x00\x00\xff\xff", 1002, "5.2"),
        (b"\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00", 1002, "5.2"),
        (frame(2, bytes(MAX_MESSAGE_BYTES + 1)), 1009, "7.4.1"),
        (
            frame(2, bytes(MAX_MESSAGE_BYTES), final=False) + frame(0, b"x"),
            1009,
            "7.4.1",
        ),
    ],
)
def test_broken_rules(data: bytes, code: int, section: str) -> None:
    """B-WS-05: each broken rule has its close code."""
    assert failure(data) == (code, f"RFC 6455 {section}")


def test_longest_message() -> None:
    """A message of 64 KiB is taken, in one frame or in many."""
    whole = Message(bytes(MAX_MESSAGE_BYTES), False)
    assert parse([frame(2, whole.payload)]) == ([whole], None)
    pieces = [
        frame(2, bytes(4096), final=False),
        *(frame(0, bytes(4096), final=False) for _number in range(14)),
        frame(0, bytes(4096)),
    ]
    assert parse(pieces) == ([whole], None)


def test_announced_gigabyte() -> None:
    """B-WS-05: a header that announces 1 GB fails at once, whatever follows, and costs nothing."""
    frames = ClientFrames()
    tracemalloc.start()
    try:
        frames.receive_data(b"\x82\xff" + (1 << 30).to_bytes(8, "big"))
        with pytest.raises(BadFrame) as caught:
            list(frames.events())
        for _number in range(100):
            frames.receive_data(bytes(65536))
        assert tracemalloc.get_traced_memory()[1] < 1 << 18
    finally:
        tracemalloc.stop()
    assert caught.value.code == CloseCode.TOO_BIG


def test_endless_fragments() -> None:
    """B-WS-05: a message that never ends is ended by its size; empty fragments cost nothing."""
    data = frame(2, b"", final=False) + frame(0, b"", final=False) * 20000
    tracemalloc.start()
    try:
        frames = ClientFrames()
        frames.receive_data(data)
        assert list(frames.events()) == []
        assert tracemalloc.get_traced_memory()[0] < len(data) + 65536
    finally:
        tracemalloc.stop()
    assert failure(frame(2, b"", final=False) + frame(0, b"x", final=False) * 65537)[0] == 1009


def test_offset() -> None:
    """An error says where in the stream its frame begins."""
    found, failed = parse([frame(9, b"abc") + frame(3)])
    assert found == [Ping(b"abc")]
    assert failed == ("opcode 3 at byte 9 [RFC 6455 5.2]", 1002)


def test_spent() -> None:
    """After an error no events are to be asked for."""
    frames = ClientFrames()
    frames.receive_data(b"\xff\xff")
    with pytest.raises(BadFrame):
        list(frames.events())
    with pytest.raises(UsageError):
        list(frames.events())


payloads = st.binary(max_size=300) | st.integers(120, 130).map(bytes)
masks = st.binary(min_size=4, max_size=4)
good_frames = st.one_of(
    st.builds(frame, st.sampled_from([9, 10]), st.binary(max_size=125), mask=masks),
    st.builds(frame, st.just(2), payloads, mask=masks),
    st.builds(frame, st.just(1), st.text(max_size=50).map(str.encode), mask=masks),
    st.builds(
        lambda parts: (
            frame(2, parts[0], final=False)
            + b"".join(frame(0, part, final=False) for part in parts[1:])
            + frame(0, b"end")
        ),
        st.lists(payloads, min_size=1, max_size=4),
    ),
    st.builds(frame, st.just(8), st.sampled_from([b"", b"\x03\xe8", b"\x03\xe8bye"])),
)


@given(st.lists(good_frames, max_size=5), st.binary(max_size=40), st.data())
def test_cuts_do_not_matter(good: list[bytes], junk: bytes, data: st.DataObject) -> None:
    """However a stream is cut, good or bad, the same events and the same error come out."""
    stream = b"".join(good) + junk
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=6))
    places = [0, *sorted(cuts), len(stream)]
    assert parse([stream[a:b] for a, b in pairwise(places)]) == parse([stream])


@given(st.lists(st.binary(max_size=200), max_size=6))
def test_any_bytes(pieces: list[bytes]) -> None:
    """B-WS-05: whatever comes, events or one documented error with a code that may be sent."""
    _events, failed = parse(pieces)
    assert failed is None or failed[1] in (1002, 1007, 1009)


@given(payloads, masks)
def test_round_trip(payload: bytes, mask: bytes) -> None:
    """What a client masks comes out as it was, for every length and mask."""
    assert parse([frame(2, payload, mask=mask)]) == ([Message(payload, False)], None)
