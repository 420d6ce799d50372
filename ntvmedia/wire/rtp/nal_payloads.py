"""What H.264 and HEVC have in common in RTP: NAL units alone, several in one, one in several.

RFC 6184 (H.264) and RFC 7798 (HEVC) differ in the header of a unit, of one byte or two.
"""

from __future__ import annotations

import struct
from typing import Final

from ntvmedia.codecs.nal import join_length_prefixed, split_annexb
from ntvmedia.errors import PeerError, UsageError
from ntvmedia.media.packets import VIDEO_CLOCK_RATE, Codec, Packet, Track
from ntvmedia.wire.rtp.decode_times import DEFAULT_STEP, DecodeTimes
from ntvmedia.wire.rtp.packets import MAX_PAYLOAD, RTPPacket
from ntvmedia.wire.rtp.payloads import MAX_PICTURE, MAX_PICTURE_PACKETS, Event, Payload

MIN_PAYLOAD: Final = 64
"""Bytes that a payload must be allowed to have."""

# Of one parameter set; with scaling lists and timing it has a few hundred bytes.
_MAX_SET: Final = 4096
_MAX_SETS: Final = 64

_LENGTH: Final = struct.Struct(">I").unpack_from

# How sure it is that an access unit's first packet is the first that was sent of it.
_SURE: Final = 0
_FIRST: Final = 1
_AFTER_LOSS: Final = 2


class NALPacketiser:
    """Makes payloads of H.264 or HEVC.

    Units that are small go together into one packet, large ones are cut; keyframes are preceded by
    the parameter sets of the track where they have none of their own.

    Args:
        sets: Parameter sets of the track, in the order in which they are sent.
        mtu: Bytes of a payload, at most.

    Raises:
        UsageError: `mtu` is below `MIN_PAYLOAD`.
    """

    clock_rate = VIDEO_CLOCK_RATE
    step = 0

    # Bytes of a unit's header.
    _header_size: int

    def __init__(self, sets: tuple[bytes, ...], mtu: int = MAX_PAYLOAD) -> None:
        if mtu < MIN_PAYLOAD:
            raise UsageError(f"a payload of RTP has {MIN_PAYLOAD} bytes at least")
        self._mtu = mtu
        self._sets = sets

    def packetise(self, packet: Packet) -> list[Payload]:
        data = packet.payload
        mtu = self._mtu
        payloads: list[Payload] = []
        small: list[bytes] = []
        if packet.is_keyframe and self._sets and not self._has_sets(data):
            for unit in self._sets:
                if len(unit) <= mtu:
                    small.append(unit)
                else:
                    self._cut(unit, 0, len(unit), payloads)
        room = mtu - self._header_size - sum(2 + len(unit) for unit in small)
        position, last = 0, len(data) - 4
        while position < last:
            start = position + 4
            (length,) = _LENGTH(data, position)
            position = start + length
            if length > mtu:
                if small:
                    self._put(small, payloads)
                    small, room = [], mtu - self._header_size
                self._cut(data, start, min(position, last + 4), payloads)
            elif length >= self._header_size:
                room -= 2 + length
                if small and room < 0:
                    self._put(small, payloads)
                    small, room = [], mtu - self._header_size - 2 - length
                small.append(data[start:position])
        if small:
            self._put(small, payloads)
        if payloads:
            payloads[-1] = (payloads[-1][0], True)
        return payloads

    def _put(self, units: list[bytes], payloads: list[Payload]) -> None:
        """Append a packet of small units; of the parameter sets there may be too many for one."""
        if len(units) == 1:
            payloads.append((units[0], False))
            return
        room = self._mtu - self._header_size
        parts: list[bytes] = []
        put: list[bytes] = []
        for unit in units:
            room -= 2 + len(unit)
            if room < 0 and put:
                self._put(put, payloads)
                room = self._mtu - self._header_size - 2 - len(unit)
                parts, put = [], []
            parts.append(len(unit).to_bytes(2, "big"))
            parts.append(unit)
            put.append(unit)
        if len(put) == 1:
            payloads.append((put[0], False))
        else:
            payloads.append((self._aggregate(put) + b"".join(parts), False))

    def _cut(self, data: bytes, start: int, stop: int, payloads: list[Payload]) -> None:
        """Append the fragments of a unit that is longer than a packet may be."""
        first, middle, final = self._heads(data, start)
        size = self._mtu - len(first)
        at = start + self._header_size
        payloads.append((first + data[at : at + size], False))
        at += size
        while at < stop - size:
            payloads.append((middle + data[at : at + size], False))
            at += size
        payloads.append((final + data[at:stop], False))

    def _has_sets(self, data: bytes) -> bool:
        """Whether a frame has parameter sets of its own."""
        raise NotImplementedError

    def _aggregate(self, units: list[bytes]) -> bytes:
        """Write what stands before several units."""
        raise NotImplementedError

    def _heads(self, data: bytes, start: int) -> tuple[bytes, bytes, bytes]:
        """Write what stands before the first, a middle and the last fragment of a unit."""
        raise NotImplementedError


