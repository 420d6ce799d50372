"""Tests of the chunk writer and of the protocol control messages."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from ntvmedia.errors import UsageError
from ntvmedia.wire.rtmp import writer
from ntvmedia.wire.rtmp.chunks import Message
from ntvmedia.wire.rtmp.writer import append_message, message_bytes
from tests.wire.rtmp.chunk_bytes import CHUNK_STREAM_IDS, Encoder, pattern, read_all, size_message

TIMES = [0, 1, 0xFFFFFE, 0xFFFFFF, 0x1000000, (1 << 31) - 1, 1 << 31, (1 << 32) - 1]

messages = st.builds(
    Message,
    st.sampled_from([8, 9]),
    st.sampled_from(TIMES),
    st.sampled_from([0, 1, 255, 256, 0xFFFFFFFF]),
    st.integers(0, 600).map(pattern),
    st.sampled_from(CHUNK_STREAM_IDS),
)


def test_specification_example() -> None:
    """RTMP 1.0 5.3.2.2: 307 bytes of video in chunks of 128, 128 and 51."""
    payload = pattern(307)
    expected = (
        bytes.fromhex("04 0003e8 000133 09 3a300000")
        + payload[:128]
        + b"\xc4"
        + payload[128:256]
        + b"\xc4"
        + payload[256:]
    )
    assert message_bytes(4, 1000, 9, 12346, payload, 128) == expected


@pytest.mark.parametrize("timestamp", TIMES)
def test_extended_timestamp_in_every_chunk(timestamp: int) -> None:
    """A-CK-05: from 0xFFFFFF on, the field stands in the header and in each type 3 chunk."""
    field = timestamp.to_bytes(4, "big") if timestamp >= 0xFFFFFF else b""
    payload = pattern(300)
    expected = (
        b"\x06"
        + min(timestamp, 0xFFFFFF).to_bytes(3, "big")
        + bytes.fromhex("00012c 09 01000000")
        + field
        + b"".join(
            (b"\xc6" + field if i else b"") + payload[i : i + 100] for i in range(0, 300, 100)
        )
    )
    assert message_bytes(6, timestamp, 9, 1, payload, 100) == expected


@pytest.mark.parametrize(
    ("unbounded", "sent"), [(1 << 32, 0), ((5 << 32) + 7, 7), (-1, 0xFFFFFFFF)]
)
def test_time_wraps(unbounded: int, sent: int) -> None:
    """A-MD-18: time is sent modulo 2**32."""
    assert message_bytes(6, unbounded, 9, 1, b"x") == message_bytes(6, sent, 9, 1, b"x")


@given(messages, st.sampled_from([1, 128, 4096, 0x7FFFFFFF]))
def test_like_the_other_encoder(message: Message, chunk_size: int) -> None:
    """A-CK-24: the same bytes as of an encoder written apart."""
    kind, timestamp, owner, payload, number = message
    ours = message_bytes(number, timestamp, kind, owner, payload, chunk_size)
    assert ours == b"".join(Encoder(chunk_size).chunks(message))


@given(st.lists(messages, max_size=5), st.sampled_from([1, 100, 60000]))
def test_round_trip(several: list[Message], chunk_size: int) -> None:
    """A-CK-24: what is written is read, byte by byte too; times modulo 2**32."""
    stream = size_message(chunk_size) + b"".join(
        message_bytes(number, timestamp, kind, owner, payload, chunk_size)
        for kind, timestamp, owner, payload, number in several
    )
    got = [
        message._replace(timestamp=message.timestamp % (1 << 32)) for message in read_all(stream)
    ]
    assert got == several


@given(messages, st.integers(0, 20), st.sampled_from([1, 128, 300, 60000]))
def test_parts(message: Message, length: int, chunk_size: int) -> None:
    """A body in two parts gives the same bytes as in one, behind what was there."""
    kind, timestamp, owner, payload, number = message
    parts = [b"before"]
    prefix, rest = payload[:length], payload[length:]
    append_message(parts, number, timestamp, kind, owner, prefix, rest, chunk_size)
    whole = message_bytes(number, timestamp, kind, owner, payload, chunk_size)
    assert b"".join(parts) == b"before" + whole


def test_payload_is_not_copied() -> None:
    """A payload that fits into one chunk is handed on as it is."""
    payload = pattern(1000)
    parts: list[bytes] = []
    append_message(parts, 6, 0, 9, 1, b"12345", payload, 60000)
    assert parts[1] is payload


def test_impossible_arguments() -> None:
    """Our own mistakes are `UsageError`, and append nothing."""
    parts: list[bytes] = []
    for number in (-1, 0, 1, 65600):
        with pytest.raises(UsageError, match="chunk stream id"):
            append_message(parts, number, 0, 9, 1, b"", b"x", 128)
    for size in (0, -5, 1 << 31):
        with pytest.raises(UsageError, match="in chunks of"):
            append_message(parts, 4, 0, 9, 1, b"", b"x", size)
        with pytest.raises(UsageError, match="chunk size"):
            writer.set_chunk_size(size)
    with pytest.raises(UsageError, match="16777216 bytes"):
        append_message(parts, 4, 0, 9, 1, b"x", bytes(0xFFFFFF), 1 << 20)
    assert parts == []


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (writer.set_chunk_size(60000), "02 000000 000004 01 00000000 0000ea60"),
        (writer.abort(6), "02 000000 000004 02 00000000 00000006"),
        (writer.acknowledgement(2500000), "02 000000 000004 03 00000000 002625a0"),
        (writer.window_ack_size(2500000), "02 000000 000004 05 00000000 002625a0"),
        (writer.set_peer_bandwidth(2500000), "02 000000 000005 06 00000000 002625a0 02"),
        (
            writer.set_peer_bandwidth(1, writer.LimitType.HARD),
            "02 000000 000005 06 00000000 00000001 00",
        ),
        (writer.stream_begin(1), "02 000000 000006 04 00000000 0000 00000001"),
        (writer.stream_eof(1), "02 000000 000006 04 00000000 0001 00000001"),
        (
            writer.set_buffer_length(1, 3000),
            "02 000000 00000a 04 00000000 0003 00000001 00000bb8",
        ),
        (writer.ping_request(0xABCD), "02 000000 000006 04 00000000 0006 0000abcd"),
        (writer.ping_response(0xABCD), "02 000000 000006 04 00000000 0007 0000abcd"),
        (
            writer.user_control(writer.UserControl.STREAM_DRY, 9),
            "02 000000 000006 04 00000000 0002 00000009",
        ),
    ],
)
def test_protocol_control(message: bytes, expected: str) -> None:
    """RTMP 1.0 5.4 and 7.1.7: on chunk stream 2 and message stream 0, stamped 0."""
    assert message == bytes.fromhex(expected)


@pytest.mark.parametrize("count", [(1 << 31) + 5, 0xF0000000, (1 << 32) + 5])
def test_acknowledgement_wraps(count: int) -> None:
    """A-CK-17: the count of bytes goes on modulo 2**32."""
    assert writer.acknowledgement(count)[-4:] == (count % (1 << 32)).to_bytes(4, "big")
    assert writer.ping_request(count)[-4:] == (count % (1 << 32)).to_bytes(4, "big")
