"""hls.js and Chromium's own HLS, in a browser, against a real server and real publishers.

One clip is published to several applications at once, and all pages watch it at the same time:
what they saw is looked at one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise, takewhile
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.e2e.browser import Browser
from tests.e2e.clients import FFMPEG9
from tests.e2e.hlsjs import BEFORE, HTML, NEWEST, Account, Watcher
from tests.e2e.media import (
    FRAME_RATE,
    assert_in_step,
    beeps,
    flashes,
    make_clip,
    make_flashes,
)
from tests.e2e.peers import Publisher, read_flv
from tests.e2e.processes import Failed, Program, run, wait_until
from tests.e2e.server import Server
from tests.e2e.sites import site
from tests.e2e.test_applications import app
from tests.e2e.test_hls_players import position

LOOP = ("ffmpeg", "-v", "error", "-re", "-stream_loop", "-1", "-i")

PLAYED_SECONDS = 5.0
B_FRAMES = 3

# At the same time: each takes a seventh of a core.
PAGES = 4

# Of a segment and of a part, as the applications here have them. Pages that start keep two cores
# from sending a segment of one second in time.
SEGMENT_SECONDS = 2
PART_SECONDS = 0.2

# Between two pictures that are shown. A busy machine leaves out some, a segment has a second.
LONGEST_STEP = 0.9

# Of whom all that the decoders are given is kept.
KEPT = ("ts", "fmp4", "ll")

LOW = {"lowLatencyMode": True}


@dataclass(frozen=True)
class Case:
    """One way to watch.

    Attributes:
        path: What is asked for, "APP/STREAM.m3u8" and the query.
        native: By Chromium itself.
        package: Which hls.js.
        folder: How the folder of its media playlist is called.
    """

    path: str
    native: bool = False
    package: str = NEWEST
    folder: str = ""

    @property
    def low(self) -> bool:
        """Whether parts are played."""
        return "format=ll" in self.path and not self.native

    @property
    def encrypted(self) -> bool:
        """Whether it is."""
        return self.path.startswith("secret")


CASES = {
    "ts": Case("plain/x.m3u8?format=ts", folder="ts-av"),
    "fmp4": Case("plain/x.m3u8?format=fmp4", folder="fmp4-av"),
    "ll": Case("plain/x.m3u8?format=ll", folder="ll-av"),
    "secret-ts": Case("secret/x.m3u8?format=ts", folder="ts-av"),
    "secret-ll": Case("secret/x.m3u8?format=ll", folder="ll-av"),
    "audio-fmp4": Case("plain/x.m3u8?format=fmp4&audio=1", folder="fmp4-audio"),
    "native-fmp4": Case("plain/x.m3u8?format=fmp4", native=True),
}
MORE_CASES = {
    "secret-fmp4": Case("secret/x.m3u8?format=fmp4", folder="fmp4-av"),
    "audio-ts": Case("plain/x.m3u8?format=ts&audio=1", folder="ts-audio"),
    "audio-ll": Case("plain/x.m3u8?format=ll&audio=1", folder="ll-audio"),
    "before-ts": Case("plain/x.m3u8?format=ts", folder="ts-av", package=BEFORE),
    "before-fmp4": Case("plain/x.m3u8?format=fmp4", folder="fmp4-av", package=BEFORE),
    "before-ll": Case("plain/x.m3u8?format=ll", folder="ll-av", package=BEFORE),
    "before-secret-ll": Case("secret/x.m3u8?format=ll", folder="ll-av", package=BEFORE),
    "native-ts": Case("plain/x.m3u8?format=ts", native=True),
    "native-ll": Case("plain/x.m3u8?format=ll", native=True),
    "native-secret-ts": Case("secret/x.m3u8?format=ts", native=True),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with an application of each kind; their segments are made all the time."""
    server = Server(tmp_path_factory.mktemp("server"))
    common = (
        f"hls_segment_seconds={SEGMENT_SECONDS}",
        f"hls_part_seconds={PART_SECONDS}",
        "hls_always=true",
    )
    try:
        app(server, "add", "plain", *common)
        app(server, "add", "secret", *common, "encrypted=true", "hls_key_segments=2")
        app(server, "add", "pictures", *common, "hls_audio_variant=false")
        app(server, "add", "joined", *common, "hls_variants=_240p,_120p")
        yield server
    finally:
        server.close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all tests here."""
    with Browser(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture(scope="module")
def page() -> Iterator[str]:
    """The address of a page of another site, with nothing but the element that plays."""
    with site(HTML) as address:
        yield address


@pytest.fixture(scope="module")
def published(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Flashes and beeps in two applications, with enough segments for any player."""
    folder = tmp_path_factory.mktemp("publisher")
    # Longer than anybody watches. FFmpeg does not repeat a clip to the millisecond.
    source = make_flashes(folder / "flashes.flv", B_FRAMES, 120)
    command = ["ffmpeg", "-v", "error", "-re", "-i", str(source)]
    for name in ("plain/x", "secret/x"):
        command += ["-map", "0", "-c", "copy", "-f", "flv", server.rtmp(name)]
    with Program(command, folder, "publisher"):
        wait_until(lambda: position(server, "secret/x") > 1.0, "it was published")
        # Every format is made from when it was first asked for.
        for case in CASES.values():
            assert server.get(f"/{case.path}")[0] == 200
        wait_until(lambda: position(server, "secret/x") > 7.0, "some segments were there")
        yield


