"""One source that several outputs get as it is, or some of its kinds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from zope.interface import implementer

from ntvmedia.interfaces import IPullSink
from ntvmedia.media.packets import MediaKind, Packet, Track
from ntvmedia.media.relaying import OutputOptions


@implementer(IPullSink)
class Copies:
    """Passes on what is wanted to each output.

    Args:
        outputs: None of which encodes anything; the first is told what is noted.
    """

    def __init__(self, outputs: Sequence[tuple[OutputOptions, IPullSink]]) -> None:
        self._sinks = [sink for _options, sink in outputs]
        self._by_kind: dict[MediaKind, list[IPullSink]] = {
            MediaKind.VIDEO: [sink for options, sink in outputs if options.video.codec == "copy"],
            MediaKind.AUDIO: [sink for options, sink in outputs if options.audio.codec == "copy"],
            MediaKind.DATA: self._sinks,
        }

    def track_received(self, track: Track) -> None:
        for sink in self._by_kind[track.kind]:
            sink.track_received(track)

    def metadata_received(self, fields: Mapping[str, object]) -> None:
        for sink in self._sinks:
            sink.metadata_received(fields)

    def packet_received(self, packet: Packet) -> None:
        for sink in self._by_kind[packet[0].kind]:
            sink.packet_received(packet)

    def batch_ended(self) -> None:
        for sink in self._sinks:
            sink.batch_ended()

    def noted(self, line: str) -> None:
        self._sinks[0].noted(line)


def copies(outputs: Sequence[tuple[OutputOptions, IPullSink]]) -> IPullSink:
    """Return what passes on to outputs: the sink itself, where one wants all."""
    if len(outputs) == 1 and outputs[0][0] == OutputOptions():
        return outputs[0][1]
    sink: IPullSink = Copies(outputs)
    return sink
