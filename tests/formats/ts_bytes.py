"""MPEG-TS for tests: a small strict reader, written apart from the code under test.

It asserts all that must hold for every stream: whole packets, counters, checksums, alignment.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from ntvmedia.errors import PeerError
from ntvmedia.formats.mpegts_demuxer import Demuxer, Event, TrackEnded
from ntvmedia.formats.mpegts_muxer import Muxer
from ntvmedia.media import Codec, Packet, Track
from tests.codecs import vectors
from tests.formats.flv_bytes import nal_units

H264 = Track(Codec.H264, config=vectors.AVCC_1080)
HEVC = Track(Codec.HEVC, config=vectors.HVCC_720)
AAC = Track(Codec.AAC, clock_rate=48000, config=vectors.AAC_LC_STEREO, channels=2)
MP3 = Track(Codec.MP3, clock_rate=44100, channels=1)
AC3 = Track(Codec.AC3, clock_rate=44100, config=vectors.DAC3_STEREO_44, channels=2)
EAC3 = Track(Codec.EAC3, clock_rate=48000, config=vectors.DEC3_51, channels=6)
OPUS = Track(Codec.OPUS, clock_rate=48000, config=vectors.OPUS_STEREO, channels=2)

MP3_FRAME = vectors.MP3_MONO_44.ljust(417, b"m")
AC3_FRAME = vectors.AC3_STEREO_44.ljust(834, b"a")
EAC3_FRAME = vectors.EAC3_51.ljust(1792, b"e")
# CELT, 20 ms, one frame.
OPUS_FRAME = bytes((31 << 3,)) + b"opus"

IDR = nal_units(b"\x65\x88picture")
P_FRAME = nal_units(b"\x41\x9apicture")
HEVC_IDR = nal_units(b"\x26\x01\xafpicture")
HEVC_INTER = nal_units(b"\x02\x01\xd0picture")

SECOND = 90000
START = 10 * SECOND
VIDEO_PID, AUDIO_PID = 0x100, 0x101

SPS, PPS = (
    bytes.fromhex("67640028acd940780227e5c04400000fa40003a9803c60c658"),
    bytes.fromhex("68eae3cb22c0"),
)


@dataclass
class PES:
    """A PES packet, and where in the multiplex it began and ended (index of the packet)."""

    pid: int
    first: int
    stream_id: int
    length: int
    pts: int
    dts: int
    data: bytes
    random_access: bool
    pcr: int | None
    last: int = 0


@dataclass
class Multiplex:
    """What was read. Times are in ticks of 90 kHz, PCRs of 27 MHz; by index of their packet."""

    pats: list[tuple[int, dict[int, int]]] = field(default_factory=list)
    pmts: list[tuple[int, int, int, dict[int, tuple[int, bytes]]]] = field(default_factory=list)
    pes: list[PES] = field(default_factory=list)
    pcrs: list[tuple[int, int, int]] = field(default_factory=list)
    jumps: list[int] = field(default_factory=list)
    packets: int = 0
    fills: int = 0

    def of(self, pid: int) -> list[PES]:
        """Return the PES packets of one PID."""
        return [pes for pes in self.pes if pes.pid == pid]


def crc(data: bytes) -> int:
    """H.222.0 annex A, bit by bit."""
    register = 0xFFFFFFFF
    for byte in data:
        for bit in range(7, -1, -1):
            out = register >> 31 ^ byte >> bit & 1
            register = (register << 1 & 0xFFFFFFFF) ^ (0x04C11DB7 if out else 0)
    return register


def stamp(data: bytes) -> int:
    """Read a time of 33 bits with its three marker bits."""
    assert data[0] & data[2] & data[4] & 1
    return (
        (data[0] & 14) << 29 | data[1] << 22 | (data[2] & 254) << 14 | data[3] << 7 | data[4] >> 1
    )


def read(data: bytes, counters: dict[int, int] | None = None) -> Multiplex:
    """Read a multiplex.

    Args:
        counters: By PID, the last continuity counters of what came before; kept up to date.
    """
    assert len(data) % 188 == 0
    seen = Multiplex()
    counters = {} if counters is None else counters
    open_pes: dict[int, tuple[PES, bytearray]] = {}
    pmt_pids: set[int] = set()
    for index in range(len(data) // 188):
        packet = data[188 * index : 188 * index + 188]
        seen.packets += 1
        assert packet[0] == 0x47
        assert not packet[1] & 0xA0  # no error, no priority
        assert not packet[3] & 0xC0  # not scrambled
        starts = packet[1] & 0x40 != 0
        pid = (packet[1] & 0x1F) << 8 | packet[2]
        has_field, has_payload = packet[3] >> 5 & 1, packet[3] >> 4 & 1
        assert has_field or has_payload
        place, flags, pcr = 4, 0, None
        if has_field:
            size = packet[4]
            assert size <= 182 if has_payload else size == 183
            place = 5 + size
            if size:
                flags = packet[5]
                assert not flags & 0x2F  # nothing but discontinuity, random access and PCR
                if flags & 0x80:
                    assert flags & 0x10
                    seen.jumps.append(index)
                used = 1
                if flags & 0x10:
                    base = int.from_bytes(packet[6:12], "big")
                    pcr = (base >> 15) * 300 + (base & 0x1FF)
                    assert base >> 9 & 0x3F == 0x3F
                    seen.pcrs.append((index, pid, pcr))
                    used += 6
                assert set(packet[5 + used : place]) <= {0xFF}
        payload = packet[place:]
        counter = packet[3] & 15
        if not has_payload:
            seen.fills += 1
            assert pid not in counters or counter == counters[pid]
            continue
        assert pid not in counters or counter == (counters[pid] + 1) % 16, (index, pid)
        counters[pid] = counter
        if pid == 0 or pid in pmt_pids:
            assert starts and payload[0] == 0
            size = 3 + ((payload[2] & 15) << 8 | payload[3])
            section = payload[1 : 1 + size]
            assert len(section) == size and crc(section) == 0
            assert set(payload[1 + size :]) <= {0xFF}
            _table(seen, index, pid, section, pmt_pids)
        elif starts:
            _finish(open_pes, pid, index)
            assert payload[:3] == b"\x00\x00\x01" and payload[6] == 0x84
            both = payload[7] == 0xC0
            assert payload[7:9] in (b"\x80\x05", b"\xc0\x0a")
            pts = stamp(payload[9:14])
            assert payload[9] >> 4 == (3 if both else 2)
            dts = stamp(payload[14:19]) if both else pts
            length = payload[4] << 8 | payload[5]
            pes = PES(pid, index, payload[3], length, pts, dts, b"", bool(flags & 0x40), pcr, index)
            seen.pes.append(pes)
            open_pes[pid] = (pes, bytearray(payload[19 if both else 14 :]))
        else:
            pes, so_far = open_pes[pid]
            pes.last = index
            so_far += payload
    for pid in list(open_pes):
        _finish(open_pes, pid, seen.packets)
    return seen


def _finish(open_pes: dict[int, tuple[PES, bytearray]], pid: int, _index: int) -> None:
    if pid in open_pes:
        pes, data = open_pes.pop(pid)
        pes.data = bytes(data)
        head = 3 + (10 if pes.pts != pes.dts else 5)
        # Only pictures may leave out how long they are, and need it only above 64 kB.
        if pes.length:
            assert pes.length == head + len(data)
        else:
            assert pes.stream_id & 0xF0 == 0xE0 and head + len(data) > 0xFFFF


def _table(seen: Multiplex, index: int, pid: int, section: bytes, pmt_pids: set[int]) -> None:
    assert section[1] >> 4 == 0xB and section[5] & 0xC1 == 0xC1 and section[6:8] == b"\0\0"
    version = section[5] >> 1 & 31
    body = section[8:-4]
    if pid == 0:
        assert section[0] == 0
        programs = {
            int.from_bytes(body[at : at + 2], "big"): int.from_bytes(body[at + 2 : at + 4], "big")
            & 0x1FFF
            for at in range(0, len(body), 4)
        }
        pmt_pids.update(programs.values())
        seen.pats.append((index, programs))
        return
    assert section[0] == 2
    place = 4 + (body[2] << 8 & 0xF00 | body[3])
    streams: dict[int, tuple[int, bytes]] = {}
    while place < len(body):
        stop = place + 5 + (body[place + 3] << 8 & 0xF00 | body[place + 4])
        of = (body[place + 1] & 0x1F) << 8 | body[place + 2]
        assert of not in streams
        streams[of] = (body[place], body[place + 5 : stop])
        place = stop
    assert place == len(body)
    seen.pmts.append((index, version, (body[0] & 0x1F) << 8 | body[1], streams))


def check_clock(seen: Multiplex) -> None:
    """C-TS-02: PCR <= DTS <= PTS, PCRs grow and are at most 100 ms apart, over wraps too."""
    wrap, half = 1 << 33, 1 << 32

    def ahead(later: int, earlier: int) -> int:
        return (later - earlier + half) % wrap - half

    pcr_pids = {pid for _index, pid, _pcr in seen.pcrs}
    assert len(pcr_pids) == 1
    for (_a, _pid, before), (_b, _pid2, after) in pairwise(seen.pcrs):
        assert 0 < ahead(after // 300, before // 300) <= SECOND // 10
    for pes in seen.pes:
        assert ahead(pes.pts, pes.dts) >= 0
        earlier = [pcr for index, _pid, pcr in seen.pcrs if index <= pes.last]
        assert earlier and ahead(pes.dts, earlier[-1] // 300) >= 0
    for pid in {pes.pid for pes in seen.pes}:
        times = [pes.dts for pes in seen.of(pid)]
        assert all(ahead(b, a) > 0 for a, b in pairwise(times))


def mux(packets: Sequence[Packet], *tracks: Track, audio_gather_seconds: float = 0.0) -> bytes:
    """Write tables and packets with one muxer."""
    muxer = Muxer(tracks, audio_gather_seconds=audio_gather_seconds)
    parts = [muxer.tables()]
    for packet in packets:
        muxer.packet(packet, parts)
    muxer.flush(parts)
    return b"".join(parts)


def video(
    number: int, *, fps: int = 25, key: bool | None = None, start: int = 0, track: Track = H264
) -> Packet:
    """Make a picture; every second has a keyframe, unless told otherwise."""
    dts = start + number * SECOND // fps
    is_key = number % fps == 0 if key is None else key
    return Packet(track, dts, dts, is_key, IDR if is_key else P_FRAME)


def audio(number: int, *, track: Track = AAC, start: int = 0, frame: bytes = b"!sound") -> Packet:
    """Make a frame of sound of 1024 samples."""
    dts = start + number * 1024
    return Packet(track, dts, dts, True, frame)


def interleaved(*packets: Sequence[Packet]) -> list[Packet]:
    """Put packets of several tracks into the order of their decode times."""
    flat = [packet for of_track in packets for packet in of_track]
    return sorted(flat, key=lambda packet: packet.dts / packet.track.clock_rate)


FRAMES = {
    Codec.AAC: b"!sound",
    Codec.MP3: MP3_FRAME,
    Codec.AC3: AC3_FRAME,
    Codec.EAC3: EAC3_FRAME,
    Codec.OPUS: OPUS_FRAME,
}


def sample(*tracks: Track, size: int = 188) -> bytes:
    """Make a short multiplex of each track, with packets `size` bytes apart."""
    numbered = [replace(track, number=n) for n, track in enumerate(tracks)]
    sent = []
    for track in numbered:
        if track.codec in FRAMES:
            frame = FRAMES[track.codec]
            sent.append([audio(n, track=track, frame=frame) for n in range(6)])
        else:
            key, inter = (IDR, P_FRAME) if track.codec is Codec.H264 else (HEVC_IDR, HEVC_INTER)
            sent.append(
                [
                    Packet(track, n * 3600, n * 3600 + 3600, n == 0, inter if n else key)
                    for n in range(4)
                ]
            )
    data = mux(interleaved(*sent), *numbered, audio_gather_seconds=0.05)
    return b"".join(data[at : at + 188].ljust(size, b"\0") for at in range(0, len(data), 188))


class Wire:
    """Writes MPEG-TS for readers, plainly, with whatever a test wants to be wrong.

    Attributes:
        packets: So far.
        counters: The next one of each PID.
    """

    def __init__(self) -> None:
        self.packets: list[bytes] = []
        self.counters: dict[int, int] = {}

    @property
    def data(self) -> bytes:
        """All packets."""
        return b"".join(self.packets)

    def payload(self, pid: int, data: bytes, *, starts: bool = True) -> None:
        """Write bytes into packets; the last is filled up by its adaptation field."""
        for at in range(0, len(data), 184):
            piece = data[at : at + 184]
            counter = self.counters.get(pid, 0)
            self.counters[pid] = (counter + 1) % 16
            room = 184 - len(piece)
            adaptation = b""
            if room:
                adaptation = bytes((room - 1,)) + (b"\0" + b"\xff" * 184)[: room - 1]
            self.packets.append(
                bytes(
                    (
                        0x47,
                        (0x40 if starts and at == 0 else 0) | pid >> 8,
                        pid & 0xFF,
                        (0x30 if room else 0x10) | counter,
                    )
                )
                + adaptation
                + piece
            )

    def section(self, pid: int, table_id: int, number: int, body: bytes, version: int = 0) -> None:
        """Write a section."""
        head = bytes((table_id,)) + (0xB000 | len(body) + 9).to_bytes(2, "big")
        section = head + number.to_bytes(2, "big") + bytes((0xC1 | version << 1, 0, 0)) + body
        data = b"\0" + section + crc(section).to_bytes(4, "big")
        self.payload(pid, data + b"\xff" * (-len(data) % 184))

    def pat(self, *programs: tuple[int, int], version: int = 0) -> None:
        """Write a PAT of numbers and PIDs."""
        body = b"".join(
            number.to_bytes(2, "big") + (0xE000 | pid).to_bytes(2, "big")
            for number, pid in programs
        )
        self.section(0, 0, 1, body, version)

    def pmt(
        self, *streams: tuple[int, int, bytes], pid: int = 0x20, number: int = 1, version: int = 0
    ) -> None:
        """Write a PMT of stream types, PIDs and descriptors."""
        body = b"\xe1\0\xf0\0" + b"".join(
            bytes((kind,))
            + (0xE000 | of).to_bytes(2, "big")
            + (0xF000 | len(descriptors)).to_bytes(2, "big")
            + descriptors
            for kind, of, descriptors in streams
        )
        self.section(pid, 2, number, body, version)

    def pes(
        self,
        pid: int,
        data: bytes,
        pts: int | None = None,
        dts: int | None = None,
        *,
        stream_id: int = 0xC0,
        length: int | None = None,
    ) -> None:
        """Write a PES packet; `length` 0 does not tell how long it is."""
        times = b""
        for prefix, time in ((3 if dts is not None else 2, pts), (1, dts)):
            if time is not None:
                bits = f"{prefix:04b}{time % (1 << 33):033b}"
                marked = bits[:7] + "1" + bits[7:22] + "1" + bits[22:] + "1"
                times += int(marked, 2).to_bytes(5, "big")
        flags = (0x80 if pts is not None else 0) | (0x40 if dts is not None else 0)
        if length is None:
            length = 3 + len(times) + len(data)
        head = b"\0\0\1" + bytes((stream_id,)) + length.to_bytes(2, "big")
        self.payload(pid, head + bytes((0x80, flags, len(times))) + times + data)


def units(data: bytes) -> list[bytes]:
    """Cut a byte stream with start codes of four bytes."""
    assert data.startswith(b"\0\0\0\x01")
    return data.split(b"\0\0\0\x01")[1:]


def demux(pieces: Iterable[bytes], **options: bool | int) -> tuple[list[Event], str]:
    """Return what comes out of the pieces and of the end: the events, and the error after them."""
    demuxer = Demuxer(**options)  # type: ignore[arg-type]
    events: list[Event] = []
    try:
        for piece in pieces:
            demuxer.receive_data(piece)
            events.extend(demuxer.events())
        events.extend(demuxer.flush())
    except PeerError as error:
        return events, str(error)
    assert demuxer.buffered < 188
    return events, ""


def packets(events: Iterable[Event]) -> list[Packet]:
    """Keep the packets."""
    return [event for event in events if isinstance(event, Packet)]


def tracks(events: Iterable[Event]) -> list[Track]:
    """Keep the tracks."""
    return [event for event in events if isinstance(event, Track)]


def ended(events: Iterable[Event]) -> list[Track]:
    """Keep the tracks that ended."""
    return [event.track for event in events if isinstance(event, TrackEnded)]


def sound(wire: Wire, count: int, *, first: int = 0, pid: int = 0x101) -> None:
    """Write frames of AAC, each in its PES packet."""
    for n in range(first, first + count):
        frame = b"\xff\xf1\x4c\x80\x02\x1f\xfc!" + b"%08d" % n
        wire.pes(pid, frame, START + n * 1920)


def numbers(events: Iterable[Event]) -> list[int]:
    """Read the numbers of frames that `sound` wrote."""
    return [int(packet.payload[1:]) for packet in packets(events)]


def with_tables() -> Wire:
    """Begin a program of AAC on PID 0x101."""
    wire = Wire()
    wire.pat((1, 0x20))
    wire.pmt((0x0F, 0x101, b""))
    return wire
