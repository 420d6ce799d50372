"""`ntvmedia hls-download` from servers that do wrong, and lists that want what they must not have.

What passes is tried again; what does not is told in one line, with status 1, and leaves no OUT.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import hostile_server as wrong
from tests.e2e.downloads import FAST, assert_is, attempt, download, fail, parts_of
from tests.e2e.hls_sources import IV, KEY, SEGMENTS, Sources, encrypt
from tests.e2e.hostile_server import HostileServer, Request, require
from tests.e2e.processes import Failed
from tests.e2e.server import free_port

# What is told of a fault must not take longer, with `FAST`.
_SECONDS = 25.0


@pytest.fixture
def web(sources: Sources) -> Iterator[HostileServer]:
    """A server of all playlists that there are, that does nothing wrong yet."""
    for kind in ("ts", "one_key", "multivariant", "fmp4"):
        sources.folder(kind)
    with HostileServer(sources.folder("ts").parent) as web:
        yield web


def list_of(web: HostileServer, *entries: str) -> str:
    """Let the server have a playlist of these lines on segments, and return its address."""
    head = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-TARGETDURATION:2"]
    text = "\n".join([*head, *entries, "#EXT-X-ENDLIST", ""])
    web.on("/made/list.m3u8", wrong.body(text.encode(), "application/vnd.apple.mpegurl"))
    return web.url("/made/list.m3u8")


PASSING: dict[str, wrong.Action] = {
    "500": wrong.status(500),
    "503": wrong.status(503, {"Retry-After": "1"}),
    "429": wrong.status(429, {"Retry-After": "1"}),
    "stalled head": wrong.stall_head,
    "stalled body": wrong.stall_body,
    "broken off": wrong.break_off,
    "reset": wrong.break_reset,
    "closed": wrong.refuse_words,
    "too short": wrong.wrong_length(1000),
    "empty": wrong.body(b"", "video/mp2t"),
}


def test_passing(sources: Sources, web: HostileServer, out: Path) -> None:
    """Each segment comes only at the third try, the list and the key at the second.

    All of it is there in the end, and nothing that came whole is loaded again.
    """
    web.on("/one_key/index.m3u8", wrong.status(502), times=1)
    web.on("/one_key/secret.key", wrong.break_off, times=1)
    kinds = list(PASSING)
    for number in range(SEGMENTS):
        for fault in (kinds[number % len(kinds)], kinds[(number + 5) % len(kinds)]):
            web.on(f"/one_key/s{number}.ts", PASSING[fault], times=1)
    download(web.url("/one_key/index.m3u8"), out, "--timeout", "1", "--retries", "4")
    assert_is(out, sources.clip())
    assert set(web.counts("*.ts").values()) == {3}


@pytest.mark.long
@pytest.mark.parametrize("fault", PASSING)
def test_passing_each(sources: Sources, web: HostileServer, out: Path, fault: str) -> None:
    """Each of the faults, of every segment, twice."""
    for number in range(SEGMENTS):
        web.on(f"/ts/s{number}.ts", PASSING[fault], times=2)
    download(web.url("/ts/index.m3u8"), out, "--timeout", "1", "--retries", "4")
    assert_is(out, sources.clip())


def test_too_long(sources: Sources, web: HostileServer, out: Path) -> None:
    """More comes than was announced: what follows is no part of the file, whatever it does."""
    web.on("/ts/s2.ts", wrong.wrong_length(-1000), times=1)
    try:
        download(web.url("/ts/index.m3u8"), out, *FAST)
    except Failed:
        assert not out.exists()
    else:
        assert_is(out, sources.clip())


def test_no_length(sources: Sources, web: HostileServer, out: Path) -> None:
    """A server that does not say how much comes, as HTTP/1.0 allows."""
    web.on("*", wrong.no_length)
    download(web.url("/ts/index.m3u8"), out)
    assert_is(out, sources.clip())


FINAL: dict[str, tuple[str, wrong.Action, str]] = {
    "404": ("/ts/s3.ts", wrong.status(404), r"404"),
    "403": ("/ts/s3.ts", wrong.status(403), r"403"),
    "410": ("/ts/s3.ts", wrong.status(410), r"410"),
    "500": ("/ts/s3.ts", wrong.status(500), r"500"),
    "204": ("/ts/s3.ts", wrong.no_content, r"204|empty"),
    "a page": ("/ts/s3.ts", wrong.body(b"<!DOCTYPE html><html>Log in"), r"(?i)html"),
    "stalled": ("/ts/s3.ts", wrong.stall_body, r"1 s|time"),
    "broken off": ("/ts/s3.ts", wrong.break_off, r"s3\.ts|segment"),
    "reset": ("/ts/s3.ts", wrong.break_reset, r"s3\.ts|segment"),
    "too short": ("/ts/s3.ts", wrong.wrong_length(500), r"s3\.ts|segment"),
    "loop": ("/ts/s3.ts", wrong.redirect("s3.ts"), r"redirect"),
    "no list": ("/ts/index.m3u8", wrong.body(b"<html>Hello"), r"playlist.*|html"),
    "list 404": ("/ts/index.m3u8", wrong.status(404), r"playlist.*404"),
    "list 403": ("/ts/index.m3u8", wrong.status(403), r"playlist.*403"),
    "list loop": ("/ts/index.m3u8", wrong.redirect("/ts/index.m3u8?x"), r"redirect"),
    "list stalled": ("/ts/index.m3u8", wrong.stall_head, r"playlist.*(1 s|time)"),
    "list empty": ("/ts/index.m3u8", wrong.body(b""), r"playlist"),
    "list of file": ("/ts/index.m3u8", wrong.redirect("file:///etc/passwd"), r"file|redirect"),
    "list of ftp": ("/ts/index.m3u8", wrong.redirect("ftp://127.0.0.1/x"), r"ftp|redirect"),
}


# These differ little from others.
MORE_FINAL = ("403", "410", "reset", "broken off", "list 403", "list loop", "list of ftp")


@pytest.mark.parametrize(
    "name",
    [pytest.param(x, marks=pytest.mark.long) if x in MORE_FINAL else x for x in FINAL],
)
def test_final(web: HostileServer, out: Path, name: str) -> None:
    """What does not pass: one line says what it was, of what."""
    pattern, action, words = FINAL[name]
    web.on(pattern, action)
    said = fail(web.url("/ts/index.m3u8"), out, *FAST, seconds=_SECONDS)
    assert re.search(words, said), said
    assert len(said) < 400, said


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (wrong.status(403), r"key.*403"),
        pytest.param(wrong.status(401), r"key.*401", marks=pytest.mark.long),
        pytest.param(wrong.status(404), r"key.*404", marks=pytest.mark.long),
        (wrong.body(KEY[:15]), r"key.*\b15 bytes"),
        (wrong.body(KEY + b"\n"), r"key.*\b17 bytes"),
        (wrong.body(b"<html>Please log in</html>"), r"key.*\b26 bytes|key.*(?i:html)"),
        (wrong.body(bytes(16)), r"(?i)key"),
        (wrong.endless(b"", bytes(4096)), r"key"),
        (wrong.redirect("file:///etc/passwd"), r"file|redirect"),
    ],
    ids=["403", "401", "404", "15", "17", "page", "other", "endless", "file"],
)
def test_wrong_key(web: HostileServer, out: Path, action: wrong.Action, words: str) -> None:
    """A key that is refused, is none, or is another one: the line says that it is the key."""
    web.on("*/secret.key", action)
    said = fail(web.url("/one_key/index.m3u8"), out, *FAST, seconds=_SECONDS)
    assert re.search(words, said), said


def test_wrong_key_of_option(web: HostileServer, out: Path) -> None:
    """`--key` with another key, and with what is no key."""
    address = web.url("/one_key/index.m3u8")
    assert "key" in fail(address, out, "--key", "00" * 16)
    for value in ("00" * 15, "/nowhere/key", "zz" * 16):
        program, status = attempt(address, out, "--key", value, folder=out.parent.parent)
        assert status in (1, 2)
        assert "--key" in program.errors
    assert not out.exists()


@pytest.mark.parametrize(
    ("tag", "words"),
    [
        ('#EXT-X-KEY:METHOD=SAMPLE-AES,URI="/one_key/secret.key"', r"SAMPLE-AES"),
        ('#EXT-X-KEY:METHOD=SAMPLE-AES-CTR,URI="x",KEYFORMAT="urn:uuid:1"', r"SAMPLE-AES-CTR"),
        ('#EXT-X-KEY:METHOD=AES-128,URI="skd://x",KEYFORMAT="com.apple"', r"com\.apple|skd"),
        ("#EXT-X-KEY:METHOD=AES-128", r"(?i)uri|key"),
        ('#EXT-X-KEY:METHOD=AES-128,URI="file:///etc/hostname"', r"file"),
        ('#EXT-X-KEY:METHOD=AES-128,URI="ftp://127.0.0.1/x"', r"ftp"),
    ],
)
def test_unsupported(web: HostileServer, out: Path, tag: str, words: str) -> None:
    """What cannot be decrypted is told before anything of it is loaded."""
    said = fail(list_of(web, tag, "#EXTINF:2,", "/ts/s0.ts"), out, *FAST)
    assert re.search(words, said), said
    assert not web.counts("*.ts")


@pytest.mark.parametrize("option", [("--variant", "3"), ("--variant", "721p"), ("--variant", "x")])
def test_unknown_variant(web: HostileServer, out: Path, option: tuple[str, str]) -> None:
    """A variant that is not there: the line says which there are."""
    said = fail(web.url("/multivariant/index.m3u8"), out, *option)
    assert "variant" in said
    assert "320x240" in said
    assert "160x120" in said


def test_unknown_audio(web: HostileServer, out: Path) -> None:
    """A sound that is not there: the line says which there are."""
    said = fail(web.url("/multivariant/index.m3u8"), out, "--audio", "fr")
    assert "fr" in said
    assert "audio_2" in said


@pytest.mark.parametrize(
    "entries",
    [
        ("#EXTINF:2,", "file:///etc/passwd"),
        ("#EXTINF:2,", "FILE:/etc/passwd"),
        ("#EXTINF:2,", "concat:/etc/passwd|/etc/hostname"),
        ("#EXTINF:2,", "gopher://127.0.0.1/x"),
        ("#EXTINF:2,", "data:video/mp2t;base64,R0AAEA=="),
        ('#EXT-X-MAP:URI="file:///etc/passwd"', "#EXTINF:2,", "/fmp4/s0.m4s"),
    ],
)
def test_other_schemes(web: HostileServer, out: Path, entries: tuple[str, ...]) -> None:
    """F-SS-01: from http never to another scheme."""
    said = fail(list_of(web, *entries), out, *FAST)
    assert "root:" not in said
    assert not parts_of(out).exists() or not any(
        b"root:" in path.read_bytes() for path in parts_of(out).iterdir()
    )


def test_outside(sources: Sources, web: HostileServer, out: Path) -> None:
    """F-PA-01: whatever segments are called, nothing is written but OUT, and no shell is asked."""
    names = (
        "../../../../made/s0.ts",
        "/made/%2e%2e/%2e%2e/%2e%2e/tmp/s1.ts",
        "/made/$(touch%20y);`touch z`|s2.ts",
        "/made/" + "long" * 400 + "/s3.ts",
        "/made/%00/\\..\\..\\s4.ts",
        "//" + web.url("").removeprefix("http://") + "/etc/passwd/../s5.ts",
    )
    for number in range(SEGMENTS):
        data = (sources.folder("ts") / f"s{number}.ts").read_bytes()
        web.on(f"*s{number}.ts", wrong.body(data, "video/mp2t"))
    entries = [line for name in names for line in ("#EXTINF:2,", name)]
    download(list_of(web, *entries), out)
    assert_is(out, sources.clip())
    assert os.listdir(out.parent) == [out.name]
    assert sorted(os.listdir(out.parent.parent)) == ["logs", "out"]


def test_private_networks(sources: Sources, web: HostileServer, out: Path) -> None:
    """A list leads to another private network: only with leave; where the list is needs none."""
    with HostileServer(sources.folder("ts").parent, host="127.0.0.2") as other:
        address = list_of(web, "#EXTINF:2,", other.url("/ts/s0.ts"))
        assert "127.0.0.2" in fail(address, out, *FAST)
        web.on("/moved.m3u8", wrong.redirect(other.url("/ts/index.m3u8")))
        assert "127.0.0.2" in fail(web.url("/moved.m3u8"), out, *FAST, "--force")
        assert not other.requests
        download(address, out, "--force", "--allow", "127.0.0.2/32")
        download(web.url("/moved.m3u8"), out, "--force", "--allow", "127.0.0.0/8")
    # What a list names is relative to where it was in the end (E-SR-08).
    assert_is(out, sources.clip())
    assert not web.counts("*.ts")


def test_headers(sources: Sources, web: HostileServer, out: Path) -> None:
    """`--header`, `--referer`, `--user-agent` and `--cookies` are sent with every request."""
    wanted = {
        "x-token": "a b: c",
        "referer": "https://site.test/page?x",
        "user-agent": "Some/1.0",
        "cookie": "a=1; b=two",
    }

    def check(request: Request) -> bool:
        cookies = sorted(request.headers.get("cookie", "").split("; "))
        fields = {**request.headers, "cookie": "; ".join(cookies)}
        return all(fields.get(name) == value for name, value in wanted.items())

    web.on("*", require(check))
    address = web.url("/one_key/index.m3u8")
    options = ["--header", "X-Token: a b: c", "--referer", wanted["referer"]]
    options += ["--user-agent", wanted["user-agent"], "--cookies", wanted["cookie"]]
    download(address, out, *options)
    assert_is(out, sources.clip())
    said = fail(address, out.with_name("y.mp4"), *options[:-2], *FAST)
    assert "403" in said


def test_cookie_file(sources: Sources, web: HostileServer, out: Path) -> None:
    """`--cookies` takes a file as browsers' extensions write it; another host's are not sent."""
    lines = ["# Netscape HTTP Cookie File", ""]
    lines.append("\t".join(("127.0.0.1", "FALSE", "/", "FALSE", "0", "mine", "1")))
    lines.append("\t".join((".site.test", "TRUE", "/", "FALSE", "2147483647", "other", "1")))
    path = out.parent.parent / "cookies.txt"
    path.write_text("\n".join([*lines, ""]), "utf-8")
    web.on("*", require(lambda request: request.headers.get("cookie") == "mine=1"))
    download(web.url("/ts/index.m3u8"), out, "--cookies", str(path))
    assert_is(out, sources.clip())


def test_cookies_that_are_set(sources: Sources, web: HostileServer, out: Path) -> None:
    """E-SR-08: cookies of answers and redirects go back to that host, and to no other."""
    with HostileServer(sources.folder("ts").parent, host="127.0.0.2") as other:
        text = sources.playlist("ts").replace("s3.ts", other.url("/ts/s3.ts"))
        headers = {"Location": "/ts/real.m3u8", "Set-Cookie": "first=1; Path=/"}
        web.on("/ts/index.m3u8", wrong.redirect("/ts/real.m3u8", headers))
        set_more = {"Set-Cookie": "second=2; Path=/; HttpOnly"}
        web.on("/ts/real.m3u8", lambda exchange: exchange.answer(200, text.encode(), set_more))

        def check(request: Request) -> bool:
            return set(request.headers.get("cookie", "").split("; ")) == {"first=1", "second=2"}

        web.on("*.ts", require(check))
        download(web.url("/ts/index.m3u8"), out, "--allow", "127.0.0.2")
        assert other.requests
        assert all("cookie" not in x.headers for x in other.requests)
    assert_is(out, sources.clip())


def test_secrets_stay(sources: Sources, web: HostileServer, out: Path) -> None:
    """What is for the address that was typed does not go to another host, nor into messages."""
    with HostileServer(sources.folder("ts").parent, host="127.0.0.2") as other:
        other.on("*", wrong.status(403))
        address = list_of(web, "#EXTINF:2,", other.url("/ts/s0.ts?sign=hidden"))
        secret = ("--header", "Authorization: Bearer hidden", "--cookies", "c=hidden")
        said = fail(address, out, *secret, *FAST, "--allow", "127.0.0.2")
        assert "hidden" not in said
        assert other.requests
        for request in other.requests:
            assert not {"authorization", "cookie"} & set(request.headers)


def test_proxy(sources: Sources, web: HostileServer, out: Path) -> None:
    """`--proxy`: all goes through it, its name is looked up there, its password stays there."""
    address = "http://media.test/ts/index.m3u8"
    proxy = web.url("").replace("http://", "http://me:hidden@")
    download(address, out, "--proxy", proxy)
    assert_is(out, sources.clip())
    assert {x.target.split("/ts/")[0] for x in web.requests} == {"http://media.test"}
    assert {x.headers.get("proxy-authorization") for x in web.requests} == {"Basic bWU6aGlkZGVu"}
    web.on("*", wrong.status(407))
    said = fail(address, out.with_name("y.mp4"), "--proxy", proxy, *FAST)
    assert "407" in said or "proxy" in said
    assert "hidden" not in said


@pytest.mark.parametrize("action", [wrong.ignore_range, wrong.other_range])
def test_ranges_ignored(
    sources: Sources, web: HostileServer, out: Path, action: wrong.Action
) -> None:
    """A server that knows no ranges, or sends another one: all is right, or an error is told."""
    sources.folder("ranges")
    web.on("/ranges/*.ts", action)
    if action is wrong.ignore_range:
        download(web.url("/ranges/index.m3u8"), out)
        assert_is(out, sources.clip())
    else:
        assert "bytes" in fail(web.url("/ranges/index.m3u8"), out, *FAST)


def test_endless_list(web: HostileServer, out: Path) -> None:
    """A playlist that never ends is given up, without much memory."""
    web.on("/ts/index.m3u8", wrong.endless(b"#EXTM3U\n", b"# and so on and on\n" * 4000))
    begin = time.monotonic()
    said = fail(web.url("/ts/index.m3u8"), out, *FAST)
    assert "playlist" in said
    assert time.monotonic() - begin < _SECONDS


def test_nothing_in_it(web: HostileServer, out: Path) -> None:
    """A list without segments."""
    assert "segment" in fail(list_of(web), out)


def test_names_of_terminals(web: HostileServer, out: Path) -> None:
    """What a list says is not for the terminal: neither in lists nor in errors."""
    text = (
        '#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="\x1b[2Jevil\x07",LANGUAGE="\u202e",'
        'URI="a.m3u8"\n#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="a",CODECS="\x1b]0;x\x07"\nv.m3u8\n'
    )
    web.on("/made/list.m3u8", wrong.body(text.encode()))
    for options in (("--list",), ("--audio", "x")):
        address = web.url("/made/list.m3u8")
        program, _status = attempt(address, out, *options, folder=out.parent)
        shown = program.output.decode("utf-8") + program.errors
        assert "evil" in shown
        assert not set(shown) & {"\x1b", "\x07", "\u202e"}


def test_nobody_there(out: Path) -> None:
    """A port where nobody listens, a name that there is not, and an address that is none."""
    assert "refused" in fail(f"http://127.0.0.1:{free_port()}/x.m3u8", out, *FAST)
    said = fail("http://nowhere.invalid/x.m3u8", out, "--retries", "0")
    assert "nowhere.invalid" in said
    for address in ("file:///etc/passwd", "/etc/passwd", "http:/", "-", "http://127.0.0.1:x/"):
        program, status = attempt(address, out, "--retries", "0", folder=out.parent.parent)
        assert status in (1, 2)
        assert "root:" not in program.errors
        assert not program.output
    assert not out.exists()


def test_own_padding(sources: Sources, web: HostileServer, out: Path) -> None:
    """A segment that was encrypted with the right key and then cut short is not taken for whole."""
    data = encrypt((sources.folder("ts") / "s0.ts").read_bytes(), KEY, IV)
    web.on("/one_key/s0.ts", wrong.body(data[:-16], "video/mp2t"))
    said = fail(web.url("/one_key/index.m3u8"), out, *FAST)
    assert re.search(r"segment|s0\.ts", said), said
