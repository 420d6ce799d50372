"""What encoders send is what a viewer gets: FFmpeg and GStreamer, their codecs and dialects.

curl records each stream over HTTP-FLV while it lasts; the players have tests of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.clients import PLAY_WAIT, pass_through, publish_command
from tests.e2e.media import (
    assert_monotone,
    assert_part,
    assert_same,
    make_clip,
    packets,
    pictures,
    sounds,
)
from tests.e2e.processes import run
from tests.e2e.server import Server

SECONDS = 3.0
TONE = f"sine=frequency=440:duration={SECONDS}"
PICTURE = f"testsrc2=size=320x240:rate=30:duration={SECONDS}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests here."""
    server = Server(tmp_path_factory.mktemp("server"), [PLAY_WAIT])
    yield server
    server.close()


@pytest.fixture(scope="module")
def short_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds of H.264 with B-frames and AAC."""
    return make_clip(tmp_path_factory.mktemp("clip") / "short.flv", SECONDS)


def assert_came(copy: Path, source: Path, kinds: str = "va", late: int = 5) -> None:
    """Check what came against what was sent: packets, their order, and what is decoded.

    Args:
        copy: What a viewer who waited has recorded.
        source: What was sent.
        kinds: Tracks: "v", "a".
        late: A viewer begins at a keyframe: how many packets may be missing before it.
    """
    for kind in kinds:
        received, sent = packets(copy, kind), packets(source, kind)
        start = assert_part(received, sent, len(sent) - late)
        assert start + len(received) == len(sent)
        assert_monotone(received)
        if kind == "v":
            assert_same(pictures(copy), pictures(source)[start:])
        else:
            heard = sounds(copy)
            if start == 0:  # what is heard first depends on what was before
                assert_same(heard, sounds(source))


def flags(path: Path) -> int:
    """Return the flags of an FLV file's header: 4 for audio, 1 for video."""
    return path.read_bytes()[4]


H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "30", "-pix_fmt", "yuv420p")


@pytest.mark.parametrize(
    ("codecs", "rate"),
    [
        pytest.param((*H264, "-c:a", "libmp3lame"), 44100, id="h264-mp3"),
        pytest.param((*H264, "-c:a", "pcm_alaw"), 8000, id="h264-alaw"),
        pytest.param((*H264, "-c:a", "pcm_mulaw"), 8000, id="h264-mulaw"),
        pytest.param((*H264, "-c:a", "pcm_s16le"), 44100, id="h264-pcm"),
        pytest.param((*H264, "-c:a", "libspeex"), 16000, id="h264-speex"),
        pytest.param((*H264, "-c:a", "nellymoser"), 44100, id="h264-nellymoser"),
        pytest.param(("-c:v", "flv1", "-g", "30", "-c:a", "libmp3lame"), 22050, id="flv1-mp3"),
    ],
)
def test_codecs(
    server: Server,
    tmp_path: Path,
    codecs: tuple[str, ...],
    rate: int,
    request: pytest.FixtureRequest,
) -> None:
    """A-MD-10: what Debian's FFmpeg can put into RTMP comes out as it went in.

    It publishes as fast as it can, in bursts larger than any socket's buffer.
    """
    source = tmp_path / "source.flv"
    inputs = ("-f", "lavfi", "-i", PICTURE, "-f", "lavfi", "-i", TONE)
    sound = ("-ar", str(rate), "-ac", "1")
    run(["ffmpeg", "-v", "error", *inputs, *codecs, *sound, "-shortest", source], tmp_path)
    name = f"liveshow/{request.node.callspec.id}"
    command = publish_command(source, server.rtmp(name), realtime=False)
    copy = pass_through(server, name, command, tmp_path)
    assert flags(copy) == 5
    assert_came(copy, source)


