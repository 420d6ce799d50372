"""Tests of ntvmedia.avtools.job."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from ntvmedia.avtools.job import (
    COPY_LIMITS,
    TRANSCODING_LIMITS,
    CardInput,
    DatagramInput,
    DataInput,
    FileInput,
    Input,
    Job,
    Limits,
    PacketsInput,
    Probe,
    ProbedTrack,
    URLInput,
    build_job,
    build_probe,
    limits_of,
    read_job,
    read_probe,
)
from ntvmedia.errors import PeerError
from ntvmedia.media.relaying import AudioOptions, OutputOptions, VideoOptions

ENCODED = OutputOptions(VideoOptions("h264", 800, frame_rate=12.5), AudioOptions("none"))


@pytest.mark.parametrize(
    "source",
    [
        URLInput("mmst://192.0.2.1/a", "asf", ("mmst", "tcp"), {"a": "b"}),
        DatagramInput("239.0.0.1", 5000, "eth0", ("192.0.2.1",), True),
        FileInput("a.mp4", ("/srv",), True),
        DataInput("flv"),
        PacketsInput(),
        CardInput(32, 32, 12.5, 0),
    ],
)
def test_jobs(source: Input) -> None:
    """A job comes back as it was, with each input."""
    job = Job(source, (OutputOptions(), ENCODED), True, Limits(5, False, 6, 0.5, 7.5, 8.5))
    assert read_job(build_job(job)) == job


def test_probes() -> None:
    """What was found comes back as it was."""
    tracks = (ProbedTrack("video", "vc1", "Main", 640, 480, 29.97), ProbedTrack("data", ""))
    probe = Probe("asf", 12.5, 800, tracks)
    assert read_probe(build_probe(probe)) == probe


@given(st.binary(max_size=60) | st.sampled_from([b"[]", b"{}", b"null", b'["a", 1, 2, [[]]]']))
@settings(max_examples=60)
def test_junk(body: bytes) -> None:
    """What is none is refused, whatever it is."""
    for reading in (read_job, read_probe):
        with pytest.raises(PeerError):
            reading(body)


def test_limits() -> None:
    """Who encodes may take more memory, and as many cores as there are."""
    assert limits_of((OutputOptions(),)) == COPY_LIMITS
    assert limits_of((OutputOptions(), ENCODED)) == TRANSCODING_LIMITS
    assert limits_of((OutputOptions(),), CardInput()) == TRANSCODING_LIMITS
    assert limits_of((OutputOptions(),), PacketsInput()) == COPY_LIMITS
    assert TRANSCODING_LIMITS.memory_bytes > COPY_LIMITS.memory_bytes
    assert not TRANSCODING_LIMITS.cpu_share
    hardware = ENCODED._replace(video=VideoOptions("h264", encoder="auto"))
    assert TRANSCODING_LIMITS.limits_addresses
    assert not limits_of((ENCODED, hardware)).limits_addresses
