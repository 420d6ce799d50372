"""Tests of ntvmedia.formats.fmp4_entries, fmp4_video_entries and fmp4_audio_entries."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

from ntvmedia.codecs import aac, av1, flac, h264, hevc, hevc_sets, vp9
from ntvmedia.codecs.bits import BitWriter
from ntvmedia.codecs.vui import Colour
from ntvmedia.formats.fmp4_boxes import SampleEntry
from ntvmedia.formats.fmp4_entries import sample_entry
from ntvmedia.media import Codec, Track
from tests.codecs import vectors
from tests.formats import mp4_runs
from tests.formats.ts_bytes import AC3_FRAME, EAC3_FRAME, MP3_FRAME

H = bytes.fromhex

# ISO/IEC 14496-12 section 12.1.3: what stands before and behind width and height.
VISUAL = H("000000000000 0001") + bytes(16)
VISUAL_TAIL = H("00480000 00480000 00000000 0001") + bytes(32) + H("0018 ffff")
# Section 12.2.3: before channels, size, and rate.
AUDIO = H("000000000000 0001") + bytes(8)

AVC = Track(Codec.H264, config=vectors.AVCC_1080)
HEVC = Track(Codec.HEVC, config=vectors.HVCC_720)
AV1 = Track(Codec.AV1, config=vectors.AV1C_362)
VP9 = Track(Codec.VP9, config=vectors.VPCC_360)
AAC = Track(Codec.AAC, clock_rate=48000, config=vectors.AAC_LC_STEREO, channels=2)
MP3 = Track(Codec.MP3, clock_rate=44100, channels=1)
OPUS = Track(Codec.OPUS, clock_rate=48000, config=vectors.OPUS_51, channels=6)
FLAC = Track(
    Codec.FLAC, clock_rate=48000, config=flac.build_config(vectors.FLAC_STREAMINFO), channels=2
)
AC3 = Track(Codec.AC3, clock_rate=44100, channels=2)
EAC3 = Track(Codec.EAC3, clock_rate=48000, channels=6)


def entry(track: Track, payload: bytes = b"") -> SampleEntry:
    """Describe a track that can be described."""
    found = sample_entry(track, payload)
    assert found is not None
    return found


def whole(kind: bytes, body: bytes) -> bytes:
    """Write a box."""
    return (8 + len(body)).to_bytes(4, "big") + kind + body


def parts(found: SampleEntry, head: int) -> dict[bytes, bytes]:
    """Return the boxes in a sample entry, behind its own fields."""
    return dict(mp4_runs.boxes(found.box[8 + head :]))


def video_parts(found: SampleEntry) -> dict[bytes, bytes]:
    """Return the boxes in a VisualSampleEntry."""
    return parts(found, 78)


def audio_parts(found: SampleEntry) -> dict[bytes, bytes]:
    """Return the boxes in an AudioSampleEntry."""
    return parts(found, 28)


def test_h264() -> None:
    """ISO/IEC 14496-15 section 5.4.2: "avc1", byte by byte; what x264 wrote comes out again."""
    found = entry(AVC)
    avcc = whole(b"avcC", vectors.AVCC_1080)
    assert found.box == whole(b"avc1", VISUAL + H("0780 0438") + VISUAL_TAIL + avcc)
    assert (found.width, found.height, found.is_complete) == (1920, 1080, True)
    assert found.frame_rate == pytest.approx(30000 / 1001)


def test_pixels_that_are_no_squares() -> None:
    """ISO/IEC 14496-12 sections 12.1.4 and 8.3.2: pasp, and the width that is to be shown."""
    found = entry(replace(AVC, config=vectors.AVCC_576I))
    assert found.box[32:36] == H("02d0 0240")
    assert video_parts(found)[b"pasp"] == H("00000040 0000002d")
    assert (found.width, found.height) == (720 * 64 // 45, 576)


def test_colours() -> None:
    """ISO/IEC 14496-12 section 12.1.5: colr where the parameter sets tell, and only there."""
    told = entry(replace(AVC, config=vectors.AVCC_444))
    assert video_parts(told)[b"colr"] == b"nclx" + H("0001 0001 0001 00")
    assert set(video_parts(entry(AVC))) == {b"avcC"}
    hdr = video_parts(entry(replace(HEVC, config=vectors.HVCC_1078)))
    assert hdr[b"colr"] == b"nclx" + H("0009 0010 0009 00")
    assert hdr[b"pasp"] == H("00000004 00000003")
    assert video_parts(entry(AV1))[b"colr"] == b"nclx" + H("0009 0010 0009 00")
    full = vp9.VPConfiguration(level_idc=10, colour=Colour(full_range=True))
    found = entry(Track(Codec.VP9, config=vp9.build_configuration(full)))
    assert video_parts(found)[b"colr"] == b"nclx" + H("0002 0002 0002 80")


def test_h264_record_is_written_anew() -> None:
    """ISO/IEC 14496-15 section 5.3.3.1: lengths of 4 bytes and High's extension, whatever came.

    A parameter set that cannot be read comes after one that can.
    """
    record = h264.parse_configuration(vectors.AVCC_1080)
    (sps,), (pps,) = record.sps, record.pps
    broken = H("67ff")
    sent = H("01 42 00 1f fc e3")
    for unit in (broken, sps, sps):
        sent += len(unit).to_bytes(2, "big") + unit
    sent += H("01") + len(pps).to_bytes(2, "big") + pps
    body = video_parts(entry(replace(AVC, config=sent)))[b"avcC"]
    assert body[:6] == H("01 640028 ff e2")
    assert h264.parse_configuration(body).sps == (sps, broken)
    assert body.endswith(pps + H("fdf8f800"))


def test_hevc() -> None:
    """C-FM-05, ISO/IEC 14496-15 section 8.4.1: "hvc1", whose sets are complete, byte by byte."""
    found = entry(HEVC)
    hvcc = whole(b"hvcC", vectors.HVCC_720)
    assert found.box == whole(b"hvc1", VISUAL + H("0500 02d0") + VISUAL_TAIL + hvcc)
    # VPS, SPS and PPS, each array with the bit of array_completeness.
    for kind in (0x20, 0x21, 0x22):
        assert bytes((0x80 | kind, 0, 1)) in vectors.HVCC_720


def test_hevc_sets_are_made_complete() -> None:
    """C-FM-05: array_completeness, which "hvc1" demands, also where the encoder did not set it.

    HDR's SEI is kept, in an array that is not complete; x265's signature goes.
    """
    record = hevc.parse_configuration(vectors.HVCC_720)
    mastering = H("4e01 89 18") + bytes(24) + H("80")
    signature = H("4e01 05 04 01020304 80")
    loose = bytearray(vectors.HVCC_720[:22]) + bytes((4,))
    for kind, units in (
        (hevc.PREFIX_SEI, [signature, mastering]),
        (hevc_sets.PPS_UNIT, record.pps),
        (hevc_sets.SPS_UNIT, record.sps),
        (hevc_sets.VPS_UNIT, record.vps),
    ):
        loose += bytes((kind, 0, len(units)))
        for unit in units:
            loose += len(unit).to_bytes(2, "big") + unit
    body = video_parts(entry(replace(HEVC, config=bytes(loose))))[b"hvcC"]
    array = H("27 0001") + len(mastering).to_bytes(2, "big") + mastering
    assert body == vectors.HVCC_720[:22] + b"\x04" + vectors.HVCC_720[23:] + array


def test_hevc_with_much_sei() -> None:
    """More SEI than HDR has is left out: 65,536 units do not fit where they are counted."""
    unit = H("0003 4e0189")
    arrays = [H("27 ffff") + unit * 0xFFFF] * 2
    config = vectors.HVCC_720[:22] + b"\x05" + vectors.HVCC_720[23:] + b"".join(arrays)
    body = video_parts(entry(replace(HEVC, config=config)))[b"hvcC"]
    assert len(hevc.parse_configuration(body).sei) == 16


def test_av1() -> None:
    """AV1-ISOBMFF section 2.2: "av01", byte by byte; what libaom wrote comes out again."""
    found = entry(AV1)
    colr = whole(b"colr", b"nclx" + H("0009 0010 0009 00"))
    av1c = whole(b"av1C", vectors.AV1C_362)
    assert found.box == whole(b"av01", VISUAL + H("0282 016a") + VISUAL_TAIL + av1c + colr)
    assert (found.width, found.height, found.is_complete) == (642, 362, True)


def test_av1_record_is_written_anew() -> None:
    """AV1-ISOBMFF section 2.3: sizes, metadata, the presentation delay; nothing else.

    A sequence header may come with the first keyframe, or be better there.
    """
    head, units = vectors.AV1C_362[:4], vectors.AV1C_362[4:]
    (sequence,) = av1.split_obus(units)
    metadata, padding = H("2a 02 0102"), H("7a 01 00")
    delayed = head[:3] + b"\x13"
    body = video_parts(entry(replace(AV1, config=delayed + padding + units + metadata)))[b"av1C"]
    assert body == delayed + units + metadata
    unsized = head + bytes((sequence.header[0] & ~2,)) + sequence.payload
    assert video_parts(entry(replace(AV1, config=unsized)))[b"av1C"] == vectors.AV1C_362
    for config in (head, head + H("0a ff"), head + H("0a 01 ff"), b""):
        track = replace(AV1, config=config)
        later = entry(track, units + H("32 01 10"))
        assert later.is_complete
        assert video_parts(later)[b"av1C"] == vectors.AV1C_362
        sooner = sample_entry(track)
        if config:
            assert sooner is not None and not sooner.is_complete
            assert video_parts(sooner)[b"av1C"] == head
        else:
            assert sooner is None


def test_vp9() -> None:
    """VP-ISOBMFF "VP Codec Configuration Box": "vp09", byte by byte; its size is in a keyframe."""
    found = entry(VP9, vectors.VP9_360)
    vpcc = whole(b"vpcC", vectors.VPCC_360)
    assert found.box == whole(b"vp09", VISUAL + H("0280 0168") + VISUAL_TAIL + vpcc)
    assert (found.width, found.height, found.is_complete) == (640, 360, True)
    assert not entry(VP9).is_complete
    assert video_parts(entry(VP9)) == {b"vpcC": vectors.VPCC_360}


def test_vp9_without_configuration() -> None:
    """VP-ISOBMFF: profile, depth and chroma come from the keyframe, the level from the size."""
    for config in (b"", b"\x01\0\0\0\x09"):
        track = replace(VP9, config=config)
        found = entry(track, vectors.VP9_422)
        assert video_parts(found)[b"vpcC"] == H("01000000 03 15 a4 020202 0000")
        guess = entry(track)
        assert not guess.is_complete
        assert video_parts(guess)[b"vpcC"] == H("01000000 00 0a 80 020202 0000")
    assert entry(replace(VP9, config=b""), vectors.VP9_360[:6]).is_complete is False


@pytest.mark.parametrize(("width", "height"), [(65536, 65536), (65535, 16)])
def test_largest_picture(width: int, height: int) -> None:
    """A size of 65536, which VP9 can have and MP4 cannot, does no harm."""
    writer = BitWriter()
    writer.u(0b10_00_0_0_1_0, 8)
    writer.u(0x498342, 24)
    writer.u(0, 4)
    writer.u(width - 1, 16)
    writer.u(height - 1, 16)
    writer.u(0, 32)
    found = entry(VP9, writer.to_bytes())
    assert (found.width, found.height) == (65535, min(height, 65535))


def test_absurd_aspect_ratio() -> None:
    """Pixels so wide that the picture has no width that MP4 can tell are taken for squares."""
    writer = BitWriter()
    writer.u(0x67, 8)
    writer.u(0x42C01E, 24)
    for number in (0, 0, 0, 0, 1):  # id, frame numbers, order, its bits, references
        writer.ue(number)
    writer.u(0, 1)
    writer.ue(79)
    writer.ue(44)
    writer.u(0b11_0_1, 4)  # frames only, direct, no cropping, VUI
    writer.u(0b1_11111111, 9)
    writer.u(65535, 16)
    writer.u(1, 16)
    writer.u(0b00000_0000_1, 10)
    sps = writer.to_bytes()
    config = H("01 42c01e ff e1") + len(sps).to_bytes(2, "big") + sps + H("01 0004 68ce3c80")
    assert h264.parse_sps(sps).sample_aspect_ratio == (65535, 1)
    found = entry(replace(AVC, config=config))
    assert (found.width, found.height) == (1280, 720)
    assert b"pasp" not in video_parts(found)


def test_aac() -> None:
    """ISO/IEC 14496-14 section 5.6.1, ISO/IEC 14496-1 section 7.2.6: "mp4a", byte by byte."""
    esds = H("00000000 031c000000 0414 4015 000000 00000000 00000000 0505 119056e500 060102")
    assert entry(AAC).box == whole(
        b"mp4a", AUDIO + H("0002 0010 0000 0000 bb800000") + whole(b"esds", esds)
    )


def test_aac_of_every_kind() -> None:
    """What decoders put out is told: HE-AAC at its full rate, v2 with two channels, 96 kHz as 0."""
    sbr = aac.AudioSpecificConfig(sample_rate=24000, sbr=True, extension_rate=48000)
    config = aac.build_audio_specific_config(sbr)
    assert entry(replace(AAC, config=config)).box[24:36] == H("0002 0010 0000 0000 bb800000")
    config = aac.build_audio_specific_config(sbr._replace(channels=1, ps=True))
    assert entry(replace(AAC, config=config)).box[24:26] == H("0002")
    config = aac.build_audio_specific_config(sbr._replace(sbr=False, sample_rate=96000))
    found = entry(replace(AAC, clock_rate=96000, config=config))
    assert found.box[24:36] == H("0002 0010 0000 0000 00000000")
    assert entry(replace(AAC, config=vectors.AAC_LC_51)).box[24:26] == H("0006")


def test_long_descriptor() -> None:
    """ISO/IEC 14496-1 section 8.3.3: a length above 127 has two bytes."""
    config = vectors.AAC_LC_STEREO + bytes(195)
    esds = audio_parts(entry(replace(AAC, config=config)))[b"esds"]
    assert esds[4:] == (
        H("03 8161 000000 04 8158 4015 000000 00000000 00000000 05 8148") + config + H("060102")
    )
    assert sample_entry(replace(AAC, config=vectors.AAC_LC_STEREO + bytes(4092))) is None


def test_mp3() -> None:
    """C-FM-08, ISO/IEC 14496-1 table 5: MPEG-1 audio is 0x6B, MPEG-2's lower rates are 0x69."""
    esds = H("00000000 0315 000000 040d 6b15 000000 00000000 00000000 060102")
    found = entry(MP3, MP3_FRAME)
    assert found.is_complete
    assert found.box == whole(
        b"mp4a", AUDIO + H("0001 0010 0000 0000 ac440000") + whole(b"esds", esds)
    )
    low = replace(MP3, clock_rate=22050, channels=2)
    found = entry(low, vectors.MP3_STEREO_22)
    assert found.box == entry(low).box
    assert found.box[24:36] == H("0002 0010 0000 0000 56220000")
    assert audio_parts(found)[b"esds"] == esds.replace(b"\x6b", b"\x69")
    assert not entry(MP3).is_complete and not entry(MP3, b"\xff\xff").is_complete
    # The frames know better than the track.
    assert entry(replace(MP3, channels=0)).box[24:26] == H("0002")
    assert entry(replace(MP3, channels=0), MP3_FRAME).box[24:26] == H("0001")


