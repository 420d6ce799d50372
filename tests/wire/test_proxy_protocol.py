"""Tests of ntvmedia.wire.proxy_protocol."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from ntvmedia.errors import LimitExceeded, PeerError
from ntvmedia.wire.proxy_protocol import MAX_BODY, MAX_LINE, SIGNATURE, parse_proxy_header

V2_TCP4 = SIGNATURE + bytes.fromhex("21 11 000c c0000201 c6336401 dead 078f")
V2_TCP6 = (
    SIGNATURE
    + bytes.fromhex("21 21 0024")
    + bytes.fromhex("20010db8000000000000000000000001" * 2)
    + bytes.fromhex("0102 078f")
)


def test_version_1() -> None:
    """PROXY 2.1's own example lines."""
    line = b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"
    assert parse_proxy_header(line + b"rest") == ("255.255.255.255", 65535, len(line))
    line = b"PROXY TCP6 2001:db8::1 2001:db8::2 50000 1935\r\n"
    assert parse_proxy_header(line) == ("2001:db8::1", 50000, len(line))
    line = b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n"
    assert parse_proxy_header(line) == ("", 0, len(line))


def test_version_2() -> None:
    """PROXY 2.2: addresses, the load balancer's own health checks, and what follows."""
    assert parse_proxy_header(V2_TCP4 + b"\x03") == ("192.0.2.1", 0xDEAD, 28)
    assert parse_proxy_header(V2_TCP6) == ("2001:db8::1", 0x0102, 52)
    local = SIGNATURE + bytes.fromhex("20 00 0000")
    assert parse_proxy_header(local) == ("", 0, 16)
    with_tlv = SIGNATURE + bytes.fromhex("21 11 0010 c0000201 c6336401 dead 078f 04000100")
    assert parse_proxy_header(with_tlv) == ("192.0.2.1", 0xDEAD, 32)


@pytest.mark.parametrize(
    "data",
    [
        b"\x03" + bytes(10),
        b"GET / HTTP/1.1\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
        b"PROXY TCP4 1.2.3.4.5 1.2.3.4 1 2\r\n",
        b"PROXY TCP4 ::1 ::1 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n",
        b"PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n",
        SIGNATURE + bytes.fromhex("31 11 000c") + bytes(12),
        SIGNATURE + bytes.fromhex("22 11 000c") + bytes(12),
        SIGNATURE + bytes.fromhex("21 11 000b") + bytes(11),
    ],
)
def test_refused(data: bytes) -> None:
    """What is no header is said to be none."""
    with pytest.raises(PeerError):
        parse_proxy_header(data)


def test_limits() -> None:
    """A line or a body without end is not waited for."""
    assert parse_proxy_header(b"PROXY " + b"x" * (MAX_LINE - 7)) is None
    with pytest.raises(LimitExceeded):
        parse_proxy_header(b"PROXY " + b"x" * MAX_LINE)
    assert parse_proxy_header(SIGNATURE + b"\x21\x11" + MAX_BODY.to_bytes(2, "big")) is None
    with pytest.raises(LimitExceeded):
        parse_proxy_header(SIGNATURE + b"\x21\x11" + (MAX_BODY + 1).to_bytes(2, "big"))


@given(st.sampled_from([V2_TCP4, V2_TCP6, b"PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\n"]), st.data())
def test_needs_all_of_it(header: bytes, data: st.DataObject) -> None:
    """However little has come, it waits; nothing behind the header changes what it says."""
    cut = data.draw(st.integers(0, len(header) - 1))
    assert parse_proxy_header(header[:cut]) is None
    assert parse_proxy_header(header + data.draw(st.binary())) == parse_proxy_header(header)


@given(st.binary(max_size=200), st.sampled_from([b"", b"PROXY ", SIGNATURE]))
def test_only_documented_errors(data: bytes, start: bytes) -> None:
    """Whatever the bytes."""
    try:
        header = parse_proxy_header(start + data)
    except PeerError:
        return
    assert header is None or header.length <= len(start + data)
