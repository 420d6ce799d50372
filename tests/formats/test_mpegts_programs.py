"""Tests of ntvmedia.formats.mpegts_demuxer: programs, their tables, and limits."""

from __future__ import annotations

import pytest

from ntvmedia.formats import mpegts_demuxer
from ntvmedia.formats.mpegts_demuxer import Demuxer
from ntvmedia.media import Codec
from tests.formats.ts_bytes import (
    AC3_FRAME,
    EAC3_FRAME,
    MP3_FRAME,
    OPUS_FRAME,
    START,
    Wire,
    demux,
    ended,
    numbers,
    packets,
    sound,
    tracks,
    with_tables,
)


def test_new_table() -> None:
    """A changed PMT: what is gone ends, what is new begins, the rest goes on."""
    wire = Wire()
    wire.pat((1, 0x20))
    wire.pmt((0x0F, 0x101, b""), (0x0F, 0x102, b""))
    sound(wire, 2)
    sound(wire, 2, pid=0x102)
    wire.pmt((0x0F, 0x102, b""), (0x0F, 0x103, b""), version=1)
    sound(wire, 2, first=2, pid=0x102)
    sound(wire, 2, pid=0x103)
    sound(wire, 2, pid=0x101)  # not in the table any more
    events, _error = demux([wire.data])
    assert [(packet.track.number, packet.payload[-1:]) for packet in packets(events)] == [
        (0, b"0"),
        (0, b"1"),
        (1, b"0"),
        (1, b"1"),
        (1, b"2"),
        (1, b"3"),
        (0, b"0"),
        (0, b"1"),
    ]
    assert [track.number for track in ended(events)] == [0, 1, 0]
    assert [track.number for track in tracks(events)] == [0, 1, 0]


def test_stream_changes_its_codec() -> None:
    """The same PID with another type: another track."""
    wire = with_tables()
    sound(wire, 2)
    wire.pmt((0x03, 0x101, b""), version=1)
    wire.pes(0x101, MP3_FRAME, START + 5000)
    events, _error = demux([wire.data])
    assert [type(event).__name__ for event in events] == [
        *("Track", "Packet", "Packet", "TrackEnded"),
        *("Track", "Packet", "TrackEnded"),
    ]


def test_program_moves() -> None:
    """A changed PAT: the PMT is on another PID from then on."""
    wire = with_tables()
    sound(wire, 2)
    wire.pat((1, 0x30), version=1)
    wire.pmt((0x0F, 0x105, b""))  # where nobody looks now
    wire.pmt((0x0F, 0x101, b""), pid=0x30)
    sound(wire, 2, first=2)
    events, _error = demux([wire.data])
    assert numbers(events) == [0, 1, 2, 3]
    assert len(tracks(events)) == 1


def test_several_programs() -> None:
    """The first of the table is read, or the one that is asked for."""
    wire = Wire()
    wire.pat((0, 0x10), (7, 0x27), (3, 0x23))
    wire.pmt((0x0F, 0x101, b""), pid=0x27, number=7)
    wire.pmt((0x0F, 0x102, b""), pid=0x23, number=3)
    sound(wire, 1)
    sound(wire, 1, pid=0x102, first=1)
    assert numbers(demux([wire.data])[0]) == [0]
    assert numbers(demux([wire.data], program=3)[0]) == [1]
    assert demux([wire.data], program=4) == ([], "")


def test_damaged_tables() -> None:
    """A wrong CRC, another program's table on the same PID, lengths that lie: as if not there."""
    wire = Wire()
    wire.pat((1, 0x20))
    wire.pat((1, 0x30), version=1)
    wire.packets[1] = wire.packets[1][:-170] + b"?" + wire.packets[1][-169:]
    wire.pmt((0x0F, 0x101, b""), number=2)
    wire.section(0x20, 2, 1, b"\xe1\0\xf0\x50", 2)
    wire.section(0x20, 2, 1, b"\xe1\0\xf0\0\x0f\xe1\x01\xf0\x09", 3)
    sound(wire, 1)
    wire.pmt((0x0F, 0x101, b""))
    sound(wire, 1, first=1)
    assert numbers(demux([wire.data])[0]) == [1]