def watch(browser: Browser, page: str, server: Server, case: Case, **more: Any) -> Watcher:
    """Open a page that plays."""
    settings = {"native": case.native, "package": case.package, "config": LOW, **more}
    return Watcher(browser, page, server.http(f"/{case.path}"), **settings)


def watch_all(
    browser: Browser, page: str, server: Server, cases: Mapping[str, Case], folder: Path
) -> dict[str, Account]:
    """Watch in several ways at the same time, and return what was seen.

    What hls.js gave to the decoders, of those in `KEPT`, is written into a folder for each.
    """
    found = {}
    for names in batched(cases, PAGES):
        with ExitStack() as stack:
            watchers = {}
            for x in names:
                watcher = watch(browser, page, server, cases[x], keep=x in KEPT)
                watchers[x] = stack.enter_context(watcher)
            for name, watcher in watchers.items():
                try:
                    found[name] = watcher.wait_until_played(PLAYED_SECONDS)
                    if cases[name].low:
                        # Until the list is longer than what a delta update always has.
                        found[name] = watcher.wait_for("seen.skipped > 0")
                except Failed as error:
                    raise Failed(f"{name}: {error}") from None
                for kind in watcher.kinds:
                    watcher.save(kind, folder / f"{name}-{kind}.mp4")
    return found


