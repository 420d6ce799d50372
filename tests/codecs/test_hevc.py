"""Tests of hvcC and HEVC's kinds of units."""

from __future__ import annotations

from itertools import permutations

import pytest

from ntvmedia.codecs import hevc, nal
from ntvmedia.errors import LimitExceeded, PeerError
from tests.codecs import vectors

CONFIG = hevc.parse_configuration(vectors.HVCC_720)
VPS, SPS, PPS = CONFIG.vps[0], CONFIG.sps[0], CONFIG.pps[0]


@pytest.mark.parametrize(
    ("record", "name", "size", "rate", "sar", "profile", "level"),
    [
        (vectors.HVCC_720, "hvc1.1.6.L93.90", (1280, 720), 30.0, (1, 1), "Main", "3.1"),
        (
            vectors.HVCC_1078, "hvc1.2.4.H153.90", (1918, 1078), 23.976, (4, 3),
            "Main 10", "5.1 High",
        ),
    ],
)  # fmt: skip
def test_x265(
    record: bytes,
    name: str,
    size: tuple[int, int],
    rate: float,
    sar: tuple[int, int],
    profile: str,
    level: str,
) -> None:
    """What ffprobe says of the file; and hvcC is built again byte for byte."""
    config = hevc.parse_configuration(record)
    assert (config.codec_string, config.length_size) == (name, 4)
    sps = hevc.first_sps(config)
    assert sps is not None
    assert (sps.width, sps.height) == size
    assert sps.frame_rate == pytest.approx(rate, abs=0.001)
    assert sps.sample_aspect_ratio == sar
    assert (sps.profile, sps.level) == (profile, level)
    assert hevc.build_configuration(config.vps, config.sps, config.pps) == record


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        # The examples of ISO/IEC 14496-15 section E.3.
        ((0, 0, 1, 0x60000000, "b00000000000", 93), "hvc1.1.6.L93.b0"),
        ((1, 1, 4, 0x08000000, "b00000000000", 153), "hvc1.A4.10.H153.b0"),
        ((0, 0, 1, 0x60000000, "000000000000", 120), "hvc1.1.6.L120"),
        ((2, 0, 2, 0x20000000, "900000000001", 120), "hvc1.B2.4.L120.90.0.0.0.0.1"),
    ],
)
def test_codec_string(fields: tuple[int, int, int, int, str, int], name: str) -> None:
    """Flags turned round, zero bytes at the end left out."""
    space, tier, profile, compatibility, constraints, level = fields
    config = CONFIG._replace(
        profile_space=space,
        tier=tier,
        profile_idc=profile,
        compatibility=compatibility,
        constraints=bytes.fromhex(constraints),
        level_idc=level,
    )
    assert config.codec_string == name


def array(kind: int, *units: bytes) -> bytes:
    """Encode one array of hvcC, as incomplete."""
    parts = [bytes((kind, 0, len(units)))]
    return b"".join(parts + [len(unit).to_bytes(2, "big") + unit for unit in units])


@pytest.mark.parametrize("order", list(permutations([(32, VPS), (33, SPS), (34, PPS)])))
def test_order_of_arrays(order: tuple[tuple[int, bytes], ...]) -> None:
    """A-MD-06: arrays in any order, even one kind in two arrays, and unknown ones."""
    arrays = [array(kind, unit) for kind, unit in order] + [array(33, SPS), array(40, b"\x50\x01")]
    record = vectors.HVCC_720[:22] + bytes((len(arrays),)) + b"".join(arrays)
    config = hevc.parse_configuration(record)
    assert (config.vps, config.sps, config.pps) == ((VPS,), (SPS, SPS), (PPS,))


def test_broken_and_absent_sets() -> None:
    """A-MD-06: the first SPS that can be read is used; none, or an empty one, is no error."""
    record = vectors.HVCC_720[:22] + b"\x01" + array(33, b"\x42\x01", SPS)
    sps = hevc.first_sps(hevc.parse_configuration(record))
    assert sps is not None
    assert sps.width == 1280
    for tail in (b"\x00", b"\x01" + array(33), b"\x01" + array(33, b"")):
        config = hevc.parse_configuration(vectors.HVCC_720[:22] + tail)
        assert (config.sps, hevc.first_sps(config)) == ((), None)


@pytest.mark.parametrize("cut", [0, 22, 24, 27, 60, 106])
def test_cut_off(cut: int) -> None:
    """A record that ends early is an error, wherever."""
    with pytest.raises(PeerError):
        hevc.parse_configuration(vectors.HVCC_720[:cut])
    with pytest.raises(PeerError):
        hevc.parse_configuration(b"\x02" + vectors.HVCC_720[1:])


def test_build() -> None:
    """Repeated sets once, SEI behind them; none, and too many or too long ones, are refused."""
    sei = b"\x4e\x01\x05"
    config = hevc.parse_configuration(hevc.build_configuration([VPS], [SPS, SPS], [PPS], [sei]))
    assert (config.sps, config.sei) == ((SPS,), (sei,))
    with pytest.raises(PeerError, match="needs"):
        hevc.build_configuration([VPS], [], [PPS])
    with pytest.raises(LimitExceeded):
        hevc.build_configuration([VPS], [SPS], [b"\x44\x01" + bytes(65535)])
    with pytest.raises(LimitExceeded):
        hevc.build_configuration([VPS], [SPS], [b"\x44\x01" + bytes((n,)) for n in range(65)])


@pytest.mark.parametrize(
    ("kind", "expected"), [(1, False), (9, False), (16, True), (19, True), (21, True), (22, False)]
)
def test_keyframes(kind: int, expected: bool) -> None:
    """BLA, IDR and CRA are keyframes, by the first slice; reserved types are not."""
    payload = nal.join_length_prefixed([b"\x46\x01\x50", b"\x4e\x01", bytes((kind << 1, 1, 0x80))])
    assert hevc.is_keyframe(payload) == expected
    assert not hevc.has_parameter_sets(payload)


def test_frames() -> None:
    """Parameter sets before the first slice count, and make hvcC."""
    payload = nal.join_length_prefixed([b"\x46\x01\x50", VPS, SPS, PPS, b"\x26\x01\xaf"])
    assert hevc.has_parameter_sets(payload)
    assert hevc.is_keyframe(payload)
    assert hevc.configuration_from_frame(payload) == vectors.HVCC_720
    assert hevc.configuration_from_frame(nal.join_length_prefixed([VPS, SPS])) == b""
    assert not hevc.has_parameter_sets(nal.join_length_prefixed([b"\x02\x01", SPS]))
    assert (hevc.is_keyframe(b""), hevc.has_parameter_sets(b"\x00" * 9)) == (False, False)
