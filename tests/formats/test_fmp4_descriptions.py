"""Sample entries: the tracks that they describe, and the form of their samples."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, strategies as st

from ntvmedia.codecs import flac, opus
from ntvmedia.errors import LimitExceeded, PeerError
from ntvmedia.formats import fmp4_descriptions
from ntvmedia.formats.fmp4_descriptions import Description, parse_descriptions
from ntvmedia.formats.fmp4_reader import whole_box
from ntvmedia.media import Codec, Track
from tests.codecs import vectors
from tests.formats.flv_bytes import nal_units
from tests.formats.mp4_bytes import box, descriptor, esds, full, sound_entry, video_entry, words
from tests.fuzz.mutation import mutated

H = bytes.fromhex


def parse(
    *entries: bytes, timescale: int = 48000, version: int = 0, external: tuple[bool, ...] = ()
) -> list[Description]:
    """Parse sample entries; of pictures by the first one's name."""
    stsd = full(b"stsd", words(len(entries)), *entries, version=version)
    kinds = (b"avc", b"hvc", b"hev", b"av0", b"vp0", b"dvh", b"enc", b"mp4v")
    is_video = entries[0][4:8].startswith(kinds)
    return parse_descriptions(whole_box(stsd, b"stsd"), timescale, is_video, list(external))


def track(entry: bytes, timescale: int = 48000, version: int = 0) -> Track:
    """Parse the entry of a codec that is known."""
    (found,) = parse(entry, timescale=timescale, version=version)
    assert found.track is not None
    assert found.name == entry[4:8].decode("latin-1")
    return found.track


@pytest.mark.parametrize(
    ("kind", "config", "codec"),
    [
        (b"avc1", box(b"avcC", vectors.AVCC_1080), Codec.H264),
        (b"avc3", box(b"avcC", vectors.AVCC_BASELINE), Codec.H264),
        (b"hvc1", box(b"hvcC", vectors.HVCC_720), Codec.HEVC),
        (b"hev1", box(b"hvcC", vectors.HVCC_1078), Codec.HEVC),
        (b"dvh1", box(b"hvcC", vectors.HVCC_720), Codec.HEVC),
        (b"av01", box(b"av1C", vectors.AV1C_720), Codec.AV1),
        (b"vp09", box(b"vpcC", vectors.VPCC_360), Codec.VP9),
        (b"vp08", box(b"vpcC", vectors.VPCC_360), Codec.VP8),
    ],
)
def test_pictures(kind: bytes, config: bytes, codec: Codec) -> None:
    """The configuration is the contents of its box, whatever other boxes stand before it."""
    found = track(video_entry(kind, box(b"pasp", words(1, 1)), config))
    assert found == Track(codec, config=config[8:])


def test_configurations_without_sets() -> None:
    """14496-15 5.4.2.1: "avc3" and "hev1" may have all parameter sets in their samples."""
    config = H("0164001fffe000")
    assert track(video_entry(b"avc3", box(b"avcC", config))).config == config
    config = vectors.HVCC_720[:22] + b"\0"
    assert track(video_entry(b"hev1", box(b"hvcC", config))).config == config


@pytest.mark.parametrize("size", [1, 2, 4])
def test_lengths(size: int) -> None:
    """14496-15 5.3.3.1: units get lengths of 4 bytes, and the configuration says so."""
    avcc = vectors.AVCC_1080[:4] + bytes((0xFC | size - 1,)) + vectors.AVCC_1080[5:]
    hvcc = vectors.HVCC_720[:21] + bytes((0x0C | size - 1,)) + vectors.HVCC_720[22:]
    for entry, config in (
        (video_entry(b"avc1", box(b"avcC", avcc)), vectors.AVCC_1080),
        (video_entry(b"hvc1", box(b"hvcC", hvcc)), vectors.HVCC_720),
    ):
        (found,) = parse(entry)
        assert found.track is not None and found.form is not None
        assert found.track.config == config
        frame = (3).to_bytes(size, "big") + b"abc" + (1).to_bytes(size, "big") + b"d"
        assert found.form(frame) == nal_units(b"abc", b"d")
        with pytest.raises(PeerError):
            found.form(frame[:-1])


