"""Tests of ntvmedia.formats.flv_audio, through the reader that publishers' messages go to."""

from __future__ import annotations

import pytest

from ntvmedia.codecs import aac, flac
from ntvmedia.formats.flv_audio import MAX_SPLIT_BYTES
from ntvmedia.formats.flv_reader import TagReader
from ntvmedia.media import Codec, Packet, Track
from tests.codecs import vectors
from tests.formats.flv_bytes import (
    AAC_HEADER,
    many_tracks,
    modifier,
    packets,
    reader_of,
    tracks,
)

AAC = Track(Codec.AAC, clock_rate=48000, config=vectors.AAC_LC_STEREO, channels=2)
MP3_FRAME = vectors.MP3_MONO_44 + bytes(417 - 4)
MP3_22 = vectors.MP3_STEREO_22 + bytes(182 - 4)
# By hand, ISO/IEC 13818-3 section 2.4.2.3: MPEG-2.5 layer III, 8 kbit/s, 8 kHz, mono.
MP3_8K = bytes.fromhex("ffe318c0") + bytes(72 - 4)
AC3_FRAME = vectors.AC3_STEREO_44 + bytes(834 - len(vectors.AC3_STEREO_44))
AC3_51_FRAME = vectors.AC3_51 + bytes(1792 - len(vectors.AC3_51))
EAC3_FRAME = vectors.EAC3_51 + bytes(1792 - len(vectors.EAC3_51))


def enhanced(packet_type: int, fourcc: bytes, body: bytes) -> bytes:
    """Encode an enhanced audio message (E-RTMP v2 "Enhanced Audio")."""
    return bytes((0x90 | packet_type,)) + fourcc + body


def adts(*payloads: bytes, rate_index: int = 3, channels: int = 2) -> bytes:
    """Encode AAC LC frames in ADTS by ISO/IEC 14496-3 section 1.A.3.2."""
    parts = []
    for payload in payloads:
        bits = 0xFFF1 << 40 | 1 << 38 | rate_index << 34 | channels << 30
        bits |= (len(payload) + 7) << 13 | 0x7FF << 2
        parts += [bits.to_bytes(7, "big"), payload]
    return b"".join(parts)


def test_golden_aac() -> None:
    """FLV 10.1 E.4.2: the track's clock is the true sample rate, not that of the flags."""
    reader = TagReader()
    assert reader.audio(0, AAC_HEADER) == [AAC]
    assert list(reader.audio(21, b"\xaf\x01raw")) == [Packet(AAC, 1008, 1008, True, b"raw")]
    assert list(reader.audio(43, b"\xae\x01raw")) == [Packet(AAC, 2064, 2064, True, b"raw")]


def test_repeated_header() -> None:
    """A-MD-05: the identical header changes nothing; another one does (A-MD-04)."""
    reader = reader_of(audio=AAC_HEADER)
    assert list(reader.audio(9, AAC_HEADER)) == []
    [track] = tracks(reader.audio(9, b"\xaf\x00" + vectors.AAC_LC_51))
    assert (track.clock_rate, track.channels) == (44100, 6)


@pytest.mark.parametrize("body", [b"\xaf", b"\xaf\x00\x07", b"\xaf\x02x"])
def test_broken_header(body: bytes) -> None:
    """A broken message is counted, and the track stays as it was."""
    reader = reader_of(audio=AAC_HEADER)
    assert list(reader.audio(0, body)) == []
    assert reader.dropped == 1
    assert len(reader.audio(0, b"\xaf\x01raw")) == 1


def test_frames_before_the_header() -> None:
    """What cannot be decoded yet is not sent on, and counted."""
    reader = TagReader()
    assert list(reader.audio(0, b"\xaf\x01raw")) == []
    assert list(reader.audio(0, enhanced(1, b"Opus", b"frame"))) == []
    assert list(reader.audio(0, enhanced(1, b"fLaC", b"frame"))) == []
    assert reader.dropped == 3


def test_silence() -> None:
    """A-MD-20: an empty body is "silence", and an empty frame is nothing; no errors."""
    reader = reader_of(audio=AAC_HEADER)
    reader.audio(0, enhanced(0, b"Opus", vectors.OPUS_STEREO))
    for body in (b"", b"\xaf\x00", b"\x2f", b"\x72", b"\x33", enhanced(1, b"Opus", b"")):
        assert list(reader.audio(0, body)) == []
    assert reader.dropped == 0
    reader = reader_of(audio=AAC_HEADER)
    assert list(reader.audio(0, b"\xaf\x01")) == []
    assert reader.dropped == 0