class NALDepacketiser:
    """Reads payloads of H.264 or HEVC, and puts access units together.

    One ends with the marker bit, or where the timestamp changes: some senders never set the bit,
    some set it in each packet. So the first access unit waits for the next timestamp; if then the
    marker was at its end, and only there, it is trusted from then on.

    The two fields of an interlaced picture have one time, and are one packet: so there only the
    timestamp tells.

    An access unit of which a packet is missing, or may be, is left out. Parameter sets and
    delimiters are taken out: the track's configuration has the sets. What comes in the stream wins
    over what the session's description said.

    Args:
        sets: By type: parameter sets of the description.
        number: Of the track.

    Attributes:
        damaged: Access units that were left out.
        is_damaged: One was, since the last keyframe: what comes until the next refers to it.
    """

    _codec: Codec
    # Types of the parameter sets, in the configuration record's order.
    _set_types: tuple[int, ...]

    def __init__(self, sets: dict[int, tuple[bytes, ...]], number: int = 0) -> None:
        self.damaged = 0
        self.is_damaged = False
        self._number = number
        self._track: Track | None = None
        self._sets: dict[int, tuple[bytes, ...]] = {kind: () for kind in self._set_types}
        self._times = DecodeTimes()
        self._trusted: bool | None = None
        self._has_fields = False
        # What is to come out with the next packet: the track of the description.
        self._pending: list[Event] = []
        self._take_sets({kind: list(units) for kind, units in sets.items()}, self._pending)
        self._next = -1
        self._timestamp = -1
        self._ticks = 0
        self._is_open = False
        self._marked = False
        self._begin(_FIRST)
        self._is_open = False

    def receive(self, packet: RTPPacket, ticks: int, lost: bool) -> list[Event]:
        _type, number, timestamp, _ssrc, marker, payload = packet
        events, self._pending = self._pending, []
        if timestamp != self._timestamp:
            # Every access unit ends with a marker, and one alone was lost: it was that one.
            ended = self._is_open and self._trusted is True
            only_end = ended and lost and number == (self._next + 1) & 0xFFFF
            if self._is_open:
                if lost:
                    self._break()
                elif self._trusted is None:
                    self._trusted = self._marked and not self._has_fields
                self._finish(events)
            start = _FIRST if self._timestamp < 0 else _SURE
            self._begin(_AFTER_LOSS if lost and not only_end else start)
            self._timestamp, self._ticks = timestamp, ticks
        elif lost:
            if not self._is_open:
                self._begin(_AFTER_LOSS)
                self._ticks = ticks
            self._break()
        elif self._marked:
            if self._starts(payload) and not self._expects_fields():
                # Another picture of the same time.
                if self._is_open:
                    self._finish(events)
                self._begin(_SURE)
                self._ticks = ticks
            else:
                self._trusted = False
                if not self._is_open:
                    # What the marker seemed to end went out without this.
                    self._begin(_SURE)
                    self._is_broken = True
        self._marked = marker
        self._next = (number + 1) & 0xFFFF
        if self._is_broken:
            self._salvage(payload)
        else:
            self._packets += 1
            self._size += len(payload)
            if self._size > MAX_PICTURE or self._packets > MAX_PICTURE_PACKETS:
                self._break()
            elif payload:
                self._read(payload)
        if marker:
            if self._fragments is not None:
                self._trusted = False
            elif self._trusted:
                self._finish(events)
        return events

    def flush(self) -> list[Event]:
        events, self._pending = self._pending, []
        if self._is_open:
            # Without its marker it has no end, unless the sender sets none.
            if not self._marked and self._trusted is not False:
                self._is_broken = True
            self._finish(events)
        return events

    def _begin(self, certainty: int) -> None:
        """Begin an access unit."""
        self._is_open = True
        self._marked = False
        self._is_broken = False
        self._certainty = certainty
        self._units: list[bytes] = []
        self._found: dict[int, list[bytes]] = {}
        self._fragments: list[bytes] | None = None
        self._size = self._packets = 0

    def _finish(self, events: list[Event]) -> None:
        """End an access unit."""
        self._is_open = False
        if self._found:
            self._take_sets(self._found, events)
        if self._is_broken or self._fragments is not None:
            self.damaged += 1
            self.is_damaged = True
            return
        units = self._units
        if self._track is None or not any(map(self._is_slice, units)):
            return
        payload = join_length_prefixed(units)
        is_keyframe = self._is_keyframe(payload)
        if is_keyframe:
            self.is_damaged = False
        dts, pts = self._times.take(self._ticks)
        events.append(Packet(self._track, dts, pts, is_keyframe, payload))

    def _expects_fields(self) -> bool:
        """Whether this access unit may be a field, also by the sets that it brings itself."""
        if self._has_fields or not self._found:
            return self._has_fields
        found = {kind: tuple(units) for kind, units in self._found.items()}
        try:
            return self._is_interlaced({**self._sets, **found})
        except PeerError:
            return False

    def _break(self) -> None:
        """Leave out this access unit, and hold nothing more of it."""
        self._is_broken = True
        self._units = []
        self._fragments = None

    def _unit(self, unit: bytes) -> None:
        """Take a whole unit."""
        kind = self._type(unit)
        if self._certainty:
            sure = kind in self._sets or self._is_delimiter(kind)
            if not sure and (
                self._certainty == _AFTER_LOSS
                or (self._is_slice(unit) and not self._is_first(unit))
            ):
                self._break()
                return
            self._certainty = _SURE
        if kind in self._sets:
            if len(unit) <= _MAX_SET:
                self._found.setdefault(kind, []).append(unit)
        elif not self._is_delimiter(kind):
            self._units.append(unit)

    def _several(self, payload: bytes, position: int, gap: int = 0) -> None:
        """Take units that stand in one packet, each after its length in two bytes.

        Args:
            position: Where the first length is.
            gap: Bytes before each length but the first.
        """
        end = len(payload)
        while position < end and not self._is_broken:
            start = position + 2
            length = int.from_bytes(payload[position:start], "big")
            if not length and not payload[position:].strip(b"\x00"):
                return  # some cameras fill up with zeros
            position = start + length
            if start > end or position > end or not length:
                self._break()
                return
            self._unit(payload[start:position])
            position += gap

    def _fragment(self, payload: bytes, body: int, head: bytes, flags: int) -> None:
        """Take a fragment of a unit.

        Args:
            body: Where it begins.
            head: The header of the unit, which the fragments do not have.
            flags: The fragment's own header: 0x80 is the start, 0x40 the end.
        """
        if flags & 0x80:
            if self._fragments is not None:
                self._break()
                return
            self._fragments = [head, payload[body:]]
        elif self._fragments is None:
            self._break()
            return
        else:
            self._fragments.append(payload[body:])
        if flags & 0x40:
            unit = b"".join(self._fragments)
            self._fragments = None
            self._unit(unit)

    def _stray(self, payload: bytes) -> None:
        """Take units after start codes, which some cameras leave there."""
        try:
            units = split_annexb(payload)
        except PeerError:
            self._break()
            return
        for unit in units:
            self._unit(unit)

    def _salvage(self, payload: bytes) -> None:
        """Take parameter sets of an access unit that is damaged."""
        if payload and self._type(payload) in self._sets and len(payload) <= _MAX_SET:
            self._found.setdefault(self._type(payload), []).append(payload)

    def _take_sets(self, found: dict[int, list[bytes]], events: list[Event]) -> None:
        """Make a new track, if these sets are others than those before."""
        known = dict(self._sets)
        for kind, units in found.items():
            known[kind] = tuple(dict.fromkeys(units))[:_MAX_SETS]
        if known == self._sets:
            return
        try:
            config = self._configuration([known[kind] for kind in self._set_types])
        except PeerError:
            return
        self._sets = known
        if config and (self._track is None or self._track.config != config):
            self._track = Track(self._codec, self._number, config=config)
            self._has_fields = self._is_interlaced(known)
            if self._has_fields:
                self._trusted = False
            depth, rate = self._order(known)
            step = DEFAULT_STEP if rate is None else max(1, round(VIDEO_CLOCK_RATE / rate))
            self._times.configure(depth, step)
            events.append(self._track)

    def _read(self, payload: bytes) -> None:
        """Take the payload of one packet, not empty."""
        raise NotImplementedError

    def _starts(self, payload: bytes) -> bool:
        """Whether a payload can only be the first of an access unit."""
        raise NotImplementedError

    def _type(self, unit: bytes) -> int:
        raise NotImplementedError

    def _is_slice(self, unit: bytes) -> bool:
        raise NotImplementedError

    def _is_first(self, unit: bytes) -> bool:
        """Whether a slice is the first of its picture."""
        raise NotImplementedError

    def _is_delimiter(self, kind: int) -> bool:
        raise NotImplementedError

    def _is_keyframe(self, payload: bytes) -> bool:
        raise NotImplementedError

    def _configuration(self, sets: list[tuple[bytes, ...]]) -> bytes:
        """Make the configuration record; none where sets are missing."""
        raise NotImplementedError

    def _is_interlaced(self, sets: dict[int, tuple[bytes, ...]]) -> bool:
        """Whether pictures may be fields."""
        return False

    def _order(self, sets: dict[int, tuple[bytes, ...]]) -> tuple[int | None, float | None]:
        """Tell how many pictures are held back, and the frame rate; None where not known."""
        raise NotImplementedError