def test_opus() -> None:
    """C-FM-08, Opus in ISOBMFF sections 4.3.1 and 4.3.2: "Opus" with dOps, byte by byte."""
    assert entry(OPUS).box == whole(
        b"Opus", AUDIO + H("0006 0010 0000 0000 bb800000") + whole(b"dOps", vectors.DOPS_51)
    )
    # RFC 7587: RTP has no header; it is one stream of one or two channels.
    bare = replace(OPUS, config=b"", channels=1)
    assert audio_parts(entry(bare)) == {b"dOps": H("00 01 0138 0000bb80 0000 00")}
    assert audio_parts(entry(replace(bare, channels=0)))[b"dOps"][:2] == H("0002")
    assert sample_entry(replace(bare, channels=6)) is None


def test_flac() -> None:
    """C-FM-08, FLAC in ISOBMFF section 3.3: "fLaC" with dfLa, byte by byte."""
    dfla = H("00000000 80000022") + vectors.FLAC_STREAMINFO
    assert entry(FLAC).box == whole(
        b"fLaC", AUDIO + H("0002 0010 0000 0000 bb800000") + whole(b"dfLa", dfla)
    )


@pytest.mark.parametrize(
    ("rate", "told"),
    [(48000, 48000), (65535, 65535), (88200, 44100), (96000, 48000), (192000, 48000), (65537, 0)],
)
def test_flac_with_high_rates(rate: int, told: int) -> None:
    """FLAC in ISOBMFF section 3.3: 48 kHz stand for 96 and 192 kHz; 24 bits are told."""
    writer = BitWriter()
    writer.u(4096, 16)
    writer.u(4096, 16)
    writer.u(0, 48)
    writer.u(rate, 20)
    writer.u(1, 3)
    writer.u(23, 5)
    writer.u(0, 36)
    config = flac.build_config(writer.to_bytes() + bytes(16))
    found = entry(Track(Codec.FLAC, clock_rate=rate, config=config))
    assert found.box[24:36] == H("0002 0018 0000 0000") + (told << 16).to_bytes(4, "big")


