"""H.264 in RTP (RFC 6184)."""

from __future__ import annotations

from base64 import b64encode

import pytest

from ntvmedia.codecs import h264 as codec
from ntvmedia.codecs.nal import join_length_prefixed
from ntvmedia.errors import UsageError
from ntvmedia.media import Codec, Packet, Track
from ntvmedia.wire.rtp import nal_payloads
from ntvmedia.wire.rtp.h264 import Depacketiser, Packetiser, parameters, sprop_units
from tests.codecs import vectors
from tests.wire.rtp import streams
from tests.wire.rtp.feeding import Feed

TRACK = streams.H264
RECORD = codec.parse_configuration(TRACK.config)
SPS, PPS = RECORD.sps[0], RECORD.pps[0]
OTHER = codec.parse_configuration(vectors.AVCC_444)
SPROP = {"sprop-parameter-sets": f"{b64encode(SPS).decode()},{b64encode(PPS).decode()}"}

IDR = b"\x65\x88" + bytes(range(1, 60))
P1 = b"\x41\x9a" + bytes(range(1, 40))
P2 = b"\x41\x9a" + bytes(range(2, 50))
REST = b"\x41\x40" + bytes(range(3, 30))  # a slice that is not the first
SEI = b"\x06\x05\x04abcd\x80"
DELIMITER = b"\x09\xf0"


def feed(**options: str) -> Feed:
    """Make a feed whose track the description tells."""
    return Feed(Depacketiser({"packetization-mode": "1"} | SPROP | options))


def started() -> Feed:
    """Make one that has had a keyframe and one more, so that the marker is trusted."""
    found = feed()
    found.unit(0, [IDR])
    found.unit(3600, [P1])
    found.events.clear()
    return found


def frame(*units: bytes) -> bytes:
    """Make the payload of a packet."""
    return join_length_prefixed(units)


def fragments(unit: bytes, size: int) -> list[bytes]:
    """Cut a unit as RFC 6184 5.8 has it, in other words than ours."""
    pieces = [unit[place : place + size] for place in range(1, len(unit), size)]
    found = []
    for index, piece in enumerate(pieces):
        flags = (index == 0) * 0x80 | (index == len(pieces) - 1) * 0x40
        found.append(bytes([unit[0] & 0xE0 | 28, flags | unit[0] & 0x1F]) + piece)
    return found


def stap(*units: bytes) -> bytes:
    """Put units into a STAP-A."""
    return b"\x78" + b"".join(len(unit).to_bytes(2, "big") + unit for unit in units)


def test_golden() -> None:
    """D-PL-08: a keyframe with its sets: STAP-A, then FU-A (RFC 6184 5.7.1, 5.8)."""
    unit = b"\x65\x88" + bytes(98)
    packet = Packet(TRACK, 0, 0, True, frame(unit))
    payloads = Packetiser(TRACK, 64).packetise(packet)
    both = b"\x78" + b"\0\x19" + SPS + b"\0\x06" + PPS
    assert payloads == [
        (both, False),
        (b"\x7c\x85\x88" + bytes(61), False),
        (b"\x7c\x45" + bytes(37), True),
    ]


def test_single_units() -> None:
    """What fits goes as it is; two small ones go together; the marker is at the end alone."""
    maker = Packetiser(TRACK)
    assert maker.packetise(Packet(TRACK, 0, 0, False, frame(P1))) == [(P1, True)]
    assert maker.packetise(Packet(TRACK, 0, 0, False, frame(SEI, P1))) == [
        (b"\x58" + stap(SEI, P1)[1:], True)
    ]
    large = b"\x41\x9a" + bytes(1400)
    assert maker.packetise(Packet(TRACK, 0, 0, False, frame(P1, large, P2))) == [
        (P1, False),
        (large, False),
        (P2, True),
    ]


