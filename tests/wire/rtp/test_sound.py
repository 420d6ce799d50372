"""Sound in RTP: AAC, Opus, PCM, MPEG audio, AC-3."""

from __future__ import annotations

from itertools import pairwise

import pytest

from ntvmedia.errors import PeerError, UsageError
from ntvmedia.media import Codec, Packet, Track
from ntvmedia.wire.rtp import ac3, latm, mpeg4_generic, mpeg_audio, opus, pcm
from tests.codecs import vectors
from tests.wire.rtp import streams
from tests.wire.rtp.feeding import Feed

HBR = {"mode": "AAC-hbr", "sizelength": "13", "indexlength": "3", "indexdeltalength": "3"}
CONFIG = vectors.AAC_LC_STEREO.hex()


def aac_feed(**parameters: str) -> Feed:
    """Make a feed for AAC of 48 kHz."""
    return Feed(mpeg4_generic.Depacketiser(HBR | {"config": CONFIG} | parameters, 48000, 2))


def headers(*sizes: int) -> bytes:
    """Write AU headers of AAC-hbr (RFC 3640 3.3.6)."""
    return (16 * len(sizes)).to_bytes(2, "big") + b"".join(
        (size << 3).to_bytes(2, "big") for size in sizes
    )


def test_aac_golden() -> None:
    """RFC 3640 3.3.6: 16 bits of headers, 13 of size; a fragment has the size of the whole."""
    maker = mpeg4_generic.Packetiser(streams.AAC, 104)
    packet = Packet(streams.AAC, 0, 0, True, b"\x21" * 100)
    assert maker.packetise(packet) == [(b"\x00\x10\x03\x20" + b"\x21" * 100, True)]
    packet = Packet(streams.AAC, 0, 0, True, b"\x21" * 150)
    head = b"\x00\x10\x04\xb0"
    assert maker.packetise(packet) == [
        (head + b"\x21" * 100, False),
        (head + b"\x21" * 50, True),
    ]
    for size in (0, 8192):
        assert maker.packetise(Packet(streams.AAC, 0, 0, True, bytes(size))) == []


def test_aac_several_frames() -> None:
    """D-RT-07: several in one packet; times go on from frame to frame."""
    feed = aac_feed()
    feed.give(48000, headers(3, 4) + b"\x21bc" + b"\x21efg", marker=True)
    feed.give(48000 + 2048, headers(2) + b"\x21i", marker=True)
    assert feed.tracks == [streams.AAC]
    assert feed.payloads == [b"\x21bc", b"\x21efg", b"\x21i"]
    assert [packet.pts for packet in feed.packets] == [48000, 49024, 50048]


def test_aac_fragments() -> None:
    """D-RT-07: fragments are put together; of one that is not whole nothing comes."""
    feed = aac_feed()
    for piece in (b"\x21ab", b"cde", b"f"):
        feed.give(0, headers(7) + piece, marker=piece == b"f")
    feed.give(1024, headers(7) + b"\x21ab")
    feed.lose()
    feed.give(1024, headers(7) + b"f", marker=True)
    feed.give(2048, headers(7) + b"\x21ab")
    feed.give(3072, headers(3) + b"\x21bc", marker=True)
    feed.give(4096, headers(3) + b"\x21de", marker=True)
    assert feed.payloads == [b"\x21abcdef", b"\x21de"]


@pytest.mark.parametrize(
    "parameters",
    [
        {"sizelength": "0", "mode": "generic"},
        {"sizelength": "", "mode": "", "indexlength": "0", "indexdeltalength": "0"},
        {"sizelength": "0", "indexlength": "0", "indexdeltalength": "0", "mode": ""},
    ],
)
def test_aac_without_sizes(parameters: dict[str, str]) -> None:
    """D-RT-07: sizeLength missing or 0: a packet is a frame, and nothing is divided by it."""
    feed = aac_feed(**parameters)
    head = b"\x00\x03\x00" if parameters["mode"] == "generic" else b""
    feed.give(0, head + b"\x21bc", marker=True)
    assert feed.payloads == [b"\x21bc"]