def test_ac3() -> None:
    """C-FM-08, ETSI TS 102 366 sections F.3 and F.4: "ac-3" with dac3, byte by byte."""
    found = entry(AC3, AC3_FRAME)
    dac3 = whole(b"dac3", vectors.DAC3_STEREO_44)
    assert found.is_complete
    assert found.box == whole(b"ac-3", AUDIO + H("0002 0010 0000 0000 ac440000") + dac3)
    # Without a frame the configuration tells, and without it what is likely.
    assert entry(replace(AC3, config=vectors.DAC3_STEREO_44)).box == found.box
    assert not entry(AC3).is_complete
    assert audio_parts(entry(AC3))[b"dac3"] == vectors.DAC3_STEREO_44
    surround = replace(AC3, clock_rate=48000, channels=6, config=b"nonsense")
    assert audio_parts(entry(surround))[b"dac3"] == H("103d40")
    assert audio_parts(entry(surround, EAC3_FRAME))[b"dac3"] == H("103d40")


def test_eac3() -> None:
    """C-FM-08, ETSI TS 102 366 sections F.5 and F.6: "ec-3" with dec3, byte by byte."""
    found = entry(EAC3, EAC3_FRAME)
    dec3 = whole(b"dec3", vectors.DEC3_51)
    assert found.is_complete
    assert found.box == whole(b"ec-3", AUDIO + H("0006 0010 0000 0000 bb800000") + dec3)
    assert entry(replace(EAC3, config=vectors.DEC3_51)).box == found.box
    guess = entry(replace(EAC3, channels=2))
    assert not guess.is_complete
    assert audio_parts(guess)[b"dec3"] == H("0600 2004 00")
    assert audio_parts(entry(replace(EAC3, channels=2), AC3_FRAME)) == audio_parts(guess)