def test_several_frames_of_adts() -> None:
    """A-MD-09: AAC frames in ADTS are split, with 1024 samples from one to the next."""
    reader = reader_of(audio=AAC_HEADER)
    seen = reader.audio(1000, b"\xaf\x01" + adts(b"one", b"two", b"three"))
    assert list(seen) == [
        Packet(AAC, 48000, 48000, True, b"one"),
        Packet(AAC, 49024, 49024, True, b"two"),
        Packet(AAC, 50048, 50048, True, b"three"),
    ]


def test_adts_without_header() -> None:
    """A-MD-09: where no sequence header came, ADTS tells what it would, and when it changes."""
    reader = TagReader()
    [track, packet] = reader.audio(0, b"\xaf\x01" + adts(b"raw"))
    assert isinstance(track, Track)
    assert (track.codec, track.clock_rate, track.channels) == (Codec.AAC, 48000, 2)
    assert aac.parse_audio_specific_config(track.config).object_type == 2
    assert packet == Packet(track, 0, 0, True, b"raw")
    assert len(reader.audio(0, b"\xaf\x01" + adts(b"raw"))) == 1
    [track, packet] = reader.audio(0, b"\xaf\x01" + adts(b"raw", rate_index=4, channels=1))
    assert isinstance(track, Track)
    assert (track.clock_rate, track.channels) == (44100, 1)


