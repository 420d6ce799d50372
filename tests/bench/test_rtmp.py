"""The RTMP side of the load generator."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from bench.flv import AUDIO, VIDEO, BadStream, Media
from bench.rtmp import (
    COMMAND,
    HANDSHAKE_BYTES,
    SET_CHUNK_SIZE,
    ChunkReader,
    Role,
    RTMPClient,
    acknowledgement,
    amf,
    chunked,
    chunked_after,
)


def test_amf() -> None:
    """AMF0 as its specification 2.2 to 2.5 writes numbers, strings, objects and null."""
    expected = "003ff0000000000000" + "0200016b" + "05" + "03" + "000161" + "02000162" + "000009"
    assert amf(1.0, "k", None, {"a": "b"}).hex() == expected


def test_chunks() -> None:
    """RTMP 1.0 5.3.2.2: 307 bytes in chunks of 128 have one full header and two of one byte."""
    wire = chunked(6, VIDEO, bytes(307), 128, time=1000, stream=12346)
    assert wire[:12].hex() == "06" + "0003e8" + "000133" + "09" + "3a300000"
    assert len(wire) == 12 + 128 + 1 + 128 + 1 + 51
    assert wire[140] == wire[269] == 0xC6


def test_chunks_after() -> None:
    """The shorter header carries the time since the message before."""
    assert (
        chunked_after(4, AUDIO, b"ab", 128, 21).hex() == "44" + "000015" + "000002" + "08" + "6162"
    )


def test_late() -> None:
    """A time that needs an extended timestamp is not written wrongly."""
    with pytest.raises(ValueError, match="never runs"):
        chunked(6, VIDEO, b"", 128, time=0xFFFFFF)


@given(st.integers(1, 60), st.integers(1, 5))
def test_reader(step: int, size: int) -> None:
    """Messages come out with times and places, in whatever pieces and chunk size they came in."""
    chunk_bytes = size * 50
    head = chunked(2, SET_CHUNK_SIZE, chunk_bytes.to_bytes(4, "big"), 128)
    first = chunked(6, VIDEO, bytes(300), chunk_bytes, time=100, stream=1)
    wire = head + first + chunked_after(6, VIDEO, bytes(200), chunk_bytes, 33)
    wire += chunked(4, AUDIO, b"\xaf", chunk_bytes, time=105, stream=1)
    reader, messages = ChunkReader(), []
    for at in range(0, len(wire), step):
        messages += reader.feed(wire[at : at + step])
    assert reader.chunk_bytes == chunk_bytes
    assert [message[:2] for message in messages] == [
        (SET_CHUNK_SIZE, 0),
        (VIDEO, 100),
        (VIDEO, 133),
        (AUDIO, 105),
    ]
    assert messages[1].start == len(head)
    assert messages[2].start == len(head) + len(first)


def test_reader_of_interleaved_chunks() -> None:
    """A message's place is that of its first chunk, though another message lies in between."""
    video = chunked(6, VIDEO, bytes(200), 128)
    audio = chunked(4, AUDIO, b"\xaf", 128)
    cut = 12 + 128
    messages = ChunkReader().feed(video[:cut] + audio + video[cut:])
    assert [(message.kind, message.start) for message in messages] == [(AUDIO, cut), (VIDEO, 0)]


def test_reader_of_extended_timestamps() -> None:
    """RTMP 1.0 5.3.1.3: the extended timestamp stands in the chunks that continue, too."""
    time = bytes.fromhex("01000000")
    body = bytes(130)
    wire = b"\x06\xff\xff\xff" + b"\0\0\x82" + b"\x09" + b"\x01\0\0\0" + time
    wire += body[:128] + b"\xc6" + time + body[128:]
    assert ChunkReader().feed(wire) == [Media(VIDEO, 0x01000000, body, 0)]


def test_reader_of_wide_chunk_stream_ids() -> None:
    """RTMP 1.0 5.3.1.1: ids from 64 and from 320 on take two and three bytes."""
    rest = b"\0\0\0\0\0\x01\x08\x01\0\0\0\xaf"
    messages = ChunkReader().feed(b"\x00\x05" + rest + b"\x01\x05\x01" + rest)
    assert [message.body for message in messages] == [b"\xaf", b"\xaf"]


def test_bad_chunks() -> None:
    """What continues nothing is an error."""
    with pytest.raises(BadStream, match="fresh"):
        ChunkReader().feed(b"\xc6" + bytes(10))


def _play(role: Role) -> tuple[RTMPClient, list[bytes]]:
    """Lead a client up to its start; return it and the names of its commands."""
    client = RTMPClient("h", "live", "s", role)
    assert client.feed(bytes(100)) == ([], b"")
    _media, reply = client.feed(bytes(1 + 2 * HANDSHAKE_BYTES - 100))
    names = _commands(reply[HANDSHAKE_BYTES:])
    reader = ChunkReader()
    for answer in (amf("_result", 1.0, {}, {}), amf("_result", 4.0, None, 7.0)):
        _media, reply = client.feed(chunked(3, COMMAND, answer, 128))
        names += _commands(reply, reader)
    assert not client.ready
    start = amf("onStatus", 0.0, None, {"level": "status", "code": f"NetStream.{role.value}.Start"})
    client.feed(chunked(3, COMMAND, start, 128))
    return client, names


def _commands(wire: bytes, reader: ChunkReader | None = None) -> list[bytes]:
    messages = (reader or ChunkReader()).feed(wire)
    return [m.body[3 : 3 + m.body[2]] for m in messages if m.kind == COMMAND]


def test_player() -> None:
    """A player connects, creates a stream and plays, and gives media out."""
    client, names = _play(Role.PLAY)
    assert names == [b"connect", b"createStream", b"play"]
    assert (client.ready, client.stream) == (True, 7)
    media, reply = client.feed(chunked(6, VIDEO, b"\x17\x01", 128))
    assert ([message.body for message in media], reply) == ([b"\x17\x01"], b"")


def test_publisher() -> None:
    """A publisher announces itself as encoders do."""
    client, names = _play(Role.PUBLISH)
    assert names == [b"connect", b"releaseStream", b"FCPublish", b"createStream", b"publish"]
    assert client.ready


def test_ping() -> None:
    """A ping is answered with the same four bytes."""
    client, _names = _play(Role.PLAY)
    _media, reply = client.feed(chunked(2, 4, b"\0\x06abcd", 128))
    assert reply[12:] == b"\0\x07abcd"


@pytest.mark.parametrize(
    "answer",
    [
        amf("_error", 1.0, None, {"level": "error"}),
        amf("onStatus", 0.0, None, {"level": "error", "code": "NetStream.Play.StreamNotFound"}),
        b"\0",
    ],
)
def test_refused(answer: bytes) -> None:
    """A refusal ends a client."""
    client, _names = _play(Role.PLAY)
    with pytest.raises(BadStream):
        client.feed(chunked(3, COMMAND, answer, 128))


def test_disliked_announcement() -> None:
    """An error in answer to releaseStream does not matter."""
    client, _names = _play(Role.PUBLISH)
    answer = amf("_error", 2.0, None, {"level": "error"})
    assert client.feed(chunked(3, COMMAND, answer, 128)) == ([], b"")


def test_acknowledgement() -> None:
    """RTMP 1.0 5.4.3: the number of bytes, which wraps at 32 bits."""
    assert (
        acknowledgement(2**32 + 5).hex()
        == "02" + "000000" + "000004" + "03" + "00000000" + "00000005"
    )