def test_temporal_units() -> None:
    """AV1-ISOBMFF 2.4: each OBU gets its size, delimiters go."""
    (found,) = parse(video_entry(b"av01", box(b"av1C", vectors.AV1C_720)))
    assert found.form is not None
    assert found.form(H("1200 32021000 30aa")) == H("32021000 3201aa")


@pytest.mark.parametrize(
    ("object_type", "config", "expected"),
    [
        (0x40, "1190", Track(Codec.AAC, clock_rate=48000, config=H("1190"), channels=2)),
        # HE-AAC, signalled: the clock is that of the core.
        (0x40, "2b8a0800", Track(Codec.AAC, clock_rate=22050, config=H("2b8a0800"), channels=1)),
        (0x67, "1210", Track(Codec.AAC, clock_rate=44100, config=H("1210"), channels=2)),
        (0x6B, "", Track(Codec.MP3, clock_rate=32000, channels=2)),
        (0x69, "", Track(Codec.MP3, clock_rate=32000, channels=2)),
    ],
)
def test_mp4a(object_type: int, config: str, expected: Track) -> None:
    """14496-14 5.6: what mp4a is, its descriptor tells."""
    assert track(sound_entry(b"mp4a", esds(object_type, H(config)), rate=32000)) == expected


def test_descriptors() -> None:
    """14496-1 7.2.6.5: optional fields, sizes of one byte, and sizes that say too much."""
    plain = track(sound_entry(b"mp4a", esds(0x40, H("1190"))))
    flags = b"\xe0" + b"\0\7" + b"\3url" + b"\0\1"
    assert track(sound_entry(b"mp4a", esds(0x40, H("1190"), flags))) == plain
    decoder = H("4015") + bytes(11)
    short = H("0319 000100 0411") + decoder + H("0502 1190 060102")
    assert track(sound_entry(b"mp4a", full(b"esds", short))) == plain
    long = H("037f 000100 047f") + decoder + H("0502 1190")
    assert track(sound_entry(b"mp4a", full(b"esds", long))) == plain


def test_mp4a_of_quicktime() -> None:
    """QTFF: version 1 has 16 bytes more, and the descriptor stands in `wave`."""
    wave = box(b"wave", box(b"frma", b"mp4a"), esds(0x40, H("1190")), words(8, 0))
    found = track(sound_entry(b"mp4a", wave, version=1, more=bytes(16)))
    assert found == Track(Codec.AAC, clock_rate=48000, config=H("1190"), channels=2)


def test_sound_by_version_1_of_the_standard() -> None:
    """14496-12 12.2.3: there, version 1 has no more bytes, and the rate may stand in a box."""
    entry = sound_entry(b".mp3", full(b"srat", words(192000)), version=1, rate=0)
    assert track(entry, version=1) == Track(Codec.MP3, clock_rate=192000, channels=2)


def test_rates_that_the_entry_has_no_room_for() -> None:
    """Above 65535 Hz the timescale tells."""
    assert track(sound_entry(b".mp3", rate=0), timescale=96000).clock_rate == 96000


def test_opus() -> None:
    """Opus in ISOBMFF 4.3.2: dOps becomes an OpusHead."""
    head = opus.OpusHead(channels=2, pre_skip=312, sample_rate=44100)
    found = track(sound_entry(b"Opus", box(b"dOps", opus.build_dops(head))))
    assert found == Track(
        Codec.OPUS, clock_rate=48000, config=opus.build_opus_head(head), channels=2
    )


def test_flac() -> None:
    """FLAC in ISOBMFF 3.3.2: dfLa becomes STREAMINFO after "fLaC"."""
    info = H("10001000 000000 000000 0bb801f0 00000000") + bytes(16) + bytes(2)
    block = flac.streaminfo_block(flac.build_config(info[:34]))
    found = track(sound_entry(b"fLaC", full(b"dfLa", H("80000022"), block)))
    assert (found.codec, found.clock_rate, found.channels) == (Codec.FLAC, 48000, 1)
    assert found.config == flac.build_config(block)


