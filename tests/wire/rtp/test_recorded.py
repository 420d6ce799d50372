"""Real senders to us, and we to real receivers: FFmpeg both, in each codec; media compared."""

from __future__ import annotations

import socket
import subprocess
import time
import zlib
from collections import Counter
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import imageio_ffmpeg  # type: ignore[import-untyped]
import pytest

from ntvmedia.codecs import h264, hevc
from ntvmedia.codecs.nal import join_annexb, to_annexb
from ntvmedia.media import Codec, MediaKind, Packet, Track
from ntvmedia.wire.rtp.clock import SessionClock
from ntvmedia.wire.rtp.formats import describe, find_format
from ntvmedia.wire.rtp.receiver import Receiver
from ntvmedia.wire.rtp.rtcp import SenderReport, SourceDescription, build_compound, parse_compound
from ntvmedia.wire.rtp.sending import Sender
from tests.wire.rtp.captured import PICTURE, Capture, capture, sound

# Debian's, and a newer one: AV1 in RTP came with FFmpeg 7.1.
OLD = "ffmpeg"
NEW: str = imageio_ffmpeg.get_ffmpeg_exe()


class Case(NamedTuple):
    """One encoder.

    Attributes:
        options: Of ffmpeg, input included.
        codec: What comes out.
        frames: Packets that come out; ffmpeg keeps the last frames of MP3 to itself.
        program: Which ffmpeg.
    """

    options: tuple[str, ...]
    codec: Codec
    frames: int
    program: str = OLD


X265 = "log-level=none:bframes=3:keyint=10"
CASES = {
    "h264": Case((*PICTURE, "-c:v", "libx264", "-bf", "2", "-g", "10"), Codec.H264, 25),
    "h264-low-delay": Case((*PICTURE, "-c:v", "libx264", "-tune", "zerolatency"), Codec.H264, 25),
    "h264-sprop": Case(
        (*PICTURE, "-c:v", "libx264", "-g", "10", "-flags", "+global_header"), Codec.H264, 25
    ),
    "h264-mode0": Case(
        (
            *PICTURE,
            "-c:v",
            "libx264",
            "-x264-params",
            "slice-max-size=1100",
            "-rtpflags",
            "h264_mode0",
        ),
        Codec.H264,
        25,
    ),
    "h264-interlaced": Case(
        (*PICTURE, "-c:v", "libx264", "-flags", "+ilme+ildct", "-x264opts", "tff=1"),
        Codec.H264,
        25,
    ),
    "hevc": Case((*PICTURE, "-c:v", "libx265", "-x265-params", X265), Codec.HEVC, 25),
    "hevc-sprop": Case(
        (*PICTURE, "-c:v", "libx265", "-x265-params", X265, "-flags", "+global_header"),
        Codec.HEVC,
        25,
    ),
    "vp8": Case((*PICTURE, "-c:v", "libvpx", "-b:v", "1M"), Codec.VP8, 25),
    "vp9": Case(
        (*PICTURE, "-c:v", "libvpx-vp9", "-b:v", "1M", "-strict", "experimental"), Codec.VP9, 25
    ),
    "av1": Case(
        (*PICTURE, "-c:v", "libsvtav1", "-preset", "10", "-g", "10", "-strict", "experimental"),
        Codec.AV1,
        25,
        NEW,
    ),
    "aac": Case((*sound(44100), "-c:a", "aac", "-b:a", "192k", "-ac", "2"), Codec.AAC, 43),
    "latm": Case((*sound(48000), "-c:a", "aac", "-ac", "2", "-rtpflags", "latm"), Codec.AAC, 48),
    "mp3": Case((*sound(44100), "-c:a", "libmp3lame"), Codec.MP3, 35),
    "opus": Case((*sound(48000), "-c:a", "libopus", "-ac", "2"), Codec.OPUS, 51),
    "pcma": Case((*sound(8000), "-c:a", "pcm_alaw"), Codec.PCM_ALAW, 8),
    "pcmu-stereo": Case((*sound(8000), "-c:a", "pcm_mulaw", "-ac", "2"), Codec.PCM_MULAW, 16),
    "l16": Case((*sound(44100), "-c:a", "pcm_s16be", "-ac", "2"), Codec.PCM_S16LE, 173),
}


