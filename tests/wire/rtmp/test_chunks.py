"""Tests of the chunk reader, against an encoder of its own that knows every form of header."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from ntvmedia.wire.rtmp.chunks import ChunkReader, Message
from tests.wire.rtmp.chunk_bytes import (
    CHUNK_STREAM_IDS,
    WRAP,
    Encoder,
    basic_header,
    error_of,
    header,
    pattern,
    read,
    read_all,
    size_message,
)


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[Message]]:
    """Draw messages with their times at the traps, and their interleaved chunks."""
    encoder = Encoder(repeats=draw(st.booleans()))
    time = draw(st.sampled_from([0, 1000, 0xFFFFF0, 0x1000000, WRAP - 5, 3514123186]))
    # The first of all says where the timeline begins.
    expected = [Message(9, time, 1, b"first", 4)]
    stream = b"".join(encoder.chunks(expected[0]))
    for _round in range(draw(st.integers(1, 4))):
        size = draw(st.sampled_from([1, 2, 7, 128, 4096, 0x7FFFFFFF]))
        stream += b"".join(encoder.chunks(Message(1, 0, 0, size.to_bytes(4, "big"), 2)))
        encoder.chunk_size = size
        waiting: list[tuple[Message, list[bytes]]] = []
        numbers = draw(st.lists(st.sampled_from(CHUNK_STREAM_IDS[1:]), min_size=1, unique=True))
        for number in numbers:
            for _message in range(draw(st.integers(1, 2))):
                time += draw(st.sampled_from([0, 20, 0xFFFFFF, 0x1000000]))
                payload = pattern(draw(st.sampled_from([0, 1, 3, 5, 129, 300])))
                message = Message(draw(st.sampled_from([8, 9])), time, 1, payload, number)
                chunks = encoder.chunks(message, draw(st.integers(0, 3)))
                waiting.append((message, chunks))
        while waiting:
            # The first message of each chunk stream goes on; those behind it wait.
            ready = {item[0].chunk_stream_id: item for item in reversed(waiting)}
            item = ready[draw(st.sampled_from(sorted(ready)))]
            count = draw(st.integers(1, 200))
            stream += b"".join(item[1][:count])
            del item[1][:count]
            if not item[1]:
                waiting.remove(item)
                expected.append(item[0])
    return stream, expected


@given(streams(), st.binary(max_size=40), st.data())
def test_cuts_do_not_matter(
    good: tuple[bytes, list[Message]], junk: bytes, data: st.DataObject
) -> None:
    """A-CK-09/13/24: whatever the forms, sizes, dialects and cuts, the same comes out."""
    stream, expected = good
    places = data.draw(st.lists(st.integers(0, len(stream)), max_size=20))
    cuts = [0, *sorted(places), len(stream)]
    assert read(ChunkReader(), [stream[a:b] for a, b in pairwise(cuts)]) == (expected, "")
    assert read(ChunkReader(), [stream]) == (expected, "")
    dirty = stream + junk
    one_by_one = [bytes([byte]) for byte in dirty]
    assert read(ChunkReader(), one_by_one) == read(ChunkReader(), [dirty])


@given(st.lists(st.binary(max_size=60), max_size=6))
def test_only_documented_errors(pieces: list[bytes]) -> None:
    """Random bytes raise a `PeerError` or nothing, the same however they are cut."""
    whole = b"".join(pieces)
    assert read(ChunkReader(), pieces) == read(ChunkReader(), [whole])


@given(streams(), st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), max_size=3))
def test_mutations(good: tuple[bytes, list[Message]], changes: list[tuple[int, int]]) -> None:
    """F-RE-03: a good stream with some bytes changed never breaks the reader or the first law."""
    stream = bytearray(good[0])
    for place, byte in changes:
        stream[place % len(stream)] = byte
    pieces = [bytes(stream[i : i + 11]) for i in range(0, len(stream), 11)]
    assert read(ChunkReader(), pieces) == read(ChunkReader(), [bytes(stream)])


def test_specification_example() -> None:
    """RTMP 1.0 5.3.2.1: four audio messages in headers of type 0, 2, 3, 3."""
    stream = (
        bytes.fromhex("03 0003e8 000020 08 39300000")
        + pattern(32)
        + bytes.fromhex("83 000014")
        + pattern(32)
        + (b"\xc3" + pattern(32)) * 2
    )
    assert [(m.timestamp, m.message_stream_id) for m in read_all(stream)] == [
        (1000, 12345),
        (1020, 12345),
        (1040, 12345),
        (1060, 12345),
    ]


def test_specification_example_of_many_chunks() -> None:
    """RTMP 1.0 5.3.2.2: 307 bytes of video in chunks of 128, 128 and 51."""
    payload = pattern(307)
    stream = (
        bytes.fromhex("04 0003e8 000133 09 3a300000")
        + payload[:128]
        + b"\xc4"
        + payload[128:256]
        + b"\xc4"
        + payload[256:]
    )
    assert read_all(stream) == [Message(9, 1000, 12346, payload, 4)]


@pytest.mark.parametrize("timestamp", [0xFFFFFF, 0x1000000, 1 << 31, WRAP - 1])
@pytest.mark.parametrize("repeats", [True, False])
def test_extended_timestamps(timestamp: int, repeats: bool) -> None:
    """A-CK-01, A-CK-02: with the field in each further chunk and without, for many messages."""
    encoder = Encoder(repeats=repeats)
    messages = [Message(9, timestamp + i, 1, pattern(5 * 128 + i), 6) for i in range(5)]
    stream = b"".join(chunk for message in messages for chunk in encoder.chunks(message))
    assert read_all(stream) == messages


def test_last_chunk_shorter_than_the_field_it_lacks() -> None:
    """A-CK-02: a message whose last chunk is 1 byte is not held back until the next one."""
    payload = pattern(128) + b"\xaa"
    stream = header(0, 6, 0x01000000, 129, 9, 1) + payload[:128] + b"\xc6" + payload[128:]
    assert read_all(stream) == [Message(9, 0x01000000, 1, payload, 6)]


@pytest.mark.parametrize("form", [1, 2])
def test_extended_difference(form: int) -> None:
    """A-CK-03: in headers of type 1 and 2 the extended timestamp is a difference."""
    encoder = Encoder()
    messages = [Message(9, 5000, 1, pattern(300), 6), Message(9, 5000 + 0x1234567, 1, b"", 6)]
    messages[1] = messages[1]._replace(payload=pattern(300))
    chunks = encoder.chunks(messages[0]) + encoder.chunks(messages[1], form)
    assert chunks[3][:1] == basic_header(form, 6)
    assert read_all(b"".join(chunks)) == messages


def test_further_chunks_repeat_the_time_and_not_the_difference() -> None:
    """A-CK-04: after an extended difference, either it or the time counts as the field."""
    payload = pattern(200)
    before = header(0, 6, 1000, 1, 9, 1) + b"x"
    first = header(1, 6, 0x1234567, 200, 9, 1) + payload[:128]
    for repeated in (0x1234567, 1000 + 0x1234567):
        stream = before + first + b"\xc6" + repeated.to_bytes(4, "big") + payload[128:]
        assert read_all(stream)[1] == Message(9, 1000 + 0x1234567, 1, payload, 6)


def test_end_of_extended_time() -> None:
    """A header without extended timestamp ends it: what looks like it then is payload."""
    lookalike = pattern(128) + bytes.fromhex("01000000") + pattern(20)
    times = [0x1000000, 0x1000000 + 20, 0x1000000 + 60, 0x1000000 + 80]
    messages = [Message(9, time, 1, lookalike, 6) for time in times]
    for form in (1, 2, 3):
        encoder = Encoder()
        stream = b"".join(c for message in messages for c in encoder.chunks(message, form))
        assert read_all(stream) == messages


def test_type_3_begins_a_message() -> None:
    """A-CK-06: after a header of type 0 its timestamp is the difference: 26 becomes 52."""
    stream = header(0, 4, 26, 2, 8, 1) + b"ab" + b"\xc4cd" + b"\xc4ef"
    assert [m.timestamp for m in read_all(stream)] == [26, 52, 78]


def test_type_3_begins_a_message_with_extended_time() -> None:
    """A-CK-06: the same where the type 3 chunk repeats an extended timestamp."""
    time = bytes.fromhex("01000000")
    stream = header(0, 4, 0x1000000, 2, 8, 1) + b"ab" + b"\xc4" + time + b"cd"
    assert [(m.timestamp, m.payload) for m in read_all(stream)] == [
        (0x1000000, b"ab"),
        (0x2000000, b"cd"),
    ]


def test_type_1_begins_a_chunk_stream() -> None:
    """A-CK-07: librtmp's first ping has a header of type 1; message stream 0 is meant."""
    stream = bytes.fromhex("42 000000 000006 04 000700000000")
    assert read_all(stream) == [Message(4, 0, 0, bytes.fromhex("000700000000"), 2)]