@pytest.mark.parametrize(
    ("options", "kind", "flag"),
    [
        pytest.param(("-an", "-c:v", "copy"), "v", 1, id="video"),
        pytest.param(("-vn", "-c:a", "copy"), "a", 4, id="aac"),
        pytest.param(("-vn", "-c:a", "libmp3lame"), "a", 4, id="mp3"),
    ],
)
def test_one_track(
    server: Server,
    short_clip: Path,
    tmp_path: Path,
    options: tuple[str, ...],
    kind: str,
    flag: int,
) -> None:
    """A-MD-11: a stream of pictures or of sound alone comes out whole, and its header is true."""
    source = tmp_path / "source.flv"
    run(["ffmpeg", "-v", "error", "-i", short_clip, *options, source], tmp_path)
    name = f"liveshow/only-{flag}-{source.stat().st_size}"
    copy = pass_through(server, name, publish_command(source, server.rtmp(name)), tmp_path)
    assert flags(copy) == flag
    # Its tracks are known after a second, in which a keyframe or another second of sound may begin.
    assert_came(copy, source, kind, late=len(packets(source, kind)) // 2)


def test_unsupported_audio(server: Server, short_clip: Path, tmp_path: Path) -> None:
    """A-MD-10: a track of a codec that we do not know is left out; the other one goes on."""
    source = tmp_path / "source.flv"
    adpcm = ("-c:v", "copy", "-c:a", "adpcm_swf", "-ar", "22050", "-ac", "1")
    run(["ffmpeg", "-v", "error", "-i", short_clip, *adpcm, source], tmp_path)
    name = "liveshow/adpcm"
    copy = pass_through(server, name, publish_command(source, server.rtmp(name)), tmp_path)
    assert flags(copy) == 1
    assert_came(copy, source, "v", late=45)


@pytest.mark.parametrize(
    ("path", "options"),
    [
        pytest.param("liveshow/{}?token=a&user=b%2Fc", (), id="query"),
        pytest.param("liveshow?token=a/{}", (), id="query of the app"),
        pytest.param("liveshow/flv:{}", (), id="prefix"),
        pytest.param("x", ("-rtmp_app", "liveshow", "-rtmp_playpath", "{}"), id="app, playpath"),
        pytest.param("liveshow/{}", ("-rtmp_tcurl", "'{url}'"), id="quoted tcUrl"),
        pytest.param("liveshow/{}", ("-rtmp_flashver", "FMLE/3.0"), id="flashver"),
        pytest.param("liveshow/{}", ("-rtmp_live", "live", "-rtmp_buffer", "100"), id="live"),
        pytest.param("liveshow/{}", ("-rtmp_conn", "B:1 S:authMe O:1 NN:code:1.23 O:0"), id="conn"),
        pytest.param("liveshow/{}", ("-rtmp_swfurl", "http://example.org/player.swf"), id="swf"),
        pytest.param("liveshow/{}", ("-flvflags", "no_metadata"), id="no metadata"),
        pytest.param("liveshow/{}", ("-flvflags", "no_sequence_end"), id="no sequence end"),
    ],
)
def test_ways_to_publish(
    server: Server,
    short_clip: Path,
    tmp_path: Path,
    path: str,
    options: tuple[str, ...],
    request: pytest.FixtureRequest,
) -> None:
    """A-UR-01, 02 and 18, A-AM-04: however an encoder spells it, it is the one stream."""
    stream = "way-" + request.node.callspec.id.replace(" ", "-").replace(",", "")
    address = server.rtmp(path.format(stream))
    words = [x.format(stream, url=server.rtmp("liveshow")) for x in options]
    command = publish_command(short_clip, address, *words, realtime=False)
    copy = pass_through(server, f"liveshow/{stream}", command, tmp_path)
    for kind in ("v", "a"):
        assert_same(packets(copy, kind), packets(short_clip, kind))


@pytest.mark.parametrize("sink", ["rtmp2sink", "rtmpsink"])
def test_gstreamer(server: Server, short_clip: Path, tmp_path: Path, sink: str) -> None:
    """A-HS-06: both RTMP elements of GStreamer; rtmpsink is librtmp, with its digest handshake."""
    name = f"liveshow/gst-{sink}"
    words = f"""
        gst-launch-1.0 -q filesrc location={short_clip} ! flvdemux name=demux
        demux.video ! queue ! h264parse ! identity sync=true ! mux.
        demux.audio ! queue ! aacparse ! identity sync=true ! mux.
        flvmux name=mux streamable=true ! {sink} location=
    """.split()
    words[-1] += server.rtmp(name) + (" live=1" if sink == "rtmpsink" else "")
    copy = pass_through(server, name, words, tmp_path)
    assert flags(copy) == 5
    assert_came(copy, short_clip)


def test_gstreamer_live(server: Server, tmp_path: Path) -> None:
    """An encoder of GStreamer, live: as many pictures as it made, in order, none broken."""
    name = "liveshow/gst-live"
    words = f"""
        gst-launch-1.0 -q videotestsrc num-buffers=60 is-live=true
        ! video/x-raw,width=320,height=240,framerate=30/1
        ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=30 ! h264parse ! mux.
        audiotestsrc num-buffers=86 is-live=true ! audioconvert ! avenc_aac ! aacparse ! mux.
        flvmux name=mux streamable=true ! rtmp2sink location={server.rtmp(name)}
    """.split()
    copy = pass_through(server, name, words, tmp_path)
    received = packets(copy, "v")
    assert len(received) == len(pictures(copy)) == 60
    assert len({frame.digest for frame in received}) == 60
    assert_monotone(received)
    heard = packets(copy, "a")
    assert len(heard) >= 80
    assert_monotone(heard)