def test_tables_that_name_tables() -> None:
    """F-RE-09: a PMT on the PID of the PAT, streams on those of tables or of stuffing."""
    wire = Wire()
    wire.pat((1, 0))
    wire.pat((1, 0x1FFF), version=1)
    wire.pat((1, 0x20), version=2)
    wire.pmt((0x0F, 0, b""), (0x0F, 0x20, b""), (0x0F, 0x1FFF, b""), (0x0F, 0x101, b""))
    sound(wire, 2)
    assert numbers(demux([wire.data])[0]) == [0, 1]
    # And a table where a stream was.
    wire.pat((1, 0x101), version=3)
    assert len(ended(demux([wire.data])[0])) == 1


def test_most_streams() -> None:
    """F-RE-09: no more than 32 streams are read."""
    wire = Wire()
    wire.pat((1, 0x20))
    wire.pmt(*((0x0F, 0x100 + n, b"") for n in range(150)))
    for n in range(150):
        sound(wire, 1, pid=0x100 + n)
    events, _error = demux([wire.data])
    assert [packet.track.number for packet in packets(events)] == list(range(32))


@pytest.mark.parametrize("kind", [0x02, 0x06, 0x15, 0x86])
def test_unknown_streams(kind: int) -> None:
    """MPEG-2 video, subtitles, metadata, cue messages: passed over."""
    wire = Wire()
    wire.pat((1, 0x20))
    wire.pmt((kind, 0x102, b"\x59\x00"), (0x0F, 0x101, b""))
    wire.pes(0x102, b"data", START)
    sound(wire, 1)
    assert numbers(demux([wire.data])[0]) == [0]
    demuxer = Demuxer()
    demuxer.receive_data(wire.data)
    list(demuxer.events())
    assert demuxer.unread == ({"MPEG-2 video"} if kind == 0x02 else set())


def test_private_streams() -> None:
    """DVB's way to carry AC-3 and E-AC-3; and registered identifiers."""
    for descriptors, frame, codec in (
        (b"\x6a\x01\x00", AC3_FRAME, Codec.AC3),
        (b"\x7a\x01\x00", EAC3_FRAME, Codec.EAC3),
        (b"\x05\x04AC-3", AC3_FRAME, Codec.AC3),
        (b"\x05\x04Opus\x7f\x02\x80\x01", b"\x7f\xe0\x05" + OPUS_FRAME, Codec.OPUS),
    ):
        wire = Wire()
        wire.pat((1, 0x20))
        wire.pmt((6, 0x101, descriptors))
        wire.pes(0x101, frame, START, stream_id=0xBD)
        assert [packet.track.codec for packet in packets(demux([wire.data])[0])] == [codec]


def test_largest_pes(monkeypatch: pytest.MonkeyPatch) -> None:
    """F-RE-09: a PES packet without end is given up at the limit, and the next is read."""
    monkeypatch.setattr(mpegts_demuxer, "MAX_SOUND_SIZE", 1000)
    wire = with_tables()
    wire.pes(0x101, bytes(3000), START, length=0)
    sound(wire, 3)
    demuxer = Demuxer()
    demuxer.receive_data(wire.data)
    assert numbers(demuxer.events()) == [0, 1, 2]
    assert demuxer.damaged == 1


def test_most_that_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """F-RE-09: many streams together hold no more than the limit for all."""
    monkeypatch.setattr(mpegts_demuxer, "MAX_HELD_SIZE", 5000)
    wire = Wire()
    wire.pat((1, 0x20))
    wire.pmt(*((0x0F, 0x100 + n, b"") for n in range(10)))
    for n in range(10):
        wire.pes(0x100 + n, bytes(2000), START, length=0)
    demuxer = Demuxer()
    for packet in wire.packets:
        demuxer.receive_data(packet)
        list(demuxer.events())
        assert demuxer.buffered <= 5000 + 3 * 188