@pytest.mark.parametrize("first", [0x84, 0xC4])
def test_type_2_or_3_cannot_begin_a_chunk_stream(first: int) -> None:
    """A-CK-07: they would have no length."""
    assert "begins chunk stream 4 at byte 0 [" in error_of(bytes([first]) + bytes(20))


def test_junk_behind_good_messages() -> None:
    """A-CK-08: a corrupt stream gives what was good, then one error with its place."""
    good = header(0, 6, 0, 3, 9, 1) + b"abc"
    messages, error = read(ChunkReader(), [good + b"\xe1\x01\x00"])
    assert messages == [Message(9, 0, 1, b"abc", 6)]
    assert error == "PeerError: a type 3 chunk begins chunk stream 33 at byte 15 [RTMP 1.0 5.3.1.2]"


@pytest.mark.parametrize("number", [2, 63, 64, 65, 319, 320, 321, 65598, 65599])
def test_chunk_stream_ids(number: int) -> None:
    """A-CK-09: every id works, and keeps a message of several chunks together."""
    message = Message(9, 7, 1, pattern(400), number)
    assert read_all(b"".join(Encoder().chunks(message))) == [message]


def test_small_id_in_long_form() -> None:
    """A-CK-09: 64 in three bytes is the same chunk stream as 64 in two."""
    payload = pattern(130)
    stream = b"\x00\x00" + header(0, 3, 5, 130, 9, 1)[1:] + payload[:128]
    stream += b"\xc1\x00\x00" + payload[128:]
    assert read_all(stream) == [Message(9, 5, 1, payload, 64)]


