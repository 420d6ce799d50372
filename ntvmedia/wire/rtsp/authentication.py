"""A server's side of passwords: challenges, and whether an answer is right (RFC 7616, RFC 7617).

Which clients understand what decides the order of the challenges: ffmpeg 5.1 and 9 take the last
Digest that they see and know MD5 alone, GStreamer 1.22 takes the first that it knows; so SHA-256
comes before MD5, and Basic last. None of them needs `qop`, and not every camera can do it: it is
not offered unless asked for.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Final, NamedTuple

from ntvmedia.wire.rtsp.challenges import (
    Algorithm,
    encoded,
    parse_basic,
    parse_challenges,
    response_of,
)
from ntvmedia.wire.rtsp.fields import quoted
from ntvmedia.wire.rtsp.urls import split_control, target_of

NONCE_SECONDS: Final = 300.0
"""How long a nonce may be used; after that a client is given another one, and not a refusal."""

_NONCE: Final = re.compile("([0-9a-f]{1,12})-([0-9a-f]{32})")
_COUNT: Final = re.compile("[0-9A-Fa-f]{1,8}")

# Compared with where there is no such user, so that this takes as long (F-RE-15).
_NOBODY: Final = "\0"


class Outcome(Enum):
    """What a server found in an `Authorization`."""

    ACCEPTED = "accepted"
    MISSING = "missing"
    STALE = "stale"
    """The password was not looked at: ask again, saying so."""
    WRONG = "wrong"


class Checked(NamedTuple):
    """The outcome, and whom the client says it is; empty where it says nothing readable."""

    outcome: Outcome
    user: str = ""


class Verifier:
    """A server's side, for one connection.

    Nonces need no memory: they hold the time and a proof that this server made them for this peer.
    With `qop` an answer counts once, as its `nc` says (D-RQ-04); without, as long as the nonce.

    Args:
        realm: What the password is for; shown to people.
        secret: 16 unpredictable bytes or more, the same for all connections.
        peer: What a nonce is bound to, such as the client's IP address.
        algorithms: For Digest; none for no Digest.
        basic: Offer and take Basic, too.
        qop: Offer `qop="auth"`; what a client does without being asked is understood anyway.
        nonce_seconds: As `NONCE_SECONDS`.
    """

    def __init__(
        self,
        realm: str,
        secret: bytes,
        peer: str,
        *,
        algorithms: Sequence[Algorithm] = (Algorithm.SHA_256, Algorithm.MD5),
        basic: bool = True,
        qop: bool = False,
        nonce_seconds: float = NONCE_SECONDS,
    ) -> None:
        self._realm = realm
        self._secret = secret
        self._peer = peer
        self._algorithms = tuple(algorithms)
        self._basic = basic
        self._qop = qop
        self._nonce_seconds = nonce_seconds
        self._counted = ("", 0)

    def challenges(self, now: float, *, stale: bool = False) -> list[str]:
        """Return the `WWW-Authenticate` headers, those of Digest first (D-RQ-03).

        Args:
            now: In seconds; of any clock that all connections share.
            stale: The answer was right but for the age of its nonce.
        """
        found = []
        for algorithm in self._algorithms:
            text = f"Digest realm={quoted(self._realm)}, nonce={quoted(self._nonce(int(now)))}"
            if self._qop:
                text += ', qop="auth"'
            # Without a name it is MD5, for clients that trip over the name.
            if algorithm is not Algorithm.MD5:
                text += f", algorithm={algorithm.value}"
            found.append(text + (", stale=true" if stale else ""))
        if self._basic:
            found.append(f"Basic realm={quoted(self._realm)}")
        return found

    def verify(
        self,
        header: str,
        method: str,
        url: str,
        password_of: Callable[[str], str | None],
        now: float,
    ) -> Checked:
        """Look at an `Authorization` header.

        Args:
            header: Its value; empty where there is none.
            method: Of the request.
            url: Of the request, as sent.
            password_of: Returns the password of a user, or None if there is no such user.
            now: As for `challenges`.
        """
        if not header:
            return Checked(Outcome.MISSING)
        given = parse_challenges([header])
        if len(given) != 1:
            return Checked(Outcome.WRONG)
        scheme, parameters = given[0]
        if scheme == "basic" and self._basic:
            return self._verify_basic(header, password_of)
        if scheme == "digest":
            return self._verify_digest(
                given[0].algorithm, parameters, method, url, password_of, now
            )
        return Checked(Outcome.WRONG)

    def _verify_basic(self, header: str, password_of: Callable[[str], str | None]) -> Checked:
        credentials = parse_basic(header)
        if credentials is None:
            return Checked(Outcome.WRONG)
        user, password = credentials
        right = password_of(user)
        same = hmac.compare_digest(encoded(password), encoded(_NOBODY if right is None else right))
        return Checked(Outcome.ACCEPTED if same and right is not None else Outcome.WRONG, user)

    def _verify_digest(
        self,
        algorithm: Algorithm | None,
        parameters: dict[str, str],
        method: str,
        url: str,
        password_of: Callable[[str], str | None],
        now: float,
    ) -> Checked:
        user = parameters.get("username", "")
        nonce = parameters.get("nonce", "")
        uri = parameters.get("uri", "")
        qop = parameters.get("qop", "").lower()
        count = parameters.get("nc", "")
        if (
            algorithm not in self._algorithms
            or parameters.get("realm") != self._realm
            or qop not in ("", "auth")
            or (qop and not _COUNT.fullmatch(count))
            or not is_about(uri, url)
        ):
            return Checked(Outcome.WRONG, user)
        if not self._is_fresh(nonce, now):
            return Checked(Outcome.STALE, user)
        right = password_of(user)
        expected = response_of(
            algorithm,
            (user, self._realm, _NOBODY if right is None else right),
            (method, uri),
            nonce,
            (qop, count, parameters.get("cnonce", "")),
        )
        same = hmac.compare_digest(
            encoded(expected), encoded(parameters.get("response", "").lower())
        )
        if not same or right is None:
            return Checked(Outcome.WRONG, user)
        if qop:
            number = int(count, 16)
            counted, last = self._counted
            if counted == nonce and number <= last:
                return Checked(Outcome.STALE, user)
            self._counted = (nonce, number)
        return Checked(Outcome.ACCEPTED, user)

    def _nonce(self, seconds: int) -> str:
        text = f"{max(seconds, 0):x}"
        proof = hmac.new(self._secret, encoded(f"{text} {self._peer}"), hashlib.sha256)
        return f"{text}-{proof.hexdigest()[:32]}"

    def _is_fresh(self, nonce: str, now: float) -> bool:
        match = _NONCE.fullmatch(nonce)
        if match is None:
            return False
        made = int(match[1], 16)
        is_ours = hmac.compare_digest(encoded(self._nonce(made)), encoded(nonce))
        return is_ours and -1 <= now - made <= self._nonce_seconds


def is_about(uri: str, url: str) -> bool:
    """Say whether the `uri` of a digest fits the URL of its request (D-RQ-03).

    Clients have it absolute, relative or as "*", with a slash at its end or not, with the query or
    without it, and with the session's address where they ask for a track or the other way round.
    """
    if uri == "*":
        return True
    one, other = (
        split_control(target_of(text))[0].partition("?")[0].strip("/") + "/" for text in (uri, url)
    )
    if "/" in (one, other):
        return uri == url != ""
    return one.startswith(other) or other.startswith(one)