def test_aac_modes_that_are_known() -> None:
    """D-RT-07: a sender that names the mode and leaves the lengths out means those of the mode."""
    feed = Feed(mpeg4_generic.Depacketiser({"mode": "AAC-hbr", "config": CONFIG}, 48000))
    feed.give(0, headers(3) + b"\x21bc", marker=True)
    low = Feed(mpeg4_generic.Depacketiser({"mode": "AAC-lbr", "config": CONFIG}, 48000))
    low.give(0, b"\x00\x10\x0c\x08\x21bc\x21d", marker=True)
    assert feed.payloads == [b"\x21bc"]
    assert low.payloads == [b"\x21bc", b"\x21d"]


def test_aac_constant_size() -> None:
    """RFC 3640 4.1, constantSize: no sizes in the packet."""
    feed = aac_feed(constantsize="3", sizelength="0", indexlength="0", indexdeltalength="0")
    feed.give(0, b"\x21bc\x21ef", marker=True)
    assert feed.payloads == [b"\x21bc", b"\x21ef"]


def test_aac_other_fields() -> None:
    """Fields of AU headers and the auxiliary section that we have no use for are passed over."""
    options = {"ctsdeltalength": "8", "dtsdeltalength": "8", "randomaccessindication": "1"}
    feed = aac_feed(**options, streamstateindication="4", auxiliarydatasizelength="8")
    # 13 of size, 3 of index, a CTS delta, no DTS delta, random access, 4 of state: 31 bits.
    bits = f"{3:013b}" + "000" + "1" + "00000111" + "0" + "1" + "0101" + "0"
    head = int(bits, 2).to_bytes(4, "big")
    feed.give(0, b"\x00\x1f" + head + b"\x05\xff" + b"\x21bc", marker=True)
    assert feed.payloads == [b"\x21bc"]


@pytest.mark.parametrize(
    "payload",
    [
        b"\x00",
        b"\x00\x10",
        b"\xff\xff\x00\x18abc",
        b"\x00\x10\x00\x18",  # headers without frames
        b"\x00\x00abc",  # no header at all
        headers(0) + b"abc",
        headers(3, 9) + b"\x21bc\x21",  # the second one is cut off
        headers(3) + b"\xff\xf1\x50",  # ADTS that is cut off
    ],
)
def test_aac_damaged(payload: bytes) -> None:
    """D-RT-07: what contradicts itself is left out, and the next packet is read."""
    feed = aac_feed()
    feed.give(0, payload, marker=True)
    feed.give(4096, headers(3) + b"\x21ok", marker=True)
    assert feed.payloads[-1] == b"\x21ok"
    assert feed.target.damaged == 1


@pytest.mark.parametrize(
    "parameters",
    [
        {"config": ""},
        {"config": "11"},  # too short
        {"config": "xyz"},
        {"config": "17f8"},  # a reserved rate
        {"sizelength": "33"},
        {"sizelength": "999999"},
        {"indexdeltalength": "64"},
    ],
)
def test_aac_refused(parameters: dict[str, str]) -> None:
    """D-RT-07: a bad configuration refuses the track."""
    with pytest.raises(PeerError):
        aac_feed(**parameters)


def test_aac_with_adts_headers() -> None:
    """Some cameras leave the header before each frame."""
    feed = aac_feed(config='"' + CONFIG + '"')
    frame = bytes.fromhex("fff14c80015ffc") + b"\x21bc"
    feed.give(0, headers(len(frame)) + frame, marker=True)
    assert feed.payloads == [b"\x21bc"]


def test_aac_with_sbr() -> None:
    """The timestamps of HE-AAC count at twice the core coder's rate."""
    # Core 24 kHz, SBR to 48 kHz.
    feed = Feed(mpeg4_generic.Depacketiser(HBR | {"config": "2b098800"}, 48000, 2))
    feed.give(96000, headers(3) + b"\x21bc", marker=True)
    feed.give(96000 + 2048, headers(3) + b"\x21de", marker=True)
    assert feed.tracks[0].clock_rate == 24000
    assert [packet.pts for packet in feed.packets] == [48000, 49024]


def test_times_that_are_rounded() -> None:
    """D-RT-09: times off by less than half a frame are counted on; others are as they are told."""
    feed = aac_feed()
    for time in (0, 1000, 2100, 3072, 9000, 10024):
        feed.give(time, headers(3) + b"\x21bc", marker=True)
    assert [packet.pts for packet in feed.packets] == [0, 1024, 2048, 3072, 9000, 10024]


