"""The player pages in Chromium: that they play, go on by themselves, and trust nobody's text."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.e2e.browser import Browser, Page
from tests.e2e.processes import Failed, Program, wait_until
from tests.e2e.server import Server
from tests.e2e.sites import site
from tests.e2e.test_applications import app, ntvmedia

# Short waits: a test of what happens after them takes no longer than it must.
SETTINGS = ("hub.play_wait=3", "hub.publisher_grace=6")

Publish = Callable[[str], Program]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests here."""
    server = Server(tmp_path_factory.mktemp("server"), SETTINGS)
    yield server
    server.close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all tests here, which may play with sound."""
    with Browser(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture
def publish(server: Server, clip: Path, tmp_path: Path) -> Iterator[Publish]:
    """Publish the clip again and again, until the test ends."""
    running = []

    def start(name: str) -> Program:
        source = ("-re", "-stream_loop", "-1", "-i", clip)
        command = ("ffmpeg", "-v", "error", *source, "-c", "copy", "-f", "flv", server.rtmp(name))
        running.append(Program(command, tmp_path, "publisher"))
        return running[-1]

    yield start
    for program in running:
        program.stop()


def path_of(name: str) -> str:
    """Return the path of "APP/STREAM"."""
    return f"/{quote(name)}"


def assert_plays(page: Page, frame: str = "", *, sound: bool = True) -> None:
    """Check that more than three seconds of picture and sound are decoded and shown."""
    seen = "[video.currentTime, video.getVideoPlaybackQuality().totalVideoFrames]"
    page.wait_for('document.body.dataset.state === "live" && video.currentTime > 0', frame)
    time_before, frames_before = page.evaluate(seen, frame)
    page.wait_for(f"video.currentTime > {time_before + 3.2}", frame, 30)
    _time, frames = page.evaluate(seen, frame)
    assert frames - frames_before > 45
    assert page.evaluate("video.webkitAudioDecodedByteCount > 0", frame) is sound
    assert page.evaluate("[video.videoWidth, video.videoHeight]", frame) == [320, 240]
    assert page.evaluate("document.body.dataset.state", frame) == "live"


def wait_for_trouble(page: Page, text: str) -> None:
    """Wait until the browser's console has an error with a text in it."""
    wait_until(lambda: text in str(page.trouble()), f"the browser complained of {text}")


def live(server: Server, name: str) -> bool:
    """Whether there is a stream "APP/STREAM"."""
    return any(stream["name"] == name for stream in server.api("streams")["streams"])


def viewers(server: Server, name: str) -> int:
    """Return how many watch a stream "APP/STREAM"."""
    count: int = server.api(f"streams/{quote(name)}")["viewers"]
    return count


def said(page: Page, frame: str = "") -> str:
    """Return what the line below the picture says, with the server's reason."""
    text: str = page.evaluate("document.getElementById('state').innerText", frame)
    return " ".join(text.split())


@pytest.mark.parametrize(
    "name",
    [
        "liveshow/page",
        pytest.param("liveshow/cam.1-a_b", marks=pytest.mark.long),
        "liveshow/直播.高清",
    ],
)
def test_page(server: Server, browser: Browser, publish: Publish, name: str) -> None:
    """Whoever opens the address of a stream sees it, and which other addresses it has."""
    publish(name)
    page = browser.open(server.http(path_of(name)), locale="en-US")
    assert page.status == 200
    assert_plays(page)
    assert said(page) == "Live"
    assert viewers(server, name) == 1
    assert page.evaluate("document.title") == name.partition("/")[2]
    assert page.evaluate("document.querySelector('h1').innerText") == name
    addresses = page.evaluate("[...document.querySelectorAll('input')].map((x) => x.value)")
    *urls, frame_code = addresses
    plain = server.http(path_of(name))
    assert urls == [
        f"{plain}.m3u8",
        f"{plain}.flv",
        f"{plain}.flv".replace("http:", "ws:"),
        f"{plain}.ts",
    ]
    assert server.http(f"/embed{path_of(name)}") in frame_code
    for url in urls:
        if url.startswith("ws:"):
            ask = (
                f"new Promise((done) => {{ const socket = new WebSocket('{url}');"
                "socket.onmessage = () => { socket.close(); done(200); };"
                "socket.onerror = () => done(0); })"
            )
        else:
            ask = f"fetch('{url}').then((answer) => (answer.body.cancel(), answer.status))"
        assert page.evaluate(ask) == 200, url
    assert page.trouble() == []
    page.close()


