"""The packets of a stream since its last keyframe, for the outputs that begin in between."""

from __future__ import annotations

from typing import Final

from ntvmedia.media import MediaKind, Packet

# Pictures that may be sent before one that is shown earlier: H.264 and H.265 have at most 16.
_REORDERED: Final = 17

# For which the last one is taken to be shown: slides are shown for longer, and need not be.
_LONGEST_PICTURE_SECONDS: Final = 0.1


class Backlog:
    """What an output that begins now is given first: the GOP cache of a stream.

    The stream itself appends, since a call costs as much as all else that it does for a packet:
    while `keeping`, to `packets`, and the size of the payload to `bytes`.

    Args:
        most_bytes: Of payloads; with more, nothing is kept until the next keyframe.
        most_frames: The same, as a number of packets.

    Attributes:
        packets: From a keyframe on, or none.
        bytes: Of their payloads.
        keeping: Packets are to be appended.
        start: Decode time of the keyframe, in seconds: tracks have different clocks.
    """

    __slots__ = ("bytes", "keeping", "most_bytes", "most_frames", "packets", "start")

    def __init__(self, most_bytes: int, most_frames: int) -> None:
        self.most_bytes = most_bytes
        self.most_frames = most_frames
        self.packets: list[Packet] = []
        self.bytes = 0
        self.keeping = True
        self.start = 0.0

    @property
    def shown_until(self) -> float:
        """Where the pictures that are kept end, by presentation times, in seconds; 0 for none."""
        pictures = [x for x in self.packets if x.track.kind is MediaKind.VIDEO][-_REORDERED:]
        if not pictures:
            return 0.0
        last = pictures[-1]
        rate = last.track.clock_rate
        step = last.dts - pictures[-2].dts if len(pictures) > 1 else 0
        return max(x.pts for x in pictures) / rate + min(step / rate, _LONGEST_PICTURE_SECONDS)

    def begin(self, seconds: float) -> None:
        """Begin anew with the keyframe that comes next.

        Args:
            seconds: Its decode time.
        """
        self.clear()
        self.start = seconds
        self.keeping = True

    def clear(self) -> None:
        """Forget what there is: it does not fit what comes."""
        self.packets = []
        self.bytes = 0

    def give_up(self) -> None:
        """Keep nothing until the next keyframe: who joins now waits for that."""
        self.clear()
        self.keeping = False
