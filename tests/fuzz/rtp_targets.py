"""RTP as fuzz targets: headers, RTCP, parameters of formats, and a receiver of each codec."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

from ntvmedia.codecs import h264, hevc, reordering
from ntvmedia.errors import PeerError
from ntvmedia.media import Packet, Track
from ntvmedia.wire.rtp import mpegts
from ntvmedia.wire.rtp.clock import SessionClock
from ntvmedia.wire.rtp.formats import describe, find_format
from ntvmedia.wire.rtp.packets import parse_packet
from ntvmedia.wire.rtp.payloads import Event
from ntvmedia.wire.rtp.receiver import Receiver
from ntvmedia.wire.rtp.rtcp import build_compound, parse_compound
from tests.codecs import vectors
from tests.fuzz.targets import Target
from tests.wire.rtp import streams, test_mpegts, test_rtcp, test_sound

_RTPMAPS: Final = (
    "H264/90000",
    "H265/90000",
    "MPEG4-GENERIC/48000/2",
    "MP4A-LATM/48000/2",
    "opus/48000/2",
    "multiopus/48000/6",
)


def _framed(packets: list[bytes]) -> bytes:
    """Put each packet behind a length, as TCP has them."""
    return b"".join(len(data).to_bytes(2, "big") + data for data in packets)


def _split(data: bytes) -> Iterator[bytes]:
    """Cut what `_framed` made, or what became of it."""
    place = 0
    while place + 2 <= len(data):
        size = int.from_bytes(data[place : place + 2], "big")
        yield data[place + 2 : place + 2 + size]
        place += 2 + size


def _packet(data: bytes) -> None:
    with suppress(PeerError):
        packet = parse_packet(data)
        assert packet.payload in data
        assert 0 <= packet.payload_type < 128


def _compound(data: bytes) -> None:
    with suppress(PeerError):
        reports = parse_compound(data)
        for report in reports:
            # A name may have been no UTF-8, and then be too long to write.
            if not hasattr(report, "cname") and not getattr(report, "reason", ""):
                assert parse_compound(build_compound([report])) == [report]


def _parameters(data: bytes) -> None:
    text = data.decode("latin-1")
    fields = (field.strip().partition("=") for field in text.split(";"))
    parameters = {name: value for name, _mark, value in fields}
    for rtpmap in (*_RTPMAPS, text):
        found = find_format(96, rtpmap, parameters)
        if found is not None:
            with suppress(PeerError):
                found.depacketiser().flush()


def _check(events: list[Event], *, rising: bool) -> None:
    """Check that tracks come before their packets, and times rise."""
    tracks: dict[int, Track] = {}
    last: dict[int, int] = {}
    for event in events:
        if isinstance(event, Track):
            tracks[event.id] = event
            continue
        assert isinstance(event, Packet)
        assert event.track is tracks[event.track.id]
        assert event.payload
        assert event.pts >= event.dts
        if rising and event.track.kind == "video":
            assert event.dts > last.get(event.track.id, event.dts - 1)
            last[event.track.id] = event.dts


def _receiver(rtpmap: str, parameters: dict[str, str], kind: int = 96) -> Callable[[bytes], None]:
    """Return what gives packets to a receiver, in order and out of order."""

    def run(data: bytes) -> None:
        for in_order in (True, False):
            found = find_format(kind, rtpmap, parameters)
            assert found is not None
            target = Receiver(found, SessionClock(), in_order=in_order)
            events: list[Event] = []
            now = 10.0
            for packet in _split(data):
                events += target.receive_packet(packet, now)
                target.receive_report(packet, now)
                now += 0.01
                due = target.next_timeout()
                if due is not None and due <= now:
                    events += target.handle_timeout(now)
            events += target.flush(now)
            parse_compound(target.report(1, "ntv", now))
            _check(events, rising=found.codec is not None)

    return run


def _of(name: str, **options: int) -> Target:
    """Return the target of a codec that we send too."""
    make = streams.MAKERS[name]
    first = make(0, [1], key=True).track
    told = describe(first)
    assert told is not None
    seeds = []
    for sizes in ([30], [1500, 40], [3000]):
        source = streams.sender(first, **options)
        frames = [make(number, sizes, key=number % 3 == 0, sei=True) for number in range(5)]
        seeds.append(_framed([data for frame in frames for data in source.packetise(frame)]))
    return Target(_receiver(told.rtpmap, told.parameters), tuple(seeds))


def _latm() -> tuple[bytes, ...]:
    """Return elements with their configuration in the stream."""
    body = "".join(f"{byte:08b}" for byte in b"\x21bcdef")
    element = test_sound.as_bytes(test_sound.latm_bits(6, config=True) + body)
    same = test_sound.as_bytes(test_sound.latm_bits(6, config=False) + body)
    packets = [
        b"\x80\xe0" + bytes((0, number)) + (1024 * number).to_bytes(4, "big") + bytes(4) + data
        for number, data in enumerate((element, same, same, element))
    ]
    return (_framed(packets),)


def _mpegts() -> tuple[bytes, ...]:
    """Return a piece of a program."""
    payloads = mpegts.packetise(test_mpegts.DATA[: 188 * 60])
    packets = [
        b"\x80\x21" + bytes((0, number)) + bytes(8) + data for number, data in enumerate(payloads)
    ]
    return (_framed(packets),)


def _sets(data: bytes) -> None:
    for found in (reordering.h264_reordered(data), reordering.hevc_reordered(data)):
        assert found is None or 0 <= found <= reordering.MAX_REORDERED


def _texts() -> tuple[bytes, ...]:
    """Return parameters as they stand in descriptions."""
    tracks = (streams.H264, streams.HEVC, streams.AAC)
    told = [description.fmtp.encode() for x in tracks if (description := describe(x)) is not None]
    return (
        *told,
        b"cpresent=0; config=400023203fc0",
        b"num_streams=4; coupled_streams=2; channel_mapping=0,4,1,2,3,5",
    )


RTP_TARGETS: Final[dict[str, Target]] = {
    "rtp-packet": Target(
        _packet, (b"\x80\x60" + bytes(40), bytes.fromhex("b2e0000100000002000000030000000a") * 3)
    ),
    "rtcp": Target(_compound, (test_rtcp.FFMPEG, test_rtcp.CHROMIUM, test_rtcp.CHROMIUM * 2)),
    "rtp-parameters": Target(_parameters, _texts()),
    "rtp-sets": Target(
        _sets,
        (
            *(h264.parse_configuration(x).sps[0] for x in (vectors.AVCC_1080, vectors.AVCC_576I)),
            *(hevc.parse_configuration(x).sps[0] for x in (vectors.HVCC_720, vectors.HVCC_1078)),
        ),
    ),
    **{f"rtp-{name}": _of(name) for name in streams.MAKERS},
    "rtp-latm": Target(_receiver("MP4A-LATM/48000/2", {}), _latm()),
    "rtp-mpegts": Target(_receiver("", {}, 33), _mpegts()),
}
