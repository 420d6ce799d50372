"""`ntvmedia hls-download`: all kinds of playlists, whole, and what is chosen of them.

Pictures are compared as FFmpeg decodes them (`-f framemd5`), sounds as they are coded.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.downloads import (
    FRAME_SECONDS,
    assert_even,
    assert_is,
    assert_mp4,
    assert_times,
    attempt,
    boxes,
    download,
    duration,
    fail,
    heard,
    languages,
    on_terminal,
    picture_times,
    shown,
    shown_unscaled,
    size_of,
    sound_times,
)
from tests.e2e.hls_sources import (
    FRAME_RATE,
    GOP_FRAMES,
    KEY,
    SECONDS,
    SEGMENT_SECONDS,
    SEGMENTS,
    Sources,
)
from tests.e2e.hostile_server import HostileServer, redirect, require
from tests.e2e.media import assert_part, pictures

MAIN = (
    "ts",
    pytest.param("event", marks=pytest.mark.long),
    "one_key",
    "rotated",
    "implicit",
    "fmp4",
    "fmp4_keys",
    "ranges",
    "fmp4_ranges",
    "same_names",
)


@pytest.fixture
def web(sources: Sources) -> Iterator[HostileServer]:
    """A server that does nothing wrong, of all playlists that there are: `/KIND/index.m3u8`."""
    with HostileServer(sources.folder("ts").parent) as web:
        yield web


def url(web: HostileServer, sources: Sources, kind: str) -> str:
    """Return where a kind of playlist is served, which is made when it is not there."""
    sources.folder(kind)
    return web.url(f"/{kind}/index.m3u8")


@pytest.mark.parametrize("kind", MAIN)
def test_all(sources: Sources, web: HostileServer, out: Path, kind: str) -> None:
    """Every picture and sound of the clip is in the file, at its time, and nothing besides.

    C-AE-01, C-AE-02, C-AE-04, C-AE-07: one key, rotated keys, IVs explicit and implicit, an
    encrypted init segment, one segment in the clear. Each segment is asked for once.
    """
    download(url(web, sources, kind), out)
    assert_is(out, sources.clip())
    assert os.listdir(out.parent) == [out.name]
    if "ranges" not in kind:
        counts = web.counts("*/s*[0-9t].[tm]*")
        assert len(counts) == SEGMENTS, counts
        assert set(counts.values()) == {1}, counts


@pytest.mark.parametrize("kind", ["hevc", pytest.param("hevc_ts", marks=pytest.mark.long)])
def test_hevc(sources: Sources, web: HostileServer, out: Path, kind: str) -> None:
    """HEVC, in fragments of MP4 and in a transport stream."""
    download(url(web, sources, kind), out)
    assert_is(out, sources.clip("hevc"))


@pytest.mark.parametrize("kind", ["packed", "raw_aac"])
def test_packed_audio(sources: Sources, web: HostileServer, out: Path, kind: str) -> None:
    """Raw AAC segments, with times in ID3 tags and without any."""
    download(url(web, sources, kind), out)
    assert_mp4(out)
    assert heard(out) == heard(sources.clip())
    assert abs(duration(out) - SECONDS) <= FRAME_SECONDS


@pytest.mark.parametrize("kind", ["joined", "joined_wrap", "joined_fmp4", "joined_apart"])
def test_discontinuity(sources: Sources, web: HostileServer, out: Path, kind: str) -> None:
    """Two encodings, with times of their own and another SPS, are one film without a hole.

    In one of them the 33 bits of the first one's times begin anew in the middle, in another the
    sound has a list of its own.
    """
    download(url(web, sources, kind), out)
    assert_is(out, sources.clip(), sources.clip("other"))


def test_other_size(sources: Sources, web: HostileServer, out: Path) -> None:
    """Behind a discontinuity the pictures have another size."""
    download(url(web, sources, "joined_wide"), out)
    clips = [sources.clip(), sources.clip("wide")]
    assert_mp4(out)
    assert shown_unscaled(out) == [digest for clip in clips for digest in shown(clip)]
    assert heard(out) == [digest for clip in clips for digest in heard(clip)]
    assert_times(out, clips)


def test_times_jump_unannounced(sources: Sources, web: HostileServer, out: Path) -> None:
    """A list that does not say where its times begin anew: they are put right all the same."""
    folder = sources.folder("joined")
    text = sources.playlist("joined").replace("#EXT-X-DISCONTINUITY\n", "")
    (folder / "unsaid.m3u8").write_text(text, "utf-8")
    download(web.url("/joined/unsaid.m3u8"), out)
    assert_is(out, sources.clip(), sources.clip("other"))


def test_gap(sources: Sources, web: HostileServer, out: Path) -> None:
    """A segment that the list calls missing is not asked for, and leaves its hole."""
    folder = sources.folder("ts")
    text = sources.playlist("ts").replace("s2.ts", "#EXT-X-GAP\ns2.ts")
    (folder / "gap.m3u8").write_text(text, "utf-8")
    download(web.url("/ts/gap.m3u8"), out)
    assert not web.counts("*/s2.ts")
    assert_mp4(out)
    sent = shown(sources.clip())
    hole = slice(2 * SEGMENT_SECONDS * FRAME_RATE, 3 * SEGMENT_SECONDS * FRAME_RATE)
    assert shown(out) == sent[: hole.start] + sent[hole.stop :]
    times = picture_times(out)
    assert_even(times[: hole.start], FRAME_SECONDS)
    behind = times[hole.start] - times[0]
    assert abs(behind - hole.stop * FRAME_SECONDS) < FRAME_SECONDS
    assert abs(duration(out) - SECONDS) <= FRAME_SECONDS


def test_best_variant(sources: Sources, web: HostileServer, out: Path) -> None:
    """P-901: of a multivariant playlist the best variant is taken, with the default sound."""
    download(url(web, sources, "multivariant"), out)
    assert_is(out, sources.clip())
    assert languages(out) == ["eng"]
    assert not web.counts("/multivariant/small/*")
    assert not web.counts("/multivariant/german/*")


@pytest.mark.parametrize("wanted", ["worst", "120p", pytest.param("2", marks=pytest.mark.long)])
def test_variant(sources: Sources, web: HostileServer, out: Path, wanted: str) -> None:
    """`--variant` takes another one, with the sound of its group."""
    download(url(web, sources, "multivariant"), out, "--variant", wanted, "--to", "4")
    assert_mp4(out)
    assert size_of(out) == (160, 120)
    assert_part(pictures(out), pictures(sources.clip("small")), 4 * FRAME_RATE)
    assert set(heard(out)) <= set(heard(sources.clip()))


@pytest.mark.parametrize("wanted", ["german", pytest.param("de", marks=pytest.mark.long)])
def test_audio(sources: Sources, web: HostileServer, out: Path, wanted: str) -> None:
    """`--audio` takes another rendition, by its language or its name."""
    (sources.folder("multivariant") / "named.m3u8").write_text(
        sources.playlist("multivariant").replace('NAME="audio_3"', 'NAME="German"')
        if wanted == "german"
        else sources.playlist("multivariant"),
        "utf-8",
    )
    download(web.url("/multivariant/named.m3u8"), out, "--audio", wanted)
    assert_mp4(out)
    assert shown(out) == shown(sources.clip())
    assert heard(out) == heard(sources.clip("german"))
    assert languages(out) in (["deu"], ["ger"])


def test_all_audio(sources: Sources, web: HostileServer, out: Path) -> None:
    """`--audio all` takes every rendition, as tracks with their languages."""
    download(url(web, sources, "multivariant"), out, "--audio", "all")
    assert_is(out, sources.clip())
    assert heard(out, 1) == heard(sources.clip("german"))
    assert languages(out) in (["eng", "deu"], ["eng", "ger"])
    assert_even(picture_times(out), FRAME_SECONDS)


def test_range_with_audio(sources: Sources, web: HostileServer, out: Path) -> None:
    """A part, of pictures and sounds whose segments have other bounds, is in step."""
    download(url(web, sources, "multivariant"), out, "--from", "4", "--to", "8")
    assert_mp4(out)
    begin = 4 * FRAME_RATE
    assert shown(out) == shown(sources.clip())[begin : 8 * FRAME_RATE]
    sounds, all_sounds = heard(out), heard(sources.clip())
    first = all_sounds.index(sounds[0])
    assert sounds == all_sounds[first : first + len(sounds)]
    apart = picture_times(out)[0] - sound_times(out)[0]
    its_apart = picture_times(sources.clip())[begin] - sound_times(sources.clip())[first]
    assert abs(apart - its_apart) < 0.002
    assert abs(duration(out) - 4) <= 2 * FRAME_SECONDS


def test_list(sources: Sources, web: HostileServer, out: Path) -> None:
    """`--list` tells of variants and renditions, loads nothing, and writes no file."""
    address = url(web, sources, "multivariant")
    program, status = attempt(address, None, "--list", folder=out.parent)
    assert not status, program.tail()
    text = program.output.decode("utf-8")
    for word in ("320x240", "160x120", "audio_2", "audio_3", "en", "de"):
        assert re.search(rf"(?<!\w){word}(?!\w)", text), (word, text)
    assert not web.counts("*.ts")
    left = [name for name in os.listdir(out.parent) if not name.startswith("download-")]
    assert left == []


def test_list_of_one(sources: Sources, web: HostileServer, out: Path) -> None:
    """`--list` of a media playlist tells how long it is."""
    program, status = attempt(url(web, sources, "ts"), None, "--list", folder=out.parent)
    assert not status, program.tail()
    assert re.search(r"\b12(\.0+)?\s*s|0?0:12\b", program.output.decode("utf-8")), program.tail()


@pytest.mark.parametrize(
    ("options", "first", "last"),
    [
        (("--from", "4", "--to", "8"), 4, 8),
        pytest.param(("--from", "00:06"), 6, 12, marks=pytest.mark.long),
        pytest.param(("--to", "0:00:04.000"), 0, 4, marks=pytest.mark.long),
        (("--from", "2.0", "--duration", "6"), 2, 8),
    ],
)
def test_range_of_segments(
    sources: Sources,
    web: HostileServer,
    out: Path,
    options: tuple[str, ...],
    first: int,
    last: int,
) -> None:
    """`--from`, `--to` and `--duration` at bounds of segments give just these, and load no more."""
    download(url(web, sources, "ts"), out, *options)
    assert_mp4(out)
    assert shown(out) == shown(sources.clip())[first * FRAME_RATE : last * FRAME_RATE]
    assert min(picture_times(out)) < FRAME_SECONDS
    assert abs(duration(out) - (last - first)) <= 2 * FRAME_SECONDS
    assert len(web.counts("*.ts")) == (last - first) / SEGMENT_SECONDS


def test_range_within_segments(sources: Sources, web: HostileServer, out: Path) -> None:
    """Times within segments: all between them is there, and less than a segment more each side."""
    download(url(web, sources, "fmp4"), out, "--from", "3.3", "--to", "00:08.700")
    assert_mp4(out)
    begin = assert_part(pictures(out), pictures(sources.clip()))
    end = begin + len(shown(out))
    assert begin % GOP_FRAMES == 0
    assert (3.3 - SEGMENT_SECONDS) * FRAME_RATE < begin <= 3.3 * FRAME_RATE
    assert 8.7 * FRAME_RATE <= end < (8.7 + SEGMENT_SECONDS) * FRAME_RATE


@pytest.mark.parametrize(
    "options",
    [("--from", "13"), ("--from", "5", "--to", "5"), ("--from", "8", "--to", "4")],
)
def test_range_of_nothing(
    sources: Sources, web: HostileServer, out: Path, options: tuple[str, ...]
) -> None:
    """Times that have nothing between them are an error, not an empty file."""
    address = url(web, sources, "ts")
    program, status = attempt(address, out, *options, folder=out.parent.parent)
    assert status in (1, 2)
    assert not out.exists()
    assert program.errors.strip()


@pytest.mark.parametrize("form", ["hex", "file", pytest.param("0x", marks=pytest.mark.long)])
def test_key(sources: Sources, web: HostileServer, out: Path, form: str) -> None:
    """`--key` is taken instead of what the list names, which is not asked for."""
    web.on("*.key", require(lambda _request: False))
    path = out.parent.parent / "my.key"
    path.write_bytes(KEY)
    value = {"hex": KEY.hex(), "0x": "0x" + KEY.hex().upper(), "file": str(path)}[form]
    download(url(web, sources, "one_key"), out, "--key", value)
    assert_is(out, sources.clip())
    assert not web.counts("*.key")


def test_exists(sources: Sources, web: HostileServer, out: Path) -> None:
    """OUT exists: nothing is loaded and nothing written, but with `--force`."""
    out.write_bytes(b"mine")
    address = url(web, sources, "ts")
    said = fail(address, out)
    assert out.name in said
    assert "--force" in said
    assert not web.counts("*.ts")
    download(address, out, "--force")
    assert_is(out, sources.clip())


def test_force_that_fails(sources: Sources, web: HostileServer, out: Path) -> None:
    """What was there stays until there is something better."""
    out.write_bytes(b"mine")
    web.on("/ts/s3.ts", require(lambda _request: False))
    fail(url(web, sources, "ts"), out, "--force", "--retries", "0")
    assert out.read_bytes() == b"mine"


def test_default_name(sources: Sources, web: HostileServer, out: Path) -> None:
    """Without `-o` the file is in the folder where the command runs, whatever the address says."""
    folder = out.parent / "here"
    folder.mkdir()
    sources.folder("ts")
    web.on("/made/*", redirect("/ts/index.m3u8"))
    address = web.url("/made/%2e%2e%2f%2e%2e%2fts%2findex.m3u8?x=/../y")
    program, status = attempt(address, None, folder=folder)
    assert not status, program.tail()
    found = [x for x in folder.iterdir() if not x.name.startswith("download-")]
    assert len(found) == 1, found
    assert found[0].suffix == ".mp4"
    assert_is(found[0], sources.clip())
    assert os.listdir(out.parent) == ["here"]


@pytest.mark.parametrize("name", ["-x.mp4", "%03d $(touch y) 'é\".mp4", "no-suffix"])
def test_names_of_out(sources: Sources, web: HostileServer, out: Path, name: str) -> None:
    """OUT is a name and nothing else: no option, no pattern, no command."""
    address = url(web, sources, "ts")
    program, status = attempt(address, None, f"-o./{name}", "--to", "2", folder=out.parent)
    assert not status, program.tail()
    left = [x for x in os.listdir(out.parent) if not x.startswith("download-")]
    assert left == [name]
    assert boxes(out.with_name(name))[0] == "ftyp"


def test_jobs(sources: Sources, out: Path) -> None:
    """`--jobs` says how many segments are loaded at once, and connections are used again."""
    sources.folder("one_second")
    for jobs in (1, 5):
        with HostileServer(sources.folder("one_second"), delay_seconds=0.05) as web:
            download(web.url(), out, "--jobs", str(jobs), "--force")
            ports = {x.port for x in web.requests}
            assert web.peak <= jobs + 1
            assert jobs <= len(ports) <= jobs + 1
    assert_is(out, sources.clip())


def test_odd_servers(sources: Sources, web: HostileServer, out: Path) -> None:
    """A list with CRLF, a byte order mark, spaces and addresses that are whole or from the root."""
    folder = sources.folder("ts")
    lines = sources.playlist("ts").splitlines()
    lines = [f"  {x} " if x.startswith("s") else x for x in lines]
    text = "\r\n".join(lines)
    text = text.replace("s1.ts", "/ts/s1.ts").replace("s2.ts", web.url("/ts/./x/../s2.ts"))
    text = text.replace("s3.ts", web.url("/ts/s3.ts").removeprefix("http:"))
    (folder / "odd.m3u8").write_bytes(b"\xef\xbb\xbf" + text.encode())
    download(web.url("/ts/odd.m3u8"), out)
    assert_is(out, sources.clip())


def test_progress(sources: Sources, out: Path) -> None:
    """On a terminal there is a bar with speed and time left, and each line fits."""
    sources.folder("ts")
    with HostileServer(sources.folder("ts"), bytes_per_second=220_000) as web:
        text = on_terminal(web.url(), "-o", str(out), "--jobs", "2")
    assert "\x1b[" in text
    assert re.search(r"\d[\d.,]* ?[kM]i?B/s", text), text
    assert re.search(r"\b0?0:0[0-9]\b|\b\d+ ?s\b", text), text
    assert_is(out, sources.clip())
