"""One output format of one stream: serialised once, sent to all of its viewers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from ntvmedia.hub.blocks import Block, BlockOutlet
from ntvmedia.hub.datagrams import fan_out_datagrams
from ntvmedia.hub.outlet import fan_out
from ntvmedia.hub.pacing import Pacing
from ntvmedia.hub.timeline import LONGEST_WAIT_FOR_KEYFRAME_SECONDS
from ntvmedia.media import MediaKind, Packet, Track, to_milliseconds

# Without video every packet is a keyframe: this much sound is kept for those who join.
AUDIO_GROUP_SECONDS: Final = 1.0

# Before every time of any clock.
_LONG_AGO: Final = -(1 << 80)


class Serialiser(Protocol):
    """Turns the packets of one stream into the bytes of one output format. Pure.

    One with an attribute `longest_block_ms` has blocks of no more media than that, as well as
    frames can be cut: for datagrams, which have no way to hold a sender back.
    """

    def tracks_changed(
        self, tracks: Sequence[Track], metadata: Mapping[str, object], timestamp: int
    ) -> bytes:
        """Take the tracks to send; called first of all, and whenever one appears or changes.

        Args:
            tracks: Those selected for this output.
            metadata: What the publisher says of the stream.
            timestamp: Stream time in milliseconds.

        Returns:
            What tells running viewers; ignored at the first call.
        """

    def header(self, timestamp: int) -> bytes:
        """Return all that a new viewer needs before its first block, stamped in milliseconds."""

    def packet(self, packet: Packet, parts: list[bytes]) -> None:
        """Append the pieces of one packet's bytes."""

    def trailer(self) -> bytes:
        """Return what ends the output."""

    def frame(self, block: bytes) -> bytes:
        """Wrap a finished block or header for its transport."""


class RenditionKey(NamedTuple):
    """What makes two viewers of a stream share their bytes.

    Attributes:
        format: A name known to `Hub.register_format`.
        options: Pairs in sorted order: "video" and "audio" as in `select_tracks`, and the
            format's own.
    """

    format: str
    options: tuple[tuple[str, str], ...] = ()


def select_tracks(tracks: Sequence[Track], options: Mapping[str, str]) -> list[Track]:
    """Choose what one output carries: one video, one audio, and all data tracks.

    Args:
        tracks: All that there are.
        options: "video" and "audio" name a track number, or "none" to leave that kind out.
            Without one, or where there is no such track, it is the one with the lowest number.
    """
    chosen: list[Track] = []
    for kind in (MediaKind.VIDEO, MediaKind.AUDIO):
        wish = options.get(kind, "")
        if wish == "none":
            continue
        of_kind = sorted((x for x in tracks if x.kind is kind), key=lambda x: x.number)
        wanted = [x for x in of_kind if str(x.number) == wish]
        chosen += (wanted or of_kind)[:1]
    return chosen + [x for x in tracks if x.kind is MediaKind.DATA]