def latm_bits(size: int, config: bool) -> str:
    """Write the beginning of an AudioMuxElement: one program, one layer, AAC LC, 48 kHz, stereo."""
    # StreamMuxConfig: version, same timing, one frame, one program, one layer; the configuration;
    # frame length type, buffer fullness, no other data, no checksum.
    mux = "0" + "1" + "000000" + "0000" + "000" + "00010" + "0011" + "0010" + "000"
    mux += "000" + "11111111" + "0" + "0"
    return ("0" + mux if config else "1") + f"{size:08b}"


def as_bytes(bits: str) -> bytes:
    """Fill up with zeros."""
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def test_latm_in_band() -> None:
    """D-RT-08: cpresent=1: the configuration stands in the elements."""
    feed = Feed(latm.Depacketiser({"cpresent": "1"}, 48000, 2))
    for time, payload in ((0, b"\x21bc"), (1024, b"\x21defg")):
        body = "".join(f"{byte:08b}" for byte in payload)
        feed.give(time, as_bytes(latm_bits(len(payload), time == 0) + body), marker=True)
    assert feed.tracks[0].codec is Codec.AAC
    assert (feed.tracks[0].clock_rate, feed.tracks[0].channels) == (48000, 2)
    assert feed.payloads == [b"\x21bc", b"\x21defg"]
    assert [packet.pts for packet in feed.packets] == [0, 1024]


def test_latm_out_of_band() -> None:
    """D-RT-08: cpresent=0: ffmpeg's StreamMuxConfig in the description; frames in fragments."""
    feed = Feed(latm.Depacketiser({"cpresent": "0", "config": "400023203fc0"}, 48000, 2))
    feed.give(0, b"\x03\x21bc", marker=True)
    large = b"\x21" * 600
    feed.give(1024, b"\xff\xff\x5a" + large[:300])
    feed.give(1024, large[300:], marker=True)
    assert feed.tracks[0].config == bytes.fromhex("1190")
    assert feed.payloads == [b"\x21bc", large]
    assert [packet.pts for packet in feed.packets] == [0, 1024]


def test_latm_of_gstreamer() -> None:
    """D-RT-08: GStreamer's StreamMuxConfig, with a trailer behind the AudioSpecificConfig."""
    feed = Feed(latm.Depacketiser({"cpresent": "0", "config": "40002320adca00"}, 48000))
    feed.give(0, b"\x03\x21bc", marker=True)
    assert feed.tracks == [
        Track(Codec.AAC, clock_rate=48000, config=bytes.fromhex("1190"), channels=2)
    ]
    assert feed.payloads == [b"\x21bc"]


def test_latm_several_frames() -> None:
    """D-RT-08: an element of two frames; one that is cut off gives what is whole."""
    feed = Feed(latm.Depacketiser({"cpresent": "0", "config": "410023203fc0"}, 48000))
    feed.give(0, b"\x03\x21bc\x02\x21d", marker=True)
    feed.give(2048, b"\x03\x21ef\x09\x21", marker=True)
    assert feed.payloads == [b"\x21bc", b"\x21d", b"\x21ef"]
    assert [packet.pts for packet in feed.packets] == [0, 1024, 2048]
    assert feed.target.damaged == 1


def test_latm_refused() -> None:
    """D-RT-08: without a configuration that can be read, the track is refused."""
    for config in ("", "zz", "00", "ffffffff", "40"):
        with pytest.raises(PeerError):
            latm.Depacketiser({"cpresent": "0", "config": config}, 48000)


def test_latm_loss() -> None:
    """What was begun, and what has no beginning, is left out."""
    feed = Feed(latm.Depacketiser({"cpresent": "0", "config": "400023203fc0"}, 48000, 2))
    feed.give(0, b"\xff\x01" + b"\x21" * 100)
    feed.lose()
    feed.give(0, b"\x21" * 100, marker=True)
    feed.lose()
    feed.give(1024, b"\x21" * 10)
    feed.give(1024, b"\x21" * 10, marker=True)
    feed.give(2048, b"\x03\x21ok", marker=True)
    assert feed.payloads[-1] == b"\x21ok"
    assert all(payload == b"\x21ok" for payload in feed.payloads[:-1] if len(payload) > 200)
    feed.give(3072, bytes(9000))
    feed.give(3072, bytes(9000), marker=True)
    feed.give(4096, b"\x03\x21en", marker=True)
    assert feed.payloads[-1] == b"\x21en"