def test_embedded(server: Server, browser: Browser, publish: Publish) -> None:
    """P-806: the code that the page offers plays in a page of another site, and fills its frame."""
    name = "liveshow/embedded"
    publish(name)
    page = browser.open(server.http(path_of(name)))
    code = page.evaluate("[...document.querySelectorAll('input')].pop().value")
    page.close()
    with site(f"<!doctype html><title>Somebody else's</title><body>{code}") as address:
        page = browser.open(address)
        assert_plays(page, "/embed/")
        size = page.evaluate(
            "(({ width, height, left, top }) => [width, height, left, top])"
            "(video.getBoundingClientRect())",
            "/embed/",
        )
        assert size == [640, 360, 0, 0]
        assert page.evaluate("[video.controls, video.muted]", "/embed/") == [True, False]
        # Nothing is said over a picture that plays.
        assert not page.evaluate("document.getElementById('state').checkVisibility()", "/embed/")
        assert page.trouble() == []
        page.close()


def test_embedded_settings(server: Server, browser: Browser, publish: Publish) -> None:
    """Controls, sound and automatic play are for the page around the player to decide."""
    name = "liveshow/settings"
    publish(name)
    frame = server.http(f"/embed{path_of(name)}?controls=0&muted=1&autoplay=0&track=0")
    with site(f'<!doctype html><iframe src="{frame.replace("&", "&amp;")}"></iframe>') as address:
        page = browser.open(address, locale="en-US")
        page.wait_for("document.body.dataset.state === 'paused'", "/embed/")
        assert page.evaluate("[video.controls, video.muted]", "/embed/") == [False, True]
        assert page.evaluate("video.currentSrc", "/embed/") == ""
        page.click("#start", "/embed/")
        assert_plays(page, "/embed/")
        # What is meant for the player stays here, what is meant for the server is passed on.
        fetched = page.evaluate(
            "performance.getEntriesByType('resource').map((entry) => entry.name)", "/embed/"
        )
        assert server.http(f"{path_of(name)}.m3u8?track=0") in fetched
        assert page.trouble() == []
        page.close()


def test_before_the_publisher(server: Server, browser: Browser, publish: Publish) -> None:
    """A page that is opened too early says so, why, and plays when the stream is there."""
    name = "liveshow/early"
    page = browser.open(server.http(path_of(name)), locale="en-US")
    page.wait_for("document.getElementById('reason').textContent")
    assert said(page).startswith("Waiting for the stream.")
    status, body = server.get(f"{path_of(name)}.m3u8")
    assert status == 404
    assert body.decode().strip().endswith(page.evaluate("reason.textContent"))
    publish(name)
    assert_plays(page)
    assert said(page) == "Live"
    page.close()


@pytest.mark.parametrize(
    "number", [pytest.param(signal.SIGTERM, marks=pytest.mark.long), signal.SIGKILL]
)
def test_publisher_returns(
    server: Server, browser: Browser, publish: Publish, number: signal.Signals
) -> None:
    """The page goes on by itself after a publisher that said goodbye, or did not."""
    name = f"liveshow/returns-{number.name}"
    publisher = publish(name)
    page = browser.open(server.http(path_of(name)), locale="en-US")
    assert_plays(page)
    publisher.stop(number)
    wait_until(lambda: not live(server, name), "it was over")
    page.wait_for("document.getElementById('said').textContent.startsWith('The stream has ended')")
    publish(name)
    assert_plays(page)
    page.close()


def test_publisher_returns_soon(server: Server, browser: Browser, publish: Publish) -> None:
    """Nobody has to do anything when a publisher comes back within the grace."""
    name = "liveshow/soon"
    publisher = publish(name)
    page = browser.open(server.http(path_of(name)))
    assert_plays(page)
    publisher.stop(signal.SIGKILL)
    time.sleep(2)
    publish(name)
    # Longer than what was there already to be played.
    time.sleep(10)
    assert_plays(page)
    page.close()


def test_network_returns(server: Server, browser: Browser, publish: Publish) -> None:
    """The page says that the network is away, and plays when it is back."""
    name = "liveshow/network"
    publish(name)
    page = browser.open(server.http(path_of(name)), locale="en-US")
    assert_plays(page)
    page.set_offline(True)
    page.wait_for("document.getElementById('said').textContent.startsWith('The server cannot be')")
    page.set_offline(False)
    assert_plays(page)
    page.close()


@pytest.mark.long
def test_long_pause(server: Server, browser: Browser, publish: Publish) -> None:
    """Who pauses is left alone; who plays again after a while sees what is live then."""
    name = "liveshow/pause"
    publish(name)
    page = browser.open(server.http(path_of(name)), locale="en-US")
    assert_plays(page)
    page.evaluate("video.pause()")
    page.wait_for("document.body.dataset.state === 'paused'")
    stopped = page.evaluate("video.currentTime")
    time.sleep(9)
    assert page.evaluate("video.currentTime") == stopped
    assert said(page) == "Paused"
    page.evaluate("video.play()")
    assert_plays(page)
    page.close()


