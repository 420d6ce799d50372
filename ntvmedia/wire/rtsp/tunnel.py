"""RTSP in HTTP, as QuickTime made it: a GET that the server answers for ever, and POSTs in base64.

Apple's "Tunneling RTSP and RTP Over HTTP" (1999), cited as "Apple's RTSP over HTTP". What a client
says comes in the body of a POST, each of its messages encoded by itself; what the server says goes
out as the body of the GET, as it is. `x-sessioncookie` tells which belong together. A POST has a
length, which means nothing: all say 32767; QuickTime opens another when that is used up, ffmpeg and
GStreamer go on in the same connection. So read the connection, not the length, and answer nothing.
"""

from __future__ import annotations

import base64
import re
from typing import Final, Generic, TypeVar

from ntvmedia.errors import PeerError, Refused

COOKIE_HEADER: Final = "x-sessioncookie"
CONTENT_TYPE: Final = "application/x-rtsp-tunnelled"

MAX_COOKIE: Final = 128
"""Characters of a cookie. GStreamer's have 23, FFmpeg's 16; D-TR-14 has one of 10 KB."""

GET_HEADERS: Final[dict[str, str]] = {
    "Content-Type": CONTENT_TYPE,
    "Cache-Control": "no-cache, no-store",
    "Pragma": "no-cache",
    "Connection": "close",
}
"""Of the answer to GET, which has no length."""

_REFERENCE: Final = "Apple's RTSP over HTTP"
_COOKIE: Final = re.compile(f"[!-~]{{1,{MAX_COOKIE}}}")
_WHITE: Final = b"\r\n\t "
_QUANTUM: Final = 4
_LETTER: Final = rb"[A-Za-z0-9+/]"
_GOOD: Final = re.compile(rb"(?:L{4}|L{3}=|L{2}==)*+".replace(b"L", _LETTER))
_PIECE: Final = re.compile(rb"L++={0,2}".replace(b"L", _LETTER))

_Owner = TypeVar("_Owner")


def parse_cookie(text: str) -> str:
    """Check the cookie of a GET or POST.

    Raises:
        PeerError: There is none, or it is none: answer with 400 and close.
    """
    cookie = text.strip()
    if not _COOKIE.fullmatch(cookie):
        raise PeerError("a tunnel without a good cookie", reference=_REFERENCE)
    return cookie


class TunnelDecoder:
    """Decode the body of one POST, whatever the pieces it comes in.

    Attributes:
        error: What is wrong with the body, once it is; nothing comes out any more then.
    """

    def __init__(self) -> None:
        self.error: PeerError | None = None
        self._rest = b""
        self._taken = 0

    def decode(self, data: bytes) -> bytes:
        """Take the next bytes, and return what they say.

        A message may end in padding, and another begin behind it; white space means nothing.
        """
        if self.error is not None:
            return b""
        text = self._rest + data.translate(None, _WHITE)
        whole = len(text) - len(text) % _QUANTUM
        match = _GOOD.match(text, 0, whole)
        assert match is not None  # it matches nothing at least
        if match.end() < whole:
            self.error = PeerError(
                "a tunnel's body is not base64",
                reference=_REFERENCE,
                offset=self._taken + match.end(),
            )
        self._rest = text[whole:]
        self._taken += match.end()
        return b"".join(map(base64.b64decode, _PIECE.findall(text, 0, match.end())))


class Tunnels(Generic[_Owner]):
    """The tunnels of a server: which POST belongs to which GET.

    A GET opens a tunnel, at most one POST at a time is attached to it. What a peer does otherwise
    (a second GET, a POST alone, two at once) is refused: answer with 400 and close, as for bytes
    that follow the GET in its connection.
    """

    def __init__(self) -> None:
        self._owners: dict[str, _Owner] = {}
        self._attached: set[str] = set()

    def __len__(self) -> int:
        return len(self._owners)

    def open(self, cookie: str, owner: _Owner) -> None:
        """Take note of a GET.

        Args:
            cookie: From `parse_cookie`.
            owner: Whatever stands for its connection.

        Raises:
            Refused: The cookie is in use.
        """
        if cookie in self._owners:
            raise Refused("a tunnel with this cookie is open")
        self._owners[cookie] = owner

    def attach(self, cookie: str) -> _Owner:
        """Take note of a POST, and return the owner of its GET.

        Raises:
            Refused: There is no such tunnel, or it has a POST.
        """
        if cookie not in self._owners:
            raise Refused("there is no tunnel with this cookie")
        if cookie in self._attached:
            raise Refused("the tunnel has a POST")
        self._attached.add(cookie)
        return self._owners[cookie]

    def detach(self, cookie: str) -> None:
        """Take note that a POST that was attached is over; another may follow."""
        self._attached.discard(cookie)

    def close(self, cookie: str) -> None:
        """Take note that a GET that had opened is over."""
        self._owners.pop(cookie, None)
        self._attached.discard(cookie)
