"""Tests of the Transport header."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from ntvmedia.errors import LimitExceeded, PeerError, UsageError
from ntvmedia.wire.rtsp.transport import (
    MAX_OFFERS,
    Lower,
    Transport,
    format_transport,
    parse_transport,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # RFC 2326 section 12.39
        (
            'RTP/AVP;multicast;ttl=127;mode="PLAY"',
            Transport(Lower.UDP, is_multicast=True, ttl=127, has_mode=True),
        ),
        (
            'RTP/AVP;unicast;client_port=3456-3457;mode="PLAY"',
            Transport(Lower.UDP, client_port=(3456, 3457), has_mode=True),
        ),
        # ffmpeg 5.1 and 9
        (
            "RTP/AVP/TCP;unicast;interleaved=0-1;mode=record",
            Transport(Lower.TCP, interleaved=(0, 1), records=True, has_mode=True),
        ),
        (
            "RTP/AVP/UDP;unicast;client_port=11144-11145;mode=record",
            Transport(Lower.UDP, client_port=(11144, 11145), records=True, has_mode=True),
        ),
        # GStreamer 1.22
        (
            "RTP/AVP/TCP;unicast;interleaved=0-1;mode=RECORD",
            Transport(Lower.TCP, interleaved=(0, 1), records=True, has_mode=True),
        ),
        ("RTP/AVP;multicast", Transport(Lower.UDP, is_multicast=True)),
        # live555's answer
        (
            "RTP/AVP;unicast;destination=127.0.0.1;source=127.0.0.1;client_port=5-6;"
            "server_port=6970-6971",
            Transport(
                Lower.UDP,
                client_port=(5, 6),
                server_port=(6970, 6971),
                destination="127.0.0.1",
                source="127.0.0.1",
            ),
        ),
        (
            "rtp/savpf/udp;Unicast;SSRC=0000abCD;port=1-2;mode=receive",
            Transport(
                Lower.UDP, profile="SAVPF", port=(1, 2), ssrc=0xABCD, records=True, has_mode=True
            ),
        ),
        ('RTP/AVP;mode="PLAY,RECORD"', Transport(Lower.UDP, records=True, has_mode=True)),
        ("RTP/AVP/TCP;multicast", Transport(Lower.TCP)),
        # D-TR-01: what cannot be a pair of channels is as good as none.
        ("RTP/AVP/TCP;interleaved=5", Transport(Lower.TCP, interleaved=(5, 6))),
        ("RTP/AVP/TCP;interleaved=254-255", Transport(Lower.TCP, interleaved=(254, 255))),
        ("RTP/AVP/TCP;interleaved=255", Transport(Lower.TCP)),
        ("RTP/AVP/TCP;interleaved=3-2", Transport(Lower.TCP)),
        # D-TR-06: neither are those ports.
        ("RTP/AVP;client_port=0-0", Transport(Lower.UDP)),
        ("RTP/AVP;client_port=65535-65536", Transport(Lower.UDP)),
        ("RTP/AVP;ssrc=123456789;ttl=256;mode=", Transport(Lower.UDP)),
    ],
)
def test_parsed(text: str, expected: Transport) -> None:
    """What clients and servers send."""
    assert parse_transport(text) == [expected]


def test_offers() -> None:
    """RFC 2326 12.39: several offers in their order; what is not RTP is left out."""
    text = (
        "RAW/RAW/UDP;unicast,RTP/A=B,RTP/AVP/TCP;interleaved=2-3, RTP/AVP;multicast;,x,RTP/AVP/DCCP"
    )
    assert parse_transport(text) == [
        Transport(Lower.TCP, interleaved=(2, 3)),
        Transport(Lower.UDP, is_multicast=True),
    ]


def test_wrong() -> None:
    """No offer at all is an error, and there is a limit."""
    for text in ("", " , "):
        with pytest.raises(PeerError):
            parse_transport(text)
    assert len(parse_transport(",".join(["RTP/AVP"] * MAX_OFFERS))) == MAX_OFFERS
    with pytest.raises(LimitExceeded):
        parse_transport(",".join(["RTP/AVP"] * (MAX_OFFERS + 1)))


def test_written() -> None:
    """A server's answer, as live555 and GStreamer write it."""
    assert (
        format_transport(
            Transport(
                Lower.UDP,
                client_port=(5000, 5001),
                server_port=(6000, 6001),
                source="192.0.2.1",
                ssrc=0x1234,
            )
        )
        == "RTP/AVP;unicast;source=192.0.2.1;client_port=5000-5001;server_port=6000-6001;"
        "ssrc=00001234"
    )
    group = Transport(
        Lower.UDP, is_multicast=True, destination="239.1.2.3", port=(7000, 7001), ttl=16
    )
    assert (
        format_transport(group) == "RTP/AVP;multicast;destination=239.1.2.3;port=7000-7001;ttl=16"
    )


def test_unwritable() -> None:
    """An address of elsewhere adds no parameter of its own."""
    with pytest.raises(UsageError):
        format_transport(Transport(Lower.UDP, source="a;b"))
    assert parse_transport('RTP/AVP;source="a;b"') == [Transport(Lower.UDP)]


channels = st.none() | st.integers(0, 254).map(lambda first: (first, first + 1))
ports = st.none() | st.tuples(st.integers(1, 40000), st.integers(40000, 65535))
modes = st.sampled_from(((False, False), (False, True), (True, True)))


@given(
    st.sampled_from(Lower),
    st.booleans(),
    channels,
    ports,
    ports,
    ports,
    st.sampled_from(("", "192.0.2.1", "[2001:db8::1]", "2001:db8::1", "host-1.example")),
    st.integers(-1, 255),
    st.integers(-1, 2**32 - 1),
    modes,
)
def test_round_trip(
    lower: Lower,
    multicast: bool,
    interleaved: tuple[int, int] | None,
    client_port: tuple[int, int] | None,
    server_port: tuple[int, int] | None,
    port: tuple[int, int] | None,
    address: str,
    ttl: int,
    ssrc: int,
    mode: tuple[bool, bool],
) -> None:
    """What is written is read as it was."""
    transport = Transport(
        lower=lower,
        is_multicast=multicast and lower is Lower.UDP,
        interleaved=interleaved,
        client_port=client_port,
        server_port=server_port,
        port=port,
        destination=address,
        source=address,
        ttl=ttl,
        ssrc=ssrc,
        records=mode[0],
        has_mode=mode[1],
    )
    assert parse_transport(format_transport(transport)) == [transport]


@given(st.text(max_size=60))
def test_any_text(text: str) -> None:
    """Whatever the text, only documented errors."""
    try:
        offers = parse_transport("RTP/AVP;" + text)
    except PeerError:
        return
    for offer in offers:
        assert parse_transport(format_transport(offer)) == [offer]
