"""What people see of a stream: its player page, the player for frames, and the files they load.

All are plain files of the folder `player`, read once. They are the same bytes for every stream:
which one to play, the script reads from the page's address, so that nothing which a stranger wrote
is ever put into a page (F-IN-03). Where the referers of an application are limited, the page that
was asked for by one of them carries a short-lived session, which lets its player have the media.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from importlib.resources import files
from typing import Any, Final, NamedTuple, Protocol

from ntvmedia.access import PAGE, Action, Request, Verdict
from ntvmedia.endpoints.asking import Denied
from ntvmedia.endpoints.http import answers
from ntvmedia.endpoints.http.asking import MOST_CHARACTERS, PAGE_SESSION
from ntvmedia.endpoints.http.heads import RequestHead
from ntvmedia.endpoints.peers import peer_of
from ntvmedia.media.names import RESERVED_APPLICATIONS, Address, BadName, parse_path

Answer = tuple[int, str, bytes]
"""Status, header fields with their line ends, and content."""

# Where the player for frames of other sites is, before `/APP/STREAM`.
_EMBED: Final = "/embed"

# The files that pages load, and their types. Their names are given a digest of their content: a
# browser keeps them for ever, and still sees a new version at once.
_TYPES: Final = {
    "player.css": "text/css; charset=utf-8",
    "player.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_DIGEST_CHARACTERS: Final = 16

# CSP 3: everything from here, nothing inline, no string ever becomes markup (Trusted Types).
# Chromium and Safari fetch playlist and segments of HLS as media, and the script asks for the
# playlist when they fail.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'; frame-ancestors "
)


# Where a page has the session that it hands to its player; empty where none is needed.
_SESSION_FIELD: Final = b'<meta name="page-session" content="%s">'


class Visitor(NamedTuple):
    """Who asks for a page.

    Attributes:
        peer: Address and port.
        page_url: The page that leads to it, or that holds it; empty where that is not told.
        user_agent: The program, as it names itself.
    """

    peer: str
    page_url: str
    user_agent: str


_NOBODY: Final = Visitor("", "", "")


def visitor_of(address: Any, head: RequestHead) -> Visitor:
    """Return who makes a request.

    Args:
        address: Of the client.
        head: Of the request.
    """
    page_url, user_agent = (head.header(x) or "" for x in (b"referer", b"user-agent"))
    return Visitor(peer_of(address), page_url[:MOST_CHARACTERS], user_agent[:MOST_CHARACTERS])


class Asked(Protocol):
    """What is asked who may see a page: an `ntvmedia.access.Access`."""

    def decide(self, request: Request, *, ask: bool | None = None) -> Any:
        """Decide at once, as `IAccess.decide` with `ask=False`."""

    def page_session(self, key: Any) -> str:
        """Return what stands for a page that was allowed."""


class Playable(Protocol):
    """What pages need to know of an application."""

    @property
    def referers(self) -> Sequence[str]:
        """The hosts whose pages may play its streams; none: all."""


class Pages:
    """Answers for the paths of pages.

    Args:
        applications: By name. Looked at in every request, so that a change counts at once.
        access: Asked who may see them; without, everybody may.
    """

    def __init__(self, applications: Mapping[str, Playable], access: Asked | None = None) -> None:
        self._applications = applications
        self._access = access
        folder = files("ntvmedia.endpoints.http") / "player"
        page, embed = ((folder / name).read_bytes() for name in ("page.html", "embed.html"))
        self._files: dict[str, Answer] = {}
        for name, content_type in _TYPES.items():
            body = (folder / name).read_bytes()
            stem, _dot, extension = name.partition(".")
            digest = sha256(body).hexdigest()[:_DIGEST_CHARACTERS]
            path = f"/static/{stem}-{digest}.{extension}"
            self._files[path] = 200, _file_fields(content_type), body
            before, after = f"/static/{name}".encode(), path.encode()
            page, embed = page.replace(before, after), embed.replace(before, after)
        self._page, self._embed = page, embed

    def answer(
        self, path: str, query: str, visitor: Callable[[], Visitor] = lambda: _NOBODY
    ) -> Answer | None:
        """Answer a request that reads.

        Args:
            path: Of the target, as sent; not that of an output such as `/APP/STREAM.flv`.
            query: What follows its question mark. A page is shown for those addresses only that
                the server understands as a whole.
            visitor: Returns who asks.

        Returns:
            The page or file, or why there is none; None for a path that is somebody else's.
        """
        if path.startswith("/static/"):
            return self._files.get(path)
        embedded = path.startswith(f"{_EMBED}/")
        address = path.removeprefix(_EMBED) if embedded else path
        root, _slash, names = address.partition("/")
        application, _slash, stream = names.partition("/")
        if root or not (application and stream) or "/" in stream:
            return None
        if not embedded and application.lower() in RESERVED_APPLICATIONS:
            return None
        try:
            wanted = parse_path(f"{address}?{query}")
        except BadName as error:
            return _refused(404, str(error))
        found = self._applications.get(wanted.key.application)
        if found is None:
            return _refused(404, f'there is no application "{wanted.key.application}"')
        denied = self._denied(wanted, visitor())
        if denied is not None:
            return _refused(denied.status, str(denied))
        session = ""
        if found.referers and self._access is not None:
            # What the player asks for names this page, not the one that was just allowed.
            session = self._access.page_session(wanted.key)
        cache = "no-store" if session else "no-cache"
        if embedded:
            fields = _page_fields(_ancestors(found.referers), "cross-origin", cache)
            return 200, fields, _with_session(self._embed, session)
        fields = _page_fields("'self'", "same-origin", cache)
        return 200, fields, _with_session(self._page, session)

    def _denied(self, wanted: Address, visitor: Visitor) -> Denied | None:
        """Return why somebody may not see the page of a stream, as far as that is known now.

        Those outside are asked when the stream is played, and may say no then.
        """
        if self._access is None:
            return None
        request = Request(
            Action.PLAY,
            wanted.key,
            PAGE,
            visitor.peer,
            wanted.query,
            visitor.page_url,
            visitor.user_agent,
            page_session=wanted.query.get(PAGE_SESSION, ""),
        )
        verdicts: list[Verdict] = []
        # Without asking anybody the answer is there at once. What fails is a bug, for the log.
        self._access.decide(request, ask=False).addCallback(verdicts.append)
        if not verdicts:
            return Denied("it cannot be decided now", rule="loading")
        verdict = verdicts[0]
        return None if verdict.allowed else Denied(verdict.reason, rule=verdict.rule)


def _ancestors(referers: Sequence[str]) -> str:
    """Return the sources of pages that may hold the player, as `frame-ancestors` has them.

    What the player fetches has the player's own address as its referer, not that of the page
    around it: who may hold the player is for the browser to check.
    """
    if not referers:
        return "*"
    # CSP 3 section 2.3.1 has no spelling for an IPv6 address. As with referers, any port will do,
    # and names below a host belong to it.
    hosts = [host for host in referers if ":" not in host]
    return " ".join(["'self'", *(f"{host}:* *.{host}:*" for host in hosts)])


def _with_session(page: bytes, session: str) -> bytes:
    if not session:
        return page
    return page.replace(_SESSION_FIELD % b"", _SESSION_FIELD % session.encode("ascii"))


def _page_fields(ancestors: str, readers: str, cache: str) -> str:
    return answers.fields(
        {
            "Content-Type": "text/html; charset=utf-8",
            "Cache-Control": cache,
            "Content-Security-Policy": _POLICY + ancestors,
            "Cross-Origin-Resource-Policy": readers,
            # The media that the page fetches from here carry its whole address, for the check of
            # referers; other sites see the origin only.
            "Referrer-Policy": "strict-origin-when-cross-origin",
            "X-Content-Type-Options": "nosniff",
        }
    )


def _file_fields(content_type: str) -> str:
    return answers.fields(
        {
            "Content-Type": content_type,
            "Cache-Control": "public, max-age=31536000, immutable",
            "Content-Security-Policy": "default-src 'none'",
            "Cross-Origin-Resource-Policy": "same-origin",
            "X-Content-Type-Options": "nosniff",
        }
    )


def _refused(status: int, reason: str) -> Answer:
    head_fields = answers.REASON_FIELDS + answers.fields({"X-Content-Type-Options": "nosniff"})
    return status, head_fields, answers.reason_body(status, reason)