def test_sets_once() -> None:
    """D-PL-08: a keyframe that brings its sets gets no others; one without config is as it is."""
    packet = Packet(TRACK, 0, 0, True, frame(SPS, PPS, IDR))
    assert Packetiser(TRACK).packetise(packet) == [(stap(SPS, PPS, IDR), True)]
    bare = Track(Codec.H264)
    assert Packetiser(bare).packetise(Packet(bare, 0, 0, True, frame(IDR))) == [(IDR, True)]


@pytest.mark.parametrize("size", [1, 2, 3, 1438, 1439, 1440, 1441, 1442, 2878, 2879, 100_000])
def test_sizes(size: int) -> None:
    """D-RT-14: units of every size that matters, there and back."""
    packet = Packet(TRACK, 0, 0, False, frame(b"\x41\x9a" + bytes(50), b"\x41" + b"\x40" * size))
    payloads = Packetiser(TRACK).packetise(packet)
    assert max(len(payload) for payload, _marker in payloads) <= 1440
    assert [marker for _payload, marker in payloads] == [False] * (len(payloads) - 1) + [True]
    target = feed()
    for payload, marker in payloads:
        target.give(0, payload, marker=marker)
    target.end()
    assert target.payloads == [packet.payload]


def test_many_sets() -> None:
    """Sets that have no room in one packet go into several, or in fragments."""
    sps = [SPS[:-1] + bytes([number]) for number in range(1, 6)]
    track = Track(Codec.H264, config=codec.build_configuration(sps, [PPS + bytes(200)]))
    payloads = Packetiser(track, 64).packetise(Packet(track, 0, 0, True, frame(IDR)))
    assert all(len(payload) <= 64 for payload, _marker in payloads)
    target = Feed(Depacketiser({}))
    for payload, marker in payloads:
        target.give(0, payload, marker=marker)
    target.end()
    assert target.payloads == [frame(IDR)]
    assert codec.parse_configuration(target.tracks[0].config).sps == tuple(sps)


def test_broken_frames() -> None:
    """What is no frame makes no packets that are wrong."""
    maker = Packetiser(TRACK)
    for payload in (b"", b"\0\0", b"\0\0\0\0", b"\0\0\0\0\0\0\0\0"):
        assert maker.packetise(Packet(TRACK, 0, 0, False, payload)) == []
    cut_off = maker.packetise(Packet(TRACK, 0, 0, False, b"\0\x01\0\0" + bytes(3000)))
    assert sum(len(payload) for payload, _marker in cut_off) < 3100


def test_small_mtu() -> None:
    """A limit that is none is our mistake."""
    with pytest.raises(UsageError):
        Packetiser(TRACK, nal_payloads.MIN_PAYLOAD - 1)


def test_mixed() -> None:
    """D-RT-01: units alone, together and in fragments make one access unit."""
    target = started()
    target.unit(7200, [SEI, *fragments(IDR, 10), stap(REST, REST), REST])
    assert target.payloads == [frame(SEI, IDR, REST, REST, REST)]
    assert target.packets[0].is_keyframe


def test_delimiters_and_sets_are_taken_out() -> None:
    """D-RT-05: the track has the sets; delimiters are nowhere."""
    target = Feed(Depacketiser({}))
    target.unit(0, [DELIMITER, SPS, PPS, SEI, IDR])
    target.unit(3600, [DELIMITER, P1])
    target.end()
    assert target.payloads == [frame(SEI, IDR), frame(P1)]
    assert [track.config for track in target.tracks] == [TRACK.config]


def test_start_and_end_in_one_fragment() -> None:
    """D-RT-01: FU-A with both bits, which is forbidden, is a whole unit."""
    target = started()
    target.unit(7200, [b"\x5c\xc1" + P1[1:]])
    assert target.payloads == [frame(P1)]


