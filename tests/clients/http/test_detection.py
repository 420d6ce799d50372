"""Tests of ntvmedia.clients.http.detection."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings, strategies as st

from ntvmedia.clients.http.detection import PROBE_BYTES, Detected, Detector, Kind
from ntvmedia.errors import RemoteError
from ntvmedia.formats.flv import file_header

FLV = file_header(True, True) + bytes(20)
ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + bytes(40)
MP4 = b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + bytes(40)
PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:4\n"
NO_TEXT = bytes(range(1, 9))


def mpegts(size: int = 188, count: int = 12) -> bytes:
    """Return packets of MPEG-TS, with what older equipment puts behind or before each."""
    packet = b"G" + bytes(187)
    return (packet + bytes(size - 188)) * count if size != 192 else (bytes(4) + packet) * count


def detect(pieces: list[bytes], content_type: str = "") -> Detected | str:
    """Return what comes out, or the error."""
    detector = Detector(content_type)
    try:
        for piece in pieces:
            found = detector.receive_data(piece)
            if found is not None:
                return found
        return detector.end()
    except RemoteError as error:
        return f"{error} {error.is_permanent}"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (FLV, Detected(Kind.FLV, "flv")),
        (mpegts(), Detected(Kind.MPEGTS, "mpegts")),
        (mpegts(204), Detected(Kind.MPEGTS, "mpegts")),
        (mpegts(192), Detected(Kind.MPEGTS, "mpegts")),
        (NO_TEXT * 4000 + mpegts(), Detected(Kind.MPEGTS, "mpegts")),
        (b"\0" * (PROBE_BYTES - 3000) + mpegts(), Detected(Kind.MPEGTS, "mpegts")),
        (PLAYLIST, Detected(Kind.HLS)),
        (b"\xef\xbb\xbf\r\n" + PLAYLIST, Detected(Kind.HLS)),
        (b"#EXTM3U", Detected(Kind.HLS)),
        (ASF, Detected(Kind.OTHER, "asf")),
        (MP4, Detected(Kind.OTHER, "mov")),
        (b"\x1a\x45\xdf\xa3" + bytes(30), Detected(Kind.OTHER, "matroska")),
        (b"OggS" + bytes(30), Detected(Kind.OTHER, "ogg")),
        (b"G" + NO_TEXT * 30, Detected(Kind.OTHER)),
        (NO_TEXT * (PROBE_BYTES // 8), Detected(Kind.OTHER)),
    ],
)
def test_kinds(data: bytes, expected: Detected) -> None:
    """E-SR-05, E-SR-09: found by what it is, within the limit, whatever comes before it."""
    for content_type in ("", "text/html", "application/octet-stream", "video/mp2t; x=y"):
        assert detect([data], content_type) == expected


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"<!DOCTYPE html><html>", "an HTML page"),
        (b"  \n<HTML lang=de>" + b" " * 4000, "an HTML page"),
        (b'<?xml version="1.0"?><!DOCTYPE html>', "an HTML page"),
        (b'<?xml version="1.0"?>\n<MPD xmlns="">', "a manifest of DASH, which is not supported"),
        (b'<?xml version="1.0"?><rss>', "XML"),
        (b'{"error": "no"}', "JSON"),
        (b"[playlist]\nFile1=http://x/", "a playlist that is none of HLS"),
        (b"ffconcat version 1.0\nfile /etc/passwd", "a playlist that is none of HLS"),
        (b"There is nothing here, and that is all.", "text"),
        (b"no", "text"),
    ],
)
def test_no_media(data: bytes, why: str) -> None:
    """E-SR-09, E-ST-05: a page or a manifest is said to be one, and that lasts."""
    assert detect([data], "video/mp2t") == f"the answer is {why} True"


def test_empty() -> None:
    """An empty answer may be another one in a moment."""
    assert detect([]) == "the answer is empty False"


def test_few_packets() -> None:
    """A body of three packets is MPEG-TS where it is said to be, or begins so."""
    assert detect([mpegts(count=3)]) == Detected(Kind.MPEGTS, "mpegts")
    late = b"\0" * 20 + mpegts(count=3)
    assert detect([late]) == Detected(Kind.OTHER)
    assert detect([late], "Video/MP2T") == Detected(Kind.MPEGTS, "mpegts")


def test_head() -> None:
    """All that came before it was known is kept, and no more than the limit and a piece."""
    detector = Detector()
    junk = b"\x01\x80"
    given_bytes = 0
    while detector.receive_data(junk * 500) is None:
        given_bytes += 1000
        assert given_bytes <= PROBE_BYTES
    assert detector.head == junk * (given_bytes // 2 + 500)


STARTS = st.one_of(
    st.sampled_from([FLV, MP4, ASF, PLAYLIST, mpegts(), mpegts(192), mpegts(204), b"<html>", b""]),
    st.binary(max_size=40),
    st.text(max_size=30).map(str.encode),
)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(STARTS, max_size=4),
    st.sampled_from([0, 16, 1000, 9000, PROBE_BYTES]),
    st.lists(st.integers(0, 2 * PROBE_BYTES), max_size=5),
    st.sampled_from(["", "video/mp2t"]),
)
def test_cuts_do_not_matter(parts: list[bytes], junk: int, cuts: list[int], kind: str) -> None:
    """However a body is cut, the same comes out, and nothing but what is documented."""
    for filling in (b"", b"\x02" * junk):
        body = filling.join(parts)
        places = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
        pieces = [body[a:b] for a, b in pairwise(places)]
        assert detect(pieces, kind) == detect([body], kind)
        step = max(1, len(body) // 200)
        assert detect([body[n : n + step] for n in range(0, len(body), step)], kind) == detect(
            [body], kind
        )