@pytest.mark.parametrize(
    "track",
    [
        Track(Codec.VP8),
        Track(Codec.VVC, config=b"\xff"),
        Track(Codec.FLV1),
        Track(Codec.PCM_ALAW, clock_rate=8000, channels=1),
        Track(Codec.AMF0, clock_rate=1000),
        Track(Codec.H264),
        Track(Codec.H264, config=b"\x01"),
        Track(Codec.H264, config=H("01 640028 ff e0 00")),
        Track(Codec.H264, config=H("01 640028 ff e1 0002 6764 00")),
        Track(Codec.HEVC),
        Track(Codec.HEVC, config=vectors.HVCC_720[:22] + b"\0"),
        Track(Codec.HEVC, config=vectors.HVCC_720[:-1]),
        Track(Codec.AV1),
        Track(Codec.AV1, config=b"\x01\0\0\0"),
        Track(Codec.AAC, clock_rate=48000),
        Track(Codec.AAC, clock_rate=48000, config=b"\x11"),
        Track(Codec.OPUS, clock_rate=48000, config=b"OpusHead"),
        Track(Codec.FLAC, clock_rate=48000),
        replace(AAC, clock_rate=0),
        replace(AAC, clock_rate=-1),
        replace(AAC, clock_rate=1 << 32),
    ],
)
def test_what_cannot_be_described(track: Track) -> None:
    """Without a usable configuration, or a form in MP4 that players know, there is no entry."""
    assert sample_entry(track) is None


