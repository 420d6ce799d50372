"""Tests of session descriptions."""

from __future__ import annotations

from typing import Any, Final

import pytest
from hypothesis import given, settings, strategies as st

from ntvmedia.errors import LimitExceeded, PeerError, UsageError
from ntvmedia.wire.sdp import (
    MAX_FORMATS,
    MAX_LINES,
    MAX_MEDIA,
    MAX_SIZE,
    Attribute,
    Bandwidth,
    Connection,
    Direction,
    MediaDescription,
    Origin,
    RTPMap,
    SessionDescription,
    build_sdp,
    parse_sdp,
)
from tests.wire.rtsp import traces

# RFC 8866 section 5.
RFC_EXAMPLE: Final = b"""v=0\r
o=jdoe 3724394400 3724394405 IN IP4 198.51.100.1\r
s=Call to John Smith\r
i=SDP Offer #1\r
u=http://www.jdoe.example.com/home.html\r
e=Jane Doe <jane@jdoe.example.com>\r
p=+1 617 555-6011\r
c=IN IP4 198.51.100.1\r
t=0 0\r
m=audio 49170 RTP/AVP 0\r
m=audio 49180 RTP/AVP 0\r
m=video 51372 RTP/AVP 99\r
c=IN IP6 2001:db8::2\r
a=rtpmap:99 h263-1998/90000\r
"""

# RFC 2326 section C.1 has these controls; the rest is as cameras write it.
CAMERA: Final = (
    b"v=0\no=- 2251938202 2251938202 IN IP4 0.0.0.0\ns=Media Server\nc=IN IP4 0.0.0.0\nt=0 0\n"
    b"a=control:*\na=range:npt=0-\na=packetization-supported:DH\n"
    b"m=video 0 RTP/AVP 96\na=control:trackID=0 \na=framerate:25.000000\n"
    b"a=rtpmap:96 H264/90000\na=fmtp:96 PACKETIZATION-MODE=1;profile-level-id=64002A;"
    b" sprop-parameter-sets=Z2QAKqwsaoHgCJ+WbgICAgQ=,aO4xshs=;x\na=recvonly\n"
    b"m=audio 0 RTP/AVP 97\na=rtpmap:97 MPEG4-GENERIC/16000/2\na=recvonly\n"
    b"m=audio 0 RTP/AVP 8\na=control:trackID=5\na=rtpmap:8 PCMA/8000\na=sendonly\n\0"
)


def test_rfc_example() -> None:
    """RFC 8866 section 5: the example, of which mail and telephone are passed over."""
    description = parse_sdp(RFC_EXAMPLE)
    assert description.origin == Origin("jdoe", "3724394400", "3724394405", "IP4", "198.51.100.1")
    assert description.name == "Call to John Smith"
    assert description.information == "SDP Offer #1"
    assert description.connection == Connection("IP4", "198.51.100.1")
    assert [media.port for media in description.media] == [49170, 49180, 51372]
    video = description.media[2]
    assert video.connections == (Connection("IP6", "2001:db8::2"),)
    assert video.payload_types == (99,)
    assert video.rtpmap(99) == RTPMap("h263-1998", 90000)
    assert description.media[0].rtpmap(0) is None
    assert description.direction(video) is Direction.SENDRECV


def test_ffmpeg() -> None:
    """What ffmpeg announces, with spaces between parameters and a digit pair too many."""
    video, audio = parse_sdp(traces.FFMPEG_SDP).media
    assert video.kind == "video"
    assert video.protocol == "RTP/AVP"
    assert video.control == "streamid=0"
    assert video.fmtp(96) == {
        "packetization-mode": "1",
        "sprop-parameter-sets": "Z/QACpGWQKEficBEAAADAAQAAAMAUjxImSA=,aOvDxEhE",
        "profile-level-id": "F4000A",
    }
    assert audio.bandwidths == (Bandwidth("AS", 69),)
    assert audio.rtpmap(97) == RTPMap("MPEG4-GENERIC", 44100)
    assert audio.fmtp(97)["config"] == "120856E500"
    assert audio.fmtp(96) == {}


def test_gstreamer() -> None:
    """What GStreamer announces: the connection inside of the media, attributes without value."""
    description = parse_sdp(traces.GSTREAMER_SDP)
    (video,) = description.media
    assert description.connection is None
    assert video.connections == (Connection("IP4", "0.0.0.0"),)
    assert video.framerate == 30.0
    assert video.control == "stream=0"
    assert build_sdp(parse_sdp(build_sdp(description))) == build_sdp(description)