def test_ac3() -> None:
    """ETSI TS 102 366 F.4: dac3 tells rate and channels; QuickTime has none."""
    found = track(sound_entry(b"ac-3", box(b"dac3", vectors.DAC3_STEREO_44), rate=0))
    assert found == Track(Codec.AC3, clock_rate=44100, config=vectors.DAC3_STEREO_44, channels=2)
    # 3/2 and LFE at 48 kHz, halved by bsid 9.
    found = track(sound_entry(b"ac-3", box(b"dac3", H("123d40"))))
    assert (found.clock_rate, found.channels) == (24000, 6)
    assert track(sound_entry(b"ac-3")) == Track(Codec.AC3, clock_rate=48000, channels=2)


def test_eac3() -> None:
    """ETSI TS 102 366 F.6: dec3 of the first program, with its dependent substreams."""
    found = track(sound_entry(b"ec-3", box(b"dec3", vectors.DEC3_51), rate=0))
    assert found == Track(Codec.EAC3, clock_rate=48000, config=vectors.DEC3_51, channels=6)
    # One dependent substream with Lrs/Rrs: 7.1.
    config = H("1400 20 0f 02 02")
    assert track(sound_entry(b"ec-3", box(b"dec3", config))).channels == 8


@pytest.mark.parametrize(
    ("entry", "codec", "frame_size", "swapped"),
    [
        (sound_entry(b"alaw", rate=8000, channels=1), Codec.PCM_ALAW, 1, False),
        (sound_entry(b"ulaw", rate=8000, channels=2), Codec.PCM_MULAW, 2, False),
        (sound_entry(b"sowt", rate=8000, channels=2), Codec.PCM_S16LE, 4, False),
        (sound_entry(b"twos", rate=8000, channels=1), Codec.PCM_S16LE, 2, True),
        (sound_entry(b"raw ", rate=8000, channels=1, bits=8), Codec.PCM_U8, 1, False),
        (
            sound_entry(b"ipcm", full(b"pcmC", b"\1\x10"), rate=8000, channels=2),
            *(Codec.PCM_S16LE, 4, False),
        ),
        (
            sound_entry(b"ipcm", full(b"pcmC", b"\0\x10"), rate=8000, channels=1),
            *(Codec.PCM_S16LE, 2, True),
        ),
        (
            sound_entry(
                b"lpcm",
                version=2,
                rate=1,
                more=struct.pack(">IdIIIIII", 72, 8000.0, 6, 0x7F000000, 16, 12, 12, 1),
            ),
            *(Codec.PCM_S16LE, 12, False),
        ),
        (
            sound_entry(
                b"lpcm",
                version=2,
                more=struct.pack(">IdIIIIII", 72, 8000.0, 1, 0x7F000000, 16, 14, 2, 1),
            ),
            *(Codec.PCM_S16LE, 2, True),
        ),
    ],
)
def test_uncompressed_sound(entry: bytes, codec: Codec, frame_size: int, swapped: bool) -> None:
    """QTFF, ISO/IEC 23003-5: each name and its form; big-endian samples are turned round."""
    (found,) = parse(entry)
    assert found.track is not None
    assert (found.track.codec, found.track.clock_rate) == (codec, 8000)
    assert (found.frame_size, found.form is not None) == (frame_size, swapped)
    if found.form is not None:
        assert found.form(b"\1\2\3\4\5") == b"\2\1\4\3"


@pytest.mark.parametrize(
    "entry",
    [
        video_entry(b"encv"),
        video_entry(b"mp4v"),
        sound_entry(b"enca"),
        sound_entry(b"samr"),
        sound_entry(b"in24"),
        sound_entry(b"sowt", bits=8),
        sound_entry(b"twos", bits=24),
        sound_entry(b"raw ", bits=16),
        sound_entry(b"sowt", channels=65),
        sound_entry(b"lpcm"),
        sound_entry(b"ipcm", full(b"pcmC", b"\1\x18")),
        sound_entry(b"mp4a", esds(0xDD, b"vorbis")),
        # MPEG-4 ALS: no AAC, and yet of MPEG-4.
        sound_entry(b"mp4a", esds(0x40, H("f8863000"))),
    ],
)
def test_what_is_not_read(entry: bytes) -> None:
    """Other codecs and encrypted ones have no track; they are named."""
    assert parse(entry) == [Description(entry[4:8].decode())]


