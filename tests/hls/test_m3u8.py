"""Tests of tests.hls.m3u8: every rule catches what breaks it, and nothing else."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.hls.m3u8 import Control, Key, Report, Violation, parse_media

MEDIA = """#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:2
#EXT-X-MEDIA-SEQUENCE:100
#EXT-X-DISCONTINUITY-SEQUENCE:7
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:05.500Z
#EXTINF:2.480,
a.ts
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:07.980Z
#EXT-X-GAP
#EXTINF:2.000,
b.ts
#EXT-X-DISCONTINUITY
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:12.000Z
#EXTINF:1.5000,title
c.ts
"""


def test_media() -> None:
    """A playlist with all that the server may write is read as it is meant."""
    playlist = parse_media(MEDIA.encode())
    assert (playlist.version, playlist.target, playlist.number) == (6, 2, 100)
    assert [x.number for x in playlist.segments] == [100, 101, 102]
    assert [x.uri for x in playlist.segments] == ["a.ts", "b.ts", "c.ts"]
    assert [x.gap for x in playlist.segments] == [False, True, False]
    assert [x.discontinuity_number for x in playlist.segments] == [7, 7, 8]
    assert [x.date for x in playlist.segments][1:] == [1767323047980, 1767323052000]
    assert playlist.duration == Decimal("5.98")
    assert (playlist.ended, playlist.independent) == (False, True)
    assert parse_media(MEDIA.replace("\n", "\r\n").encode()) == playlist
    assert parse_media(MEDIA.encode() + b"#EXT-X-ENDLIST\n").ended


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("#EXTM3U\n", "", "first-line"),
        ("#EXTM3U\n", "\ufeff#EXTM3U\n", "bom"),
        ("title", "ti\ttle", "control"),
        ("title", "ti\rtle", "control"),
        ("title", "tite\u0301", "nfc"),
        ("c.ts\n", "c.ts", "last-line"),
        ("c.ts\n", "c d.ts\n", "uri"),
        ("c.ts\n", "a.ts\n", "same-uri"),
        ("c.ts\n", "", "tag-without-uri"),
        ("c.ts\n", "c.ts\n#EXTM3U\n", "tag"),
        ("#EXT-X-VERSION:6\n", "", "version"),
        ("#EXT-X-VERSION:6\n", "#EXT-X-VERSION:2\n", "version"),
        ("#EXT-X-VERSION:6\n", "#EXT-X-VERSION:3\n", "version"),  # 2.48 s over a target of 2 s
        ("#EXT-X-VERSION:6\n", "#EXT-X-VERSION:12\n", "version"),
        ("#EXT-X-VERSION:6\n", "#EXT-X-VERSION:6\n#EXT-X-VERSION:6\n", "once"),
        ("#EXT-X-TARGETDURATION:2\n", "", "missing-tag"),
        ("#EXT-X-TARGETDURATION:2\n", "#EXT-X-TARGETDURATION:2.0\n", "integer"),
        ("#EXT-X-TARGETDURATION:2\n", "#EXT-X-TARGETDURATION:1\n", "too-long"),
        ("#EXT-X-TARGETDURATION:2\n", "#EXT-X-TARGETDURATION:0\n", "target"),
        ("#EXT-X-MEDIA-SEQUENCE:100\n", "", "missing-tag"),
        ("#EXT-X-MEDIA-SEQUENCE:100\n", "#EXT-X-MEDIA-SEQUENCE:18446744073709551616\n", "integer"),
        ("c.ts\n", "c.ts\n#EXT-X-MEDIA-SEQUENCE:100\n", "once"),
        ("#EXT-X-DISCONTINUITY-SEQUENCE:7\n", "", "missing-tag"),
        (
            "#EXT-X-DISCONTINUITY-SEQUENCE:7\n",
            "#EXT-X-DISCONTINUITY\n#EXT-X-DISCONTINUITY-SEQUENCE:7\n",
            "late-sequence",
        ),
        ("#EXT-X-INDEPENDENT-SEGMENTS\n", "#EXT-X-PLAYLIST-TYPE:EVENT\n", "playlist-type"),
        ("#EXT-X-INDEPENDENT-SEGMENTS\n", "#EXT-X-ALLOW-CACHE:NO\n", "unknown-tag"),
        ("2.480", "2.48", "extinf-decimals"),
        ("2.480", "2", "extinf-decimals"),
        ("2.480", "2.5000", "too-long"),  # halves are rounded up
        ("2.480", "-2.480", "extinf"),
        ("2.480", "0.000", "extinf"),
        ("#EXTINF:2.480,", "#EXTINF:2.480", "extinf"),
        ("#EXTINF:2.480,\n", "", "no-extinf"),
        ("#EXTINF:2.480,\n", "#EXTINF:2.480,\n#EXTINF:2.480,\n", "once"),
        ("#EXT-X-GAP\n", "#EXT-X-GAP:YES\n", "tag"),
        ("#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:05.500Z\n", "", "no-date"),
        ("05.500Z", "05Z", "date"),
        ("05.500Z", "05.500+08:00", "date"),
        ("2026-01-02T03:04:07.980Z", "2026-01-02T03:04:08.000Z", "date-step"),
        ("2026-01-02T03:04:12.000Z", "2026-01-02T03:04:08.900Z", "date-ambiguous"),
        ("2026-01-02T03:04:12.000Z", "2026-01-02T02:04:12.000Z", "date-ambiguous"),
    ],
)
def test_wrong_media(old: str, new: str, rule: str) -> None:
    """Each rule of a media playlist catches its violation."""
    assert old in MEDIA
    with pytest.raises(Violation) as caught:
        parse_media(MEDIA.replace(old, new, 1).encode())
    assert caught.value.rule == rule


def test_wrong_bytes() -> None:
    """A playlist is UTF-8, and lists something."""
    for body, rule in (
        (MEDIA.replace("title", "\xe9").encode("latin-1"), "utf-8"),
        (MEDIA[: MEDIA.index("#EXT-X-PROGRAM")].encode(), "empty"),
        (b"#EXTM3U\n", "missing-tag"),
        (b"", "last-line"),
    ):
        with pytest.raises(Violation) as caught:
            parse_media(body)
        assert caught.value.rule == rule


def test_small_overlap() -> None:
    """At a discontinuity the date may go back by less than a second (6.2.1)."""
    parse_media(MEDIA.replace("03:04:12.000Z", "03:04:09.100Z").encode())


LOW_LATENCY = """#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:1
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=6.0,HOLD-BACK=3.0,PART-HOLD-BACK=1.2
#EXT-X-PART-INF:PART-TARGET=0.4
#EXT-X-MEDIA-SEQUENCE:10
#EXT-X-DISCONTINUITY-SEQUENCE:2
#EXT-X-MAP:URI="init1.mp4"
#EXT-X-KEY:METHOD=AES-128,URI="1.key",IV=0x00000000000000000000000000000001
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:04.000Z
#EXTINF:1.000,
10.m4s
#EXT-X-KEY:METHOD=NONE
#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI="init2.mp4"
#EXT-X-KEY:METHOD=AES-128,URI="1.key",IV=0x00000000000000000000000000000002
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:05.000Z
#EXT-X-PART:DURATION=0.400,URI="11.0.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.400,URI="11.1.m4s"
#EXT-X-PART:DURATION=0.200,URI="11.2.m4s"
#EXTINF:1.000,
11.m4s
#EXT-X-KEY:METHOD=AES-128,URI="2.key",IV=0x00000000000000000000000000000003
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:06.000Z
#EXT-X-PART:DURATION=0.350,URI="12.0.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.300,URI="12.1.m4s",GAP=YES
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="12.2.m4s"
#EXT-X-RENDITION-REPORT:URI="../ll-audio/index.m3u8",LAST-MSN=12,LAST-PART=1
"""


def test_low_latency() -> None:
    """Parts, keys and initialisation sections belong to the segments that they are for."""
    playlist = parse_media(LOW_LATENCY.encode())
    assert playlist.control == Control(True, Decimal("6.0"), Decimal("3.0"), Decimal("1.2"))
    assert playlist.part_target == Decimal("0.4")
    first, second = playlist.segments
    assert (first.map, second.map) == ("init1.mp4", "init2.mp4")
    assert first.key == Key("1.key", bytes(15) + b"\x01")
    assert second.key == Key("1.key", bytes(15) + b"\x02")
    assert [x.uri for x in second.parts] == ["11.0.m4s", "11.1.m4s", "11.2.m4s"]
    assert [x.independent for x in second.parts] == [True, False, False]
    assert playlist.opening is not None
    assert playlist.opening.key == Key("2.key", bytes(15) + b"\x03")
    assert (playlist.opening.discontinuity_number, playlist.opening.map) == (3, "init2.mp4")
    assert [x.gap for x in playlist.parts] == [False, True]
    assert playlist.hint == "12.2.m4s"
    assert playlist.reports == (Report("../ll-audio/index.m3u8", 12, 1),)
    assert playlist.next == (12, 2)
    assert playlist.after(10) == Decimal("1.65")


def longer(count: int) -> str:
    """Return the playlist with so many more segments at its beginning."""
    more = ""
    for number in range(count):
        after = 64 - count + number  # seconds after 03:03
        more += (
            f'#EXT-X-KEY:METHOD=AES-128,URI="1.key",IV=0x{number + 16:032x}\n'
            f"#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:{3 + after // 60:02}:{after % 60:02}.000Z\n"
            f"#EXTINF:1.000,\nold{number}.m4s\n"
        )
    text = LOW_LATENCY.replace("SEQUENCE:10\n", f"SEQUENCE:{10 - count}\n", 1)
    at = text.index("#EXT-X-KEY")
    return text[:at] + more + text[at:]


def test_delta() -> None:
    """What was skipped is taken from the version before, without its parts (4.4.5.2)."""
    text = longer(8)
    whole = parse_media(text.encode())
    lines = text[: text.index("#EXT-X-MAP")] + "#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n"
    delta = lines + text[text.index("#EXT-X-KEY:", text.index("old2.m4s")) :]
    read = parse_media(delta.encode(), whole)
    assert read.segments == whole.segments
    assert read.skipped == 3
    said = delta.replace("SEGMENTS=3\n", 'SEGMENTS=3\n#EXT-X-MAP:URI="init1.mp4"\n')
    assert parse_media(said.encode(), whole) == read
    near = lines.replace("=3\n", "=5\n") + text[text.index("#EXT-X-KEY:", text.index("old4.m4s")) :]
    for body, base, rule in (
        (delta, None, "skip-base"),
        (delta.replace("DISCONTINUITY-SEQUENCE:2", "DISCONTINUITY-SEQUENCE:3"), whole, "number"),
        (delta.replace("VERSION:9", "VERSION:8"), whole, "version"),
        (delta.replace("SKIPPED-SEGMENTS=3", "SKIPPED-SEGMENTS=0"), whole, "skip"),
        (delta.replace("CAN-SKIP-UNTIL=6.0,", ""), whole, "skip"),
        (near, whole, "boundary"),
    ):
        with pytest.raises(Violation) as caught:
            parse_media(body.encode(), base)
        assert caught.value.rule.endswith(rule), caught.value


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("VERSION:9", "VERSION:5", "version"),  # EXT-X-MAP
        ("VERSION:9", "VERSION:10", "version"),
        ("CAN-SKIP-UNTIL=6.0,", "", "version"),  # and nothing else needs version 9
        ("CAN-SKIP-UNTIL=6.0", "CAN-SKIP-UNTIL=5.9", "can-skip-until"),
        ("HOLD-BACK=3.0", "HOLD-BACK=2.9", "hold-back"),
        ("PART-HOLD-BACK=1.2", "PART-HOLD-BACK=1.1", "part-hold-back"),
        (",PART-HOLD-BACK=1.2", "", "part-hold-back"),
        ("CAN-BLOCK-RELOAD=YES", "CAN-BLOCK-RELOAD=NO", "enumeration"),
        ("CAN-BLOCK-RELOAD=YES", "CAN-BLOCK-RELOAD=YES,CAN-JUMP=YES", "attribute"),
        ("#EXT-X-PART-INF:PART-TARGET=0.4\n", "", "part-inf"),
        ("PART-TARGET=0.4", "PART-TARGET=0", "part-target"),
        ("PART-TARGET=0.4", "PART-TARGET=0.39", "part-too-long"),
        ("PART-TARGET=0.4", "TARGET=0.4", "attribute"),
        ('DURATION=0.400,URI="11.0', 'DURATION=0.401,URI="11.0', "part-too-long"),
        ('DURATION=0.400,URI="11.1', 'DURATION=0.339,URI="11.1', "part-too-short"),
        ('DURATION=0.200,URI="11.2', 'DURATION=0.000,URI="11.2', "part-empty"),
        ('DURATION=0.200,URI="11.2', 'DURATION=0.210,URI="11.2', "parts-sum"),
        ('DURATION=0.200,URI="11.2', 'DURATION=0.2,URI="11.2', "part-duration-decimals"),
        ('DURATION=0.200,URI="11.2.m4s"', 'URI="11.2.m4s"', "attribute"),
        ('DURATION=0.200,URI="11.2.m4s"', "DURATION=0.200", "attribute"),
        ('DURATION=0.200,URI="11.2.m4s"', 'DURATION=0.200,URI="11.1.m4s"', "same-uri"),
        ("INDEPENDENT=YES", "INDEPENDENT=NO", "enumeration"),
        (
            '#EXT-X-PART:DURATION=0.200,URI="11.2.m4s"\n#EXTINF:1.000,\n',
            '#EXTINF:1.000,\n#EXT-X-PART:DURATION=0.200,URI="11.2.m4s"\n',
            "part-order",
        ),
        (
            '#EXT-X-PART:DURATION=0.200,URI="11.2.m4s"\n',
            '#EXT-X-PART:DURATION=0.200,URI="11.2.m4s"\n#EXT-X-MAP:URI="init3.mp4"\n',
            "part-order",
        ),
        (
            '#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:06.000Z\n#EXT-X-PART:DURATION=0.350,URI="12.0.m4s",INDEPENDENT=YES\n',
            '#EXT-X-PART:DURATION=0.350,URI="12.0.m4s",INDEPENDENT=YES\n#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:06.000Z\n',
            "part-order",
        ),
        ("#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:06.000Z\n", "", "no-date"),
        ("03:04:06.000Z", "03:04:06.010Z", "date-step"),
        (
            '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="12.2.m4s"\n',
            '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="12.2.m4s"\n' * 2,
            "once",
        ),
        ("TYPE=PART", "TYPE=MAP", "hint"),
        ('TYPE=PART,URI="12.2.m4s"', 'TYPE=PART,URI="12.1.m4s"', "same-uri"),
        ('TYPE=PART,URI="12.2.m4s"', "TYPE=PART", "attribute"),
        (
            '#EXT-X-PART:DURATION=0.300,URI="12.1.m4s",GAP=YES\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI="12.2.m4s"\n',
            '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="12.2.m4s"\n#EXT-X-PART:DURATION=0.300,URI="12.1.m4s",GAP=YES\n',
            "hint-order",
        ),
        ("#EXT-X-RENDITION", "#EXT-X-ENDLIST\n#EXT-X-RENDITION", "hint-at-end"),
        ("../ll-audio", "/live/ll-audio", "report-uri"),
        ("LAST-MSN=12,", "", "attribute"),
        ("LAST-MSN=12", "LAST-MSN=x", "integer"),
        ("METHOD=AES-128", "METHOD=SAMPLE-AES", "key-method"),
        (",IV=0x00000000000000000000000000000001", "", "key-iv"),
        ("0x00000000000000000000000000000001", "0x01", "key-iv"),
        ('AES-128,URI="1.key",IV', "AES-128,IV", "attribute"),
        ("METHOD=NONE", 'METHOD=NONE,URI="1.key"', "key-none"),
        ("#EXT-X-KEY:METHOD=NONE\n", "", "map-encrypted"),
        ("#EXT-X-DISCONTINUITY\n", "", "map-changed"),
        ('URI="init2.mp4"', 'URI="init1.mp4"', "map-again"),
        ('#EXT-X-MAP:URI="init1.mp4"\n', "", "map-missing"),
        ('#EXT-X-MAP:URI="init1.mp4"\n', "#EXT-X-MAP:\n", "attributes"),
        ('#EXT-X-MAP:URI="init1.mp4"\n', '#EXT-X-MAP:URI="i",BYTERANGE="1@0"\n', "attribute"),
        (
            '#EXT-X-MAP:URI="init1.mp4"\n',
            '#EXT-X-KEY:METHOD=NONE\n#EXT-X-MAP:URI="init1.mp4"\n',
            "key-none",
        ),
        (
            '#EXT-X-KEY:METHOD=AES-128,URI="2.key",IV=0x00000000000000000000000000000003\n',
            '#EXT-X-KEY:METHOD=AES-128,URI="1.key",IV=0x00000000000000000000000000000002\n',
            "key-again",
        ),
        (
            '#EXT-X-KEY:METHOD=AES-128,URI="2.key",IV=0x00000000000000000000000000000003\n',
            '#EXT-X-KEY:METHOD=AES-128,URI="2.key",IV=0x00000000000000000000000000000003\n'
            '#EXT-X-KEY:METHOD=AES-128,URI="3.key",IV=0x00000000000000000000000000000003\n',
            "key-unused",
        ),
    ],
)
def test_wrong_low_latency(old: str, new: str, rule: str) -> None:
    """C-LL-06 to C-LL-09, C-AE-02 to C-AE-04: each rule catches its violation."""
    assert old in LOW_LATENCY
    with pytest.raises(Violation) as caught:
        parse_media(LOW_LATENCY.replace(old, new, 1).encode())
    assert caught.value.rule == rule, caught.value


def test_old_parts() -> None:
    """Parts that are more than three target durations from the end are listed no more (6.2.2)."""
    rest = "".join(
        f'#EXT-X-KEY:METHOD=AES-128,URI="2.key",IV=0x{number:032x}\n'
        f"#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:{number - 6:02}.000Z\n"
        f"#EXTINF:1.000,\n{number}.m4s\n"
        for number in range(12, 16)
    )
    text = LOW_LATENCY[: LOW_LATENCY.index('#EXT-X-KEY:METHOD=AES-128,URI="2.key"')]
    parse_media((text + rest[: rest.index("#EXT-X-KEY", rest.index("14.m4s"))]).encode())
    with pytest.raises(Violation) as caught:
        parse_media((text + rest).encode())
    assert caught.value.rule == "old-parts"
