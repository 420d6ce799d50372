"""Both sides of `authmod=adobe`: user and password of encoders, asked for at `connect`.

No document has it. It is described here as its two clients speak it, librtmp's `PublisherAuth` (in
OBS) and libavformat's `do_adobe_auth` (in FFmpeg), which make up to three connections:

1. without anything, which is refused by `NEED_AUTH`;
2. with "?authmod=adobe&user=U" behind `app` and `tcUrl`, which is refused with a salt S, a
   challenge and an opaque O;
3. with "&challenge=C&response=R&opaque=O" in addition, where C is the client's own, and
   R = base64(md5(base64(md5(U S password)) O C)).

Both hash the user as the refusal spells it, FFmpeg answers with that spelling too, and librtmp with
its own. A librtmp that was built with GnuTLS, as Debian's was, does not end the texts of its
answer, breaks its heap with them, and aborts: no refusal helps that.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterator
from typing import Final, NamedTuple
from urllib.parse import quote, unquote

OPAQUE_SECONDS: Final = 60.0
"""How long an opaque may be used: a client answers at once, in its next connection."""

MAX_USER_LENGTH: Final = 128
"""Characters of a user's name."""

# Of the name as a refusal spells it: with the rest it stays below `commands.MAX_DESCRIPTION`.
_MAX_ESCAPED_LENGTH: Final = 256

# What `ntvmedia.media.names` reads of an address; no client sends as much.
_MAX_TEXT_LENGTH: Final = 4096

NEED_AUTH: Final = "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : "
"""Refuses who brought nothing."""

_REJECT: Final = "[ AccessManager.Reject ] : [ authmod=adobe ] : "

AUTH_FAILED: Final = _REJECT + "?reason=authfailed"
"""Refuses an answer to a question that was not asked; clients do not try again."""

NO_SUCH_USER: Final = _REJECT + "?reason=nosuchuser"
"""Refuses what cannot be a user's name; clients do not try again."""

_NAMES: Final = frozenset({"authmod", "user", "challenge", "response", "opaque"})
_SEPARATORS: Final = re.compile("[?&]")

# FFmpeg 5.1 to 8 take 255 bytes of a description, and 49 of a name: a user, two opaques and the
# salt have to fit.
_OPAQUE: Final = re.compile("([0-9a-f]{1,12})-([0-9a-f]{32})")
_SALT_LENGTH: Final = 16

# Stands for itself in a name as escaped; "%" so that escaping twice does nothing more.
_PLAIN: Final = "%@+"


class Credentials(NamedTuple):
    """What a client brought, as it spelled it; texts are empty where there is nothing."""

    user: str
    challenge: str
    response: str
    opaque: str


def parse_credentials(text: str) -> Credentials | None:
    """Find credentials in a `connect`.

    Args:
        text: Its `app` or `tcUrl`.

    Returns:
        None where it does not say `authmod=adobe`. Of what stands there twice the last counts:
        librtmp appends another answer to one that was refused.
    """
    if len(text) > _MAX_TEXT_LENGTH:
        return None
    _path, *parts = _SEPARATORS.split(text)
    found = {name: value for name, _mark, value in _pairs("&".join(parts)) if name in _NAMES}
    if found.get("authmod") != "adobe":
        return None
    return Credentials(*(found.get(name, "") for name in Credentials._fields))


def without_credentials(text: str) -> str:
    """Return an `app` or `tcUrl` without `authmod=adobe` and what belongs to it.

    What is no such text is returned as it is: `user=` alone may mean something else.
    """
    if parse_credentials(text) is None:
        return text
    path, *parts = _SEPARATORS.split(text)
    kept = [part for part in parts if part.partition("=")[0] not in _NAMES]
    return "?".join((path, "&".join(kept))) if kept else path


def with_credentials(text: str, credentials: str) -> str:
    """Return an `app` or `tcUrl` with what `answer` returned behind it."""
    if not credentials:
        return text
    return f"{text}{'&' if '?' in text else '?'}{credentials}"


def answer(description: str, brought: str, user: str, password: str, challenge: str) -> str:
    """Return what a client brings to its next connection, for `with_credentials`.

    Args:
        description: Of the refusal.
        brought: What it brought to this one: empty, or what this returned before.
        user: Its name, as people write it.
        password: The user's.
        challenge: The client's own: unpredictable letters or digits.

    Returns:
        The empty text where there is nothing to bring: this is no question for a user, or one that
        was answered already.
    """
    if len(description) > _MAX_TEXT_LENGTH or "authmod=adobe" not in description:
        return ""
    escaped = _escaped(user)
    if "code=403 need auth" in description:
        return "" if brought or not user else f"authmod=adobe&user={escaped}"
    _text, mark, question = description.partition("?")
    found = {name: value for name, _mark, value in _pairs(question)}
    if not mark or found.get("reason") != "needauth" or "response=" in brought:
        return ""
    # FFmpeg and librtmp hash it as the server spells it.
    spelled = found.get("user", escaped)
    opaque = found.get("opaque", "")
    response = response_of(
        spelled, found.get("salt", ""), password, opaque or found.get("challenge", ""), challenge
    )
    said = f"authmod=adobe&user={escaped}&challenge={challenge}&response={response}"
    return f"{said}&opaque={opaque}" if opaque else said