@cache
def sent(name: str) -> Capture:
    """Return what ffmpeg sends."""
    case = CASES[name]
    return capture(*case.options, program=case.program)


@cache
def received(name: str) -> tuple[Track, list[Packet]]:
    """Return what we make of it."""
    source = sent(name)
    found = find_format(source.payload_type, source.rtpmap, source.parameters)
    assert found is not None
    target = Receiver(found, SessionClock())
    now = 50.0
    for report in source.reports:
        target.receive_report(report, now)
    events = [event for data in source.packets for event in target.receive_packet(data, now)]
    events += target.flush(now)
    track, packets = events[0], events[1:]
    assert isinstance(track, Track)
    assert target.malformed == target.damaged == target.lost == 0
    return track, [packet for packet in packets if isinstance(packet, Packet)]


@pytest.mark.parametrize("name", CASES)
def test_received(name: str) -> None:
    """All frames, with times that rise and presentation never before decoding."""
    track, packets = received(name)
    assert track.codec is CASES[name].codec
    assert len(packets) == CASES[name].frames
    assert all(packet.track is track for packet in packets)
    assert all(packet.dts <= packet.pts for packet in packets)
    steps = {b.dts - a.dts for a, b in pairwise(packets)}
    if track.kind is MediaKind.VIDEO:
        assert steps == {3600}
        assert sorted(packet.pts for packet in packets) == [
            packets[0].pts + 3600 * number for number in range(25)
        ]
        assert packets[0].is_keyframe
        assert 1 <= sum(packet.is_keyframe for packet in packets) < 25
    else:
        assert min(steps) > 0


@pytest.mark.parametrize("name", ["h264", "aac"])
def test_reports(name: str) -> None:
    """D-PL-05: ffmpeg's first report comes before its media, and tells now."""
    (report, *_others) = parse_compound(sent(name).reports[0])
    assert isinstance(report, SenderReport)
    assert report.packets == 0


def test_mpegts() -> None:
    """RFC 2250: a program of pictures and sound, as ffmpeg sends it."""
    options = (*sound(48000), *PICTURE, "-c:v", "libx264", "-g", "10", "-c:a", "aac")
    source = capture(*options, muxer="rtp_mpegts")
    found = find_format(source.payload_type, source.rtpmap, source.parameters)
    assert found is not None
    target = Receiver(found, SessionClock())
    events = [event for data in source.packets for event in target.receive_packet(data, 50.0)]
    events += target.flush(50.0)
    assert (target.malformed, target.damaged) == (0, 0)
    counts = Counter(event.track.codec for event in events if isinstance(event, Packet))
    assert counts[Codec.H264] == 25
    # The last PES packet of sound is in what ffmpeg keeps: it sends no packet that is not full.
    assert 25 <= counts[Codec.AAC] <= 48


# What ffmpeg needs for the clock, and to know frames, is not there when it only copies.
DECODED = {Codec.H264, Codec.HEVC, Codec.VP9, Codec.AV1}
# The last pictures stay in the decoder, since RTP has no end.
DELAY = 10
# Or ffmpeg leaves pictures out, or doubles them, by the times that it makes up.
EACH_FRAME = ("-fps_mode", "passthrough")


@pytest.mark.parametrize("name", [name for name in CASES if name not in ("latm", "vp9")])
def test_played(name: str, tmp_path: Path) -> None:
    """D-RT-12: ffmpeg plays what we send, and finds the same media, byte by byte."""
    track, packets = received(name)
    program = CASES[name].program
    found = play(track, packets, program, tmp_path)
    if track.codec in DECODED:
        expected = decoded(track, packets, program)[:-DELAY]
    elif track.codec is Codec.PCM_S16LE:
        expected = [zlib.adler32(big_endian(packet.payload), 0) for packet in packets]
    else:
        expected = [zlib.adler32(packet.payload, 0) for packet in packets]
    assert found == expected


