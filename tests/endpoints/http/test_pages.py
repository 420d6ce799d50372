"""Player pages: which paths they are at, and what the answers say."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, strategies as st
from twisted.internet.defer import succeed

from ntvmedia.access import PAGE, Request, Verdict
from ntvmedia.endpoints.http.pages import Answer, Pages, Visitor

PLAYER = files("ntvmedia.endpoints.http") / "player"

TYPES = {
    "icon.svg": "image/svg+xml",
    "player.css": "text/css; charset=utf-8",
    "player.js": "text/javascript; charset=utf-8",
}


@dataclass(frozen=True)
class Application:
    """As much of one as pages need."""

    referers: tuple[str, ...] = ()


PAGES = Pages(
    {
        "liveshow": Application(),
        "频道": Application(),
        "guarded": Application(("example.org", "2001:db8::1", "192.0.2.1")),
    }
)


def answer(path: str, query: str = "") -> Answer:
    """Ask for something that is there, if only with a 404."""
    found = PAGES.answer(path, query)
    assert found is not None
    return found


def header_fields(found: Answer) -> dict[str, str]:
    """Return header fields by name; each of them is once in the head."""
    assert found[1].endswith("\r\n")
    lines = [line.split(": ", 1) for line in found[1].split("\r\n")[:-1]]
    fields = {name: value for name, value in lines}
    assert len(fields) == len(lines)
    return fields


def directives(found: Answer) -> dict[str, str]:
    """Return the content security policy of an answer by directive."""
    policy = header_fields(found)["Content-Security-Policy"]
    parts = [part.partition(" ") for part in policy.split("; ")]
    return {name: value for name, _space, value in parts}


def reason(path: str, query: str = "") -> str:
    """Return the line of a 404 in plain text."""
    found = answer(path, query)
    fields = header_fields(found)
    assert found[0] == 404
    assert fields["Content-Type"] == "text/plain; charset=utf-8"
    assert fields["X-Content-Type-Options"] == "nosniff"
    line = found[2].decode()
    assert line.startswith("404 Not Found: ")
    assert line.count("\n") == 1
    return line.strip()[15:]


def test_page() -> None:
    """The page is the same for every stream and query, and is asked for anew each time."""
    page = answer("/liveshow/test")
    assert page[0] == 200
    assert page == answer("/liveshow/cam.1", "audio=1&sign=abc&expires=5")
    assert page == answer(f"/{quote('频道')}/{quote('直播.高清')}")
    fields = header_fields(page)
    assert fields["Content-Type"] == "text/html; charset=utf-8"
    assert fields["Cache-Control"] == "no-cache"
    assert fields["X-Content-Type-Options"] == "nosniff"
    assert fields["Cross-Origin-Resource-Policy"] == "same-origin"


def test_embed() -> None:
    """The player for frames is another page, which pages of other sites may hold."""
    embed = answer("/embed/liveshow/test", "controls=0")
    assert embed[0] == 200
    assert embed[2] != answer("/liveshow/test")[2]
    assert directives(embed)["frame-ancestors"] == "*"
    assert header_fields(embed)["Cross-Origin-Resource-Policy"] == "cross-origin"


@pytest.mark.parametrize("path", ["/liveshow/test", "/embed/guarded/test"])
def test_policy(path: str) -> None:
    """F-IN-03: nothing inline, nothing from elsewhere, no text that becomes markup."""
    policy = directives(answer(path))
    policy.pop("frame-ancestors")
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self'",
        "media-src": "'self'",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    fields = header_fields(answer(path))
    assert fields["Referrer-Policy"] == "strict-origin-when-cross-origin"


def test_frame_ancestors() -> None:
    """F-AC-07: where referers are limited, only those sites may hold the player.

    They cannot be told by the player's own requests, whose referer is the player. No other site
    may hold the page for people, where a click could be meant for something else.
    """
    assert directives(answer("/embed/guarded/test"))["frame-ancestors"] == (
        "'self' example.org:* *.example.org:* 192.0.2.1:* *.192.0.2.1:*"
    )
    assert directives(answer("/guarded/test"))["frame-ancestors"] == "'self'"


def test_files() -> None:
    """What pages load is kept by browsers for ever, under a name that changes with the content."""
    for path, up in (("/liveshow/test", "../"), ("/embed/liveshow/test", "../../")):
        html = answer(path)[2].decode()
        found = re.findall(r'(?:src|href)="([^"]+)"', html)
        assert len(found) == 3
        for link in found:
            assert re.fullmatch(rf"{up}static/[a-z]+-[0-9a-f]{{16}}\.(js|css|svg)", link)
            file = answer("/" + link.removeprefix(up))
            assert file[0] == 200
            fields = header_fields(file)
            assert fields["Cache-Control"] == "public, max-age=31536000, immutable"
            assert fields["X-Content-Type-Options"] == "nosniff"
            assert fields["Content-Security-Policy"] == "default-src 'none'"
            assert fields["Cross-Origin-Resource-Policy"] == "same-origin"
            name = re.sub("-[0-9a-f]{16}", "", link.rpartition("/")[2])
            assert fields["Content-Type"] == TYPES[name]
            assert file[2] == (PLAYER / name).read_bytes()


def test_nothing_inline() -> None:
    """F-IN-03: no script, style or handler in the pages, which the policy would stop anyway."""
    for name in ("page.html", "embed.html"):
        html = (PLAYER / name).read_text("utf-8")
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", html)
        assert re.findall(r"<script\b.*?</script>", html, re.DOTALL) == [
            line.strip() for line in html.splitlines() if "<script" in line
        ]
        assert "></script>" in html


def test_no_markup_from_text() -> None:
    """F-IN-03: the script has no way to make markup or code of text."""
    script = (PLAYER / "player.js").read_text("utf-8")
    ways = ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "Function(")
    assert [way for way in ways if way in script] == []


def test_both_languages() -> None:
    """P-105: each text is there in English and in Chinese."""
    script = (PLAYER / "player.js").read_text("utf-8")
    texts = re.search(
        r"const TEXTS = \{\n  en: \{\n(.*?)  \},\n  zh: \{\n(.*?)  \},\n\};", script, re.S
    )
    assert texts is not None
    english, chinese = (re.findall(r"^    (\w+):", part, re.M) for part in texts.groups())
    assert english == chinese
    used = re.findall(r'data-text="(\w+)"', (PLAYER / "page.html").read_text("utf-8"))
    assert set(used) <= set(english)
    assert re.search("[一-鿿]", texts[2])
    assert not re.search("[一-鿿]", texts[1])


@pytest.mark.parametrize(
    "path",
    [
        "",
        "*",
        "/",
        "/liveshow",
        "/liveshow/",
        "//liveshow/test",
        "//evil.example/x",
        "/liveshow//test",
        "/liveshow/test/",
        "/liveshow/test/more",
        "/mserver/login",
        "/metrics/x",
        "/MSERVER/x",
        "/static",
        "/static/",
        "/static/player.js",
        "/static/../pages.py",
        "/static/page.html",
        "/embed",
        "/embed/",
        "/embed/liveshow",
        "/embed//test",
        "/embed/liveshow/test/more",
        "liveshow/test",
        "http://127.0.0.1/liveshow/test",
    ],
)
def test_others(path: str) -> None:
    """What is not exactly an application and a stream is somebody else's to answer."""
    assert PAGES.answer(path, "") is None


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/nosuch/test", 'there is no application "nosuch"'),
        ("/embed/nosuch/test", 'there is no application "nosuch"'),
        ("/LiveShow/test", 'there is no application "LiveShow"'),
        ("/liveshow/.hidden", "stream name begins with a dot"),
        ("/liveshow/%2e%2e", "stream name begins with a dot"),
        ("/liveshow/a%2fb", "stream name has a character that is not allowed: '/'"),
        ("/liveshow/%ff", "the address is not UTF-8"),
        ("/%6dserver/login", 'application name "mserver" is reserved'),
        ("/embed/mserver/login", 'application name "mserver" is reserved'),
        ("/liveshow/a%0d%0aX:1", r"stream name has a character that is not allowed: '\r'"),
        (
            "/liveshow/%3Cimg%20src=x%20onerror=alert(1)%3E",
            "stream name has a character that is not allowed: '<'",
        ),
        ("/liveshow/<script>", "stream name has a character that is not allowed: '<'"),
        (f"/liveshow/{'a' * 129}", "stream name is longer than 128 characters or 255 bytes"),
    ],
)
def test_bad_names(path: str, expected: str) -> None:
    """F-IN-03: a typing error is told in plain text, and a bad name is not repeated."""
    assert reason(path) == expected


