"""The WebSocket player."""

from __future__ import annotations

from base64 import b64decode, b64encode
from hashlib import sha1
from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from bench.flv import AUDIO, VIDEO, BadStream
from bench.websocket import PONG, Unframer, WebSocketPlayer
from tests.bench.media import FLV_HEADER, KEYFRAME, flv_tag

STREAM = FLV_HEADER + flv_tag(VIDEO, 7, KEYFRAME + b"abc") + flv_tag(AUDIO, 5, b"\xaf\x01")


def frame(content: bytes, opcode: int = 2, *, final: bool = True) -> bytes:
    """Write a frame of a server, as RFC 6455 section 5.2 has it."""
    head = bytes((opcode | final << 7,))
    size = len(content)
    if size < 126:
        head += bytes((size,))
    elif size < 65536:
        head += b"\x7e" + size.to_bytes(2, "big")
    else:
        head += b"\x7f" + size.to_bytes(8, "big")
    return head + content


def accept(player: WebSocketPlayer) -> bytes:
    """Answer a player's handshake."""
    lines = player.greeting.split(b"\r\n")
    (key,) = (line[19:] for line in lines if line.startswith(b"Sec-WebSocket-Key: "))
    assert len(b64decode(key)) == 16
    guid = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + b64encode(sha1(key + guid).digest()) + b"\r\n\r\n"
    )


@given(
    st.lists(
        st.sampled_from([(b"", 2), (b"x" * 125, 2), (b"y" * 126, 0), (b"z" * 70000, 2), (b"", 9)])
        | st.tuples(st.binary(max_size=40), st.sampled_from([0, 2, 9, 10])),
        max_size=5,
    ),
    st.lists(st.integers(0, 500) | st.integers(0, 300_000), max_size=8),
)
def test_unframer(frames: list[tuple[bytes, int]], cuts: list[int]) -> None:
    """Content comes out whole and pings are counted, however the frames are cut."""
    wire = b"".join(frame(content, opcode) for content, opcode in frames)
    unframer, content, pings = Unframer(), b"", 0
    for begin, end in pairwise([0, *sorted(cuts), max(len(wire), *cuts, 0)]):
        more, pinged = unframer.feed(wire[begin:end])
        content += more
        pings += pinged
    assert content == b"".join(content for content, opcode in frames if opcode in (0, 2))
    assert pings == sum(opcode == 9 for _content, opcode in frames)


def test_unframer_of_half_a_frame() -> None:
    """Content is not held back until its frame is complete: bytes are counted as they come."""
    unframer = Unframer()
    assert unframer.feed(b"\x82\x7e\x01\x00abc") == (b"abc", 0)
    assert unframer.feed(b"def") == (b"def", 0)


@pytest.mark.parametrize(
    ("wire", "reason"),
    [
        (frame(b"\x03\xe8", 8), "closed by the server"),
        (frame(b"text", 1), "a frame of 1"),
        (frame(b"", 3), "a frame of 3"),
        (frame(b"x" * 126, 9), "a frame of 9"),
        (b"\x82\x81\0\0\0\0x", "masked"),
        (b"\xc2\x01x", "reserved"),
    ],
)
def test_bad_frames(wire: bytes, reason: str) -> None:
    """What is not binary content from a server is not counted as some."""
    with pytest.raises(BadStream, match=reason):
        Unframer().feed(wire)


def test_player() -> None:
    """A player shakes hands, reads tags out of frames, and answers a ping."""
    player = WebSocketPlayer("h", "live", "s")
    assert player.greeting.startswith(b"GET /live/s.flv HTTP/1.1\r\nHost: h\r\n")
    answer = accept(player) + frame(STREAM[:20]) + frame(b"", 9) + frame(STREAM[20:])
    assert player.feed(answer[:30]) == ([], b"")
    tags, reply = player.feed(answer[30:])
    assert [tag.kind for tag in tags] == [VIDEO, AUDIO]
    assert (reply, player.received, player.chunk_bytes) == (PONG, len(STREAM), 0)
    # A masked frame of opcode 10, final, without content.
    assert bytes.fromhex("8a8000000000") == PONG


def test_player_refused() -> None:
    """No WebSocket, a wrong key, an extension out of nowhere: a player is not content."""
    with pytest.raises(BadStream, match=r"refused.*404"):
        WebSocketPlayer("h", "live", "s").feed(b"HTTP/1.1 404 Not Found\r\n\r\n")
    with pytest.raises(BadStream, match="Accept"):
        other = accept(WebSocketPlayer("h", "live", "s"))
        WebSocketPlayer("h", "live", "s").feed(other)
    player = WebSocketPlayer("h", "live", "s")
    extended = accept(player)[:-2] + b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
    with pytest.raises(BadStream, match="extension"):
        player.feed(extended)
    with pytest.raises(BadStream, match="endless"):
        WebSocketPlayer("h", "live", "s").feed(bytes(20000))
