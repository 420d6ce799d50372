"""Formats by what a media description says, and descriptions of tracks."""

from __future__ import annotations

import pytest

from ntvmedia.errors import PeerError
from ntvmedia.media import Codec, Track
from ntvmedia.wire.rtp.formats import describe, find_format, packetiser
from tests.codecs import vectors
from tests.wire.rtp import streams


@pytest.mark.parametrize(
    ("payload_type", "name", "rate", "channels", "codec"),
    [
        (0, "PCMU", 8000, 1, Codec.PCM_MULAW),
        (8, "PCMA", 8000, 1, Codec.PCM_ALAW),
        (10, "L16", 44100, 2, Codec.PCM_S16LE),
        (11, "L16", 44100, 1, Codec.PCM_S16LE),
        (14, "MPA", 90000, 0, Codec.MP3),
        (33, "MP2T", 90000, 0, None),
    ],
)
def test_static(
    payload_type: int, name: str, rate: int, channels: int, codec: Codec | None
) -> None:
    """D-RT-09: payload types without `rtpmap` (RFC 3551 section 6)."""
    found = find_format(payload_type)
    assert found is not None
    assert found.depacketiser().flush() == []
    assert tuple(found) == (payload_type, name, rate, channels, {}, codec)


@pytest.mark.parametrize(
    ("rtpmap", "rate", "channels", "codec"),
    [
        ("H264/90000", 90000, 0, Codec.H264),
        ("h264/90000", 90000, 0, Codec.H264),
        ("H265/90000", 90000, 0, Codec.HEVC),
        ("AV1/90000", 90000, 0, Codec.AV1),
        ("VP9/90000", 90000, 0, Codec.VP9),
        ("VP8/90000", 90000, 0, Codec.VP8),
        ("MPEG4-GENERIC/44100/2", 44100, 2, Codec.AAC),
        ("mpeg4-generic/16000", 16000, 0, Codec.AAC),
        ("MP4A-LATM/48000/2", 48000, 2, Codec.AAC),
        ("opus/48000/2", 48000, 2, Codec.OPUS),
        ("multiopus/48000/6", 48000, 6, Codec.OPUS),
        ("PCMA/8000", 8000, 0, Codec.PCM_ALAW),
        ("PCMU/16000/2", 16000, 2, Codec.PCM_MULAW),
        ("L16/48000/2", 48000, 2, Codec.PCM_S16LE),
        ("ac3/48000/6", 48000, 6, Codec.AC3),
        ("eac3/48000", 48000, 0, Codec.EAC3),
        ("MP2T/90000", 90000, 0, None),
        (" H264 / 90000 ", 90000, 0, Codec.H264),
        ("H264", 90000, 0, Codec.H264),  # some leave out the only rate there is
    ],
)
def test_dynamic(rtpmap: str, rate: int, channels: int, codec: Codec | None) -> None:
    """Names in any case, with clock rate and channels."""
    found = find_format(97, rtpmap)
    assert found is not None
    assert (found.clock_rate, found.channels, found.codec) == (rate, channels, codec)


@pytest.mark.parametrize(
    "rtpmap",
    [
        "",
        "G726-32/8000",
        "vnd.onvif.metadata/90000",
        "H263/90000",
        "PCMA/0",
        "PCMA/x",
        "PCMA/-8000",
        "PCMA/99999999999999",
        "PCMA",
        "L16/48000/300",
        "MPEG4-GENERIC",
    ],
)
def test_unknown(rtpmap: str) -> None:
    """D-RT-09: what we do not read is no track, and a clock of no rate none either."""
    assert find_format(97, rtpmap) is None
    assert find_format(128, "H264/90000") is None
    assert find_format(-1) is None


def test_names_of_parameters() -> None:
    """Senders write them in any case."""
    found = find_format(97, "MPEG4-GENERIC/48000/2", {"Config": "1190", "sizeLength": "13"})
    assert found is not None
    assert found.parameters == {"config": "1190", "sizelength": "13"}
    assert found.depacketiser(3).flush() == []


def test_refused() -> None:
    """D-RT-07: what lacks its configuration is told when it is to be read."""
    found = find_format(97, "MPEG4-GENERIC/48000/2")
    assert found is not None
    with pytest.raises(PeerError):
        found.depacketiser()


@pytest.mark.parametrize(
    ("track", "rtpmap", "payload_type"),
    [
        (streams.H264, "H264/90000", None),
        (streams.HEVC, "H265/90000", None),
        (streams.AV1, "AV1/90000", None),
        (streams.VP9, "VP9/90000", None),
        (streams.VP8, "VP8/90000", None),
        (streams.AAC, "mpeg4-generic/48000/2", None),
        (streams.OPUS, "opus/48000/2", None),
        (
            Track(Codec.OPUS, clock_rate=48000, config=vectors.OPUS_51, channels=6),
            "multiopus/48000/6",
            None,
        ),
        (streams.MP3, "MPA/90000", 14),
        (streams.PCMA, "PCMA/8000", 8),
        (Track(Codec.PCM_MULAW, clock_rate=8000, channels=1), "PCMU/8000", 0),
        (Track(Codec.PCM_MULAW, clock_rate=8000, channels=2), "PCMU/8000/2", None),
        (Track(Codec.PCM_ALAW, clock_rate=16000, channels=1), "PCMA/16000/1", None),
        (Track(Codec.PCM_S16LE, clock_rate=44100, channels=2), "L16/44100/2", 10),
        (Track(Codec.PCM_S16LE, clock_rate=44100, channels=1), "L16/44100/1", 11),
        (Track(Codec.PCM_S16LE, clock_rate=48000, channels=2), "L16/48000/2", None),
        (streams.AC3, "ac3/48000/6", None),
    ],
)
def test_descriptions(track: Track, rtpmap: str, payload_type: int | None) -> None:
    """A track's description names the format that reads it."""
    told = describe(track)
    assert told is not None
    assert (told.rtpmap, told.payload_type) == (rtpmap, payload_type)
    kind = 96 if payload_type is None else payload_type
    found = find_format(kind, told.rtpmap, told.parameters)
    assert found is not None
    assert found.codec is track.codec
    assert found.depacketiser().flush() in ([], [track])
    maker = packetiser(track)
    assert maker is not None
    assert maker.clock_rate == found.clock_rate
    if payload_type is not None:
        by_type = find_format(payload_type)
        assert by_type is not None
        assert by_type[1:3] == found[1:3]


def test_fmtp() -> None:
    """The value as it stands in a description."""
    told = describe(streams.AAC)
    assert told is not None
    assert told.fmtp == (
        "streamtype=5; profile-level-id=1; mode=AAC-hbr; sizelength=13; indexlength=3; "
        "indexdeltalength=3; config=119056E500"
    )
    assert describe(streams.PCMA) == ("PCMA", 8000, 0, {}, 8)


@pytest.mark.parametrize("codec", [Codec.FLAC, Codec.FLV1, Codec.SPEEX, Codec.PCM_U8, Codec.AMF0])
def test_no_format(codec: Codec) -> None:
    """What RTP does not carry has no description."""
    assert describe(Track(codec)) is None
    assert packetiser(Track(codec)) is None
    assert describe(Track(Codec.AAC, clock_rate=48000)) is None