def test_camera() -> None:
    """D1: LF alone, names in capitals, a parameter without value, a NUL at the end."""
    description = parse_sdp(CAMERA)
    assert description.control == "*"
    assert description.attribute("range") == "npt=0-"
    assert description.attribute("recvonly") is None
    video, audio, back = description.media
    assert video.control == "trackID=0"
    assert video.framerate == 25.0
    assert video.fmtp(96)["packetization-mode"] == "1"
    assert video.fmtp(96)["sprop-parameter-sets"].endswith("aO4xshs=")
    assert video.fmtp(96)["x"] == ""
    assert video.attribute("recvonly") == ""
    assert audio.rtpmap(97) == RTPMap("MPEG4-GENERIC", 16000, 2)
    assert audio.control == ""
    assert description.direction(video) is Direction.RECVONLY
    # D-RQ-14: the camera's back channel is known by its direction.
    assert description.direction(back) is Direction.SENDONLY


def test_direction_of_the_session() -> None:
    """RFC 8866 6.7: the session's direction is that of media which have none."""
    description = parse_sdp(
        b"v=0\na=sendonly\nm=audio 0 RTP/AVP 0\nm=audio 0 RTP/AVP 8\na=inactive\n"
    )
    assert [description.direction(media) for media in description.media] == [
        Direction.SENDONLY,
        Direction.INACTIVE,
    ]


def test_multicast() -> None:
    """RFC 8866 5.7: the TTL of a group, which IPv6 does not have."""
    data = b"v=0\nc=IN IP4 233.252.0.1/127/3\nm=video 5000/2 RTP/AVP 96\nc=IN IP6 ff00::1/3\n"
    description = parse_sdp(data)
    assert description.connection == Connection("IP4", "233.252.0.1", 127)
    assert description.media[0].port_count == 2
    assert description.media[0].connections == (Connection("IP6", "ff00::1"),)


@pytest.mark.parametrize("data", [b"", b"\r\n", b"v=0\r\n", b"\0"])
def test_empty(data: bytes) -> None:
    """D-RQ-09: an empty description has no media, and is no crash."""
    assert parse_sdp(data) == SessionDescription()


@pytest.mark.parametrize(
    "line",
    [
        "a=rtpmap:96", "a=rtpmap:96 H264", "a=rtpmap:96 H264/0", "a=rtpmap:96 H264/-1",
        "a=rtpmap:96 H264/9999999999999999", "a=rtpmap:x H264/90000", "a=rtpmap: /1",
        "a=rtpmap:96 /90000", "a=rtpmap",
    ],
)  # fmt: skip
def test_useless_rtpmap(line: str) -> None:
    """A map that says nothing useful is none; no clock rate is 0 (D-RT-07)."""
    (media,) = parse_sdp(f"m=video 0 RTP/AVP 96\n{line}\n".encode()).media
    assert media.rtpmap(96) is None


@pytest.mark.parametrize("rate", ["", ":", ":x", ":nan", ":inf", ":-1", ":30000/1001"])
def test_useless_framerate(rate: str) -> None:
    """A rate that is none is 0."""
    (media,) = parse_sdp(f"m=video 0 RTP/AVP 96\na=framerate{rate}\n".encode()).media
    assert media.framerate == 0.0


def test_odd_lines() -> None:
    """What RFC 8866 has otherwise is read as well as it can be."""
    data = (
        b"o=- 1\nt=x\nb=AS\nb=X:y\nc=IN IP4\nzz\nX=1\n\xff=\na= tool :x\n"
        b"m=VIDEO 99999999999999999999/x RTP/AVP 96 x 200\n"
    )
    description = parse_sdp(data)
    assert description.origin == Origin()
    assert (description.start, description.stop) == (0, 0)
    assert description.bandwidths == ()
    assert description.connection is None
    assert description.attribute("tool") == "x"
    (media,) = description.media
    assert media.kind == "video"
    assert media.port == 0
    assert media.port_count == 1
    assert media.payload_types == (96,)


@pytest.mark.parametrize("data", [b"hello", b"{}\n", b"m=video\n", b"v=0\nm=video 0\n"])
def test_wrong(data: bytes) -> None:
    """What is no description, or has a broken media line, is the peer's error."""
    with pytest.raises(PeerError):
        parse_sdp(data)