def test_sound_only(server: Server, browser: Browser, publish: Publish) -> None:
    """P-503: `audio=1` of the page's address is that of the stream's."""
    name = "liveshow/sound"
    publish(name)
    page = browser.open(server.http(f"{path_of(name)}?audio=1"), locale="en-US")
    page.wait_for("video.currentTime > 3")
    assert page.evaluate("[video.videoWidth, video.webkitAudioDecodedByteCount > 0]") == [0, True]
    assert said(page) == "Live, sound only"
    assert page.trouble() == []
    page.close()


def test_sound_needs_a_click(server: Server, publish: Publish, tmp_path: Path) -> None:
    """Where pages may not play sound by themselves it plays without, and a button turns it on."""
    name = "liveshow/click"
    publish(name)
    with Browser(tmp_path, autoplay=False) as browser:
        page = browser.open(server.http(path_of(name)), locale="en-US")
        # Whatever is evaluated in the page counts as a touch: let it begin before.
        wait_until(lambda: live(server, name) and viewers(server, name), "it was asked for")
        time.sleep(5)
        assert_plays(page)
        assert page.evaluate("[video.muted, unmute.checkVisibility()]") == [True, True]
        page.click("#unmute")
        assert page.evaluate("[video.muted, unmute.checkVisibility()]") == [False, False]
        assert_plays(page)
        assert page.trouble() == []


def test_no_hls(server: Server, browser: Browser) -> None:
    """A browser that has no HLS of its own is told what to do, in page and frame."""
    before = "HTMLMediaElement.prototype.canPlayType = () => '';"
    for path in ("/liveshow/old", "/embed/liveshow/old"):
        page = browser.open(server.http(path), before=before, locale="en-US")
        page.wait_for("document.body.dataset.state === 'unsupported'")
        assert said(page).startswith("This browser cannot play HLS. Use a current Chrome")
        link = "document.querySelector('#state a')"
        assert page.evaluate(f"{link}.checkVisibility() && {link}.href") == server.http(
            "/liveshow/old.m3u8"
        )
        assert page.evaluate("video.currentSrc") == ""
        assert page.trouble() == []
        page.close()


def test_languages_and_colours(server: Server, browser: Browser) -> None:
    """P-105: Chinese for whom the browser says so, English for others; dark for whom wants it."""
    seen = {}
    for locale, scheme in (("zh-CN", "dark"), ("de-DE", "light")):
        page = browser.open(server.http("/liveshow/x"), locale=locale, colorScheme=scheme)
        seen[locale] = page.evaluate(
            "[document.documentElement.lang, document.querySelector('h2').textContent,"
            "getComputedStyle(document.body).backgroundColor]"
        )
        page.close()
    assert seen["zh-CN"] == ["zh-CN", "直播流地址", "rgb(14, 17, 22)"]
    assert seen["de-DE"] == ["en", "Addresses of this stream", "rgb(246, 247, 249)"]


@pytest.mark.parametrize("host", ["127.0.0.1", "media.test"])
def test_copy(server: Server, browser: Browser, host: str) -> None:
    """An address is copied by keyboard alone, also where the page has no TLS and no clipboard."""
    address = server.http("/liveshow/copied?track=1").replace("127.0.0.1", host)
    page = browser.open(
        address, locale="en-US", permissions=["clipboard-read"] if host != "media.test" else []
    )
    secure = page.evaluate("isSecureContext")
    assert secure is (host == "127.0.0.1")
    button = "document.querySelectorAll('#addresses button')[1]"
    assert page.evaluate(f"{button}.getAttribute('aria-label')") == "Copy: HTTP-FLV"
    page.evaluate("addEventListener('copy', () => { copied = String(getSelection()); })")
    page.evaluate(f"{button}.focus()")
    page.press("Enter")
    page.wait_for(f"{button}.textContent === 'Copied'")
    found = page.evaluate("navigator.clipboard.readText()" if secure else "copied")
    assert found == address.replace("?", ".flv?")
    page.close()


def test_narrow(server: Server, browser: Browser) -> None:
    """On a small telephone nothing is wider than the screen."""
    page = browser.open(
        server.http(f"/liveshow/{'long-' * 25}"), viewport={"width": 320, "height": 568}
    )
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    page.close()


def test_no_application(server: Server, browser: Browser) -> None:
    """A typing error in the address is told as such, in plain text."""
    page = browser.open(server.http("/liveshwo/test"))
    assert page.status == 404
    assert page.headers["content-type"] == "text/plain; charset=utf-8"
    assert 'there is no application "liveshwo"' in page.evaluate("document.body.innerText")
    page.close()