def test_opus() -> None:
    """D-RT-09: one packet each; empty ones and what is none are left out."""
    feed = Feed(opus.Depacketiser({"sprop-stereo": "1"}))
    feed.give(0, b"\xfcab")
    feed.give(960, b"")
    feed.give(1920, b"\xff\x00")
    feed.give(2880, b"\xfccd")
    assert feed.tracks[0].channels == 2
    assert [(packet.pts, packet.payload) for packet in feed.packets] == [
        (0, b"\xfcab"),
        (2880, b"\xfccd"),
    ]
    assert feed.target.damaged == 1
    assert opus.parameters(feed.tracks[0]) == {"sprop-stereo": "1"}


def test_opus_packetiser() -> None:
    """It cannot be cut: what is too long is not sent."""
    maker = opus.Packetiser(streams.OPUS, 100)
    for size, expected in ((0, 0), (100, 1), (101, 0)):
        packet = Packet(streams.OPUS, 0, 0, True, b"\xfc" * size)
        assert len(maker.packetise(packet)) == expected


def test_opus_channels() -> None:
    """Mono where it is told; more than two by their mapping."""
    mono = Feed(opus.Depacketiser({"sprop-stereo": "0"}))
    mono.give(0, b"\xf8ab")
    assert mono.tracks[0].channels == 1
    track = Track(Codec.OPUS, clock_rate=48000, config=vectors.OPUS_51, channels=6)
    told = opus.parameters(track)
    assert told == {"num_streams": "4", "coupled_streams": "2", "channel_mapping": "0,4,1,2,3,5"}
    feed = Feed(opus.Depacketiser(told, 48000, 6))
    feed.give(0, b"\xfcab")
    assert feed.tracks == [track]
    for wrong in ({}, told | {"channel_mapping": "0,1"}, told | {"num_streams": "300"}):
        with pytest.raises(PeerError):
            opus.Depacketiser(wrong, 48000, 6)
    with pytest.raises(PeerError):
        opus.Depacketiser(told | {"channel_mapping": "0,4,1,2,3,9"}, 48000, 6)


def test_pcm() -> None:
    """D-RT-09: samples count the time; a rest that is no sample is left out."""
    feed = Feed(pcm.MuLawDepacketiser({}, 8000, 2))
    feed.give(0, b"\xff" * 321)
    feed.give(160, b"")
    feed.give(160, b"\xff")
    feed.give(160, b"\x7f" * 320)
    assert feed.tracks == [Track(Codec.PCM_MULAW, clock_rate=8000, channels=2)]
    assert [(packet.pts, len(packet.payload)) for packet in feed.packets] == [(0, 320), (160, 320)]
    assert feed.target.damaged == 1
    default = Feed(pcm.ALawDepacketiser({}, 8000, 0))
    default.give(0, b"\xd5")
    assert default.tracks == [streams.PCMA]


def test_l16() -> None:
    """D-RT-09: big endian on the wire (RFC 3551 4.5.11), little endian inside."""
    feed = Feed(pcm.L16Depacketiser({}, 44100, 1))
    feed.give(0, b"\x12\x34\xff\xfe")
    assert feed.payloads == [b"\x34\x12\xfe\xff"]
    track = feed.tracks[0]
    maker = pcm.Packetiser(track)
    assert maker.packetise(feed.packets[0]) == [(b"\x12\x34\xff\xfe", False)]


def test_pcm_in_several_packets() -> None:
    """Each has its own time: `step` ticks after the one before."""
    track = Track(Codec.PCM_S16LE, clock_rate=44100, channels=2)
    maker = pcm.Packetiser(track, 403)
    assert maker.step == 100
    payloads = maker.packetise(Packet(track, 0, 0, True, bytes(1002)))
    assert [len(payload) for payload, _marker in payloads] == [400, 400, 200]
    with pytest.raises(UsageError):
        pcm.Packetiser(track, 3)
    with pytest.raises(UsageError):
        pcm.Packetiser(streams.OPUS)


