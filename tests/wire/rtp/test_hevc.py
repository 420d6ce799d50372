"""HEVC in RTP (RFC 7798); what it shares with H.264 is tested there."""

from __future__ import annotations

from base64 import b64encode

import pytest

from ntvmedia.codecs import hevc as codec
from ntvmedia.codecs.nal import join_length_prefixed
from ntvmedia.media import Codec, Packet, Track
from ntvmedia.wire.rtp.hevc import Depacketiser, Packetiser, parameters
from tests.codecs import vectors
from tests.wire.rtp import streams
from tests.wire.rtp.feeding import Feed

TRACK = streams.HEVC
RECORD = codec.parse_configuration(TRACK.config)
VPS, SPS, PPS = RECORD.vps[0], RECORD.sps[0], RECORD.pps[0]

IDR = b"\x26\x01\x80" + bytes(range(1, 60))
P1 = b"\x02\x01\xd0" + bytes(range(1, 40))
REST = b"\x02\x01\x40" + bytes(range(3, 30))
SEI = b"\x4e\x01\x05abc"
DELIMITER = b"\x46\x01\x50"


def frame(*units: bytes) -> bytes:
    """Make the payload of a packet."""
    return join_length_prefixed(units)


def sprop() -> dict[str, str]:
    """Describe the track."""
    sets = {"vps": VPS, "sps": SPS, "pps": PPS}
    return {f"sprop-{name}": b64encode(unit).decode() for name, unit in sets.items()}


def started(**options: str) -> Feed:
    """Make a feed that has had a keyframe and one more."""
    donl = b"\0\0" if options.get("sprop-max-don-diff", "0") != "0" else b""
    found = Feed(Depacketiser(sprop() | options))
    found.unit(0, [IDR[:2] + donl + IDR[2:]])
    found.unit(3600, [P1[:2] + donl + P1[2:]])
    assert found.payloads == [frame(IDR), frame(P1)]
    found.events.clear()
    return found


def test_golden() -> None:
    """D-RT-06, D-PL-08: a keyframe with its sets: AP (4.4.2), then FU (4.4.3)."""
    unit = b"\x26\x01\x80" + bytes(217)
    payloads = Packetiser(TRACK, 120).packetise(Packet(TRACK, 0, 0, True, frame(unit)))
    sets = b"".join(len(x).to_bytes(2, "big") + x for x in (VPS, SPS, PPS))
    assert payloads == [
        (b"\x60\x01" + sets, False),
        (b"\x62\x01\x93\x80" + bytes(116), False),
        (b"\x62\x01\x53" + bytes(101), True),
    ]


def test_layers_of_aggregates() -> None:
    """The header of an AP has the lowest layer and temporal number of its units."""
    units = [b"\x02\x1a\xd0ab", b"\x02\x13\xd0cd", b"\x02\x14\xd0ef"]
    ((payload, marker),) = Packetiser(TRACK).packetise(Packet(TRACK, 0, 0, False, frame(*units)))
    assert (payload[:2], marker) == (b"\x60\x12", True)


@pytest.mark.parametrize("size", [1, 2, 1437, 1438, 1439, 1440, 2874, 2875, 100_000])
def test_sizes(size: int) -> None:
    """D-RT-14: units of every size that matters, there and back."""
    units = (b"\x02\x01\xd0" + bytes(50), b"\x02\x01" + b"\x40" * size)
    packet = Packet(TRACK, 0, 0, False, frame(*units))
    payloads = Packetiser(TRACK).packetise(packet)
    assert max(len(payload) for payload, _marker in payloads) <= 1440
    target = started()
    target.unit(7200, [payload for payload, _marker in payloads])
    assert target.payloads == [packet.payload]


def test_mixed() -> None:
    """D-RT-06: single units, AP and FU; delimiters and sets are taken out."""
    target = Feed(Depacketiser({}))
    sets = b"".join(len(x).to_bytes(2, "big") + x for x in (VPS, SPS, PPS, SEI))
    fragments = [
        b"\x62\x01\x93" + IDR[2:9],
        b"\x62\x01\x13" + IDR[9:20],
        b"\x62\x01\x53" + IDR[20:],
    ]
    target.unit(0, [DELIMITER, b"\x60\x01" + sets, *fragments, REST])
    target.unit(3600, [P1])
    assert [track.config for track in target.tracks] == [TRACK.config]
    assert target.payloads == [frame(SEI, IDR, REST), frame(P1)]
    assert [packet.is_keyframe for packet in target.packets] == [True, False]


