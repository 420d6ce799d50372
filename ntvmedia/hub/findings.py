"""What is wrong with a stream, in words: what it is, and what its publisher can do about it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Final, NamedTuple

from ntvmedia.codecs.description import describe
from ntvmedia.hub.context import StreamState
from ntvmedia.hub.health_samples import FIRST_GAPS, History, Sample, default_state
from ntvmedia.media import Codec, MediaKind, Track

if TYPE_CHECKING:
    from ntvmedia.hub.stream import Stream

KEYFRAME_SECONDS: Final = 10.0
"""Without a keyframe for so long, who joins sees nothing, and HLS has no segments."""

LONG_INTERVAL_SECONDS: Final = 5.0
"""Between keyframes: who joins waits for up to so long, and segments are at least as long."""

DRIFT_SECONDS: Final = 0.3
"""That sound and picture have moved apart; people notice from 0.1 s on (ITU-R BT.1359)."""

APART_SECONDS: Final = 1.0
"""Between sound and picture: players that keep less than this in store stutter."""

STOPPED_SECONDS: Final = 5.0
"""Without a packet of one kind while the other goes on."""

SILENT_SECONDS: Final = 2.0
"""Without any packet: players run dry."""

NEAR_LIMIT: Final = 0.9
"""Of the bit rate that is allowed: a scene with much motion goes over it."""

STALLS: Final = 3
"""Seconds of a minute in which nothing came, though much should have: once may be chance."""

LEAST_SPEED: Final = 0.95
"""Seconds of media that come in a second: with less, players wait again and again."""

# Below this rate a second without a packet is no stall: pictures of a slide show.
_STEADY_PACKETS: Final = 5.0

_SPEED_SECONDS: Final = 30
_MEDIAN_SAMPLES: Final = FIRST_GAPS
_RATE_SAMPLES: Final = 5
_MANY_JUMPS: Final = 3
_MANY_STRAIGHTENED: Final = 10


class Severity(StrEnum):
    """How bad it is."""

    INFO = "info"
    """Could be better."""
    WARNING = "warning"
    """Some viewers notice."""
    ERROR = "error"
    """Viewers see or hear it, or get nothing."""


class Finding(NamedTuple):
    """One thing that is wrong.

    Attributes:
        code: A word for programs; always the same for the same thing.
        severity: How bad it is.
        text: What it is, one sentence.
        advice: What to do, one sentence.
    """

    code: str
    severity: Severity
    text: str
    advice: str


class Rules(NamedTuple):
    """What a stream is measured by.

    Attributes:
        low_latency: Its viewers are to see it as soon as can be.
        most_kbps: Thousands of bits a second that a publisher may send; 0 for no limit.
    """

    low_latency: bool = False
    most_kbps: int = 0


def judge(stream: Stream, history: History, rules: Rules) -> list[Finding]:
    """Return what is wrong with a stream, the worst first. Changes nothing.

    Args:
        stream: Its counters are read.
        history: What was noted of it.
        rules: What it is measured by.
    """
    if stream.publication is None:
        return [_LOST] if stream.state is StreamState.WAITING else []
    samples = tuple(history.samples)
    found: list[Finding | None] = [
        _silence(stream),
        _keyframes(stream),
        _b_frames(history, rules),
        _stopped(samples),
        _drift(samples, history.first_gaps),
        _bit_rate(samples, rules),
        _timestamps(samples),
        _stalls(samples),
        _speed(samples),
        *(_codec(track) for track in stream.tracks),
    ]
    order = list(reversed(Severity))
    return sorted(filter(None, found), key=lambda finding: order.index(finding.severity))


_LOST: Final = Finding(
    "publisher_lost",
    Severity.ERROR,
    "The publisher's connection broke, and viewers wait for it to come back.",
    "Look whether the encoder runs and has a network; it has to connect again.",
)


def _silence(stream: Stream) -> Finding | None:
    seconds = stream.silence
    if seconds <= SILENT_SECONDS:
        return None
    return Finding(
        "silent",
        Severity.ERROR,
        f"Nothing has come from the publisher for {seconds:.0f} s.",
        "Look at the encoder and at its network; lower the bit rate if the network is slow.",
    )


def _keyframes(stream: Stream) -> Finding | None:
    video = default_state(stream, MediaKind.VIDEO)
    if video is None:
        return None
    rate = video.track.clock_rate
    since = (video.last - (video.keyframe_at or 0)) / rate
    if since > KEYFRAME_SECONDS:
        return Finding(
            "no_keyframe",
            Severity.ERROR,
            f"There was no keyframe for {since:.0f} s: who joins now sees nothing.",
            "Set the encoder's keyframe interval to 2 s; 0 or automatic may mean never.",
        )
    interval = video.keyframe_interval / rate
    if interval < LONG_INTERVAL_SECONDS:
        return None
    return Finding(
        "rare_keyframes",
        Severity.WARNING,
        f"Keyframes come only every {interval:.0f} s: viewers wait as long for their first "
        "picture, and HLS segments are as long.",
        "Set the encoder's keyframe interval to 2 s.",
    )


def _b_frames(history: History, rules: Rules) -> Finding | None:
    if not (rules.low_latency and history.reorders):
        return None
    return Finding(
        "b_frames",
        Severity.WARNING,
        "The video has B-frames, which make every viewer wait for later pictures, though low "
        "latency is set.",
        'Turn B-frames off in the encoder: 0 "bframes", tune "zerolatency", profile "baseline".',
    )


def _stopped(samples: Sequence[Sample]) -> Finding | None:
    last = samples[-1] if samples else None
    if last is None or last.gap is None:
        return None
    before = next((x for x in reversed(samples) if last.at - x.at >= STOPPED_SECONDS), None)
    if before is None:
        return None
    has_video = last.video_packets > before.video_packets
    has_audio = last.audio_packets > before.audio_packets
    if has_video == has_audio:
        return None  # both go on, or it is silent: another finding
    missing, other = ("sound", "pictures") if has_video else ("pictures", "sound")
    return Finding(
        f"no_{'audio' if has_video else 'video'}",
        Severity.ERROR,
        f"No {missing} came for {STOPPED_SECONDS:.0f} s, while the {other} went on.",
        "Look at the encoder's sources: a microphone, camera or input may be unplugged.",
    )


def _drift(samples: Sequence[Sample], first_gaps: Sequence[float]) -> Finding | None:
    last_gaps = [x.gap for x in samples[-_MEDIAN_SAMPLES:] if x.gap is not None]
    if len(last_gaps) < _MEDIAN_SAMPLES or len(first_gaps) < _MEDIAN_SAMPLES:
        return None
    # Tracks come in turns: one number says little.
    gap = median(last_gaps)
    moved = gap - median(first_gaps)
    if abs(gap) < APART_SECONDS and abs(moved) < DRIFT_SECONDS:
        return None
    ahead, behind = ("pictures", "sound") if gap >= 0 else ("sound", "pictures")
    how = f"The {behind} is" if behind == "sound" else f"The {behind} are"
    grown = f", {abs(moved):.1f} s more than at first" if abs(moved) >= DRIFT_SECONDS else ""
    return Finding(
        "drift",
        Severity.ERROR if abs(gap) >= APART_SECONDS else Severity.WARNING,
        f"{how} {abs(gap):.1f} s behind the {ahead}{grown}.",
        "Restart the encoder, and let it take sound and pictures from one device or clock; a "
        "capture device with another sample rate than set drifts.",
    )


def _bit_rate(samples: Sequence[Sample], rules: Rules) -> Finding | None:
    recent = samples[-_RATE_SAMPLES - 1 :]
    if not rules.most_kbps or len(recent) < 2:
        return None
    kbps = (recent[-1].bytes_in - recent[0].bytes_in) * 8 / 1000 / (recent[-1].at - recent[0].at)
    if kbps < rules.most_kbps * NEAR_LIMIT:
        return None
    is_over = kbps > rules.most_kbps
    consequence = "the publisher will be cut" if is_over else "more, and the publisher is cut"
    return Finding(
        "bit_rate_over_limit" if is_over else "bit_rate_near_limit",
        Severity.ERROR if is_over else Severity.WARNING,
        f"The publisher sends {kbps:,.0f} kbit/s of {rules.most_kbps:,} that are allowed: "
        f"{consequence}.",
        "Lower the encoder's bit rate, or raise hub.max_publisher_bitrate_kbps.",
    )


def _timestamps(samples: Sequence[Sample]) -> Finding | None:
    if len(samples) < 2:
        return None
    jumps = samples[-1].jumps - samples[0].jumps
    straightened = samples[-1].straightened - samples[0].straightened
    if not jumps and straightened < _MANY_STRAIGHTENED:
        return None
    if jumps:
        times = "once" if jumps == 1 else f"{jumps} times"
        text = f"The publisher's timestamps jumped {times} in the last minute."
    else:
        text = f"In the last minute {straightened} packets had timestamps out of order."
    return Finding(
        "timestamps",
        Severity.ERROR if jumps >= _MANY_JUMPS else Severity.WARNING,
        f"{text} The server straightens them, and viewers may see it stutter.",
        "Let the encoder make timestamps of its own: a looping file, or a source that is passed "
        "on as it is, often has such.",
    )


def _stalls(samples: Sequence[Sample]) -> Finding | None:
    if len(samples) < _MEDIAN_SAMPLES:
        return None
    first, last = samples[0], samples[-1]
    packets = _packets(last) - _packets(first)
    if packets < _STEADY_PACKETS * (last.at - first.at):
        return None
    stalls = sum(later.bytes_in == earlier.bytes_in for earlier, later in pairwise(samples))
    if stalls < STALLS:
        return None
    return Finding(
        "stalling",
        Severity.WARNING,
        f"In {stalls} of the last {len(samples) - 1} s nothing came from the publisher, and then "
        "all at once: its network stalls.",
        "Use a cable and not a radio network, and lower the bit rate below what the network "
        "carries at all times.",
    )


def _speed(samples: Sequence[Sample]) -> Finding | None:
    recent = samples[-_SPEED_SECONDS - 1 :]
    if len(recent) <= _SPEED_SECONDS or recent[0].jumps != recent[-1].jumps:
        return None
    media = recent[-1].position - recent[0].position
    speed = media / (recent[-1].at - recent[0].at)
    # Nothing at all is silence.
    if not 0 < speed < LEAST_SPEED:
        return None
    return Finding(
        "too_slow",
        Severity.ERROR,
        f"Only {speed:.2f} s of media come in a second: players run dry again and again.",
        "Lower the bit rate, the picture's size or the frame rate: the encoder or its network "
        "does not keep up.",
    )


def _packets(sample: Sample) -> int:
    return sample.video_packets + sample.audio_packets


# What Chrome, Firefox, Edge and Safari all decode; of H.264 and AAC not every profile.
_PLAYABLE: Final = frozenset(
    {Codec.H264, Codec.VP8, Codec.VP9, Codec.AV1, Codec.AAC, Codec.MP3, Codec.OPUS, Codec.FLAC}
)
_SOMETIMES: Final = frozenset({Codec.HEVC, Codec.AC3, Codec.EAC3})
_H264_PROFILES: Final = frozenset({"", "Baseline", "Constrained Baseline", "Main", "High"})
_NOT_OF_AAC: Final = frozenset({"Main", "SSR", "LTP", "LD", "ELD"})


def _codec(track: Track) -> Finding | None:
    if track.kind is MediaKind.DATA:
        return None
    codec = track.codec
    advice = "Send H.264 (High profile, 4:2:0, 8 bits)."
    if track.kind is MediaKind.AUDIO:
        advice = "Send AAC-LC, or Opus where all outputs carry it."
    if codec in _SOMETIMES:
        text = f"Not every browser plays {codec}."
        return Finding("codec_some_browsers", Severity.INFO, text, advice)
    what = str(codec)
    if codec in _PLAYABLE:
        profile = describe(track).profile
        is_wrong = (codec is Codec.H264 and profile not in _H264_PROFILES) or (
            codec is Codec.AAC and profile in _NOT_OF_AAC
        )
        if not is_wrong:
            return None
        what = f"{codec} of profile {profile}"
    text = f"Browsers cannot play {what}: they show no picture."
    if track.kind is MediaKind.AUDIO:
        text = f"Browsers cannot play {what}: they are silent."
    return Finding("codec_no_browser", Severity.ERROR, text, advice)