def test_long_query() -> None:
    """An address that no output would understand has no page either."""
    assert answer("/liveshow/test", "a" * 4000)[0] == 200
    assert reason("/liveshow/test", "a" * 4096) == "the address is longer than 4096 bytes"


def test_changes_count_at_once() -> None:
    """An application that is made or removed has a page, or none, from the next request on."""
    applications: dict[str, Application] = {}
    pages = Pages(applications)
    for exists in (False, True, False):
        if exists:
            applications["new"] = Application()
        else:
            applications.pop("new", None)
        found = pages.answer("/new/test", "")
        assert found is not None
        assert found[0] == (200 if exists else 404)


targets = st.one_of(
    st.text(max_size=60),
    st.lists(st.text(max_size=20).map(quote), max_size=4).map(lambda x: "/" + "/".join(x)),
    st.builds("/{}{}".format, st.sampled_from(["embed/", "static/", "liveshow/"]), st.text()),
)


@given(targets, st.text(max_size=40))
def test_any_path(path: str, query: str) -> None:
    """Whatever the path, the answer is one of ours, and what was sent is not in it as it came."""
    found = PAGES.answer(path, query)
    if found is None:
        return
    status, head_fields, body = found
    assert status in (200, 404)
    assert all(line.isprintable() and line.isascii() for line in head_fields.split("\r\n"))
    if status == 200:
        assert body in {answer("/liveshow/a")[2], answer("/embed/liveshow/a")[2]}
    else:
        assert b"<" not in body.replace(b"'<'", b"")


