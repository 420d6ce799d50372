"""Laws of ntvmedia.formats.fmp4_muxer, whatever packets come and wherever fragments are cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import NamedTuple

from hypothesis import given, strategies as st

from ntvmedia.codecs import flac
from ntvmedia.formats.fmp4_boxes import SYNC
from ntvmedia.formats.fmp4_frames import trimmer
from ntvmedia.formats.fmp4_muxer import Muxer
from ntvmedia.media import Codec, MediaKind, Packet, Track
from tests.codecs import vectors
from tests.formats.mp4_runs import File, read
from tests.formats.ts_bytes import (
    AAC,
    AC3,
    AC3_FRAME,
    EAC3,
    H264,
    HEVC,
    IDR,
    MP3,
    MP3_FRAME,
    OPUS,
    OPUS_FRAME,
    audio,
    interleaved,
    video,
)
from tests.hls.mp4 import read_fragments, read_init

FLAC = Track(
    Codec.FLAC, clock_rate=48000, config=flac.build_config(vectors.FLAC_STREAMINFO), channels=2
)
VP9 = Track(Codec.VP9)


class Step(NamedTuple):
    """What a test does: a packet `ticks` after the last of its track, or a cut.

    Attributes:
        act: "video", "audio", "cut", "follow" (a cut that knows the next packet), or "finish".
        ticks: From the last packet of the track: of video 1 tick or more; of audio, how far its
            time is from where it should be, or a hole.
        offset: Composition offset.
        size: Bytes of the payload.
    """

    act: str
    ticks: int = 0
    offset: int = 0
    size: int = 1


STEPS = st.one_of(
    st.builds(
        Step,
        st.just("video"),
        st.sampled_from([3000, 3003, 3600, 1, 900000]) | st.integers(1, 20000),
        st.sampled_from([0, 3600, 7200, -3600]),
        st.integers(1, 30),
    ),
    st.builds(
        Step,
        st.just("audio"),
        st.integers(-480, 480) | st.sampled_from([0, 0, 0, 1024, 5000, 480000, -900, -2000]),
        st.just(0),
        st.integers(1, 30),
    ),
    st.builds(Step, st.sampled_from(["cut", "follow"])),
    st.builds(Step, st.just("finish"), st.integers(-900000, 900000)),
)


@dataclass
class Script:
    """Steps turned into packets and cuts.

    Attributes:
        given: By track, each timeline's packets.
        cuts: Bytes that came out, each after its timeline's number.
    """

    given: dict[int, list[list[Packet]]] = field(default_factory=lambda: {1: [[]], 2: [[]]})
    files: list[File] = field(default_factory=lambda: [File()])
    numbers: list[int] = field(default_factory=list)

    def out(self, data: bytes) -> None:
        """Take what came out."""
        before = len(self.files[-1].numbers)
        read(data, self.files[-1])
        self.numbers += self.files[-1].numbers[before:]

    def finish(self, data: bytes) -> None:
        """Take the end of a timeline."""
        self.out(data)
        self.files.append(File())
        for timelines in self.given.values():
            timelines.append([])


def run(steps: Sequence[Step]) -> Script:
    """Drive a muxer of H.264 (track 1) and AAC (track 2)."""
    muxer = Muxer([H264, AAC])
    script = Script()
    start, times = 2_000_000, {1: 0, 2: 0}
    packets = 0
    follows = False
    for step in steps:
        if step.act == "cut":
            script.out(muxer.fragment())
        elif step.act == "follow":
            follows = True
        elif step.act == "finish":
            script.finish(muxer.finish())
            start = max(start + step.ticks, 0)
            times = {1: 0, 2: 0}
        else:
            packets += 1
            payload = packets.to_bytes(4, "big") + bytes(step.size)
            if step.act == "video":
                times[1] += step.ticks
                time = start + times[1]
                number = 1
                packet = Packet(H264, time, time + step.offset, packets % 7 == 0, payload)
            else:
                time = start * 48 // 90 + times[2] + step.ticks
                if abs(step.ticks) > 512:
                    times[2] = max(times[2] + step.ticks, 0)
                times[2] += 1024
                number = 2
                packet = Packet(AAC, max(time, 0), max(time, 0), True, payload)
            if follows:
                script.out(muxer.fragment(packet))
                follows = False
            muxer.packet(packet)
            script.given[number][-1].append(packet)
    script.finish(muxer.finish())
    return script


@given(st.lists(STEPS, max_size=40))
def test_any_cuts(steps: list[Step]) -> None:
    """C-FM-02, C-FM-03: wherever fragments are cut and timelines end, all packets are there.

    Each `tfdt` is where the fragment before ended, pictures have their own times, sound is at
    most half a frame from its own unless frames overlap, and numbers count on.
    """
    script = run(steps)
    assert script.numbers == list(range(1, len(script.numbers) + 1))
    for number, timelines in script.given.items():
        for timeline, sent in enumerate(timelines):
            track = script.files[timeline].tracks.get(number)
            samples = [] if track is None else track.samples
            assert [sample.payload for sample in samples] == [packet.payload for packet in sent]
            if track is None:
                continue
            track.check_chain()
            for a, b in pairwise(samples):
                assert a.dts + a.duration == b.dts
            if number == 1:
                assert [(x.dts, x.pts) for x in samples] == [(x.dts, x.pts) for x in sent]
                assert [x.flags == SYNC for x in samples] == [x.is_keyframe for x in sent]
            else:
                for sample, packet in zip(samples, sent, strict=True):
                    assert sample.pts == sample.dts >= packet.dts - 512
                told = [packet.dts for packet in sent]
                if all(b - a > 512 for a, b in pairwise(told)):
                    for sample, packet in zip(samples, sent, strict=True):
                        assert abs(sample.dts - packet.dts) <= 512


@given(st.lists(STEPS, max_size=30))
def test_cuts_do_not_matter(steps: list[Step]) -> None:
    """C-FM-02: however many fragments they are cut into, the samples are the same."""
    plain = [step for step in steps if step.act not in ("cut", "follow")]
    one, many = run(plain), run(steps)
    assert one.given == many.given
    for a, b in zip(one.files, many.files, strict=True):
        assert {n: x.samples for n, x in a.tracks.items()} == {
            n: x.samples for n, x in b.tracks.items()
        }


HOSTILE_TIMES = st.integers(0, 200000) | st.integers(-(1 << 70), 1 << 70)
HOSTILE_TRACKS = [H264, HEVC, VP9, AAC, MP3, AC3, EAC3, OPUS, FLAC]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2),
            HOSTILE_TIMES,
            HOSTILE_TIMES,
            st.booleans(),
            st.binary(max_size=12) | st.sampled_from([MP3_FRAME, AC3_FRAME, IDR, OPUS_FRAME]),
            st.integers(0, 9),
        ),
        max_size=20,
    ),
    st.lists(st.sampled_from(HOSTILE_TRACKS), min_size=1, max_size=3, unique_by=lambda x: x.codec),
)
def test_any_publisher(
    sent: list[tuple[int, int, int, bool, bytes, int]], tracks: list[Track]
) -> None:
    """Whatever times and bytes come, nothing is raised, and all that comes out is well-formed."""
    tracks = [replace(track, number=index) for index, track in enumerate(tracks)]
    muxer = Muxer(tracks)
    file = File()
    given: dict[int, list[bytes]] = {}
    for index, time, shown, is_keyframe, payload, act in sent:
        packet = Packet(tracks[index % len(tracks)], time, shown, is_keyframe, payload)
        if act == 0:
            read(muxer.fragment(packet), file)
        elif act == 1:
            read(muxer.fragment(), file)
        elif act == 2:
            read(muxer.finish(), file)
        muxer.packet(packet)
        if payload:
            trim = trimmer(packet.track)
            number = index % len(tracks) + 1
            given.setdefault(number, []).append(payload if trim is None else trim(payload))
    read(muxer.finish(), file)
    assert {number: file.payloads(number) for number in file.tracks} == given
    assert file.numbers == list(range(1, len(file.numbers) + 1))
    assert muxer.init_segment()


def test_read_by_the_strict_reader() -> None:
    """C-FM-01 to C-FM-03, C-FM-06: segments, and parts of 200 ms, keep the rules of HLS."""
    for tracks in ([H264, AAC], [AAC]):
        pictures = [
            video(n)._replace(pts=n * 3600 + (7200, 0, 3600)[n % 3]) for n in range(100)
        ] if H264 in tracks else []  # fmt: skip
        sent = interleaved(pictures, [audio(n) for n in range(188)])
        muxer = Muxer(tracks)
        pieces = []
        part = 0
        for packet in sent:
            is_key = packet.is_keyframe and (packet.track is H264 or len(tracks) == 1)
            due = packet.dts / packet.track.clock_rate >= (part + 1) * 0.2
            if due and packet.track is tracks[0]:
                pieces.append(muxer.fragment(packet if is_key else None))
                part += 1
            muxer.packet(packet)
        pieces.append(muxer.finish())
        init = read_init(muxer.init_segment())
        assert init.content_type == muxer.content_type
        seen = [read_fragments(piece, init) for piece in pieces]
        for before, after in pairwise(seen):
            after.check_follows(before)
        kinds = [track.kind for track in tracks]
        if MediaKind.VIDEO in kinds:
            assert seen[5].begins_with_key and len(seen[5].video) == 5
            assert sum(len(piece.video) for piece in seen) == 100
        assert sum(len(piece.audio) for piece in seen) == 188
