"""What a child process does with each kind of job. In the child only."""

from __future__ import annotations

import av
import av.logging

from ntvmedia.avtools.demuxing import Demuxing, metadata_of, probe_of
from ntvmedia.avtools.framing import (
    FrameType,
    build_frame,
    build_metadata,
    read_packet,
    read_track,
)
from ntvmedia.avtools.job import CardInput, Job, PacketsInput, build_probe
from ntvmedia.avtools.reasons import in_words
from ntvmedia.avtools.sources import open_source
from ntvmedia.avtools.streams import FrameSink, FrameSource
from ntvmedia.avtools.test_card import run_card
from ntvmedia.avtools.transcoding import Pipeline
from ntvmedia.errors import RemoteError
from ntvmedia.media.packets import Packet, Track


def run(job: Job, given: FrameSource, told: FrameSink) -> None:
    """Do a job to its end.

    Raises:
        RemoteError: It came to nothing.
        BrokenPipeError: The parent is gone.
        MemoryError: There is too little.
    """
    av.logging.restore_default_callback()
    av.logging.set_libav_level(av.logging.ERROR)
    try:
        _run(job, given, told)
    except (av.FFmpegError, av.error.PyAVCallbackError) as error:
        raise in_words(error) from None


def _run(job: Job, given: FrameSource, told: FrameSink) -> None:
    if isinstance(job.input, PacketsInput):
        _convert(_pipeline(job, told), given, told)
    elif isinstance(job.input, CardInput):
        run_card(_pipeline(job, told), job.input, told.flush)
    else:
        _demux(job, given, told)


def _pipeline(job: Job, told: FrameSink) -> Pipeline:
    return Pipeline(job.outputs, told.emit, told.note)


def _demux(job: Job, given: FrameSource, told: FrameSink) -> None:
    source = open_source(job, given, told.note)
    try:
        if job.probe:
            told.tell(build_frame(FrameType.PROBED, build_probe(probe_of(source.open()))))
            return
        demuxing = Demuxing(source, told.note)
        pipeline = _pipeline(job, told)
        demuxing.open(pipeline)
        fields = metadata_of(demuxing.container)
        if fields:
            for output in range(len(job.outputs)):
                told.tell(build_metadata(fields, output))
        demuxing.run(pipeline, told.flush)
        pipeline.flush()
        told.flush()
    finally:
        source.close()


def _convert(pipeline: Pipeline, given: FrameSource, told: FrameSink) -> None:
    """Take tracks and packets from the parent until it says END."""
    tracks: dict[int, Track] = {}
    while (frame := given.read()) is not None:
        if frame.type is FrameType.PACKET:
            _output, track_id, is_keyframe, dts, pts, payload = read_packet(frame.body)
            track = tracks.get(track_id)
            if track is not None:
                pipeline.packet_received(Packet(track, dts, pts, is_keyframe, payload))
            told.flush()
        elif frame.type is FrameType.TRACK:
            _output, track = read_track(frame.body)
            tracks[track.id] = track
            pipeline.track_received(track)
        elif frame.type is FrameType.END:
            pipeline.flush()
            told.flush()
            return
    raise RemoteError("the server ended the helper process")