def test_fragment_without_start() -> None:
    """D-RT-01: the access unit is left out; the next one is good, and the damage is flagged."""
    target = started()
    target.unit(7200, fragments(P1, 10)[1:])
    assert target.payloads == []
    assert (target.target.damaged, target.target.is_damaged) == (1, True)  # type: ignore[attr-defined]
    target.unit(10800, [P2])
    assert target.payloads == [frame(P2)]
    assert target.target.is_damaged  # type: ignore[attr-defined]
    target.unit(14400, [IDR])
    assert not target.target.is_damaged  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "payloads",
    [
        fragments(P1, 10)[:-1],  # no end
        [*fragments(P1, 10)[:2], *fragments(P1, 10)],  # a start in the middle
        [*fragments(P1, 10)[:2], REST],  # another unit in the middle
        [b"\x58\xff\xff" + P1],  # STAP-A: a size beyond the end
        [b"\x58\0\x05abcde\1"],  # STAP-A: half a size
        [b"\x58\0\0\0\x03abc"],  # STAP-A: an empty unit before others
        [b"\x5c"],  # FU-A without its header
        [P1, b"\x00abc"],  # type 0
    ],
)
def test_damaged(payloads: list[bytes]) -> None:
    """D-RT-01: what contradicts itself is left out, and the next access unit is read."""
    target = started()
    for payload in payloads:
        target.give(7200, payload, marker=payload is payloads[-1])
    target.unit(10800, [P2])
    target.unit(14400, [P1])
    target.end()
    assert target.payloads == [frame(P2), frame(P1)]
    assert target.target.damaged == 1


def test_padding_in_aggregates() -> None:
    """Zeros behind the last unit are no unit."""
    target = started()
    target.unit(7200, [stap(P1) + b"\0\0\0\0"])
    assert target.payloads == [frame(P1)]


def test_lost_in_the_middle() -> None:
    """D-RT-01: of fragments one is missing: only that access unit is gone."""
    target = started()
    pieces = fragments(P1, 10)
    target.give(7200, pieces[0])
    target.lose()
    target.unit(7200, pieces[2:])
    target.unit(10800, [P2])
    assert target.payloads == [frame(P2)]


def test_lost_end() -> None:
    """One packet was missing, and the access unit before it had no end: the next one is whole."""
    target = started()
    target.give(7200, P1)
    target.lose()
    target.unit(10800, [P2])
    assert target.payloads == [frame(P2)]
    # With two missing, the beginning of the next one may be among them.
    target.give(14400, P1)
    target.lose(2)
    target.unit(18000, [P2])
    assert target.payloads == [frame(P2)]


def test_lost_beginning() -> None:
    """Behind a loss, an access unit counts as whole only if it begins with what begins one."""
    target = started()
    target.lose()
    target.unit(7200, [P1])
    target.lose()
    target.unit(10800, [SEI, IDR])
    target.lose()
    target.unit(14400, [DELIMITER, P1])
    target.lose()
    target.unit(18000, [stap(SPS, PPS), IDR])
    assert target.payloads == [frame(P1), frame(IDR)]
    assert target.target.damaged == 2


def test_begun_in_the_middle() -> None:
    """The first packet of all may be any."""
    for payloads in ([REST], fragments(P1, 10)[2:], [P1[:1] + b"\x40" + P1[2:]]):
        target = feed()
        target.unit(0, payloads)
        target.unit(3600, [P2])
        target.end()
        assert target.payloads == [frame(P2)]


def test_marker_never_set() -> None:
    """D-RT-02: timestamps alone separate access units."""
    target = feed()
    for number, units in enumerate([[IDR, REST], [P1], [P2, REST], [P1]]):
        for unit in units:
            target.give(3600 * number, unit)
    target.end()
    assert target.payloads == [frame(IDR, REST), frame(P1), frame(P2, REST), frame(P1)]


