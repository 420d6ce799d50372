"""Tests of the chunk reader's limits in memory and time, and of its life."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from ntvmedia.errors import LimitExceeded, PeerError, UsageError
from ntvmedia.wire.rtmp.chunks import ChunkReader, Message
from tests.wire.rtmp.chunk_bytes import Encoder, header, pattern, read, size_message


def test_too_many_chunk_streams() -> None:
    """F-RE-01: the 129th id closes the connection, whatever its message is."""
    stream = b"".join(header(0, 3 + i, 0, 1, 9, 1) + b"x" for i in range(128))
    messages, error = read(ChunkReader(), [stream])
    assert len(messages) == 128
    assert error == ""
    messages, error = read(ChunkReader(), [stream + header(0, 200, 0, 1, 9, 1)])
    assert len(messages) == 128
    assert error.startswith("LimitExceeded: more than 128 chunk streams at byte ")


def test_message_too_large() -> None:
    """F-RE-01: a message is refused by its header."""
    reader = ChunkReader(max_message_size=1000)
    reader.receive_data(header(0, 4, 0, 1000, 9, 1) + pattern(128))
    assert reader.next_message() is None
    reader.receive_data(header(0, 5, 0, 1001, 9, 1))
    with pytest.raises(LimitExceeded, match="1001 bytes; 1000 are allowed") as caught:
        reader.next_message()
    assert caught.value.limit == 1000


@pytest.mark.parametrize("form", [0, 1])
def test_later_message_too_large(form: int) -> None:
    """F-RE-01: the same on a chunk stream that gave messages before."""
    reader = ChunkReader(max_message_size=1000)
    stream = size_message(4096) + header(0, 4, 0, 1000, 9, 1) + pattern(1000)
    messages, error = read(reader, [stream + header(form, 4, 0, 1001, 9, 1) + pattern(1001)])
    assert len(messages) == 1
    assert "1001 bytes; 1000 are allowed" in error


@pytest.mark.parametrize("cut", [1, 1000, 11076, 1 << 20])
def test_too_much_unfinished(cut: int) -> None:
    """F-RE-01: unfinished messages of a connection share one limit, to the byte."""
    size = 3000
    unfinished = size_message(size) + b"".join(
        header(0, 3 + i, 0, 9999, 9, 1) + bytes(size) for i in range(3)
    )
    whole = header(0, 9, 0, 1000, 8, 1) + bytes(1000)
    for limit, count in ((10000, 4), (9999, 2)):
        reader = ChunkReader(max_buffered=limit)
        stream = unfinished[:16] + whole * 2 + unfinished[16:] + whole * 2
        messages, error = read(reader, [stream[i : i + cut] for i in range(0, len(stream), cut)])
        assert len(messages) == count
        assert ("unfinished messages of more than 9999 bytes" in error) == (count == 2)


def test_nothing_is_allocated_ahead() -> None:
    """F-RE-01: 127 announced messages of 10 MiB hold only what came of them."""
    reader = ChunkReader()
    announced = b"".join(header(0, 3 + i, 0, 10 << 20, 9, 1) + b"x" for i in range(127))
    tracemalloc.start()
    try:
        assert read(reader, [size_message(1) + announced]) == ([], "")
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert reader.buffered == 127


def test_spent() -> None:
    """After an error the reader refuses to go on, also where good messages follow."""
    reader = ChunkReader()
    good = header(0, 6, 0, 3, 9, 1) + b"abcdefghij"
    reader.receive_data(header(0, 6, 0, 3, 9, 1) + b"abc" + b"\x84")
    assert reader.next_message() == Message(9, 0, 1, b"abc", 6)
    with pytest.raises(PeerError):
        reader.next_message()
    reader.receive_data(good)
    with pytest.raises(UsageError):
        reader.next_message()


def test_data_that_comes_while_messages_wait() -> None:
    """Bytes given before all messages were taken are kept, counted, and read in order."""
    reader = ChunkReader()
    stream = b"".join(header(0, 6, i, 50, 9, 1) + pattern(50) for i in range(100))
    for i in range(0, len(stream), 31):
        reader.receive_data(stream[i : i + 31])
    assert reader.received == reader.buffered == len(stream)
    assert [m.timestamp for m in read(reader, [b""])[0]] == list(range(100))
    assert reader.buffered == 0


class _CountingBytes(bytes):
    """Bytes that count what is sliced out of them."""

    cut = 0

    def __getitem__(self, key: Any) -> Any:
        part = super().__getitem__(key)
        if isinstance(part, bytes):
            type(self).cut += len(part)
        return part


def test_interleaved_single_bytes_take_linear_time() -> None:
    """Chunks of one byte of two messages in turn: no search of the whole read for each."""
    length = 20000
    stream = header(0, 5, 0, length, 9, 1) + b"x" + header(0, 6, 0, length, 9, 1) + b"x"
    stream += b"\xc5x\xc6x" * (length - 1)
    reader = ChunkReader()
    assert read(reader, [size_message(1)]) == ([], "")
    _CountingBytes.cut = 0
    messages, error = read(reader, [_CountingBytes(stream)])
    assert [m.payload for m in messages] == [b"x" * length] * 2
    assert error == ""
    assert _CountingBytes.cut < 12 * len(stream)


def test_messages_begun_and_aborted_take_linear_time() -> None:
    """A message that is announced as the rest of the read is not searched for each time."""
    encoder = Encoder(1)
    abort = b"".join(encoder.chunks(Message(2, 0, 0, (6).to_bytes(4, "big"), 2)))
    begun = header(0, 6, 0, 30000, 9, 1) + b"x"
    good = header(0, 6, 0, 1, 9, 1) + b"x"
    reader = ChunkReader()
    assert len(read(reader, [size_message(1) + good])[0]) == 1
    stream = (good + begun + abort) * 1500
    _CountingBytes.cut = 0
    messages, error = read(reader, [_CountingBytes(stream)])
    assert (len(messages), error) == (1500, "")
    assert _CountingBytes.cut < 12 * len(stream)