def test_mpeg_audio() -> None:
    """RFC 2250 3.5: four bytes, then frames; the clock is 90 kHz."""
    frames = [streams.mp3_frame(number) for number in range(5)]
    maker = mpeg_audio.Packetiser(streams.MP3, 300)
    pieces = maker.packetise(Packet(streams.MP3, 0, 0, True, frames[0]))
    assert pieces == [
        (b"\0\0\0\0" + frames[0][:296], False),
        (b"\0\0\x01\x28" + frames[0][296:], False),
    ]
    assert maker.packetise(Packet(streams.MP3, 0, 0, True, bytes(70000))) == []
    feed = Feed(mpeg_audio.Depacketiser({}))
    for payload, _marker in pieces:
        feed.give(90000, payload)
    feed.give(90000 + 2351, b"\0\0\0\0" + frames[1] + frames[2] + frames[3])
    assert feed.tracks == [streams.MP3]
    assert feed.payloads == frames[:4]
    assert [b.pts - a.pts for a, b in pairwise(feed.packets)] == [1152] * 3


def test_mpeg_audio_loss() -> None:
    """A fragment whose beginning is lost is left out, the next frame is read at its time."""
    frames = [streams.mp3_frame(number) for number in range(3)]
    feed = Feed(mpeg_audio.Depacketiser({}))
    feed.give(0, b"\0\0\0\0" + frames[0])
    feed.give(2351, b"\0\0\0\0" + frames[1][:200])
    feed.lose()
    feed.give(2351, b"\0\0\1\x2c" + frames[1][300:])
    feed.give(4702, b"\0\0\0\0" + frames[2])
    feed.give(7053, b"\0\0")
    assert feed.payloads == [frames[0], frames[2]]
    assert feed.packets[1].pts == 2304


def test_ac3() -> None:
    """RFC 4184 4.1.1: frame type and number of fragments."""
    packet = streams.ac3(1, [1], key=True)
    maker = ac3.Packetiser(streams.AC3)
    assert [payload[:2] for payload, _marker in maker.packetise(packet)] == [b"\1\2", b"\3\2"]
    small = ac3.Packetiser(streams.AC3, 900)
    assert [payload[:2] for payload, _marker in small.packetise(packet)] == [b"\2\2", b"\3\2"]
    whole = ac3.Packetiser(streams.AC3, 1794)
    assert whole.packetise(packet) == [(b"\0\1" + packet.payload, True)]
    assert ac3.Packetiser(streams.AC3, 8).packetise(packet) == []
    assert maker.packetise(packet._replace(payload=b"")) == []


def test_eac3() -> None:
    """RFC 4598 4.1.1: one bit says that it is a fragment."""
    track = Track(Codec.EAC3, clock_rate=48000, config=vectors.DEC3_51, channels=6)
    payload = vectors.EAC3_51 + bytes(1792 - len(vectors.EAC3_51))
    pieces = ac3.Packetiser(track).packetise(Packet(track, 0, 0, True, payload))
    assert [(piece[:2], marker) for piece, marker in pieces] == [(b"\1\2", False), (b"\1\2", True)]
    feed = Feed(ac3.Depacketiser({}, 48000, 6))
    feed.unit(48000, [piece for piece, _marker in pieces])
    assert feed.tracks == [track]
    assert feed.payloads == [payload]


def test_ac3_loss() -> None:
    """A frame of which a fragment is lost is left out."""
    feed = Feed(ac3.Depacketiser({}, 48000, 6))
    frames = [streams.ac3(number, [1], key=True) for number in range(3)]
    maker = ac3.Packetiser(streams.AC3)
    for frame in frames:
        first, last = maker.packetise(frame)
        feed.give(frame.pts, first[0])
        if frame is frames[1]:
            feed.lose()
        else:
            feed.give(frame.pts, last[0], marker=True)
    feed.give(0, b"\0")
    assert feed.payloads == [frames[0].payload, frames[2].payload]
    assert feed.packets[1].pts - feed.packets[0].pts == 3072


@pytest.mark.parametrize(("module", "mtu"), [(mpeg4_generic, 4), (mpeg_audio, 4), (ac3, 2)])
def test_small_mtu(module: object, mtu: int) -> None:
    """A limit that is none is our mistake."""
    with pytest.raises(UsageError):
        module.Packetiser(streams.AAC, mtu)  # type: ignore[attr-defined]