class Verifier:
    """A server's side, for all connections of one peer.

    Nothing is remembered: an opaque holds the time, and a proof that this server made it for this
    peer and user; the salt follows from it.

    Args:
        secret: 16 unpredictable bytes or more, the same for all connections.
        peer: What an opaque is bound to, such as the client's IP address.
    """

    def __init__(self, secret: bytes, peer: str) -> None:
        self._secret = secret
        self._peer = peer

    def refusal(self, credentials: Credentials | None, now: float) -> str:
        """Return the description to refuse a `connect` with; empty where it is to be accepted.

        Whether the password was right is another question: see `proves`.

        Args:
            credentials: What `parse_credentials` found.
            now: In seconds; of any clock that all connections share.
        """
        if credentials is None:
            return NEED_AUTH
        user = credentials.user
        escaped = _escaped(user)
        if (
            not 0 < len(user) <= MAX_USER_LENGTH
            or not user.isprintable()
            or len(escaped) > _MAX_ESCAPED_LENGTH
        ):
            return NO_SUCH_USER
        if credentials.response:
            made = self._made(credentials)
            if made is None:
                return AUTH_FAILED
            if -1 <= now - made <= OPAQUE_SECONDS:
                return ""
        seconds = max(int(now), 0)
        opaque = self._opaque(seconds, escaped)
        salt = self._salt(seconds, escaped)
        # The last one ends where the description does: librtmp reads it up to the next NUL.
        return (
            f"{_REJECT}?reason=needauth&user={escaped}&salt={salt}"
            f"&challenge={opaque}&opaque={opaque}"
        )

    def proves(self, credentials: Credentials, password: str) -> bool:
        """Say whether credentials show that their owner knows a password.

        Takes as long for a wrong one. The age of the opaque is the business of `refusal`.

        Args:
            credentials: Those that `refusal` accepted.
            password: The right one.
        """
        made = self._made(credentials)
        if made is None:
            return False
        user, challenge, response, opaque = credentials
        salt = self._salt(made, _escaped(user))
        is_right = False
        # FFmpeg does not decode what stands in its address.
        for password_spelled in (password, quote(password, safe="")):
            for user_spelled in (user, _escaped(user), unquote(user)):
                expected = response_of(user_spelled, salt, password_spelled, opaque, challenge)
                is_right |= hmac.compare_digest(_encoded(expected), _encoded(response))
        return is_right

    def _made(self, credentials: Credentials) -> int | None:
        """Return when an opaque was made; None for one that this server did not make for them."""
        match = _OPAQUE.fullmatch(credentials.opaque)
        if match is None:
            return None
        made = int(match[1], 16)
        ours = self._opaque(made, _escaped(credentials.user))
        return made if hmac.compare_digest(_encoded(ours), _encoded(credentials.opaque)) else None

    def _opaque(self, seconds: int, user: str) -> str:
        return f"{seconds:x}-{self._proof('opaque', seconds, user)[:32]}"

    def _salt(self, seconds: int, user: str) -> str:
        return self._proof("salt", seconds, user)[:_SALT_LENGTH]

    def _proof(self, purpose: str, seconds: int, user: str) -> str:
        text = f"{purpose} {seconds:x} {self._peer} {user}"
        return hmac.new(self._secret, _encoded(text), hashlib.sha256).hexdigest()


def _pairs(query: str) -> Iterator[tuple[str, str, str]]:
    return (part.partition("=") for part in query.split("&"))


def response_of(user: str, salt: str, password: str, opaque: str, challenge: str) -> str:
    """Return what a client answers that knows the password."""
    inner = _digest(user + salt + password)
    return _digest(inner + opaque + challenge)


def _digest(text: str) -> str:
    # The protocol has no other; what is at stake is a password for one minute and one address.
    md5 = hashlib.md5(_encoded(text), usedforsecurity=False)
    return base64.b64encode(md5.digest()).decode("ascii")


def _escaped(user: str) -> str:
    return quote(_encoded(user), safe=_PLAIN)


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