def test_too_many_parameter_sets() -> None:
    """More parameter sets than a record has room for: no entry, and nothing raised."""
    record = h264.parse_configuration(vectors.AVCC_1080)
    units = [record.sps[0] + bytes((n + 1,)) for n in range(31)]
    sent = H("01 640028 ff ff") + b"".join(len(x).to_bytes(2, "big") + x for x in units)
    assert sample_entry(replace(AVC, config=sent + b"\0")) is not None
    sets = hevc.parse_configuration(vectors.HVCC_720)
    many = b"".join(
        len(unit).to_bytes(2, "big") + unit
        for unit in (sets.pps[0] + bytes((n + 1,)) for n in range(65))
    )
    config = vectors.HVCC_720[:22] + b"\x04" + vectors.HVCC_720[23:] + H("22 0041") + many
    assert sample_entry(replace(HEVC, config=config)) is None


CONFIGS = [track.config for track in (AVC, HEVC, AV1, VP9, AAC, OPUS, FLAC)]
CONFIGS += [vectors.DAC3_51, vectors.DEC3_51, vectors.OPUS_STEREO, vectors.HVCC_1078]
FRAMES = [MP3_FRAME, AC3_FRAME, EAC3_FRAME, vectors.VP9_360, vectors.VP9_422]
FRAMES += [vectors.AV1_KEYFRAME_START, b""]