@pytest.mark.parametrize("order", [(VPS, SPS, PPS), (PPS, SPS, VPS), (SPS, PPS, VPS)])
def test_order_of_sets(order: tuple[bytes, ...]) -> None:
    """D-RT-06: sets in any order, in the stream alone."""
    target = Feed(Depacketiser({}))
    target.unit(0, [*order, IDR])
    target.unit(3600, [P1])
    assert [track.config for track in target.tracks] == [TRACK.config]


def test_sets_that_change() -> None:
    """D-RT-05: other sets in the stream are another track."""
    other = codec.parse_configuration(vectors.HVCC_1078)
    target = started()
    target.unit(7200, [*other.vps, *other.sps, *other.pps, IDR])
    expected = codec.build_configuration(other.vps, other.sps, other.pps)
    assert [track.config for track in target.tracks] == [expected]
    assert target.packets[0].track is target.tracks[0]


def test_decoding_order_numbers() -> None:
    """D-RT-06: DONL in single units, first fragments and AP is passed over."""
    target = started(**{"sprop-max-don-diff": "2"})
    target.unit(7200, [P1[:2] + b"\x12\x34" + P1[2:]])
    target.unit(10800, [b"\x62\x01\x81\x12\x34" + P1[2:9], b"\x62\x01\x41" + P1[9:]])
    both = b"\x12\x34" + len(P1).to_bytes(2, "big") + P1 + b"\x07" + len(REST).to_bytes(2, "big")
    target.unit(14400, [b"\x60\x01" + both + REST])
    assert target.payloads == [frame(P1), frame(P1), frame(P1, REST)]


@pytest.mark.parametrize(
    "payloads",
    [
        [b"\x62\x01\x01abc"],  # FU without a start
        [b"\x62\x01\x81abc", P1],  # FU without an end
        [b"\x60\x01\xff\xffabc"],  # AP: a size beyond the end
        [b"\x62\x01"],  # FU without its header
        [b"\x02"],
    ],
)
def test_damaged(payloads: list[bytes]) -> None:
    """D-RT-06: what contradicts itself is left out, and the next access unit is read."""
    target = started()
    target.unit(7200, payloads)
    target.unit(10800, [P1])
    target.end()
    assert target.payloads == [frame(P1)]
    assert target.target.damaged == 1


def test_marker_on_each_packet() -> None:
    """D-RT-02: it is no end then."""
    target = Feed(Depacketiser(sprop()))
    for number, units in enumerate([[VPS, SPS, PPS, IDR, REST], [P1, REST], [P1]]):
        for unit in units:
            target.give(3600 * number, unit, marker=True)
    target.end()
    assert target.payloads == [frame(IDR, REST), frame(P1, REST), frame(P1)]


def test_start_codes() -> None:
    """Units after start codes, as some cameras have them."""
    target = started()
    target.unit(7200, [b"\0\0\0\1" + SEI + b"\0\0\1" + P1])
    assert target.payloads == [frame(SEI, P1)]


def test_description() -> None:
    """RFC 7798 7.1: the sets."""
    assert parameters(TRACK) == sprop()
    assert parameters(Track(Codec.HEVC)) == {}
    target = Feed(Depacketiser(parameters(TRACK)))
    target.give(0, b"")
    assert target.events == [TRACK]


def test_decode_times() -> None:
    """B-frames: the SPS tells how many pictures are held back."""
    target = started()
    for place in (6, 4, 3, 5, 10):
        target.unit(3000 * place, [P1])
    assert [packet.pts for packet in target.packets] == [3000 * n for n in (6, 4, 3, 5, 10)]
    times = [packet.dts for packet in target.packets]
    assert times == [0, 3600, 9000, 12000, 15000]
