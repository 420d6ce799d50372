"""What people see of a stream: its player page, the player for frames, and the files they load.

All are plain files of the folder `player`, read once. They are the same bytes for every stream:
which one to play, the script reads from the page's address, so that nothing which a stranger wrote
is ever put into a page (F-IN-03).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from importlib.resources import files
from typing import Final, Protocol

from ntvmedia.endpoints.http import answers
from ntvmedia.media.names import RESERVED_APPLICATIONS, BadName, parse_path

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


class Playable(Protocol):
    """What pages need to know of an application."""

    @property
    def referers(self) -> Sequence[str]:
        """The hosts whose pages may play its streams; none: all."""


class Pages:
    """Answers for the paths of pages.

    Args:
        applications: By name. Looked at in every request, so that a change counts at once.
    """

    def __init__(self, applications: Mapping[str, Playable]) -> None:
        self._applications = applications
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

    def answer(self, path: str, query: str) -> Answer | None:
        """Answer a request that reads.

        Args:
            path: Of the target, as sent; not that of an output such as `/APP/STREAM.flv`.
            query: What follows its question mark. A page is shown for those addresses only that
                the server understands as a whole.

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
            key = parse_path(f"{address}?{query}").key
        except BadName as error:
            return _not_found(str(error))
        found = self._applications.get(key.application)
        if found is None:
            return _not_found(f'there is no application "{key.application}"')
        if embedded:
            return 200, _page_fields(_ancestors(found.referers), "cross-origin"), self._embed
        return 200, _page_fields("'self'", "same-origin"), self._page


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


def _page_fields(ancestors: str, readers: str) -> str:
    return answers.fields(
        {
            "Content-Type": "text/html; charset=utf-8",
            "Cache-Control": "no-cache",
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


def _not_found(reason: str) -> Answer:
    head_fields = answers.REASON_FIELDS + answers.fields({"X-Content-Type-Options": "nosniff"})
    return 404, head_fields, answers.reason_body(404, reason)