def test_limits() -> None:
    """F4: size, lines, media and formats are limited."""
    assert len(parse_sdp(b"m=a 0 R 0\n" * MAX_MEDIA).media) == MAX_MEDIA
    many = b" 1" * MAX_FORMATS
    assert len(parse_sdp(b"m=a 0 R" + many + b"\n").media[0].formats) == MAX_FORMATS
    for data in (
        b"m=a 0 R 0\n" * (MAX_MEDIA + 1),
        b"m=a 0 R" + many + b" 1\n",
        b"v=0\n" + b" " * MAX_SIZE,
        b"a\n" * MAX_LINES,
    ):
        with pytest.raises(LimitExceeded):
            parse_sdp(data)


def test_written() -> None:
    """A description of ours, byte for byte (RFC 8866 section 5: the order of lines)."""
    video = MediaDescription.of_rtp(
        "video", 96, RTPMap("H264", 90000), {"packetization-mode": "1", "a": "b"}, "trackID=0"
    )
    audio = MediaDescription.of_rtp("audio", 97, RTPMap("opus", 48000, 2), {}, "trackID=1")
    description = SessionDescription(
        (video, audio),
        Origin("-", "7", "8", "IP6", "::1"),
        name="live/test",
        connection=Connection("IP4", "239.0.0.1", 5),
        bandwidths=(Bandwidth("AS", 1000),),
        attributes=(Attribute("control", "*"), Attribute("recvonly")),
    )
    assert build_sdp(description) == (
        b"v=0\r\no=- 7 8 IN IP6 ::1\r\ns=live/test\r\nc=IN IP4 239.0.0.1/5\r\nb=AS:1000\r\n"
        b"t=0 0\r\na=control:*\r\na=recvonly\r\n"
        b"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
        b"a=fmtp:96 packetization-mode=1;a=b\r\na=control:trackID=0\r\n"
        b"m=audio 0 RTP/AVP 97\r\na=rtpmap:97 opus/48000/2\r\na=control:trackID=1\r\n"
    )
    assert video.fmtp(96) == {"packetization-mode": "1", "a": "b"}
    assert audio.rtpmap(97) == RTPMap("opus", 48000, 2)


@pytest.mark.parametrize("bad", ["a\nb", "a\rb", "a\0"])
def test_unwritable(bad: str) -> None:
    """Nothing that we write ends a line early."""
    for description in (
        SessionDescription(name=bad),
        SessionDescription(attributes=(Attribute("a", bad),)),
        SessionDescription((MediaDescription(bad, ("0",)),)),
    ):
        with pytest.raises(UsageError):
            build_sdp(description)


words = st.text("abcXYZ019-./", min_size=1, max_size=8)
texts = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n"), min_size=1, max_size=20
)
numbers = st.integers(0, 10**9)
attributes = st.lists(
    st.builds(Attribute, words.filter(lambda name: name.strip() == name), st.none() | texts),
    max_size=4,
).map(tuple)
connections = st.builds(
    Connection, st.just("IP4"), st.text("0123456789.", min_size=1, max_size=9), st.integers(-1, 255)
)
bandwidths = st.lists(st.builds(Bandwidth, words, numbers), max_size=2).map(tuple)
medias = st.builds(
    MediaDescription,
    st.text("abc", min_size=1, max_size=5),
    st.lists(words, max_size=4).map(tuple),
    words,
    numbers,
    st.integers(1, 9),
    st.lists(connections, max_size=2).map(tuple),
    bandwidths,
    attributes,
)
descriptions = st.builds(
    SessionDescription,
    st.lists(medias, max_size=3).map(tuple),
    st.builds(Origin, words, words, words, words, words),
    texts,
    texts | st.just(""),
    st.none() | connections,
    bandwidths,
    numbers,
    numbers,
    attributes,
)


@settings(max_examples=60)
@given(descriptions)
def test_round_trip(description: SessionDescription) -> None:
    """What is written is read as it was."""
    assert parse_sdp(build_sdp(description)) == description


@given(st.lists(st.sampled_from(RFC_EXAMPLE.split(b"\r\n") + CAMERA.split(b"\n")) | st.binary()))
def test_any_lines(lines: list[Any]) -> None:
    """Whatever the lines, only documented errors."""
    try:
        description = parse_sdp(b"\n".join(lines))
    except PeerError:
        return
    for media in description.media:
        for payload_type in media.payload_types:
            media.rtpmap(payload_type)
            media.fmtp(payload_type)
        description.direction(media)
        assert media.framerate >= 0