@st.composite
def damaged(draw: st.DrawFn, good: list[bytes]) -> bytes:
    """Draw bytes: mostly good ones with something cut, changed or added."""
    data = bytearray(draw(st.sampled_from(good) | st.binary(max_size=60)))
    if data and draw(st.booleans()):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    if draw(st.booleans()):
        del data[draw(st.integers(0, len(data))) :]
    return bytes(data) + draw(st.just(b"") | st.binary(max_size=8))


@given(
    st.sampled_from(list(Codec)),
    damaged(CONFIGS),
    damaged(FRAMES),
    st.sampled_from([1, 8000, 44100, 90000, 0xFFFFFFFF]),
    st.integers(0, 255),
)
def test_any_publisher(
    codec: Codec, config: bytes, payload: bytes, clock_rate: int, channels: int
) -> None:
    """Whatever bytes come, nothing is raised, and what comes out is one whole box."""
    track = Track(codec, clock_rate=clock_rate, config=config, channels=channels)
    bare, found = sample_entry(track), sample_entry(track, payload)
    for one in (bare, found):
        if one is not None:
            ((_kind, _body),) = mp4_runs.boxes(one.box)
            inside = video_parts(one) if track.kind == "video" else audio_parts(one)
            assert inside
            assert 0 <= one.width <= 65535 and 0 <= one.height <= 65535
    # What a track alone tells is enough for `can_carry`.
    assert bare is None or found is not None
