"""Tests of the handshake, against digests that are computed here by the letter."""

from __future__ import annotations

import hashlib
import hmac
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, strategies as st

from ntvmedia.errors import PeerError, UsageError
from ntvmedia.wire.rtmp.handshake import RANDOM_SIZE, ClientHandshake, ServerHandshake

RANDOM = Random(1).randbytes(RANDOM_SIZE)
OTHER_RANDOM = Random(2).randbytes(RANDOM_SIZE)

PLAYER = b"Genuine Adobe Flash Player 001"
SERVER = b"Genuine Adobe Flash Media Server 001"
# Known to every implementation: FFmpeg libavformat/rtmpproto.c, nginx-rtmp ngx_rtmp_handshake.c.
TAIL = bytes.fromhex("f0eec24a 8068bee8 2e00d0d1 029e7e57 6eec5d2d 29806fab 93b8e636 cfeb31ae")


def sha(key: bytes, data: bytes) -> bytes:
    """Return the HMAC-SHA256 of data."""
    return hmac.new(key, data, hashlib.sha256).digest()


def digest_at(block: bytes, base: int) -> int:
    """Return where the digest is that bytes `base` to `base + 3` place."""
    return base + 4 + (block[base] + block[base + 1] + block[base + 2] + block[base + 3]) % 728


def signed(block: bytes, base: int, key: bytes) -> bytes:
    """Return a block with its digest put in."""
    place = digest_at(block, base)
    rest = block[:place] + block[place + 32 :]
    return block[:place] + sha(key, rest) + block[place + 32 :]


def has_digest(block: bytes, base: int, key: bytes) -> bool:
    """Tell whether a block has its digest."""
    return signed(block, base, key) == block


