"""The description of a live stream: what players learn of its tracks before they set them up."""

from __future__ import annotations

import pytest

from ntvmedia.media import Codec, MediaKind, Track
from ntvmedia.wire.rtp.formats import find_format
from ntvmedia.wire.rtp.presentation import describe_stream
from ntvmedia.wire.rtp.receiver import Receiver
from ntvmedia.wire.rtp.stream_sender import can_send
from ntvmedia.wire.rtsp.urls import resolve_control, split_control
from ntvmedia.wire.sdp import MediaDescription, SessionDescription, build_sdp, parse_sdp
from tests.wire.rtp import streams
from tests.wire.rtp.test_stream_sender import make

TRACKS = {
    "h264": streams.H264,
    "hevc": streams.HEVC,
    "av1": streams.AV1,
    "vp9": streams.VP9,
    "vp8": streams.VP8,
    "aac": streams.AAC,
    "opus": streams.OPUS,
    "pcm_alaw": streams.PCMA,
    "mp3": streams.MP3,
    "ac3": streams.AC3,
}


def describe(*tracks: Track) -> SessionDescription:
    """Describe tracks, and read the description as a player does."""
    return parse_sdp(build_sdp(describe_stream(make(), tracks, "test", "1800000000000")))


def rtpmap(media: MediaDescription) -> str:
    """Return the format of a media as it is written."""
    line = media.attribute("rtpmap")
    assert line is not None
    payload_type, _space, text = line.partition(" ")
    assert payload_type == str(media.payload_types[0])
    return text


def test_session() -> None:
    """What is said of the stream: its name, that it is live, and that it is controlled as one."""
    text = build_sdp(describe_stream(make(), [streams.H264], "test", "1800000000000")).decode()
    lines = text.splitlines()
    assert lines[0] == "v=0"
    assert lines[1].startswith("o=- 1800000000000 1 IN IP4 ")
    assert lines[2] == "s=test"
    for line in ("c=IN IP4 0.0.0.0", "t=0 0", "a=control:*", "a=range:npt=now-"):
        assert line in lines
    # The order of RFC 8866 section 5, in which GStreamer wants it.
    assert [line[0] for line in lines] == sorted(
        (line[0] for line in lines[: lines.index("t=0 0") + 1]), key="vosct".index
    ) + [line[0] for line in lines[lines.index("t=0 0") + 1 :]]


def test_media() -> None:
    """D-PL-08: the kinds, numbers, formats and sets of the tracks, in their order."""
    video, audio = describe(streams.H264, streams.AAC).media
    assert (video.kind, video.payload_types, rtpmap(video)) == ("video", (96,), "H264/90000")
    parameters = video.fmtp(96)
    assert parameters["packetization-mode"] == "1"
    assert parameters["sprop-parameter-sets"].count(",") == 1
    assert (audio.kind, audio.payload_types) == ("audio", (97,))
    assert rtpmap(audio).lower() == "mpeg4-generic/48000/2"
    assert audio.fmtp(97)["config"].lower() == streams.AAC.config.hex()


def test_static_payload_type() -> None:
    """G.711 has the number that every device knows (RFC 3551)."""
    (audio,) = describe(streams.PCMA).media
    assert (audio.payload_types, rtpmap(audio)) == ((8,), "PCMA/8000")


def test_controls() -> None:
    """D-RQ-12: each track has an address below the stream's, which leads back to it."""
    found = describe(streams.AAC, streams.HEVC, streams.OPUS)
    for place, media in enumerate(found.media):
        url = resolve_control("rtsp://host:8554/live/test/", media.control)
        assert split_control(url.partition(":8554")[2]) == ("/live/test", place)


def test_language() -> None:
    """It is told where it is known."""
    english = Track(
        Codec.AAC, clock_rate=48000, config=streams.AAC.config, channels=2, language="en"
    )
    text = build_sdp(describe_stream(make(), [english, streams.H264], "test", "1")).decode()
    assert text.count("a=lang:") == 1
    assert "a=lang:en\r\n" in text


@pytest.mark.parametrize("track", TRACKS.values(), ids=TRACKS)
def test_is_understood(track: Track) -> None:
    """What is described is what a receiver of our own takes, with the same codec and clock."""
    assert can_send(track)
    (media,) = describe(track).media
    assert media.kind == track.kind.value
    payload_type = media.payload_types[0]
    found = find_format(payload_type, rtpmap(media), media.fmtp(payload_type))
    assert found is not None
    assert found.codec is track.codec
    sender = make()
    receiver = streams.receiver(track, payload_type=sender.payload_type(track))
    assert isinstance(receiver, Receiver)
    packets = [streams.MAKERS[track.codec](number, [50], key=number == 0) for number in range(4)]
    data = [piece for packet in packets for piece in sender.packets(packet)]
    came = streams.media(streams.receive(receiver, data))
    assert [packet.payload for packet in came] == [packet.payload for packet in packets]


@pytest.mark.parametrize(
    "track",
    [
        Track(Codec.FLAC, clock_rate=48000),
        Track(Codec.SPEEX, clock_rate=16000),
        Track(Codec.NELLYMOSER, clock_rate=44100),
        Track(Codec.FLV1),
        Track(Codec.VP6F),
        Track(Codec.AMF0, clock_rate=1000),
    ],
    ids=lambda track: track.codec.value,
)
def test_cannot_be_sent(track: Track) -> None:
    """Codecs without a payload format, and what is no media."""
    assert not can_send(track)
    assert track.kind in MediaKind