def test_samples_in_other_files() -> None:
    """A reference out of the file is never followed: F-SS-01 in another form."""
    entry = video_entry()
    assert parse(entry, external=(True,)) == [Description("avc1")]
    assert parse(entry, external=(False, True))[0].track is not None
    assert parse(video_entry(reference=2), external=(False, True)) == [Description("avc1")]
    assert parse(video_entry(reference=9), external=(True,))[0].track is not None


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (video_entry(b"avc1", box(b"free")), "without avcC"),
        (video_entry(b"avc1", box(b"avcC", b"\2")), "no AVCDecoder"),
        (video_entry(b"hvc1", box(b"hvcC", b"\1")), "no HEVCDecoder"),
        (video_entry(b"av01", box(b"av1C", b"\1")), "no AV1Codec"),
        (video_entry(b"vp09", box(b"vpcC", b"\1")), "no VPCodec"),
        (sound_entry(b"mp4a"), "without esds"),
        (sound_entry(b"mp4a", full(b"esds")), "no descriptor with tag 3"),
        (sound_entry(b"mp4a", full(b"esds", descriptor(3, b"\0\1\0"))), "tag 4"),
        (
            sound_entry(b"mp4a", full(b"esds", descriptor(3, b"\0\1\0", descriptor(4, b"\x40")))),
            "cut off",
        ),
        (sound_entry(b"mp4a", esds(0x40)), "ends early"),
        (sound_entry(b"Opus"), "without dOps"),
        (sound_entry(b"fLaC", full(b"dfLa", b"no")), "no STREAMINFO"),
        (sound_entry(b"ec-3", box(b"dec3", b"\0")), "ends early"),
        (box(b"mp4a", bytes(20)), "cut off"),
        (box(b"avc1", bytes(7)), "cut off"),
        (sound_entry(b"lpcm", version=2, more=bytes(10)), "cut off"),
    ],
)
def test_broken_entries(entry: bytes, message: str) -> None:
    """F-RE-09: a known codec without what it needs."""
    with pytest.raises(PeerError, match=message):
        parse(entry)


def test_limits() -> None:
    """F-RE-09: descriptions, and the bytes of a configuration, have limits."""
    assert len(parse(*[video_entry()] * fmp4_descriptions.MAX_ENTRIES)) == 64
    with pytest.raises(LimitExceeded):
        parse(*[video_entry()] * (fmp4_descriptions.MAX_ENTRIES + 1))
    config = vectors.AVCC_1080.ljust(fmp4_descriptions.MAX_CONFIG_BYTES, b"\0")
    assert parse(video_entry(b"avc1", box(b"avcC", config)))
    with pytest.raises(LimitExceeded):
        parse(video_entry(b"avc1", box(b"avcC", config + b"\0")))


SEEDS = [
    video_entry(),
    video_entry(b"hvc1", box(b"hvcC", vectors.HVCC_720)),
    video_entry(b"av01", box(b"av1C", vectors.AV1C_720)),
    sound_entry(b"mp4a", esds(0x40, H("1190"))),
    sound_entry(b"mp4a", box(b"wave", esds(0x40, H("1190"))), version=1, more=bytes(16)),
    sound_entry(b"Opus", box(b"dOps", opus.build_dops(opus.OpusHead()))),
    sound_entry(b"ac-3", box(b"dac3", vectors.DAC3_STEREO_44)),
    sound_entry(b"ec-3", box(b"dec3", vectors.DEC3_51)),
    sound_entry(b"lpcm", version=2, more=struct.pack(">IdIIIIII", 72, 8e3, 6, 0, 16, 12, 12, 1)),
]


@given(mutated(SEEDS), st.booleans(), st.integers(0, 1))
def test_changed_entries(entry: bytes, is_video: bool, version: int) -> None:
    """F-RE-09: whatever an entry holds: descriptions, or a documented error."""
    stsd = whole_box(full(b"stsd", words(1), entry, version=version), b"stsd")
    try:
        for found in parse_descriptions(stsd, 1000, is_video, [False]):
            if found.form is not None:
                found.form(b"\0\0\0\1\x65")
    except PeerError:
        pass
