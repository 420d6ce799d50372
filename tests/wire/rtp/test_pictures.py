"""AV1, VP9 and VP8 in RTP."""

from __future__ import annotations

import pytest

from ntvmedia.errors import UsageError
from ntvmedia.media import Codec, Packet, Track
from ntvmedia.wire.rtp import av1, picture_payloads, vp8, vp9
from tests.codecs import vectors
from tests.wire.rtp import streams
from tests.wire.rtp.feeding import Feed

SEQUENCE = vectors.AV1C_720[4:]  # with its size
BARE_SEQUENCE = b"\x08" + SEQUENCE[2:]


def av1_feed() -> Feed:
    """Make a feed that has had a keyframe."""
    found = Feed(av1.Depacketiser({}))
    found.unit(0, [b"\x28" + bytes((len(BARE_SEQUENCE),)) + BARE_SEQUENCE + b"\x30\x10abc"])
    assert found.payloads == [SEQUENCE + b"\x32\x04\x10abc"]
    assert found.tracks == [Track(Codec.AV1, config=vectors.AV1C_720)]
    found.events.clear()
    return found


def test_av1_golden() -> None:
    """AV1 RTP 4.4: W counts the elements, N marks a keyframe, Z and Y what is cut; no sizes."""
    payload = SEQUENCE + b"\x32\x64\x10" + b"a" * 99
    packet = Packet(streams.AV1, 0, 0, True, payload)
    first, second = av1.Packetiser(streams.AV1, 64).packetise(packet)
    length = len(BARE_SEQUENCE)
    room = 64 - 1 - (length + 3) - 3
    assert first == (
        b"\x68" + bytes((length,)) + BARE_SEQUENCE + b"\x30\x10" + b"a" * (room - 2),
        False,
    )
    assert second == (b"\x90" + b"a" * (99 - room + 2), True)


def test_av1_sequence_header_before_keyframes() -> None:
    """D-PL-08: a keyframe without a sequence header gets the configuration's."""
    packet = Packet(streams.AV1, 0, 0, True, b"\x32\x04\x10abc")
    ((payload, marker),) = av1.Packetiser(streams.AV1).packetise(packet)
    assert marker
    assert payload == b"\x28" + bytes((len(BARE_SEQUENCE),)) + BARE_SEQUENCE + b"\x30\x10abc"
    assert av1.Packetiser(Track(Codec.AV1)).packetise(packet) == [(b"\x18\x30\x10abc", True)]


def test_av1_what_is_not_sent() -> None:
    """Temporal delimiters stay behind; so does what is no temporal unit."""
    maker = av1.Packetiser(streams.AV1)
    packet = Packet(streams.AV1, 0, 0, False, b"\x12\x00\x32\x04\x30abc")
    assert maker.packetise(packet) == [(b"\x10\x30\x30abc", True)]
    for broken in (b"\x32\x70abc", b"\xb2\x01a", b""):
        assert maker.packetise(Packet(streams.AV1, 0, 0, False, broken)) == []


def test_av1_more_elements_than_are_counted() -> None:
    """With W=0 every element has its length, as libwebrtc sends."""
    feed = av1_feed()
    elements = [b"\x28ab", b"\x30\x30cd", b"\x20ef", b"\x20gh"]
    feed.unit(3600, [b"\x00" + b"".join(bytes((len(x),)) + x for x in elements)])
    assert feed.payloads == [b"\x2a\x02ab\x32\x03\x30cd\x22\x02ef\x22\x02gh"]


def test_av1_sizes_and_delimiters_that_were_left_in() -> None:
    """OBUs with their size field, and temporal delimiters, are read as well."""
    feed = av1_feed()
    feed.unit(3600, [b"\x20\x02\x12\x00\x32\x04\x30abc"])
    assert feed.payloads == [b"\x32\x04\x30abc"]