def test_disabled(server: Server, browser: Browser, publish: Publish) -> None:
    """P-204: whoever watches is told when the application is disabled, and when it is not."""
    app(server, "add", "closing")
    name = "closing/time"
    publish(name)
    page = browser.open(server.http(path_of(name)), locale="en-US")
    assert_plays(page)
    app(server, "set", "closing", "enabled=false")
    page.wait_for("document.body.dataset.state === 'refused'")
    assert said(page) == (
        'The server does not let you play this stream. application "closing" is disabled'
    )
    app(server, "set", "closing", "enabled=true")
    publish(name)
    assert_plays(page)
    page.close()


def test_signed(server: Server, browser: Browser, publish: Publish) -> None:
    """P-503: the signature of the page's address goes to the server; who has none is told."""
    app(server, "add", "signed", "signed=true")
    name = "signed/stream"
    publish(name)
    page = browser.open(server.http(path_of(name)))
    told = "403 Forbidden: the address is not signed"
    assert page.evaluate("document.body.textContent").strip() == told
    page.close()
    for path in (path_of(name), f"{path_of(name)}.m3u8"):
        status, body = server.get(path)
        assert (status, body.decode().strip()) == (403, told)
    query = ntvmedia(server, "sign", name, "--hours", "1")[0].strip()
    page = browser.open(server.http(f"{path_of(name)}?{query}"))
    assert_plays(page)
    assert page.trouble() == []
    page.close()


def test_referers(server: Server, browser: Browser, publish: Publish) -> None:
    """P-305: the player is shown by pages of the sites that may, and by no other.

    The site is asked for where the page with the player is loaded. That page gives its player a
    session: its own host is not among the sites.
    """
    app(server, "add", "guarded", "referers=site.test", "allow_empty_referer=false")
    name = "guarded/stream"
    publish(name)
    frame = server.http(f"/embed{path_of(name)}")
    with site(f'<!doctype html><iframe src="{frame}"></iframe>') as address:
        page = browser.open(address)
        assert_plays(page, "/embed/")
        assert page.trouble() == []
        page.close()
        for host in ("site.test.evil.test", "evil-site.test"):
            page = browser.open(address.replace("site.test", host))
            wait_for_trouble(page, "403 (Forbidden)")
            page.close()
    whole = server.http(path_of(name))
    page = browser.open(whole)
    assert page.status == 403
    assert "the page that plays is not named" in page.evaluate("document.body.textContent")
    page.close()
    with site(f'<!doctype html><a href="{whole}">live</a>') as address:
        for host, status in (("site.test", 200), ("evil-site.test", 403)):
            page = browser.open(address.replace("site.test", host))
            page.click("a")
            if status == 200:
                assert_plays(page)
            else:
                page.wait_for("document.body.textContent.includes('none of those allowed')")
            page.close()


ATTACKS = (
    "<img src=x onerror=hacked=1>",
    '"><script>hacked=1</script>',
    "'-hacked=1-'",
    "javascript:hacked=1",
    "${hacked=1}",
)


@pytest.mark.parametrize(
    "attack", [ATTACKS[0], *(pytest.param(x, marks=pytest.mark.long) for x in ATTACKS[1:])]
)
def test_hostile_address(server: Server, browser: Browser, attack: str) -> None:
    """F-IN-03: what stands in path or query is never markup, here or in the code for frames."""
    before = "window.hacked = 0;"
    for path in (f"/liveshow/{quote(attack, safe='')}", f"/embed/{quote(attack, safe='')}/x"):
        page = browser.open(server.http(path), before=before)
        assert (page.status, page.evaluate("hacked")) == (404, 0)
        assert page.headers["content-type"] == "text/plain; charset=utf-8"
        page.close()
    # As it may be sent: browsers encode some of it, others do not.
    for query in (quote(attack), attack.replace("#", "")):
        for path in ("/liveshow/x", "/embed/liveshow/x"):
            page = browser.open(f"{server.http(path)}?track={query}&{query}#{query}", before=before)
            page.wait_for("document.title === 'x'")
            assert page.evaluate("document.querySelectorAll('img, script, iframe').length") == 1
            assert page.evaluate("hacked") == 0
            if not path.startswith("/embed"):
                code = page.evaluate("[...document.querySelectorAll('input')].pop().value")
            page.close()
        with site(f"<!doctype html><body>{code}") as address:
            page = browser.open(address, before=before)
            page.wait_for("document.querySelectorAll('body > *').length === 1")
            assert page.evaluate("document.querySelector('iframe').src").startswith(
                server.http("/embed/liveshow/x?track=")
            )
            assert page.evaluate("hacked") == 0
            page.close()


def test_not_in_a_frame(server: Server, browser: Browser) -> None:
    """The page for people is in nobody's frame: no click in it is meant for something else."""
    with site(f'<iframe src="{server.http("/liveshow/x")}"></iframe>') as address:
        page = browser.open(address)
        wait_for_trouble(page, "frame-ancestors")
        with pytest.raises(Failed, match="no frame"):
            page.evaluate("1", "/liveshow/x")
        page.close()
