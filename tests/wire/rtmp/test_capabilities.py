"""Tests of what ends announce of Enhanced RTMP."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, strategies as st

from ntvmedia.formats import amf0
from ntvmedia.formats.amf0 import Value
from ntvmedia.media import Codec
from ntvmedia.wire.rtmp.capabilities import (
    LEGACY_CODECS,
    Capabilities,
    FourCCInfo,
    announcement,
    parse_capabilities,
)


def test_a_client_without_any_is_a_legacy_one() -> None:
    """A-ER-09: one that announced nothing takes the numbered codecs, and no others."""
    found = parse_capabilities({"app": "live", "videoCodecs": 252.0})
    assert found == Capabilities()
    assert not found.is_enhanced
    assert {codec for codec in Codec if found.takes(codec)} == LEGACY_CODECS | {Codec.AMF0}
    assert not found.takes(Codec.HEVC)


def test_list_of_four_ccs() -> None:
    """A-ER-08: the list of E-RTMP v1, as FFmpeg 9 sends it."""
    found = parse_capabilities({"fourCcList": ["hvc1", "Opus", "xxxx"]})
    assert found.is_enhanced
    assert found.codecs == {Codec.HEVC, Codec.OPUS}
    assert not found.has_multitrack
    assert not found.can_reconnect


@pytest.mark.parametrize(
    "four_ccs",
    [["*"], "*", {"0": "*"}, ["av01", "*"]],
    ids=["list", "text", "object", "one of several"],
)
def test_wildcard(four_ccs: Value) -> None:
    """A-ER-08: "*" is every codec, in whatever it is wrapped."""
    found = parse_capabilities({"fourCcList": four_ccs})
    assert found.codecs >= {Codec.AV1, Codec.HEVC, Codec.OPUS, Codec.FLAC}


def test_info_maps() -> None:
    """E-RTMP v2: what can be decoded or forwarded may be sent; what is only encoded may not."""
    found = parse_capabilities(
        {
            "videoFourCcInfoMap": {"hvc1": 1.0, "av01": 2.0, "vp09": 4.0, "none": 7.0},
            "audioFourCcInfoMap": amf0.ECMAArray({"*": 4.0}),
            "capsEx": 3.0,
        }
    )
    assert Codec.HEVC in found.codecs
    assert Codec.VP9 in found.codecs
    assert Codec.AV1 not in found.codecs
    assert found.codecs >= {Codec.OPUS, Codec.AC3}
    assert found.has_multitrack
    assert found.can_reconnect


@pytest.mark.parametrize("caps_ex", [math.nan, math.inf, -1.0, 2.0**40, "7", None, [7.0]])
def test_absurd_flags_are_none(caps_ex: Value) -> None:
    """A-ER-08: what is no set of bits announces nothing, and is no error."""
    found = parse_capabilities({"capsEx": caps_ex, "fourCcList": []})
    assert found.is_enhanced
    assert found.caps_ex == 0


def test_absurd_sizes() -> None:
    """A-ER-08: of a map with 50,000 names only the known ones are kept."""
    names: dict[str, Value] = {f"{index:04x}": 7.0 for index in range(50_000)}
    found = parse_capabilities({"videoFourCcInfoMap": {**names, "av01": 7.0}})
    assert found.codecs == {Codec.AV1}


def test_our_announcement_is_understood() -> None:
    """Another server of this kind reads all of it."""
    properties = amf0.decode(amf0.encode(announcement(FourCCInfo.CAN_FORWARD)))[0]
    assert isinstance(properties, dict)
    found = parse_capabilities(properties)
    assert found.can_reconnect
    assert found.has_multitrack
    assert found.codecs >= {Codec.H264, Codec.HEVC, Codec.AV1, Codec.OPUS, Codec.FLAC}


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from(["capsEx", "fourCcList", "videoFourCcInfoMap", "audioFourCcInfoMap"]),
        VALUES,
    )
)
def test_nothing_fails(properties: dict[str, Value]) -> None:
    """Whatever a client puts there, it is read."""
    assert parse_capabilities(properties).caps_ex >= 0