@pytest.mark.parametrize(
    "payloads",
    [
        [b"\x90\x30\x30abc"],  # continues what there is not
        [b"\x50\x30\x30abc", b"\x10\x20abc"],  # is to go on, and does not
        [b"\x50\x30\x30abc"],
        [b"\x20\x7fabc"],  # a length beyond the end
        [b"\x00\xff\xff\xff\xffabc"],  # a length without end
        [b"\x20"],
        [b"\x10\xb0abc"],  # the forbidden bit
    ],
)
def test_av1_damaged(payloads: list[bytes]) -> None:
    """What contradicts itself is left out, and the next temporal unit is read."""
    feed = av1_feed()
    feed.unit(3600, payloads)
    feed.unit(7200, [b"\x10\x30\x30ok"])
    assert feed.payloads == [b"\x32\x03\x30ok"]
    assert feed.target.damaged == 1


def test_av1_after_loss() -> None:
    """Only what begins a coded video sequence is sure to begin a temporal unit (N)."""
    feed = av1_feed()
    feed.lose()
    feed.unit(3600, [b"\x10\x30\x30abc"])
    feed.lose()
    feed.unit(7200, [b"\x18\x30\x10key"])
    assert feed.payloads == [b"\x32\x04\x10key"]


def test_av1_description() -> None:
    """AV1 RTP 7.1: profile, level, tier."""
    assert av1.parameters(streams.AV1) == {"profile": "0", "level-idx": "5", "tier": "0"}
    assert av1.parameters(Track(Codec.AV1)) == {}


def test_vp9_golden() -> None:
    """RFC 9628 4.2: I, P, B, E, V; a number of 15 bits; the size with the first of a keyframe."""
    maker = vp9.Packetiser(streams.VP9, 64)
    key = vectors.VP9_360 + bytes(60)
    assert maker.packetise(Packet(streams.VP9, 0, 0, True, key)) == [
        (b"\x8a\x80\x00\x10\x02\x80\x01\x68" + key[:56], False),
        (b"\x84\x80\x00" + key[56:], True),
    ]
    assert maker.packetise(Packet(streams.VP9, 0, 0, False, b"\x86abc")) == [
        (b"\xcc\x80\x01\x86abc", True)
    ]


def vp9_feed() -> Feed:
    """Make a feed that has had a keyframe."""
    found = Feed(vp9.Depacketiser({}))
    found.unit(0, [b"\x8c\x01" + vectors.VP9_360])
    assert found.tracks == [Track(Codec.VP9, config=vectors.VPCC_360)]
    found.events.clear()
    return found


@pytest.mark.parametrize(
    "descriptor",
    [
        "0c",  # nothing but beginning and end
        "8c05",  # a number of 7 bits
        "ac05 20 07",  # layers, and the index of the lowest
        "bc05 20",  # layers in flexible mode
        "fc05 20 03 05 06",  # three references
        "fc8005 20 02",  # one reference
        "ae05 20 07 38 02800168 050002d0 01 04 02",  # scalability: two sizes, a group of one
        "0e08 02 40 44 0c",  # a group of two, with references
    ],
)
def test_vp9_descriptors(descriptor: str) -> None:
    """RFC 9628 4.2: every field is passed over where it is."""
    feed = vp9_feed()
    feed.unit(3600, [bytes.fromhex(descriptor) + b"\x86abc"])
    assert feed.payloads == [b"\x86abc"]


@pytest.mark.parametrize(
    "payloads",
    [
        [b"\x04\x86abc"],  # no beginning
        [b"\x08\x86abc"],  # no end
        [b"\x0c\x86abc", b"\x04abc"],  # more behind the end
        [b"\x08\x86abc", b"\x0c\x86abc"],  # another beginning
        [b"\x8c"],  # nothing behind the descriptor
        [b"\x0e\xf8" + bytes(5)],  # scalability that is cut off
        [b"\x0e\x08"],
        [b"\x0e\x08\x05\x0c"],
        [b"\x5c\x01\x01\x01"],
    ],
)
def test_vp9_damaged(payloads: list[bytes]) -> None:
    """What contradicts itself is left out, and the next picture is read."""
    feed = vp9_feed()
    feed.unit(3600, payloads)
    feed.unit(7200, [b"\x0c\x86ok"])
    assert feed.payloads == [b"\x86ok"]
    assert feed.target.damaged == 1


def test_vp9_layers() -> None:
    """Of several spatial layers the lowest is a stream by itself."""
    feed = vp9_feed()
    feed.unit(3600, [b"\xac\x05\x00\x07\x86low", b"\xac\x05\x03\x07\x86high"])
    assert feed.payloads == [b"\x86low"]