@pytest.mark.parametrize("number", [2, 3, 4, 5, 6, 64])
def test_control_on_any_chunk_stream(number: int) -> None:
    """A-CK-10: PTZ cameras send Set Chunk Size elsewhere than on chunk stream 2."""
    reader = ChunkReader()
    assert read(reader, [size_message(4096, number)]) == ([], "")
    assert reader.chunk_size == 4096


@pytest.mark.parametrize("size", [1, 127, 128, 65536, 134217728, 0x7FFFFFFF])
def test_chunk_sizes(size: int) -> None:
    """A-CK-11: each is taken, and allocates nothing."""
    message = Message(9, 0, 1, pattern(1000), 6)
    encoder = Encoder(size)
    reader = ChunkReader()
    stream = size_message(size) + b"".join(encoder.chunks(message))
    assert read(reader, [stream]) == ([message], "")
    assert reader.buffered == 0


@pytest.mark.parametrize("size", [0, 0x80000000, 0xFFFFFFFF])
def test_impossible_chunk_sizes(size: int) -> None:
    """A-CK-11: 0 and the highest bit close the connection."""
    assert f"chunk size {size} is out of range" in error_of(size_message(size))


@pytest.mark.parametrize("type_id", [1, 2])
def test_short_control(type_id: int) -> None:
    """A protocol control message without its 4 bytes is an error at once."""
    assert "shorter than 4 bytes" in error_of(header(0, 2, 0, 0, type_id, 0))
    assert "shorter than 4 bytes" in error_of(header(0, 2, 0, 3, type_id, 0) + b"\0\0\x80")


@pytest.mark.parametrize("size", [1, 50, 200, 100000])
def test_chunk_size_changes_amid_a_message(size: int) -> None:
    """A-CK-12: the rest of the message comes in chunks of the new size."""
    payload = pattern(400)
    stream = header(0, 6, 0, 400, 9, 1) + payload[:128] + size_message(size)
    stream += b"".join(b"\xc6" + payload[i : min(i + size, 400)] for i in range(128, 400, size))
    assert read_all(stream) == [Message(9, 0, 1, payload, 6)]


def test_interleaved() -> None:
    """A-CK-13: audio between the chunks of video."""
    video = Message(9, 40, 1, pattern(1000), 6)
    audio = [Message(8, 20 * i, 1, pattern(200 + i), 4) for i in range(3)]
    encoder = Encoder()
    chunks = encoder.chunks(video)
    stream = b"".join(chunks[:1])
    for i, message in enumerate(audio):
        stream += b"".join(encoder.chunks(message, i)) + chunks[i + 1]
    stream += b"".join(chunks[4:])
    assert read_all(stream) == [*audio, video]


def test_abort() -> None:
    """A-CK-14: what came of the message is dropped, and the next one is whole."""
    reader = ChunkReader()
    partial = header(0, 6, 0, 400, 9, 1) + pattern(128) + b"\xc6" + pattern(128)
    assert read(reader, [partial]) == ([], "")
    assert reader.buffered == 256
    aborts = b"".join(header(0, 2, 0, 4, 2, 0) + n.to_bytes(4, "big") for n in (6, 99))
    assert read(reader, [aborts]) == ([], "")
    assert reader.buffered == 0
    after = header(1, 6, 20, 3, 9, 1) + b"abc"
    assert read(reader, [after]) == ([Message(9, 20, 1, b"abc", 6)], "")


