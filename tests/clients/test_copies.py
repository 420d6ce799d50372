"""Tests of ntvmedia.clients.copies."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings, strategies as st
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from ntvmedia.clients.copies import copies
from ntvmedia.interfaces import IPullSink
from ntvmedia.media.packets import MediaKind, Packet, Track
from ntvmedia.media.relaying import AudioOptions, OutputOptions, VideoOptions
from tests.clients.test_pacing import AUDIO, DATA, VIDEO, Sink

ALL = OutputOptions()
NO_VIDEO = OutputOptions(video=VideoOptions(codec="none"))
NO_AUDIO = OutputOptions(audio=AudioOptions(codec="none"))
NOTHING = OutputOptions(VideoOptions(codec="none"), AudioOptions(codec="none"))
TRACKS = (VIDEO, AUDIO, DATA)


def make(*options: OutputOptions) -> tuple[Any, list[Any]]:
    """Return what passes on, and the sinks."""
    sinks: list[Any] = [Sink(Clock()) for _one in options]
    return copies(list(zip(options, sinks, strict=True))), sinks


def packet(track: Track, number: int = 0) -> Packet:
    """Return a packet."""
    return Packet(track, number, number, True, b"%d" % number)


def test_one() -> None:
    """The sink of one output that wants all is given all without anybody between."""
    made, sinks = make(ALL)
    assert made is sinks[0]


def test_some() -> None:
    """An output gets the kinds that it wants, data always; what is said goes to all."""
    made, sinks = make(ALL, NO_VIDEO, NO_AUDIO, NOTHING)
    verifyObject(IPullSink, made)
    made.metadata_received({"title": "x"})
    for track in TRACKS:
        made.track_received(track)
        made.packet_received(packet(track))
    made.batch_ended()
    for sink, wanted in zip(sinks, ("VAD", "AD", "VD", "D"), strict=True):
        tracks = [track for track, name in zip(TRACKS, "VAD", strict=True) if name in wanted]
        passed = [item for track in tracks for item in (track, packet(track))]
        assert sink.items() == [{"title": "x"}, *passed]
        assert sink.batches == 1


def test_notes() -> None:
    """The task has one log: the first output is told."""
    made, sinks = make(NO_AUDIO, ALL)
    made.noted("tried again")
    assert [sink.items() for sink in sinks] == [["tried again"], []]


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.sampled_from([ALL, NO_VIDEO, NO_AUDIO, NOTHING]), min_size=1, max_size=4),
    st.lists(st.sampled_from(TRACKS), max_size=12),
)
def test_each_as_alone(options: list[OutputOptions], order: list[Track]) -> None:
    """Every output gets what it would get alone, in the order in which it came."""
    made, sinks = make(*options)
    given_packets = [packet(track, number) for number, track in enumerate(order)]
    for one in given_packets:
        made.packet_received(one)
    for sink, wants in zip(sinks, options, strict=True):
        unwanted = {
            kind
            for kind, part in ((MediaKind.VIDEO, wants.video), (MediaKind.AUDIO, wants.audio))
            if part.codec == "none"
        }
        assert sink.items() == [x for x in given_packets if x.track.kind not in unwanted]
