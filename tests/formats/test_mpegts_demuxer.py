"""Tests of ntvmedia.formats.mpegts_demuxer, mpegts_sync and mpegts_pes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from time import process_time

import pytest
from hypothesis import given, settings, strategies as st

from ntvmedia.errors import PeerError, UsageError
from ntvmedia.formats.mpegts_demuxer import MAX_JUNK, Demuxer
from ntvmedia.formats.mpegts_pes import PESHeader, parse_header
from ntvmedia.media import Codec, Packet, Track
from tests.codecs import vectors
from tests.formats.flv_bytes import nal_units
from tests.formats.ts_bytes import (
    AAC,
    AC3,
    AC3_FRAME,
    EAC3,
    EAC3_FRAME,
    H264,
    HEVC,
    IDR,
    MP3,
    MP3_FRAME,
    OPUS,
    OPUS_FRAME,
    P_FRAME,
    SECOND,
    START,
    audio,
    demux,
    ended,
    interleaved,
    mux,
    numbers,
    packets,
    sound,
    tracks,
    video,
    with_tables,
)

SMALL = [b"\xff\xf1\x4c\x80\x01\x7f\xfc" + b"!snd"]


def shifted(sent: Iterable[Packet]) -> list[Packet]:
    """Return the packets as they come out of MPEG-TS: 10 s later."""
    found = []
    for packet in sent:
        later = 10 * packet.track.clock_rate
        found.append(packet._replace(dts=packet.dts + later, pts=packet.pts + later))
    return found


STREAMS: list[tuple[Track, int, bytes]] = [
    (AAC, 1024, b"!frame"),
    (MP3, 1152, MP3_FRAME),
    (AC3, 1536, AC3_FRAME),
    (EAC3, 1536, EAC3_FRAME),
    (OPUS, 960, OPUS_FRAME),
]


@pytest.mark.parametrize(("track", "ticks", "frame"), STREAMS)
@pytest.mark.parametrize("gather", [0.0, 0.1])
def test_round_trip_of_sound(track: Track, ticks: int, frame: bytes, gather: float) -> None:
    """C-TS-05, C-TS-07: what the muxer wrote comes out: one packet a frame, times to the sample."""
    sent = [Packet(track, n * ticks, n * ticks, True, frame) for n in range(40)]
    events, error = demux([mux(sent, track, audio_gather_seconds=gather)])
    assert error == ""
    (found,) = tracks(events)
    assert (found.codec, found.clock_rate, found.channels, found.number) == (
        track.codec,
        track.clock_rate,
        track.channels,
        0,
    )
    if track.codec is Codec.OPUS:
        # Pre-skip is for the start of a file: MPEG-TS tells it elsewhere.
        assert found.config[:10] == track.config[:10]
    elif track.codec is not Codec.AAC:
        assert found.config == track.config
    expected = shifted(sent)
    assert [packet._replace(track=track) for packet in packets(events)] == expected
    assert ended(events) == [found]


@pytest.mark.parametrize("track", [H264, HEVC])
def test_round_trip_of_pictures(track: Track) -> None:
    """C-TS-03: lengths, sets and delimiters are as before; B-frames keep both times."""
    slices = (b"\x65\x88i", b"\x41\x9ap") if track is H264 else (b"\x26\x01\xafi", b"\x02\x01\xd0p")
    sent = [
        Packet(track, n * 3600, n * 3600 + 7200 * (n % 3), n % 5 == 0, nal_units(slices[n % 5 > 0]))
        for n in range(20)
    ]
    events, error = demux([mux(sent, track)])
    assert error == ""
    assert tracks(events) == [track]
    assert packets(events) == shifted(sent)


def test_several_tracks() -> None:
    """Tracks of one kind are numbered as they stand in the table."""
    second = replace(OPUS, number=1)
    sent = interleaved(
        [video(n) for n in range(10)],
        [audio(n) for n in range(18)],
        [Packet(second, n * 960, n * 960, True, OPUS_FRAME) for n in range(20)],
    )
    events, _error = demux([mux(sent, H264, AAC, second)])
    assert {(track.codec, track.number) for track in tracks(events)} == {
        (Codec.H264, 0),
        (Codec.AAC, 0),
        (Codec.OPUS, 1),
    }
    assert len(packets(events)) == len(sent)


def clip() -> bytes:
    """Make a second of all that there is."""
    return mux(
        interleaved(
            [video(n, fps=10) for n in range(10)],
            [audio(n) for n in range(20)],
            [Packet(MP3_2, n * 1152, n * 1152, True, MP3_FRAME) for n in range(10)],
        ),
        H264,
        AAC,
        MP3_2,
        audio_gather_seconds=0.1,
    )


MP3_2 = replace(MP3, number=1)
CLIP = clip()


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, len(CLIP)),
            st.sampled_from((0, 1, 4, 188, 1000)),
            st.one_of(st.binary(max_size=6), st.sampled_from((b"G" * 400, bytes(188)))),
        ),
        max_size=5,
    ),
    st.sampled_from((188, 192, 204)),
    st.lists(st.integers(0, 2 * len(CLIP)), max_size=6),
    st.binary(max_size=400),
)
def test_cuts_do_not_matter(
    damages: list[tuple[int, int, bytes]], size: int, cuts: list[int], junk: bytes
) -> None:
    """However input is cut, good or bad: the same events, and the same error."""
    data = junk + b"".join(
        CLIP[at : at + 188].ljust(size, b"\0") for at in range(0, len(CLIP), 188)
    )
    for at, count, instead in damages:
        data = data[:at] + instead + data[at + count :]
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    assert demux([data[a:b] for a, b in pairwise(places)]) == demux([data])


def test_every_byte_alone() -> None:
    """Cuts anywhere, one after the other."""
    data = CLIP[: 188 * 12]
    assert demux([data[at : at + 1] for at in range(len(data))]) == demux([data])


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(CLIP) - 1), st.integers(1, 255)), max_size=12))
def test_changed_bytes(changes: list[tuple[int, int]]) -> None:
    """F-RE-09: whatever is damaged: no foreign error, and tracks come before their packets."""
    data = bytearray(CLIP)
    for at, change in changes:
        data[at] ^= change
    events, _error = demux([bytes(data)])
    known: dict[int, Track] = {}
    for event in events:
        if isinstance(event, Track):
            known[event.id] = event
        elif isinstance(event, Packet):
            assert known[event.track.id] == event.track
            assert event.payload


@pytest.mark.parametrize("size", [188, 192, 204])
def test_sizes_of_packets(size: int) -> None:
    """E-SR-02: M2TS and packets with Reed-Solomon codes, from any byte on."""
    wire = with_tables()
    sound(wire, 30)
    data = b"".join(
        (bytes(4) if size == 192 else b"") + packet + bytes(16 if size == 204 else 0)
        for packet in wire.packets
    )
    assert numbers(demux([data])[0]) == list(range(30))
    for start in (1, 100, size - 1):
        events, error = demux([b"\x47" * start + data])
        assert (numbers(events), error) == (list(range(30)), "")


def test_short_input() -> None:
    """At the end one packet is enough, which in the middle could be chance."""
    wire = with_tables()
    sound(wire, 1)
    events, error = demux([wire.data[: 3 * 188]])
    assert (numbers(events), error) == ([0], "")


@pytest.mark.parametrize("junk", [b"<html>no such stream</html>", bytes(4000), b"\x47" * 187])
def test_no_transport_stream(junk: bytes) -> None:
    """F-RE-09: an input that has nothing says so at its end."""
    events, error = demux([junk])
    assert events == []
    assert error.startswith("no MPEG-TS at byte 0")


def test_empty_input() -> None:
    """Nothing at all is no error."""
    assert demux([]) == ([], "")


def test_too_much_junk() -> None:
    """F-RE-09: 64 kB without a packet, at the start or later, and the demuxer is spent."""
    demuxer = Demuxer()
    demuxer.receive_data(b"?" * MAX_JUNK)
    assert list(demuxer.events()) == []
    demuxer.receive_data(b"?")
    with pytest.raises(PeerError):
        list(demuxer.events())
    with pytest.raises(UsageError):
        list(demuxer.events())
    wire = with_tables()
    sound(wire, 5)
    events, error = demux([wire.data + b"?" * (MAX_JUNK + 500)])
    assert numbers(events) == list(range(5))
    assert error.startswith(f"no MPEG-TS at byte {len(wire.data)}")


@pytest.mark.parametrize("cut", [1, 50, 187, 188, 377])
def test_lost_bytes(cut: int) -> None:
    """E-SR-02: bytes are missing in the middle: what is whole before and behind comes out."""
    wire = with_tables()
    sound(wire, 40)
    at = 188 * 20 + 30
    events, error = demux([wire.data[:at] + wire.data[at + cut :]])
    assert error == ""
    found = numbers(events)
    assert found == sorted(found)
    assert set(range(40)) - set(found) <= set(range(17, 22))
    assert len(found) >= 36


def test_any_lost_packet() -> None:
    """Continuity errors drop the damaged PES packet, and nothing else."""
    sent = [Packet(H264, n * 3600, n * 3600, n == 0, nal_units(_slice(n))) for n in range(5)]
    data = mux(sent, H264)
    expected = packets(demux([data])[0])
    assert [packet.payload for packet in expected] == [packet.payload for packet in sent]
    for lost in range(2, len(data) // 188):
        demuxer = Demuxer()
        demuxer.receive_data(data[: 188 * lost] + data[188 * lost + 188 :])
        found = packets([*demuxer.events(), *demuxer.flush()])
        if lost > 9:
            assert len(found) == 4
        assert all(packet in expected for packet in found)


def _slice(n: int) -> bytes:
    return (b"\x65\x88" if n == 0 else b"\x41\x9a") + bytes(range(1, 256)) * 5


def test_packets_sent_twice() -> None:
    """H.222.0 2.4.3.3: a packet may be sent twice, and counts once."""
    wire = with_tables()
    sound(wire, 10)
    twice = b"".join(packet * 2 for packet in wire.packets)
    demuxer = Demuxer()
    demuxer.receive_data(twice)
    assert numbers(demuxer.events()) == list(range(10))
    assert demuxer.damaged == 0


def test_same_counter_with_other_data() -> None:
    """The same counter, but another payload: that is a loss, not a repetition."""
    wire = with_tables()
    sound(wire, 3)
    wire.counters[0x101] -= 1
    sound(wire, 3, first=3)
    demuxer = Demuxer()
    demuxer.receive_data(wire.data)
    assert numbers([*demuxer.events(), *demuxer.flush()]) == list(range(6))
    assert demuxer.damaged == 1


def test_announced_discontinuity() -> None:
    """H.222.0 2.4.3.5: with discontinuity_indicator the counter may jump."""
    wire = with_tables()
    frame = SMALL[0]
    wire.pes(0x101, frame * 18, START)
    tail = wire.packets.pop()
    assert tail[3] & 0x20
    jumped = bytearray(tail)
    jumped[3] = jumped[3] & 0xF0 | 9
    jumped[5] |= 0x80
    demuxer = Demuxer()
    demuxer.receive_data(wire.data + bytes(jumped))
    assert len(packets(demuxer.events())) == 18
    assert demuxer.damaged == 0


@pytest.mark.parametrize(("at", "bits"), [(1, 0x80), (3, 0x80), (4, 0xFF)])
def test_useless_packets(at: int, bits: int) -> None:
    """A transport error, an encrypted packet, an adaptation field that is too long."""
    wire = with_tables()
    sound(wire, 10)
    bad = bytearray(wire.packets[6])
    bad[at] |= bits
    wire.packets[6] = bytes(bad)
    assert numbers(demux([wire.data])[0]) == [0, 1, 2, 3, 5, 6, 7, 8, 9]


def test_frame_without_length() -> None:
    """A PES packet of length 0 ends with the next, or with the input."""
    wire = with_tables()
    wire.pes(0x101, SMALL[0], START, length=0)
    wire.pes(0x101, SMALL[0], START + 1920, length=0)
    demuxer = Demuxer()
    demuxer.receive_data(wire.data)
    assert len(packets(demuxer.events())) == 1
    assert len(packets(demuxer.flush())) == 1
    with pytest.raises(UsageError):
        list(demuxer.events())


def test_frame_with_length_does_not_wait() -> None:
    """A PES packet that tells its length is there with its last byte; what follows is padding."""
    wire = with_tables()
    wire.pes(0x101, SMALL[0], START, length=8 + len(SMALL[0]))
    wire.payload(0x101, b"padding", starts=False)
    demuxer = Demuxer()
    demuxer.receive_data(wire.data)
    assert len(packets(demuxer.events())) == 1


def test_cut_off_at_the_end() -> None:
    """What tells its length and is not all there is left out."""
    wire = with_tables()
    wire.pes(0x101, SMALL[0], START, length=500)
    assert packets(demux([wire.data])[0]) == []


@pytest.mark.parametrize("hours", [0.0, (1 << 33) / 90000 / 3600, 28 + 28 / 60, 49.7 * 24])
def test_times_do_not_wrap(hours: float) -> None:
    """C-TS-08, G-RS-10: over 33 bits, both tracks go on together."""
    seconds = max(0, round(hours * 3600) - 11)
    sent = interleaved(
        [video(n, start=seconds * SECOND) for n in range(75)],
        [audio(n, start=seconds * 48000) for n in range(140)],
    )
    events, _error = demux([mux(sent, H264, AAC)])
    wrap = (seconds + 10) * SECOND >> 33 << 33
    expected = []
    for packet in shifted(sent):
        less = wrap * packet.track.clock_rate // SECOND
        expected.append((packet.payload, packet.dts - less))
    found = [(packet.payload, packet.dts) for packet in packets(events)]
    # The rate of the sound does not divide the wrap: a sample more or less.
    assert len(found) == len(expected)
    for (payload, dts), (wanted, near) in zip(found, expected, strict=True):
        assert payload == wanted
        assert abs(dts - near) <= 1


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("000001c0 000d 8080 05 2100377741", PESHeader(14, 19, 900000, 900000)),
        ("000001e0 0000 80c0 0a 3100377741 1100010001", PESHeader(19, 0, 900000, 0)),
        ("000001e0 0000 8000 00", PESHeader(9, 0, None, None)),
        ("000001e0 0000 8080 05 2fffffffff", PESHeader(14, 0, (1 << 33) - 1, (1 << 33) - 1)),
        # Flags say there is a time, but the header has no room for it.
        ("000001e0 0000 8080 02 0000", PESHeader(11, 0, None, None)),
        ("000001", None),
        ("00", None),
        ("000001e0 0000 8080 05 2100", None),
    ],
)
def test_pes_header(data: str, expected: PESHeader | None) -> None:
    """H.222.0 2.4.3.6: lengths, and times of 33 bits with their markers."""
    assert parse_header(bytes.fromhex(data)) == expected


@pytest.mark.parametrize("data", ["01", "000002", "000001e00000000000", "000001c0000280800521"])
def test_no_pes_header(data: str) -> None:
    """F-RE-09: no start code, MPEG-1's form, a length that is less than the header's."""
    with pytest.raises(PeerError):
        parse_header(bytes.fromhex(data).ljust(14, b"\0"))


@pytest.mark.parametrize(
    "filling",
    [b"\x47" * 188, b"\x47\x41\x01\x10" + b"\xff\xf1" * 92, b"\x47\x01\x01\x10" + b"\x0b\x77" * 92],
)
def test_linear_time(filling: bytes) -> None:
    """F-RE-09: a megabyte of what looks like beginnings takes no longer than other bytes."""
    wire = with_tables()
    begin = process_time()
    demux([wire.data + filling * 6000])
    assert process_time() - begin < 10  # no figure: far above what is linear


def test_first_picture_of_all() -> None:
    """Frames before the first parameter sets are nothing that could be announced."""
    data = mux([video(1), video(2), video(25)], H264)
    events, _error = demux([data])
    assert [packet.payload for packet in packets(events)] == [IDR]
    assert isinstance(events[0], Track)
    sent: Sequence[Packet] = packets(events)
    assert sent[0].payload != P_FRAME
    assert tracks(events)[0].config == vectors.AVCC_1080