@pytest.mark.parametrize(
    ("broken", "form"),
    [
        (header(0, 6, 0, 400, 9, 1), 0),
        (header(1, 6, 0, 401, 9, 1), 1),
        (header(1, 6, 0, 400, 8, 1), 1),
    ],
)
def test_new_message_amid_a_message(broken: bytes, form: int) -> None:
    """A-CK-15, F-RE-03: a full header, another length or another type amid a message."""
    stream = header(0, 6, 0, 400, 9, 1) + pattern(128) + broken + pattern(128)
    assert f"a type {form} chunk breaks into an unfinished message at byte 140" in error_of(stream)


@pytest.mark.parametrize("form", [0, 1, 2, 3])
def test_new_message_amid_one_that_began_in_any_form(form: int) -> None:
    """A-CK-15: also where messages of that chunk stream came out before."""
    encoder = Encoder()
    messages = [Message(9, 20 * i, 1, pattern(200), 6) for i in range(4)]
    chunks = [encoder.chunks(message, form if i == 3 else 1) for i, message in enumerate(messages)]
    assert chunks[3][0][0] >> 6 == form
    stream = b"".join(chunks[0] + chunks[1] + chunks[2] + chunks[3][:1])
    broken = header(0, 6, 80, 200, 9, 1) + pattern(200)
    for pieces in ([stream + broken], [stream, broken]):
        got, error = read(ChunkReader(), pieces)
        assert got == messages[:3]
        assert "a type 0 chunk breaks into an unfinished message" in error


@pytest.mark.parametrize("form", [1, 2])
def test_header_that_changes_nothing_amid_a_message(form: int) -> None:
    """A-CK-15: type 1 with the same length and type, and type 2, go on with the message."""
    payload = pattern(200)
    stream = header(0, 6, 10, 200, 9, 1) + payload[:128] + header(form, 6, 5, 200, 9, 1)
    assert read_all(stream + payload[128:]) == [Message(9, 10, 1, payload, 6)]


def test_empty_messages() -> None:
    """A-CK-16: messages without payload come out, one by one, as they are."""
    stream = header(0, 4, 0, 0, 8, 1) + header(1, 4, 20, 0, 8, 1) + b"\xc4"
    assert read_all(stream) == [Message(8, 20 * i, 1, b"", 4) for i in range(3)]


@pytest.mark.parametrize("type_id", [0, 3, 7, 16, 99, 255])
def test_unknown_types(type_id: int) -> None:
    """A-CK-22: they come out; what to do with them is not for the chunk stream to say."""
    stream = header(0, 4, 0, 2, type_id, 1) + b"ab"
    assert read_all(stream) == [Message(type_id, 0, 1, b"ab", 4)]


@pytest.mark.parametrize("first", [0, 40, 3514123186, WRAP - 1])
def test_first_time_is_taken_as_it_is(first: int) -> None:
    """A-MD-16: 0 is no sentinel, and a high bit no sign; commands stamped 0 came before."""
    encoder = Encoder()
    messages = [
        Message(20, 0, 0, b"connect", 3),
        Message(20, 0, 1, b"publish", 4),
        Message(18, 0, 1, b"metadata", 4),
        Message(8, first, 1, b"audio", 4),
        Message(9, first + 3, 1, b"video", 6),
        Message(8, first + 23, 1, b"audio", 4),
    ]
    stream = b"".join(chunk for message in messages for chunk in encoder.chunks(message))
    assert read_all(stream) == messages


def test_first_time_as_a_difference() -> None:
    """The first audio may be told by its difference from a command stamped 0."""
    stream = header(0, 4, 0, 2, 20, 1) + b"ab" + header(1, 4, 3514123186, 2, 8, 1) + b"cd"
    stream += header(0, 6, 3514123100, 1, 9, 1) + b"e"
    assert [m.timestamp for m in read_all(stream)] == [0, 3514123186, 3514123100]


def test_times_wrap() -> None:
    """A-MD-18: 49.7 days and 24.9 days pass unnoticed, forth and back, in all forms."""
    times = [(1 << 31) - 10, (1 << 31) + 10, WRAP - 10, WRAP + 10, WRAP - 5, 2 * WRAP - 40]
    times[5:] = [WRAP + (1 << 31) - 10, 2 * WRAP - 40, 2 * WRAP + 5]
    for form in range(3):
        encoder = Encoder()
        messages = [Message(9, time, 1, b"x", 6) for time in times]
        stream = b"".join(c for message in messages for c in encoder.chunks(message, form))
        assert read_all(stream) == messages


def test_difference_below_zero() -> None:
    """A difference of more than half the range goes back."""
    stream = header(0, 6, 1000, 1, 9, 1) + b"a" + header(1, 6, WRAP - 30, 1, 9, 1) + b"b"
    assert [m.timestamp for m in read_all(stream)] == [1000, 970]