def test_marker_on_each_packet() -> None:
    """D-RT-02: then it is no end, and nothing is torn apart."""
    target = feed()
    for number, units in enumerate([[SPS, PPS, IDR, REST], [P1, REST], [P2, REST, REST], [P1]]):
        for unit in units:
            target.give(3600 * number, unit, marker=True)
    target.end()
    assert target.payloads == [
        frame(IDR, REST),
        frame(P1, REST),
        frame(P2, REST, REST),
        frame(P1),
    ]
    assert target.target.damaged == 0


def test_marker_on_each_fragment() -> None:
    """D-RT-02: the same with fragments."""
    target = feed()
    for number, unit in enumerate([IDR, P1, P2]):
        for payload in fragments(unit, 10):
            target.give(3600 * number, payload, marker=True)
    target.end()
    assert target.payloads == [frame(IDR), frame(P1), frame(P2)]


def test_marker_that_lies_later() -> None:
    """D-RT-02: trusted at first, it tears one access unit, and none after it."""
    target = started()
    for number in range(3):
        for unit in (P1, REST):
            target.give(7200 + 3600 * number, unit, marker=True)
    target.end()
    assert target.payloads[-2:] == [frame(P1, REST)] * 2
    assert target.target.damaged == 1


def test_marker_is_the_end() -> None:
    """Where it can be trusted, nothing waits for the next access unit."""
    target = feed()
    target.unit(0, [IDR])
    assert target.payloads == []  # the first waits: what the marker is worth is not known yet
    target.unit(3600, [P1])
    assert target.payloads == [frame(IDR), frame(P1)]
    target.unit(7200, [P2])
    assert target.payloads[2:] == [frame(P2)]


def test_repeated_timestamps() -> None:
    """D-RT-10: pictures of one timestamp are still several, with times that rise."""
    target = started()
    for unit in (P1, P2, P1):
        target.unit(7200, [unit])
    assert target.payloads == [frame(P1), frame(P2), frame(P1)]
    times = [packet.dts for packet in target.packets]
    assert times == sorted(set(times))


def test_fields() -> None:
    """Both fields of an interlaced picture are one packet, whatever the markers say."""
    record = codec.parse_configuration(vectors.AVCC_576I)
    second = b"\x41\x9a" + bytes(range(5, 40))
    for marked in (False, True):
        target = Feed(Depacketiser({}))
        for number, unit in enumerate((IDR, P1, P2)):
            if not number:
                target.give(0, stap(*record.sps, *record.pps))
            target.give(3600 * number, unit, marker=marked)
            target.give(3600 * number, second, marker=True)
        target.end()
        assert target.payloads == [frame(IDR, second), frame(P1, second), frame(P2, second)]


@pytest.mark.parametrize(
    "sprop",
    [
        {},
        {"sprop-parameter-sets": ""},
        {"sprop-parameter-sets": ","},
        {"sprop-parameter-sets": "!!!"},
        {"sprop-parameter-sets": "Z2QADQ==,aOvjyyLA"},  # an SPS cut off
        {"sprop-parameter-sets": b64encode(PPS).decode()},
    ],
)
def test_sets_in_band_only(sprop: dict[str, str]) -> None:
    """D-RT-05: without good sets in the description, the track waits for those in the stream."""
    target = Feed(Depacketiser(sprop))
    target.unit(0, [P1])
    target.unit(3600, [P1])
    assert target.events == []
    target.unit(7200, [stap(SPS, PPS), IDR])
    target.unit(10800, [P1])
    assert [track.config for track in target.tracks] == [TRACK.config]
    assert target.payloads == [frame(IDR), frame(P1)]


def test_sets_in_the_description_only() -> None:
    """D-RT-05: the track comes with the first packet of all."""
    target = feed()
    target.give(0, IDR, marker=True)
    assert target.events == [TRACK]