def client_block(base: int, offset: int) -> bytes:
    """Return a signed C1 whose digest is `offset` bytes into its block."""
    block = bytearray(Random(offset).randbytes(1536))
    block[4:8] = bytes([9, 0, 124, 2])
    low = min(offset, 255 * 2)
    block[base : base + 4] = bytes([low // 2, low - low // 2, min(offset - low, 255), 0])
    assert digest_at(bytes(block), base) == base + 4 + offset
    return signed(bytes(block), base, PLAYER)


def answer_to(c1: bytes) -> tuple[bytes, bytes]:
    """Return S1 and S2 of a server that was sent a block."""
    server = ServerHandshake(RANDOM)
    server.receive_data(b"\x03" + c1)
    reply = server.data_to_send()
    assert len(reply) == 3073
    assert reply[0] == 3
    assert not server.done
    return reply[1:1537], reply[1537:]


def test_simple() -> None:
    """A-HS-01: version 0 asks for the simple handshake: S2 is C1, byte for byte."""
    c1 = bytes.fromhex("01020304 00000000") + Random(3).randbytes(1528)
    s1, s2 = answer_to(c1)
    assert s1[4:8] == bytes(4)
    assert s1[8:] == RANDOM[:1528]
    assert s2 == c1


@pytest.mark.parametrize("base", [8, 772])
@pytest.mark.parametrize("offset", [0, 1, 363, 726, 727])
def test_digest(base: int, offset: int) -> None:
    """A-HS-02, A-HS-07: the digest is found in both layouts, and answered in the same."""
    c1 = client_block(base, offset)
    s1, s2 = answer_to(c1)
    assert s1[4:8] != bytes(4)
    assert has_digest(s1, base, SERVER)
    place = digest_at(c1, base)
    key = sha(SERVER + TAIL, c1[place : place + 32])
    assert s2[-32:] == sha(key, s2[:-32])


@given(st.integers(0, 1), st.binary(min_size=4, max_size=4), st.randoms(use_true_random=False))
def test_digest_anywhere(scheme: int, offset_bytes: bytes, random: Random) -> None:
    """A-HS-02: whatever the four bytes of offset, sums above 727 too."""
    base = (772, 8)[scheme]
    block = bytearray(random.randbytes(1536))
    block[4:8] = bytes([10, 0, 32, 18])
    block[base : base + 4] = offset_bytes
    s1, _s2 = answer_to(signed(bytes(block), base, PLAYER))
    assert has_digest(s1, base, SERVER)


def test_version_without_digest() -> None:
    """A-HS-03: a version that promises a digest, and none: the simple handshake, in full."""
    c1 = bytes.fromhex("00000000 09007c02") + Random(4).randbytes(1528)
    server = ServerHandshake(RANDOM)
    server.receive_data(b"\x03" + c1)
    reply = server.data_to_send()
    assert reply[1537:] == c1
    server.receive_data(reply[1:1537])
    assert server.done
    assert server.verified
    assert not server.with_digest


@pytest.mark.parametrize("sizes", [[1] * 3073, [1536, 1, 1536], [1537, 1536], [3073]])
@pytest.mark.parametrize("c1", [bytes(1536), client_block(8, 5)], ids=["simple", "digest"])
def test_cuts(sizes: list[int], c1: bytes) -> None:
    """A-HS-04: byte by byte, or cut before the last byte of C1, the same is answered."""
    server = ServerHandshake(RANDOM)
    stream = b"\x03" + c1 + bytes(1536)
    position = 0
    sent = b""
    for size in sizes:
        assert not server.done
        server.receive_data(stream[position : position + size])
        position += size
        out = server.data_to_send()
        assert not out or position >= 1537
        sent += out
    assert server.done
    assert sent[1:] == b"".join(answer_to(c1))
    assert server.remainder() == b""


@pytest.mark.parametrize("c2", [bytes(1536), b"\xff" * 1536])
@pytest.mark.parametrize("c1", [bytes(1536), client_block(772, 99)], ids=["simple", "digest"])
def test_any_answer_of_a_client(c1: bytes, c2: bytes) -> None:
    """A-HS-05: Streamlabs' C2 is no echo; it is taken, and noted."""
    server = ServerHandshake(RANDOM)
    server.receive_data(b"\x03" + c1 + c2)
    assert server.done
    assert not server.verified


@given(st.lists(st.integers(0, 3173), max_size=8), st.booleans())
def test_bytes_behind(places: list[int], digest: bool) -> None:
    """A-HS-06: what follows C2 is kept for the chunk stream, however it comes."""
    chunks = bytes(range(100))
    stream = b"\x03" + (client_block(8, 1) if digest else bytes(1536)) + bytes(1536) + chunks
    server = ServerHandshake(RANDOM)
    rest = b""
    for start, end in pairwise([0, *sorted(places), len(stream)]):
        server.receive_data(stream[start:end])
        rest += server.remainder()
    assert server.done
    assert rest == chunks
    assert server.remainder() == b""


@pytest.mark.parametrize(
    ("first", "guess"),
    [
        (b"\x06", "RTMPE"),
        (b"\x16\x03\x01", "TLS"),
        (b"\x80", "TLS"),
        (b"GET / HTTP/1.1\r\n", "HTTP"),
        (b"POST /open/1 HTTP/1.1\r\n", "RTMPT"),
        (b"OPTIONS rtsp://", "RTSP"),
        (b"PROXY TCP4 ", "PROXY"),
        (b"\r\n\r\n\0\r\nQUIT\n", "PROXY"),
        (b"\x50", "0x50"),
        (b"\x00", "0x00"),
        (b"\xff", "0xff"),
    ],
)
def test_other_protocols(first: bytes, guess: str) -> None:
    """A-HS-08, A-HS-12: the first byte decides, in one line that names the protocol."""
    for handshake in (ServerHandshake(RANDOM), ClientHandshake(RANDOM)):
        with pytest.raises(PeerError, match=guess) as caught:
            handshake.receive_data(first)
        assert "\n" not in str(caught.value)
        assert caught.value.offset == 0
        with pytest.raises(UsageError):
            handshake.receive_data(b"\x03")


@pytest.mark.parametrize("count", [0, 1, 1536])
def test_stalled(count: int) -> None:
    """A-HS-09: a client that stops amid its block is sent nothing, and is not done."""
    server = ServerHandshake(RANDOM)
    server.receive_data((b"\x03" + bytes(1536))[:count])
    assert server.data_to_send() == b""
    assert not server.done
    assert server.remainder() == b""


def run(client: ClientHandshake, server: ServerHandshake) -> None:
    """Let two ends talk until they are done."""
    server.receive_data(client.data_to_send())
    client.receive_data(server.data_to_send())
    server.receive_data(client.data_to_send())
    assert client.done
    assert server.done


@pytest.mark.parametrize("scheme", [None, 0, 1])
def test_both_ends(scheme: int | None) -> None:
    """A-HS-10: our C2 is what a server that checks it expects, and S2 passes the strict client."""
    client = ClientHandshake(RANDOM, strict=True, scheme=scheme)
    server = ServerHandshake(OTHER_RANDOM)
    run(client, server)
    assert client.verified
    assert server.verified
    assert client.with_digest == server.with_digest == (scheme is not None)


def test_signed_answer_of_the_client() -> None:
    """A-HS-10: C2 is signed with the key made of S1's digest."""
    for scheme, base in ((0, 772), (1, 8)):
        client = ClientHandshake(RANDOM, scheme=scheme)
        c1 = client.data_to_send()[1:]
        assert has_digest(c1, base, PLAYER)
        # Servers may choose the other layout for their own block.
        s1 = signed(bytes.fromhex("00000000 05001103") + RANDOM[:1528], 780 - base, SERVER)
        client.receive_data(b"\x03" + s1)
        c2 = client.data_to_send()
        place = digest_at(s1, 780 - base)
        assert c2[-32:] == sha(sha(PLAYER + TAIL, s1[place : place + 32]), c2[:-32])


def test_server_without_digest() -> None:
    """A-HS-10: a server that knows no digests gets its block back."""
    client = ClientHandshake(RANDOM, strict=True, scheme=1)
    c1 = client.data_to_send()[1:]
    s1 = bytes(8) + OTHER_RANDOM[:1528]
    client.receive_data(b"\x03" + s1 + c1 + b"more")
    assert client.data_to_send() == s1
    assert client.done
    assert client.verified
    assert client.remainder() == b"more"


def test_times_in_the_answer() -> None:
    """RTMP 1.0 5.2.4: the second time of an echo is the other end's own."""
    client = ClientHandshake(RANDOM, strict=True)
    c1 = client.data_to_send()[1:]
    client.receive_data(b"\x03" + bytes(1536) + c1[:4] + b"\x00\x00\x12\x34" + c1[8:])
    assert client.done


@pytest.mark.parametrize("scheme", [None, 1])
def test_wrong_answer_of_a_server(scheme: int | None) -> None:
    """A-HS-10: taken by default, refused where strictness is asked for."""
    client = ClientHandshake(RANDOM, scheme=scheme)
    client.receive_data(b"\x03" + bytes(3072))
    assert client.done
    assert not client.verified
    client = ClientHandshake(RANDOM, strict=True, scheme=scheme)
    with pytest.raises(PeerError, match="does not fit"):
        client.receive_data(b"\x03" + bytes(3072))
    assert not client.done


def test_too_little_randomness() -> None:
    """Fewer random bytes than both blocks take are our mistake."""
    with pytest.raises(UsageError):
        ServerHandshake(bytes(3071))


@given(st.binary(max_size=40), st.integers(0, 3100))
def test_any_bytes(junk: bytes, length: int) -> None:
    """Whatever comes: 3073 bytes of answer, or a `PeerError`, or the wait for more."""
    data = (junk * (length // max(len(junk), 1) + 1))[:length]
    server = ServerHandshake(RANDOM)
    try:
        server.receive_data(data)
    except PeerError:
        assert data[0] != 3
    else:
        assert len(server.data_to_send()) == (3073 if len(data) >= 1537 else 0)
        assert server.done == (len(data) >= 3073)
