"""`ntvmedia hls-download` of lists and segments that are wrong in ways nobody thought of.

Whatever a server sends, the command makes a file or says in one line why not.
"""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import hostile_server as wrong
from tests.e2e.downloads import assert_mp4, attempt, error_of, parts_of
from tests.e2e.hls_sources import Sources
from tests.e2e.hostile_server import HostileServer

SHORT, LONG = 8, 400

LISTS = ("ts", "one_key", "fmp4", "joined_fmp4", "ranges", "rotated", "packed")
MEDIA = ("ts", "fmp4", "packed", "hevc", "joined", "raw_aac", "fmp4_ranges")

NUMBERS = (
    *("0", "-1", "1e400", "nan", "-inf", "1e308", "9" * 30, "0x10", "1,5", "", "1e-320", "2.0001"),
    *("18446744073709551616", "4294967296", "1e9"),
)

LINES = (
    "#EXT-X-DISCONTINUITY",
    "#EXT-X-GAP",
    "#EXT-X-KEY:METHOD=NONE",
    '#EXT-X-KEY:METHOD=AES-128,URI="secret.key"',
    '#EXT-X-KEY:METHOD=AES-128,URI="../one_key/secret.key",IV=0x%s',
    "#EXT-X-BYTERANGE:%s@%s",
    "#EXT-X-BYTERANGE:188",
    "#EXT-X-MEDIA-SEQUENCE:%s",
    "#EXT-X-TARGETDURATION:%s",
    "#EXT-X-DISCONTINUITY-SEQUENCE:%s",
    "#EXT-X-PROGRAM-DATE-TIME:9999-99-99T99:99:99Z",
    "#EXT-X-PROGRAM-DATE-TIME:0001-01-01T00:00:00+23:59",
    "#EXT-X-START:TIME-OFFSET=%s",
    '#EXT-X-MAP:URI="../fmp4/init.mp4",BYTERANGE="%s@%s"',
    '#EXT-X-MAP:URI=""',
    '#EXT-X-DEFINE:IMPORT="x"',
    "{$x}",
    "#EXTINF:%s,",
    "#EXT-X-SKIP:SKIPPED-SEGMENTS=%s",
    '#EXT-X-PART:DURATION=%s,URI="s0.ts"',
    "#EXT-X-STREAM-INF:BANDWIDTH=%s,RESOLUTION=%sx%s,FRAME-RATE=%s",
    "http://[::1",
    "http://127.0.0.1:99999/",
    "http://user:password@127.0.0.1:1/x",
    "//",
    "?",
    "\ufeff#EXTM3U",
    "../fmp4/s1.m4s",
)


@pytest.fixture
def web(sources: Sources) -> Iterator[HostileServer]:
    """A server of all playlists."""
    for kind in (*LISTS, *MEDIA):
        sources.folder(kind)
    with HostileServer(sources.folder("ts").parent) as web:
        yield web


def assert_said(web: HostileServer, kind: str, out: Path, options: tuple[str, ...]) -> None:
    """Run the command, which must end in one of its two ways."""
    options = ("--force", "--retries", "0", "--timeout", "1", *options)
    address = web.url(f"/{kind}/index.m3u8")
    program, status = attempt(address, out, *options, folder=out.parent.parent, seconds=30)
    if status:
        assert status == 1, program.tail()
        assert "process that merges" not in error_of(program), program.tail()
    else:
        assert_mp4(out)
        out.unlink()
    shutil.rmtree(parts_of(out), ignore_errors=True)


def spoilt_list(dice: random.Random, text: str) -> str:
    """Change some lines of a list, which ends all the same."""
    lines = text.splitlines()
    for _ in range(dice.choice((1, 1, 2, 3, 6))):
        place, what = dice.randrange(len(lines)), dice.random()
        if what < 0.5:
            line = re.sub("%s", lambda _: dice.choice(NUMBERS), dice.choice(LINES))
            lines.insert(place, line)
        elif what < 0.6 and len(lines) > 1:
            del lines[place]
        elif what < 0.85:
            lines[place] = re.sub(r"\d+", lambda _: dice.choice(NUMBERS), lines[place])
        else:
            lines[place] = lines[place][: dice.randrange(40)]
    return "\n".join([*lines, "#EXT-X-ENDLIST", ""])


def spoilt_media(dice: random.Random, data: bytes) -> bytes:
    """Change some bytes of a segment, mostly of its beginning."""
    spoilt = bytearray(data)
    for _ in range(dice.choice((1, 1, 3, 30, 300))):
        place, what = (
            dice.randrange(dice.choice((len(spoilt), min(len(spoilt), 3000)))),
            dice.random(),
        )
        if what < 0.5:
            spoilt[place] = dice.randrange(256)
        elif what < 0.65:
            del spoilt[place : place + dice.choice((1, 4, 188, 1000))]
        elif what < 0.8:
            spoilt[place:place] = dice.randbytes(dice.choice((1, 4, 188)))
        else:
            spoilt[place : place + 4] = dice.choice((b"\xff\xff\xff\xff", bytes(4)))
        spoilt = spoilt or bytearray(1)
    return bytes(spoilt)


def test_lists(sources: Sources, web: HostileServer, out: Path, long_dose: bool) -> None:
    """Lists with wrong numbers, tags where they do not belong, lines cut and missing."""
    for seed in range(LONG if long_dose else SHORT):
        dice = random.Random(seed)
        kind = dice.choice(LISTS)
        text = spoilt_list(dice, sources.playlist(kind))
        web.forget()
        web.on("/*/index.m3u8", wrong.body(text.encode(), "application/vnd.apple.mpegurl"))
        ways = ((), ("--list",), ("--from", "3", "--to", "7"), ("--duration", "4"), ("--partial",))
        options = dice.choice(ways)
        if options == ("--list",):
            address = web.url(f"/{kind}/index.m3u8")
            program, status = attempt(address, None, *options, folder=out.parent.parent)
            assert status == 0 or (status == 1 and error_of(program)), program.tail()
        else:
            assert_said(web, kind, out, options)


def test_media(web: HostileServer, out: Path, long_dose: bool) -> None:
    """Segments and init sections with wrong bytes."""
    for seed in range(LONG if long_dose else SHORT):

        def spoil(exchange: wrong.Exchange, seed: int = seed) -> None:
            data = exchange.file() or b""
            # Whatever the order of requests.
            dice = random.Random(f"{seed} {exchange.request.path}")
            if "range" in exchange.request.headers:
                wrong.serve_file(exchange)
            else:
                exchange.answer(200, spoilt_media(dice, data) if dice.random() < 0.4 else data)

        web.forget()
        for ending in ("ts", "m4s", "mp4", "aac"):
            web.on(f"*.{ending}", spoil)
        assert_said(web, MEDIA[seed % len(MEDIA)], out, ())