class Guard:
    """Answers for access: what a page of one site may, others may not."""

    def __init__(self) -> None:
        self.asked: list[Request] = []

    def decide(self, request: Request, *, ask: bool | None = None) -> Any:
        """Decide by the page, or by its session."""
        assert ask is False
        self.asked.append(request)
        good = request.page_session == "5.abc_-" or "good" in request.page_url
        return succeed(Verdict(good, "" if good else "not <here>", rule="" if good else "referer"))

    def page_session(self, key: Any) -> str:
        """Return one."""
        assert str(key) == "guarded/test"
        return "5.abc_-"


def visitor(page_url: str) -> Any:
    """Return who comes from a page."""
    return lambda: Visitor("192.0.2.1:5", page_url, "browser")


@pytest.mark.parametrize("path", ["/guarded/test", "/embed/guarded/test"])
def test_page_session(path: str) -> None:
    """P-305: the page is asked for, and carries a session to its media; a bad one is refused."""
    guard = Guard()
    pages = Pages({"guarded": Application(("example.org",)), "open": Application()}, guard)
    found = pages.answer(path, "a=1", visitor("http://good.example/x"))
    assert found is not None
    assert b'<meta name="page-session" content="5.abc_-">' in found[2]
    assert header_fields(found)["Cache-Control"] == "no-store"
    [request] = guard.asked
    assert (request.protocol, request.peer, request.user_agent) == (PAGE, "192.0.2.1:5", "browser")
    assert request.query == {"a": "1"}
    refused = pages.answer(path, "", visitor("http://evil.example/"))
    assert refused is not None
    assert refused[0] == 403
    assert header_fields(refused)["Content-Type"] == "text/plain; charset=utf-8"
    assert refused[2] == b"403 Forbidden: not <here>\n"
    # The page renews its session by the one that it has.
    again = pages.answer(path, "page=5.abc_-", visitor("http://self.example/guarded/test"))
    assert again == found
    opened = pages.answer("/open/test", "", visitor("http://good.example/x"))
    assert opened is not None
    assert b'<meta name="page-session" content="">' in opened[2]
    assert header_fields(opened)["Cache-Control"] == "no-cache"