def test_wrong_sets_in_the_description() -> None:
    """D-RT-05: those in the stream win, also later; the same ones again change nothing."""
    target = feed()
    for number in range(3):
        target.unit(10800 * number, [*OTHER.sps, *OTHER.pps, IDR])
        target.unit(10800 * number + 3600, [P1])
    target.unit(40000, [SPS, PPS, IDR])
    target.end()
    assert [track.config for track in target.tracks] == [
        TRACK.config,
        codec.build_configuration(OTHER.sps, OTHER.pps),
        TRACK.config,
    ]
    assert target.packets[0].track is target.tracks[1]
    assert target.packets[-1].track is target.tracks[2]


def test_broken_sets_in_band() -> None:
    """D-RT-05: a set that cannot be read changes nothing."""
    target = feed()
    target.unit(0, [SPS[:4], PPS, IDR])
    target.end()
    assert target.tracks == [TRACK]
    assert target.payloads == [frame(IDR)]


def test_start_codes() -> None:
    """Units after start codes, as some cameras have them in RTP and in the description."""
    sprop = ",".join(b64encode(b"\0\0\0\1" + unit).decode() for unit in (SPS, PPS))
    target = Feed(Depacketiser({"sprop-parameter-sets": sprop}))
    target.unit(0, [b"\0\0\0\1" + SEI + b"\0\0\1" + IDR])
    target.end()
    assert target.events == [TRACK, Packet(TRACK, -6006, 0, True, frame(SEI, IDR))]


def test_sprop_spellings() -> None:
    """Missing padding and spaces are no matter."""
    text = b64encode(PPS + b"a").decode().rstrip("=")
    assert sprop_units(f" {text} , ,{text}==") == [PPS + b"a"] * 2


def test_modes_0_and_2() -> None:
    """Single units as mode 0 has them; STAP-B and FU-B with their numbers."""
    target = Feed(Depacketiser(SPROP | {"packetization-mode": "0"}))
    target.unit(0, [SPS, PPS, IDR])
    target.unit(3600, [P1])
    target.unit(7200, [b"\x59\x12\x34" + stap(P2)[1:]])
    first, *others = fragments(P1, 10)
    target.unit(10800, [b"\x5d" + first[1:2] + b"\x12\x34" + first[2:], *others])
    assert target.payloads == [frame(IDR), frame(P1), frame(P2), frame(P1)]


def test_endless_fragments(monkeypatch: pytest.MonkeyPatch) -> None:
    """D-RT-11: an access unit that is too large, or of too many packets, is left out."""
    monkeypatch.setattr(nal_payloads, "MAX_PICTURE", 100_000)
    monkeypatch.setattr(nal_payloads, "MAX_PICTURE_PACKETS", 1000)
    for size in (0, 1400):
        target = started()
        target.give(7200, b"\x5c\x81")
        for _packet in range(10_000):
            target.give(7200, b"\x5c\x01" + bytes(size))
            held = target.target._fragments or ()  # type: ignore[attr-defined]
            assert sum(map(len, held)) <= 100_000 and len(held) <= 1001
        target.give(7200, b"\x5c\x41\x01", marker=True)
        target.unit(10800, [P1])
        target.unit(14400, [P2])
        assert target.payloads == [frame(P1), frame(P2)]


def test_description() -> None:
    """RFC 6184 8.1: mode, profile and sets."""
    told = parameters(TRACK)
    assert told["packetization-mode"] == "1"
    assert told["profile-level-id"] == "640028"
    assert sprop_units(told["sprop-parameter-sets"]) == [SPS, PPS]
    assert parameters(Track(Codec.H264)) == {"packetization-mode": "1"}


def test_decode_times() -> None:
    """B-frames: the SPS tells how many pictures are held back, and the times follow."""
    target = feed()
    for place in (0, 4, 2, 1, 3, 8):
        target.unit(3003 * place, [P1 if place else IDR])
    target.end()
    step = 3003  # 29.97 frames a second, by VUI
    assert [packet.dts for packet in target.packets] == [step * n for n in range(-2, 4)]
    assert [packet.pts for packet in target.packets] == [step * n for n in (0, 4, 2, 1, 3, 8)]