def test_vp9_description() -> None:
    """RFC 9628 6: the profile."""
    assert vp9.parameters(Track(Codec.VP9, config=vectors.VPCC_422)) == {"profile-id": "3"}
    assert vp9.parameters(Track(Codec.VP9)) == {}


def test_vp8_golden() -> None:
    """RFC 7741 4.2: S on the first packet, and no more."""
    payload = vectors.VP8_144 + bytes(60)
    packet = Packet(streams.VP8, 0, 0, True, payload)
    assert vp8.Packetiser(streams.VP8, 64).packetise(packet) == [
        (b"\x10" + payload[:63], False),
        (b"\x00" + payload[63:], True),
    ]


@pytest.mark.parametrize(
    "descriptor", ["10", "9080 05", "9080 8005", "90c0 05 07", "90f0 05 07 40", "9030 41"]
)
def test_vp8_descriptors(descriptor: str) -> None:
    """RFC 7741 4.2: every field is passed over where it is; further partitions belong to it."""
    feed = Feed(vp8.Depacketiser({}))
    feed.unit(0, [bytes.fromhex(descriptor) + vectors.VP8_144, b"\x01rest", b"\x11more"])
    assert feed.tracks == [streams.VP8]
    assert feed.payloads == [vectors.VP8_144 + b"restmore"]


@pytest.mark.parametrize("payloads", [[b"\x00abc"], [b"\x10\x31a", b"\x10\x31b"], [b"\x90"]])
def test_vp8_damaged(payloads: list[bytes]) -> None:
    """What contradicts itself is left out, and the next picture is read."""
    feed = Feed(vp8.Depacketiser({}))
    feed.unit(0, [b"\x10" + vectors.VP8_144])
    feed.unit(3600, payloads)
    feed.unit(7200, [b"\x10\x31ok"])
    assert feed.payloads == [vectors.VP8_144, b"\x31ok"]
    assert feed.target.damaged == 1


def test_without_markers() -> None:
    """D-RT-02: timestamps alone separate pictures; nobody knows the last one's end."""
    feed = Feed(vp8.Depacketiser({}))
    for number, payload in enumerate([vectors.VP8_144, b"\x31a", b"\x31b"]):
        feed.give(3600 * number, b"\x10" + payload)
        feed.give(3600 * number, b"\x00more")
    feed.end()
    assert feed.payloads == [vectors.VP8_144 + b"more", b"\x31amore"]


def test_nothing_before_a_keyframe() -> None:
    """Pictures of a track that nobody knows are left out; broken keyframes tell of none."""
    for target, start in ((vp8.Depacketiser({}), b"\x10"), (vp9.Depacketiser({}), b"\x0c")):
        feed = Feed(target)
        for number, payload in enumerate([b"\x31abc", b"\x00abc", b"\x82abc", b"\x87"]):
            feed.unit(3600 * number, [start + payload])
        assert feed.events == []


@pytest.mark.parametrize(
    ("target", "first", "more"),
    [
        (av1.Depacketiser({}), b"\x58\x30\x10abc", b"\xd0"),
        (vp9.Depacketiser({}), b"\x08\x86", b"\x00"),
        (vp8.Depacketiser({}), b"\x10\x31", b"\x00"),
    ],
)
def test_endless_pictures(
    monkeypatch: pytest.MonkeyPatch,
    target: picture_payloads.PictureDepacketiser,
    first: bytes,
    more: bytes,
) -> None:
    """D-RT-11: a picture that is too large, or of too many packets, is left out."""
    monkeypatch.setattr(picture_payloads, "MAX_PICTURE", 100_000)
    monkeypatch.setattr(picture_payloads, "MAX_PICTURE_PACKETS", 1000)
    for size in (1, 1400):
        feed = Feed(target)
        feed.give(0, first)
        for _packet in range(2000):
            feed.give(0, more + bytes(size))
        feed.give(0, more + b"a", marker=True)
        assert feed.payloads == []
    assert target.damaged == 2


@pytest.mark.parametrize("module", [av1, vp9, vp8])
def test_small_mtu(module: object) -> None:
    """A limit that is none is our mistake."""
    with pytest.raises(UsageError):
        module.Packetiser(Track(Codec.VP8), 63)  # type: ignore[attr-defined]