class Rendition:
    """The blocks of one format, and who gets them.

    Args:
        pacing: When blocks are sent.
        key: Its options say which tracks are chosen.
        serialiser: New.
        cache_bytes: Most bytes of blocks that are kept for a viewer who joins.
        cache_blocks: Most blocks that are kept.
        failed: Called, where the exception is handled, when a block that is due cannot be made.

    Attributes:
        outlets: Of the viewers that take blocks; a dict for its order and its cheap removal.
        held: Of those that pause.
        users: How many viewers have it, those that pause included.
        bytes_made: Bytes of all blocks so far.
        blocks_made: How many those were.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        pacing: Pacing,
        key: RenditionKey,
        serialiser: Serialiser,
        *,
        cache_bytes: int,
        cache_blocks: int,
        failed: Callable[[Rendition], None],
    ) -> None:
        self.key = key
        self.outlets: dict[BlockOutlet, None] = {}
        self.held: dict[BlockOutlet, None] = {}
        self.users = 0
        self.bytes_made = 0
        self.blocks_made = 0
        self._reactor = reactor
        self._pacing = pacing
        self._serialiser = serialiser
        self._options = dict(key.options)
        self._cache_bytes = cache_bytes
        self._cache_blocks = cache_blocks
        self._failed = failed
        self._longest_ms: int = getattr(serialiser, "longest_block_ms", 0)
        self._fan_out = fan_out_datagrams if self._longest_ms else fan_out
        self._chosen: list[Track] = []
        self._wanted: set[int] = set()
        self._has_video = False
        self._changes: dict[tuple[int, ...], tuple[int, bytes]] = {}
        self._generation = 0
        self._sent_generation = 0
        self._blocks: list[Block] = []
        self._block_bytes = 0
        self._header: bytes = b""
        self._group_start = 0
        self._started = False
        self._parts: list[bytes] = []
        self._parts_first: Packet | None = None
        self._parts_keyframe = False
        self._parts_video = False
        self._pictures_at = reactor.seconds()
        self._parts_time = 0
        self._blocks_time = 0
        self._waiting_since: float | None = None
        self._due = 0.0
        self._timer: IDelayedCall | None = None

    @property
    def joins_at(self) -> int | None:
        """Decode time of what one gets first who joins now, in ms; None if it has not come."""
        return self._blocks_time if self._blocks else None

    def start(
        self, tracks: Sequence[Track], metadata: Mapping[str, object], backlog: Sequence[Packet]
    ) -> None:
        """Serialise what the stream has kept. Called once, before anything else."""
        first = backlog[0] if backlog else None
        if first is not None:
            self._parts_time = to_milliseconds(first.dts, first.track.clock_rate)
            self._blocks_time = self._parts_time
        self._choose(select_tracks(tracks, self._options), metadata, self._parts_time)
        for packet in backlog:
            self.packet(packet)
        self.flush()

    def tracks_changed(
        self, tracks: Sequence[Track], metadata: Mapping[str, object], timestamp: int
    ) -> None:
        """Tell the viewers that a track appeared, went, or has a new configuration.

        Args:
            timestamp: Stream time in milliseconds.
        """
        before = self._chosen
        chosen = select_tracks(tracks, self._options)
        if chosen == before:
            return
        self.flush()
        blob = self._choose(chosen, metadata, timestamp)
        self._generation += 1
        self._header = b""
        if any(track not in chosen for track in before):
            # Who joins now gets the new headers: they do not fit the blocks that there are.
            self._blocks = []
        if not self._has_video:
            self._group_start = _LONG_AGO  # the next sound begins a group, by whatever clock
        if blob:
            changed = tuple(track.id for track in chosen if track not in before)
            self._changes.pop(changed, None)  # the last is to be the last
            self._changes[changed] = (self._generation, self._serialiser.frame(blob))
            self._parts.append(blob)

    def metadata_changed(self, metadata: Mapping[str, object]) -> None:
        """Take what the publisher says now; those who join are told."""
        self._choose(self._chosen, metadata, self._parts_time)
        self._header = b""

    def packet(self, packet: Packet) -> None:
        """Serialise one packet, if it is of a track that this output carries."""
        track = packet.track
        if track.id not in self._wanted:
            return
        if track.kind is MediaKind.VIDEO:
            starts = packet.is_keyframe
            self._parts_video = True
        elif self._has_video or track.kind is MediaKind.DATA:
            starts = False
        else:
            starts = (
                not self._started
                or packet.dts - self._group_start > AUDIO_GROUP_SECONDS * track.clock_rate
            )
        if starts:
            self._begin_group(packet)
        elif not self._started and not self._waited_in_vain(packet):
            return
        elif self._longest_ms and self._is_full(packet):
            self.flush()
        self._serialiser.packet(packet, self._parts)
        if self._parts_first is None:
            self._parts_first = packet
        interval = self._interval()
        if interval and self._timer is None:
            now = self._reactor.seconds()
            self._timer = self._reactor.callLater(max(0.0, self._due - now), self._flush_by_timer)

    def batch_ended(self) -> None:
        """All that came in one read was passed on: send it, where nothing is merged."""
        if self._parts and not self._pacing.interval:
            self.flush()

    def flush(self) -> None:
        """Make a block of what waits, and send it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        parts = self._parts
        if not parts:
            return
        now = self._reactor.seconds()
        if self._parts_video:
            self._pictures_at = now
        elif self._pictures_stopped(now):
            self._parts_keyframe = True
        first = self._parts_first
        block = Block(
            self._serialiser.frame(b"".join(parts)),
            self._parts_keyframe,
            self._generation,
            0 if first is None else to_milliseconds(first.dts, first.track.clock_rate),
        )
        self._parts = []
        self._parts_first = None
        self._parts_video = self._parts_keyframe = False
        self._due = now + self._interval()
        self.bytes_made += len(block.data)
        self.blocks_made += 1
        self._keep(block)
        self._fan_out(tuple(self.outlets), block)
        if block.generation != self._sent_generation:
            self._sent_generation = block.generation
            for outlet in self.outlets:
                if outlet.ready:  # it has the block, and the headers in it
                    outlet.generation = block.generation

    def add(self, outlet: BlockOutlet, *, from_now: bool = False) -> None:
        """Let one more viewer have the header, the blocks since the keyframe, and the next.

        Args:
            from_now: Leave out what there is, and begin with the next keyframe.
        """
        if not self._header:
            self._header = self._serialiser.frame(self._serialiser.header(self._blocks_time))
        outlet.catch_up = self._catch_up
        outlet.begin(self._header, () if from_now else self._blocks, self._generation)
        self.outlets[outlet] = None

    def hold(self, outlet: BlockOutlet) -> None:
        """Send a viewer no blocks for a while."""
        self.remove(outlet)
        self.held[outlet] = None

    def resume(self, outlet: BlockOutlet) -> None:
        """Let a viewer that was held go on with the next block that begins with a keyframe."""
        del self.held[outlet]
        outlet.catch_up = self._catch_up
        outlet.skip_to_keyframe()
        self.outlets[outlet] = None

    def remove(self, outlet: BlockOutlet) -> None:
        """Send it nothing more. Idempotent."""
        self.outlets.pop(outlet, None)
        self.held.pop(outlet, None)
        outlet.catch_up = None

    def end(self) -> None:
        """Send what is left, and the trailer to all; there will be no more packets."""
        self.flush()
        trailer = self._serialiser.trailer()
        for outlet in (*self.outlets, *self.held):
            outlet.write(trailer)
            self.remove(outlet)

    def stop(self) -> None:
        """Make nothing more, whatever still comes."""
        self._wanted = set()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._parts = []

    def _choose(self, chosen: list[Track], metadata: Mapping[str, object], timestamp: int) -> bytes:
        self._chosen = chosen
        self._wanted = {track.id for track in chosen}
        self._has_video = any(track.kind is MediaKind.VIDEO for track in chosen)
        return self._serialiser.tracks_changed(chosen, metadata, timestamp)

    def _begin_group(self, packet: Packet) -> None:
        if self._parts_first is not None:
            self.flush()
        # Only headers can be before it in its block.
        self._parts_keyframe = True
        self._parts_time = to_milliseconds(packet.dts, packet.track.clock_rate)
        self._group_start = packet.dts
        self._started = True

    def _interval(self) -> float:
        """Return the seconds between flushes."""
        interval, longest = self._pacing.interval, self._longest_ms
        return min(interval, longest / 1000) if longest else interval

    def _is_full(self, packet: Packet) -> bool:
        """Whether a packet is too late for the block of what waits."""
        first = self._parts_first
        if first is None:
            return False
        passed = packet.dts / packet.track.clock_rate - first.dts / first.track.clock_rate
        return passed * 1000 >= self._longest_ms

    def _pictures_stopped(self, now: float) -> bool:
        """Whether a block of sound alone can be joined, since no picture has come for long."""
        first = self._parts_first
        if (
            first is None
            or not self._has_video
            or now - self._pictures_at < LONGEST_WAIT_FOR_KEYFRAME_SECONDS
        ):
            return False
        if not self._parts_keyframe:
            self._parts_time = to_milliseconds(first.dts, first.track.clock_rate)
        return True

    def _waited_in_vain(self, packet: Packet) -> bool:
        seconds = packet.dts / packet.track.clock_rate
        if self._waiting_since is None:
            self._waiting_since = seconds
        if seconds - self._waiting_since < LONGEST_WAIT_FOR_KEYFRAME_SECONDS:
            return False
        self._begin_group(packet)
        return True

    def _keep(self, block: Block) -> None:
        if block.is_keyframe:
            self._blocks = []
            self._block_bytes = 0
            self._blocks_time = self._parts_time
            self._header = b""
        elif not self._blocks:
            return
        self._block_bytes += len(block.data)
        if self._block_bytes > self._cache_bytes or len(self._blocks) >= self._cache_blocks:
            self._blocks = []  # who joins now waits for the next keyframe
        else:
            self._blocks.append(block)

    def _catch_up(self, generation: int) -> bytes:
        return b"".join(blob for at, blob in self._changes.values() if at > generation)

    def _flush_by_timer(self) -> None:
        self._timer = None
        try:
            self.flush()
        except Exception:
            self._failed(self)
