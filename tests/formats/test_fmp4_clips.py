"""MP4 that FFmpeg wrote, read packet by packet as FFmpeg reads it."""

from __future__ import annotations

from fractions import Fraction

import pytest

from ntvmedia.media import Codec, Packet, Track
from tests.formats import mp4_files
from tests.formats.mp4_bytes import demux, of_track
from tests.formats.mp4_files import CLIPS, FORMS, ordinary, sound

FRAGMENTED = "frag_keyframe+empty_moov+default_base_moof"


TRACKS = {
    "avc.mp4": {Codec.H264: 90000, Codec.AAC: 44100},
    "ntsc.mp4": {Codec.H264: 90000, Codec.AAC: 48000},
    "hvc1.mp4": {Codec.HEVC: 90000},
    "hev1.mp4": {Codec.HEVC: 90000},
    "av1.mp4": {Codec.AV1: 90000, Codec.OPUS: 48000},
    "vp9.mp4": {Codec.VP9: 90000, Codec.FLAC: 48000},
    "mp3.mp4": {Codec.MP3: 16000},
    "ac3.mp4": {Codec.AC3: 44100},
    "eac3.mp4": {Codec.EAC3: 48000},
    "mp3.mov": {Codec.MP3: 44100},
    "aac.mov": {Codec.H264: 90000, Codec.AAC: 48000},
    "alaw.mov": {Codec.PCM_ALAW: 8000},
    "sowt.mov": {Codec.PCM_S16LE: 44100},
    "twos.mov": {Codec.PCM_S16LE: 44100},
    "lpcm.mov": {Codec.PCM_S16LE: 96000},
    "raw.mov": {Codec.PCM_U8: 8000},
}


def check(track: Track, ours: list[Packet], theirs: list[mp4_files.Seen]) -> None:
    """Compare a track packet by packet with what FFmpeg sees."""
    rate = track.clock_rate
    # FFmpeg presents all later where composition offsets are negative, so that none is presented
    # before it is decoded (libavformat/mov.c, `dts_shift`).
    late = theirs[0].pts - Fraction(ours[0].pts, rate)
    late = late if abs(late) > Fraction(1, 1000) else Fraction(0)
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        assert abs(Fraction(mine.dts, rate) - other.dts) <= Fraction(1, 2 * rate)
        assert abs(Fraction(mine.pts, rate) + late - other.pts) <= Fraction(1, 2 * rate)
        assert mine.is_keyframe == other.is_keyframe
        assert other.payload in (mine.payload, swapped(mine))
    assert late == 0 or min(packet.pts - packet.dts for packet in ours) < 0


def swapped(packet: Packet) -> bytes:
    """Return uncompressed sound as files have it whose samples are big-endian."""
    if packet.track.codec is not Codec.PCM_S16LE:
        return packet.payload
    return b"".join(bytes(pair[::-1]) for pair in batched(packet.payload))


def batched(payload: bytes) -> list[bytes]:
    """Cut a payload into samples of two bytes."""
    return [payload[place : place + 2] for place in range(0, len(payload), 2)]


def read(data: bytes, name: str, codecs: dict[Codec, int]) -> None:
    """Read a file, and compare all of its tracks with what FFmpeg sees."""
    events, end = demux([data])
    assert end == (0,)
    tracks = [event for event in events if isinstance(event, Track)]
    assert {track.codec: track.clock_rate for track in tracks} == codecs
    seen = mp4_files.ffmpeg_sees(data, name)
    for track in tracks:
        (found,) = (packets for kind, packets in seen if kind == str(track.kind))
        check(track, of_track(events, track), found)


@pytest.mark.parametrize("name", CLIPS)
def test_ordinary_files(name: str) -> None:
    """C-FM-01, C-FM-08: every codec, with moov first: packet by packet as FFmpeg reads it."""
    read(ordinary(name), name[-3:], TRACKS[name])


@pytest.mark.parametrize("name", CLIPS)
def test_fragmented_files(name: str) -> None:
    """C-FM-01, C-FM-08: every codec, in fragments: packet by packet as FFmpeg reads it."""
    flags = FRAGMENTED + ("+delay_moov" if "ac3" in name else "")
    options = ("-movflags", flags, "-strict", "-2")
    data = mp4_files.remuxed(ordinary(name), name, *options)
    read(data, name[-3:], TRACKS[name])


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_fragments(form: str) -> None:
    """C-FM-01, C-FM-02: wherever offsets, defaults and times are told, the same packets."""
    data = mp4_files.remuxed(ordinary("avc.mp4"), "x.mp4", "-movflags", FORMS[form])
    read(data, "mp4", TRACKS["avc.mp4"])


@pytest.mark.parametrize("kind", ["s16le", "s16be"])
@pytest.mark.parametrize("flags", ["faststart", FRAGMENTED])
def test_uncompressed_by_the_standard(kind: str, flags: str) -> None:
    """ISO/IEC 23003-5, which FFmpeg 5.1 does not write: entries that tell their form in pcmC."""
    options = (*sound(44100), "-c:a", f"pcm_{kind}", "-movflags", flags)
    data = mp4_files.written(mp4_files.newer_ffmpeg(), "x.mp4", *options)
    read(data, "mp4", {Codec.PCM_S16LE: 44100})