def big_endian(data: bytes) -> bytes:
    """Swap the bytes of each sample."""
    swapped = bytearray(len(data))
    swapped[::2], swapped[1::2] = data[1::2], data[::2]
    return bytes(swapped)


def play(track: Track, packets: list[Packet], program: str, folder: Path) -> list[int]:
    """Send packets to ffmpeg, and return the checksums of what it finds."""
    told = describe(track)
    assert told is not None
    kind = 96 if told.payload_type is None else told.payload_type
    port = free_port()
    lines = [
        "v=0",
        "o=- 0 0 IN IP4 127.0.0.1",
        "s=-",
        "c=IN IP4 127.0.0.1",
        "t=0 0",
        f"m={track.kind} {port} RTP/AVP {kind}",
        f"a=rtpmap:{kind} {told.rtpmap}",
    ]
    if told.fmtp:
        lines.append(f"a=fmtp:{kind} {told.fmtp}")
    description = folder / "session.sdp"
    description.write_text("\r\n".join(lines) + "\r\n")
    # One thread holds no pictures back; the frame rate is not waited for.
    where = [*["-threads", "1", "-fpsprobesize", "0", "-protocol_whitelist", "file,udp,rtp", "-i"]]
    where.append(str(description))
    copied = [] if track.codec in DECODED else ["-c", "copy"]
    frames = len(packets) - (DELAY if track.codec in DECODED else 0)
    wanted = [f"-frames:{track.kind[0]}", str(frames), *EACH_FRAME]
    source = Sender(track, kind, ssrc=99, sequence_number=65530, timestamp=(1 << 32) - 20000)
    report = build_compound([source.report(1.8e9, 1.8e9), SourceDescription(99, "ntv")])
    with (
        subprocess.Popen(
            [program, "-v", "error", "-nostdin", *where, *copied, *wanted, "-f", "framecrc", "-"],
            stdout=subprocess.PIPE,
            text=True,
        ) as player,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out,
    ):
        wait_for(port)
        out.sendto(report, ("127.0.0.1", port + 1))
        for packet in packets:
            for data in source.packetise(packet):
                out.sendto(data, ("127.0.0.1", port))
            time.sleep(0.002)
        try:
            text, _errors = player.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            player.terminate()
            text, _errors = player.communicate(timeout=20)
    return checksums(text)


def decoded(track: Track, packets: list[Packet], program: str) -> list[int]:
    """Return the checksums of the pictures that ffmpeg finds in a file."""
    if track.codec is Codec.AV1:
        head = b"DKIF\0\0\x20\0AV01" + bytes.fromhex("4001f000 19000000 01000000 00000000 00000000")
        kind, data = (
            "ivf",
            head
            + b"".join(
                len(packet.payload).to_bytes(4, "little")
                + number.to_bytes(8, "little")
                + packet.payload
                for number, packet in enumerate(packets)
            ),
        )
    else:
        sets = (
            h264.parse_configuration(track.config)[4:]
            if track.codec is Codec.H264
            else hevc.parse_configuration(track.config)[7:10]
        )
        kind = track.codec.value
        data = join_annexb(unit for units in sets for unit in units)
        data += b"".join(to_annexb(packet.payload) for packet in packets)
    done = subprocess.run(
        [program, "-v", "error", "-f", kind, "-i", "-", *EACH_FRAME, "-f", "framecrc", "-"],
        input=data,
        capture_output=True,
        check=True,
    )
    return checksums(done.stdout.decode())


def checksums(text: str) -> list[int]:
    """Read ffmpeg's list of frames."""
    return [int(line.split(",")[5], 16) for line in text.splitlines() if line[:1] != "#"]


def free_port() -> int:
    """Return an even port that is free, and so is the next."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as first:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            if not port % 2:
                return port


def wait_for(port: int) -> None:
    """Wait until ffmpeg listens."""
    for _try in range(1000):
        for table in ("/proc/net/udp", "/proc/net/udp6"):
            if f":{port + 1:04X} " in Path(table).read_text():
                return
        time.sleep(0.02)
    raise AssertionError("ffmpeg does not listen")