def test_broken_adts() -> None:
    """ADTS that is cut off is dropped and counted, and so is more of it than has sense."""
    reader = reader_of(audio=AAC_HEADER)
    assert list(reader.audio(0, b"\xaf\x01" + adts(b"raw")[:-1])) == []
    assert reader.dropped == 1
    many = adts(b"raw") * (MAX_SPLIT_BYTES // 10 + 1)
    assert list(reader.audio(0, b"\xaf\x01" + many)) == []
    assert reader.dropped == 2


def test_several_frames_of_mp3() -> None:
    """A-MD-09, A-MD-10: MP3 frames are split; the rate is that of their headers."""
    reader = TagReader()
    # The flags say 44.1 kHz, stereo.
    track = Track(Codec.MP3, clock_rate=44100, channels=1)
    assert list(reader.audio(100, b"\x2f" + MP3_FRAME * 2)) == [
        track,
        Packet(track, 4410, 4410, True, MP3_FRAME),
        Packet(track, 4410 + 1152, 4410 + 1152, True, MP3_FRAME),
    ]
    assert len(reader.audio(200, b"\x2f" + MP3_FRAME)) == 1
    [track2, packet] = reader.audio(300, b"\x2f" + MP3_22)
    assert track2 == Track(Codec.MP3, clock_rate=22050, channels=2)
    assert packet == Packet(track2, 6615, 6615, True, MP3_22)


def test_mp3_of_8_khz() -> None:
    """A-MD-10: sound format 14 is MP3 at 8 kHz."""
    track = Track(Codec.MP3, clock_rate=8000, channels=1)
    assert list(TagReader().audio(1000, b"\xee" + MP3_8K)) == [
        track,
        Packet(track, 8000, 8000, True, MP3_8K),
    ]


def test_broken_mp3() -> None:
    """A frame that is cut off or none at all is dropped and counted."""
    reader = TagReader()
    assert packets(reader.audio(0, b"\x2f" + MP3_FRAME[:-1])) == []
    assert packets(reader.audio(0, b"\x2fjunk")) == []
    assert reader.dropped == 2


@pytest.mark.parametrize(
    ("head", "track"),
    [
        (0x72, Track(Codec.PCM_ALAW, clock_rate=8000, channels=1)),
        (0x83, Track(Codec.PCM_MULAW, clock_rate=8000, channels=2)),
        (0x8F, Track(Codec.PCM_MULAW, clock_rate=8000, channels=2)),
        (0x3F, Track(Codec.PCM_S16LE, clock_rate=44100, channels=2)),
        (0x06, Track(Codec.PCM_S16LE, clock_rate=11025, channels=1)),
        (0x08, Track(Codec.PCM_U8, clock_rate=22050, channels=1)),
        (0x32, Track(Codec.PCM_S16LE, clock_rate=5512, channels=1)),
        (0xB6, Track(Codec.SPEEX, clock_rate=16000, channels=1)),
        (0x42, Track(Codec.NELLYMOSER, clock_rate=16000, channels=1)),
        (0x52, Track(Codec.NELLYMOSER, clock_rate=8000, channels=1)),
        (0x6A, Track(Codec.NELLYMOSER, clock_rate=22050, channels=1)),
    ],
)
def test_codecs_without_header(head: int, track: Track) -> None:
    """A-MD-10: the flags make the track: FLV 10.1 E.4.2.1, with G.711 always at 8 kHz."""
    reader = TagReader()
    dts = (40 * track.clock_rate + 500) // 1000
    assert list(reader.audio(40, bytes((head,)) + b"12345678")) == [
        track,
        Packet(track, dts, dts, True, b"12345678"),
    ]
    assert len(reader.audio(80, bytes((head,)) + b"12345678")) == 1


def test_odd_pcm() -> None:
    """A-MD-10: an LPCM message of odd length loses what is no whole sample."""
    reader = TagReader()
    assert packets(reader.audio(0, b"\x3f" + b"123456789"))[0].payload == b"12345678"
    assert packets(reader.audio(0, b"\x3e" + b"12345"))[0].payload == b"1234"
    assert packets(reader.audio(0, b"\x3c" + b"12345"))[0].payload == b"12345"
    assert packets(reader.audio(0, b"\x3f" + b"123")) == []
    assert reader.dropped == 0


@pytest.mark.parametrize("head", [0x1F, 0xCF, 0xDF, 0xFF])
def test_unsupported_sound_formats(head: int) -> None:
    """A-MD-10: ADPCM, reserved and "device specific" sound is dropped and counted."""
    reader = TagReader()
    assert list(reader.audio(0, bytes((head,)) + b"data")) == []
    assert reader.dropped == 1
    assert str(head >> 4) in reader.last_problem


def test_opus() -> None:
    """A-ER-07: Opus counts at 48 kHz; its header is OpusHead."""
    reader = TagReader()
    [track] = tracks(reader.audio(0, enhanced(0, b"Opus", vectors.OPUS_STEREO)))
    assert track == Track(Codec.OPUS, clock_rate=48000, config=vectors.OPUS_STEREO, channels=2)
    assert list(reader.audio(20, enhanced(1, b"Opus", b"\xfcframe"))) == [
        Packet(track, 960, 960, True, b"\xfcframe")
    ]
    assert list(reader.audio(40, enhanced(2, b"Opus", b""))) == []
    assert reader.dropped == 0


@pytest.mark.parametrize(("config", "channels"), [(b"", 2), (b"\x00\x01", 1), (b"\x00\x02", 2)])
def test_opus_with_empty_header(config: bytes, channels: int) -> None:
    """A-ER-07: an empty one means mono or stereo, as a multichannel configuration says."""
    reader = TagReader()
    if config:
        assert list(reader.audio(0, enhanced(4, b"Opus", config))) == []
    [track] = tracks(reader.audio(0, enhanced(0, b"Opus", b"")))
    assert track.channels == channels
    assert track.config[:8] == b"OpusHead"
    assert reader.dropped == 0


@pytest.mark.parametrize("before", [b"", b"fLaC", b"fLaC\x80\x00\x00\x22", b"\x80\x00\x00\x22"])
def test_flac(before: bytes) -> None:
    """A-ER-07: STREAMINFO comes bare (FFmpeg) or as the document says; one form is kept."""
    reader = TagReader()
    header = enhanced(0, b"fLaC", before + vectors.FLAC_STREAMINFO)
    [track] = tracks(reader.audio(0, header))
    assert (track.clock_rate, track.channels) == (48000, 2)
    assert track.config[:8] == b"fLaC\x80\x00\x00\x22"
    info = flac.parse_streaminfo(track.config)
    expected = flac.parse_streaminfo(vectors.FLAC_STREAMINFO)
    assert info == expected._replace(total_samples=0)
    assert list(reader.audio(0, header)) == []
    [packet] = packets(reader.audio(10, enhanced(1, b"fLaC", vectors.FLAC_FRAME)))
    assert packet == Packet(track, 480, 480, True, vectors.FLAC_FRAME)


def test_flac_length_at_the_end() -> None:
    """FFmpeg's last header, with length and checksum, is no change of a live stream."""
    reader = TagReader()
    start = vectors.FLAC_STREAMINFO[:4] + bytes(6) + vectors.FLAC_STREAMINFO[10:14] + bytes(20)
    assert len(reader.audio(0, enhanced(0, b"fLaC", start))) == 1
    assert list(reader.audio(9, enhanced(0, b"fLaC", vectors.FLAC_STREAMINFO))) == []
    assert reader.dropped == 0


@pytest.mark.parametrize(
    ("fourcc", "frame", "track"),
    [
        (
            b"ac-3",
            AC3_FRAME,
            Track(Codec.AC3, clock_rate=44100, config=vectors.DAC3_STEREO_44, channels=2),
        ),
        (
            b"ac-3",
            AC3_51_FRAME,
            Track(Codec.AC3, clock_rate=48000, config=vectors.DAC3_51, channels=6),
        ),
        (
            b"ec-3",
            EAC3_FRAME,
            Track(Codec.EAC3, clock_rate=48000, config=vectors.DEC3_51, channels=6),
        ),
        (b".mp3", MP3_FRAME, Track(Codec.MP3, clock_rate=44100, channels=1)),
    ],
)
def test_codecs_of_self_contained_frames(fourcc: bytes, frame: bytes, track: Track) -> None:
    """A-ER-07: their first frame makes the track; FFmpeg's empty header before it is tolerated."""
    reader = TagReader()
    assert list(reader.audio(0, enhanced(0, fourcc, b""))) == []
    assert list(reader.audio(1000, enhanced(1, fourcc, frame))) == [
        track,
        Packet(track, track.clock_rate, track.clock_rate, True, frame),
    ]
    assert len(reader.audio(1032, enhanced(1, fourcc, frame))) == 1
    assert reader.dropped == 0


def test_ac3_changes_and_mistakes() -> None:
    """A-ER-07: other channels or rates are another track; what is no AC-3 is dropped."""
    reader = TagReader()
    assert len(reader.audio(0, enhanced(1, b"ac-3", AC3_FRAME))) == 2
    assert len(reader.audio(0, enhanced(1, b"ac-3", AC3_51_FRAME))) == 2
    for body in (AC3_FRAME[:-1], b"junk", EAC3_FRAME):
        assert list(reader.audio(0, enhanced(1, b"ac-3", body))) == []
    assert reader.dropped == 3


def test_enhanced_aac() -> None:
    """A-ER-07: mp4a is AAC as it always was."""
    reader = TagReader()
    assert reader.audio(0, enhanced(0, b"mp4a", vectors.AAC_LC_STEREO)) == [AAC]
    assert list(reader.audio(1000, enhanced(1, b"mp4a", b"raw"))) == [
        Packet(AAC, 48000, 48000, True, b"raw")
    ]
    # The same track in the legacy form.
    assert list(reader.audio(1000, b"\xaf\x01raw")) == [Packet(AAC, 48000, 48000, True, b"raw")]


@pytest.mark.parametrize(
    ("body", "dropped"),
    [
        (bytes.fromhex("00 02"), 0),
        (bytes.fromhex("01 06 0000060f"), 0),
        (bytes.fromhex("02 03 000102"), 0),
        (bytes.fromhex("02 03 0001"), 1),
        (bytes.fromhex("02 ff 00010203"), 1),
        (bytes.fromhex("01 06 000006"), 1),
        (bytes.fromhex("01"), 1),
        (b"", 1),
    ],
)
def test_multichannel_configuration(body: bytes, dropped: int) -> None:
    """A-ER-07: it is read; a map longer than its message fails in a controlled manner."""
    reader = TagReader()
    assert list(reader.audio(0, enhanced(4, b"Opus", body))) == []
    assert reader.dropped == dropped


def test_multitrack() -> None:
    """A-ER-05: audio tracks are told apart by their number; each is in its own clock."""
    reader = TagReader()
    headers = [(1, vectors.AAC_LC_51), (0, vectors.AAC_LC_STEREO)]
    found = tracks(reader.audio(0, many_tracks(headers, b"mp4a", 0, 0x95)))
    assert [(track.number, track.clock_rate) for track in found] == [(1, 44100), (0, 48000)]
    frames = many_tracks([(0, b"zero"), (1, b"one"), (2, b"none")], b"mp4a", 1, 0x95)
    seen = packets(reader.audio(1000, frames))
    assert [(packet.track.number, packet.dts) for packet in seen] == [(0, 48000), (1, 44100)]
    assert reader.dropped == 1


def test_nano_offset() -> None:
    """A-ER-06: the offset refines the time by samples."""
    reader = reader_of(audio=AAC_HEADER)
    body = b"\x97" + modifier((500_000).to_bytes(3, "big"), 1) + b"mp4araw"
    [packet] = packets(reader.audio(1, body))
    assert (packet.dts, packet.pts) == (48 + 24, 48 + 24)


def test_unknown_codecs() -> None:
    """A-ER-13: unknown FourCCs and packet types are dropped with their hexadecimal name."""
    reader = TagReader()
    assert list(reader.audio(0, enhanced(1, b"alac", b"frame"))) == []
    assert "0x616c6163" in reader.last_problem
    assert list(reader.audio(0, enhanced(9, b"Opus", b"frame"))) == []
    assert reader.dropped == 2


def test_change_of_codec() -> None:
    """A-SE-07: AAC's header does not outlive a change to G.711 and back."""
    reader = reader_of(audio=AAC_HEADER)
    [track, _packet] = reader.audio(0, b"\x72data")
    assert isinstance(track, Track)
    assert track.id == AAC.id
    assert list(reader.audio(0, b"\xaf\x01raw")) == []
    assert reader.audio(0, AAC_HEADER) == [AAC]