def batched(names: Iterable[str], size: int) -> list[list[str]]:
    """Cut names into lists of a size."""
    rest = list(names)
    return [rest[place : place + size] for place in range(0, len(rest), size)]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder for what hls.js gave to the decoders."""
    return tmp_path_factory.mktemp("kept")


@pytest.fixture(scope="module")
def accounts(
    server: Server,
    browser: Browser,
    page: str,
    published: None,
    kept: Path,
) -> dict[str, Account]:
    """What all pages of the default dose saw."""
    return watch_all(browser, page, server, CASES, kept)


def assert_played(case: Case, seen: Account) -> None:
    """Check that all that there is was decoded, shown, and fetched as it should be."""
    assert seen.troubles == []
    assert seen.audioBytes > 0
    if "audio=1" in case.path:
        assert (seen.size, seen.decoded) == ([0, 0], 0)
    else:
        assert seen.size == [320, 240]
        assert seen.decoded > 0.8 * PLAYED_SECONDS * FRAME_RATE
    # In one piece: nothing is missing between two segments.
    assert len(seen.buffered) == 1, seen.buffered
    if case.native:
        return
    assert seen.back == 0
    assert seen.longestStep < LONGEST_STEP
    parts = [urlsplit(url).path.split("/") for url in seen.uris()]
    assert {x[-2] for x in parts} == {case.folder}
    assert {x[-1].rpartition(".")[2] for x in parts} == {"ts" if case.folder[:2] == "ts" else "m4s"}
    assert len({x["discontinuity"] for x in seen.fragments}) == 1
    assert {x["encrypted"] for x in seen.fragments} == {case.encrypted}
    for before, after in pairwise(seen.fragments):
        # Several parts that are fetched one after the other are told of as the last of them. Times
        # of AAC and of pictures do not end at the same moment.
        assert case.low or abs(after["start"] - before["end"]) < 0.1, (before, after)
    if case.encrypted:
        # Two segments share a key.
        assert len({x["key"] for x in seen.fragments}) >= PLAYED_SECONDS // (2 * SEGMENT_SECONDS)
    if case.low:
        assert len([x for x in seen.fragments if x["part"] is not None]) > PLAYED_SECONDS
        assert abs(seen.partTarget - PART_SECONDS) < 0.05
        # Later lists are delta updates.
        assert seen.skipped > 0


@pytest.mark.parametrize("name", CASES)
def test_plays(accounts: dict[str, Account], name: str) -> None:
    """Each format is played, clear and encrypted, with pictures and as sound alone."""
    assert_played(CASES[name], accounts[name])


def test_latency(accounts: dict[str, Account]) -> None:
    """C-LL: parts bring a player nearer to the publisher than whole segments.

    The machine plays several pages at once here: node/hls_latency.cjs measures on a quiet one.
    """
    ordinary = accounts["ts"].latencies(2)[-1]
    for name in ("ll", "secret-ll"):
        low = accounts[name].latencies(2)[-1]
        assert low < 4.0, (name, low)
        assert low < ordinary, name
    assert ordinary < 3 * SEGMENT_SECONDS + 2.5


@pytest.mark.parametrize("name", KEPT)
def test_sync(accounts: dict[str, Account], kept: Path, name: str) -> None:
    """C-FM-01: what hls.js gives to the decoders flashes and beeps at the same moment."""
    assert accounts[name].pictures
    # Both are in one buffer when they come in one MP4; of TS hls.js makes two.
    audio = kept / f"{name}-audio.mp4"
    seen, heard = (
        kept / f"{name}-video.mp4",
        audio if audio.exists() else kept / f"{name}-video.mp4",
    )
    assert_in_step(flashes(seen), beeps(heard), 4)


@pytest.mark.long
def test_plays_long(
    server: Server, browser: Browser, page: str, published: None, tmp_path: Path
) -> None:
    """The same with the hls.js of the series before, and with more that Chromium has itself."""
    for name, seen in watch_all(browser, page, server, MORE_CASES, tmp_path).items():
        try:
            assert_played(MORE_CASES[name], seen)
        except AssertionError as error:
            raise Failed(f"{name}: {error}") from error


FORMATS = [
    pytest.param("ts", marks=pytest.mark.long),
    pytest.param("fmp4", marks=pytest.mark.long),
    "ll",
]


@pytest.mark.parametrize("kind", FORMATS)
def test_audio_tracks(
    server: Server, browser: Browser, page: str, tmp_path: Path, kind: str
) -> None:
    """P-207: each audio track of a publisher is listed, and can be changed to and back."""
    tones = (500, 1500)
    name = f"plain/tracks-{kind}"
    inputs = [f"testsrc2=size=320x240:rate={FRAME_RATE}"]
    inputs += [f"sine=frequency={tone}:sample_rate=48000" for tone in tones]
    command = [FFMPEG9, "-v", "error", "-re"]
    for source in inputs:
        command += ["-f", "lavfi", "-i", source]
    coding = "-map 0 -map 1 -map 2 -c:v libx264 -preset ultrafast -g 30 -pix_fmt yuv420p -c:a aac"
    with Program([*command, *coding.split(), "-f", "flv", server.rtmp(name)], tmp_path, "tracks"):
        case = Case(f"{name}.m3u8?format={kind}")
        wait_until(lambda: position(server, name) > 1.0, "it was published")
        assert server.get(f"/{case.path}")[0] == 200
        wait_until(lambda: position(server, name) > 5.0, "some segments were there")
        with watch(browser, page, server, case) as watcher:
            tracks = watcher.wait_until_played(1).audioTracks
            assert [x["default"] for x in tracks] == [True, False]
            assert len({x["name"] for x in tracks}) == 2
            for number in (0, 1, 0):
                watcher.page.evaluate(f"player.audioTrack = {number}")
                heard = f"Math.abs(pitch() - {tones[number]}) < 30"
                watcher.page.wait_for(heard, seconds=20)
            seen = watcher.play_on(1)
    assert seen.troubles == []
    assert [number for _at, number in seen.audioSwitches][-2:] == [1, 0]
    folders = {urlsplit(url).path.split("/")[-2] for url in seen.uris("audio")}
    # Only a transport stream, which hls.js takes apart, has the first track in it: a decoder that
    # was given both in one piece of MP4 cannot be given one of them from elsewhere.
    first = set() if kind == "ts" else {f"{kind}-audio"}
    assert folders == {f"{kind}-track1-audio"} | first
    assert (seen.back, len(seen.buffered)) == (0, 1)


@pytest.mark.parametrize("kind", FORMATS)
def test_joined(
    server: Server, browser: Browser, page: str, clip: Path, tmp_path: Path, kind: str
) -> None:
    """P-207, C-PL-24: streams that are joined are levels; a player changes without a gap."""
    small = tmp_path / "small.flv"
    options = "-s 160x120 -c:v libx264 -preset ultrafast -bf 2 -g 30 -keyint_min 30 -c:a copy"
    run(["ffmpeg", "-v", "error", "-i", clip, *options.split(), small], tmp_path)
    name = f"joined/{kind}"
    command = [*LOOP, str(clip), *LOOP[3:], str(small)]
    for number, ending in enumerate(("_240p", "_120p")):
        output = server.rtmp(name + ending)
        command += ["-map", str(number), "-c", "copy", "-f", "flv", output]
    with Program(command, tmp_path, "joined"):
        wait_until(lambda: position(server, f"{name}_120p") > 1.0, "it was published")
        case = Case(f"{name}.m3u8?format={kind}")
        assert server.get(f"/{case.path}")[0] == 200
        wait_until(lambda: position(server, f"{name}_120p") > 6.0, "some segments were there")
        with watch(browser, page, server, case, config={**LOW, "startLevel": 0}) as watcher:
            levels = watcher.wait_until_played(1).levels
            assert sorted(x["height"] for x in levels) == [120, 240]
            for level in (1, 0):
                watcher.page.evaluate(f"player.loadLevel = {level}")
                height = levels[level]["height"]
                watcher.wait_for(f"seen.size[1] === {height}", 20)
            seen = watcher.play_on(1)
    assert seen.troubles == []
    assert len(seen.switches) >= 2
    assert len({x["discontinuity"] for x in seen.fragments}) == 1
    assert (seen.back, len(seen.buffered)) == (0, 1)
    assert seen.longestStep < LONGEST_STEP


FIRST_SECONDS = 6


def publish_changes(server: Server, name: str, clips: list[Path], seen: Event) -> None:
    """Publish a clip, go on with one of another size, leave, and return until all is seen."""
    tags = [read_flv(path)[1][1:] for path in clips]
    with Publisher(server.rtmp_port, name) as publisher:
        publisher.play(tags[0])
        publisher.play(tags[1], offset=FIRST_SECONDS * 1000)
    with Publisher(server.rtmp_port, name) as publisher:
        publisher.play(takewhile(lambda _tag: not seen.is_set(), tags[0]))
        # Who plays it is not told of its end before.
        seen.wait(10)


@pytest.mark.parametrize(
    "kinds", [("ts", "ll"), pytest.param(("fmp4",), marks=pytest.mark.long)], ids="-".join
)
def test_changes(
    server: Server, browser: Browser, page: str, tmp_path: Path, kinds: tuple[str, ...]
) -> None:
    """C-PL-09, C-PL-10, C-FM-04: a publisher changes its encoder, and later comes back.

    There is one discontinuity for each, a new init segment, and players go on by themselves.
    """
    clips = [
        make_clip(tmp_path / "first.flv", FIRST_SECONDS),
        make_clip(tmp_path / "second.flv", 5, ["-s", "640x480"]),
    ]
    name = f"plain/changes-{len(kinds)}"
    seen_all = Event()
    thread = Thread(target=publish_changes, args=(server, name, clips, seen_all))
    thread.start()
    try:
        wait_until(lambda: position(server, name) > 0.5, "it was published")
        cases = {x: Case(f"{name}.m3u8?format={x}") for x in kinds}
        for case in cases.values():
            assert server.get(f"/{case.path}")[0] == 200
        with ExitStack() as stack:
            watchers = {
                x: stack.enter_context(watch(browser, page, server, case))
                for x, case in cases.items()
            }
            for size in ("320,240", "640,480", "320,240"):
                for watcher in watchers.values():
                    watcher.wait_for(f"String(seen.size) === '{size}'", 30)
            found = {x: y.play_on(1.5) for x, y in watchers.items()}
    finally:
        seen_all.set()
        thread.join()
    for kind, seen in found.items():
        # While nobody published there is nothing.
        assert {x["details"] for x in seen.troubles} <= {"fragGap"}, kind
        first = seen.fragments[0]["discontinuity"]
        assert {x["discontinuity"] - first for x in seen.fragments} == {0, 1, 2}, kind
        maps = [x["map"] for x in seen.fragments]
        changes = sum(one != other for one, other in pairwise(maps))
        assert (changes, all(maps)) == ((0, False) if kind == "ts" else (2, True)), kind
        assert seen.back == 0, kind


def test_hevc(server: Server, browser: Browser, page: str, clip: Path, tmp_path: Path) -> None:
    """C-FM-05: HEVC comes in fragments of MP4, named as browsers name it.

    Where the browser has no decoder for it hls.js plays the audio-only variant; without one it
    says by the playlist alone that it cannot play.
    """
    source = tmp_path / "hevc.flv"
    coding = "log-level=error:keyint=30:min-keyint=30:bframes=2"
    options = f"-c:v libx265 -preset ultrafast -x265-params {coding} -c:a copy"
    run([FFMPEG9, "-v", "error", "-i", clip, *options.split(), source], tmp_path)
    command = [FFMPEG9, *LOOP[1:], str(source)]
    for name in ("plain/hevc", "pictures/hevc"):
        command += ["-map", "0", "-c", "copy", "-f", "flv", server.rtmp(name)]
    with Program(command, tmp_path, "hevc"), ExitStack() as stack:
        wait_until(lambda: position(server, "pictures/hevc") > 1.0, "it was published")
        status, body = server.get("/plain/hevc.m3u8")
        assert status == 200
        codec = next(x for x in body.decode().split('"') if x.startswith("hvc1")).split(",")[0]
        both, only = (
            stack.enter_context(watch(browser, page, server, Case(f"{name}/hevc.m3u8")))
            for name in ("plain", "pictures")
        )
        test = f"MediaSource.isTypeSupported('video/mp4; codecs=\"{codec}\"')"
        if both.page.evaluate(test):
            for watcher in (both, only):
                seen = watcher.wait_until_played(2)
                assert (seen.size, seen.troubles) == ([320, 240], [])
        else:
            assert only.wait_for_failure(20)[-1]["details"] == "manifestIncompatibleCodecsError"
            seen = both.wait_until_played(2)
            assert (seen.size, seen.troubles) == ([0, 0], [])
            assert seen.audioBytes > 0
