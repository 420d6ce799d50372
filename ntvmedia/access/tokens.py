"""Tokens (JWT, RFC 7519) that say what somebody may publish or play.

Of a token it is checked, in this order: its form and algorithm; the signature, by a key of the
application's `jwks_url`; `exp`, which it must have, and `nbf`; `iss` and `aud`, where the
application names them; and that its claim for what is wanted, `ntvmedia_play` or
`ntvmedia_publish`, names the stream: "APP/STREAM", "APP/*" or "*", or a list of these. They are
compared as they stand: no pattern takes long (F-RE-14).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any, Final, NamedTuple

import jwt

from ntvmedia.access.applications import Application
from ntvmedia.access.key_sets import ALGORITHMS, KeySets
from ntvmedia.access.requests import Action, Request

LEEWAY_SECONDS: Final = 10.0
"""How much the clock of who signs may be off."""

MAX_TOKEN_LENGTH: Final = 4096
"""Characters; an address has as many."""

MAX_RIGHT: Final = 20_000
"""Tokens whose signature is known to be right: some 4 MB."""

# Streams that a token names; those of a list are compared one by one.
_MAX_NAMES: Final = 1000

# The year 5138.
_MAX_MOMENT: Final = 1e11

_NONE: Final = "the token is missing"
_MALFORMED: Final = "the token is malformed"
_NO_KEYS: Final = "there are no keys now to check the token with"
_WRONG: Final = "the signature of the token is wrong"

_UNCHECKED: Final[Any] = {
    "verify_signature": False,
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_iss": False,
    "verify_sub": False,
    "verify_jti": False,
}
_CHECKED: Final[Any] = {**_UNCHECKED, "verify_signature": True}

_FAILURES: Final = (
    jwt.PyJWTError, ValueError, TypeError, KeyError, RecursionError, OverflowError,
)  # fmt: skip
"""What a token that somebody made up raises in `jwt`, besides what it documents."""


class Checked(NamedTuple):
    """What a token is worth.

    Attributes:
        problem: Why it counts for nothing, as one clause; empty where it counts.
        expires: Seconds since 1970.
    """

    problem: str
    expires: float = 0.0


class Tokens:
    """Checks tokens.

    Args:
        keys: Of all addresses.
        wall_clock: Returns the seconds since 1970.
    """

    def __init__(self, keys: KeySets, wall_clock: Callable[[], float]) -> None:
        self._keys = keys
        self._wall_clock = wall_clock
        # Signatures that were right, by the hash of the token: the key that says so.
        self._right: OrderedDict[bytes, Any] = OrderedDict()

    def recheck(self, application: Application, request: Request) -> Checked:
        """Look again at the token of somebody who is there, without asking for keys.

        Its signature counts as it did, unless there are keys here that say it is wrong; its expiry
        counts with `cut_at_expiry` only.
        """
        token = _token(request)
        algorithm, kid, problem = _head(token)
        if problem:
            return Checked(problem)
        keys = self._keys.cached(application.jwks_url)
        key = None if keys is None else keys.find(kid, algorithm)
        claims = self._claims(token, key, algorithm)
        if claims is None:
            return Checked(_WRONG)
        now = self._wall_clock() if application.cut_at_expiry else None
        return _judge(claims, application, request, now)

    async def check(self, application: Application, request: Request) -> Checked:
        """Check the token of somebody who comes."""
        token = _token(request)
        algorithm, kid, problem = _head(token)
        if problem:
            return Checked(problem)
        url, keys = application.jwks_url, self._keys
        if not keys.is_fresh(url) and keys.may_ask(url):
            await keys.ask(url)
        found = keys.cached(url)
        key = None if found is None else found.find(kid, algorithm)
        claims = None if key is None else self._claims(token, key, algorithm)
        # A key that is new, or one that is another under the same name or none.
        if claims is None and keys.may_ask(url):
            await keys.ask(url)
            found = keys.cached(url)
            key = None if found is None else found.find(kid, algorithm)
            claims = None if key is None else self._claims(token, key, algorithm)
        if found is None:
            return Checked(_NO_KEYS)
        if key is None:
            return Checked("the token is signed with a key that is not known")
        if claims is None:
            return Checked(_WRONG)
        return _judge(claims, application, request, self._wall_clock())

    def _claims(self, token: str, key: Any, algorithm: str) -> Mapping[str, Any] | None:
        """Return what a token says; None where its signature is wrong.

        Args:
            token: Its form is right.
            key: None for one that is not here now: what some key found right counts.
            algorithm: One that the key is for.
        """
        digest = sha256(token.encode("ascii")).digest()
        if key is None and digest not in self._right:
            # Nobody ever found it right: it may be anything.
            return None
        is_known = key is None or self._right.get(digest) is key
        try:
            if is_known:
                claims: Mapping[str, Any] = jwt.decode(token, options=_UNCHECKED)
            else:
                claims = jwt.decode(token, key, algorithms=[algorithm], options=_CHECKED)
        except _FAILURES:
            return None
        if not is_known:
            # A signature takes ten times as long as all the rest; who is there is looked at again
            # with every change.
            self._right[digest] = key
            if len(self._right) > MAX_RIGHT:
                self._right.popitem(last=False)
        return claims


def _token(request: Request) -> str:
    return request.query.get("token", "") or request.bearer


def _head(token: str) -> tuple[str, str | None, str]:
    """Return the algorithm and the id of the key that a token names, and what is wrong with it."""
    if not token:
        return "", None, _NONE
    if len(token) > MAX_TOKEN_LENGTH or not token.isascii():
        return "", None, _MALFORMED
    try:
        head: dict[str, Any] = jwt.get_unverified_header(token)
    except _FAILURES:
        return "", None, _MALFORMED
    algorithm, kid = head.get("alg"), head.get("kid")
    if algorithm not in ALGORITHMS:
        return "", None, "the token is not signed in a way that is allowed"
    # What has to be understood (RFC 7515 section 4.1.11), and is not.
    if "crit" in head or "b64" in head or not (kid is None or isinstance(kid, str)):
        return "", None, _MALFORMED
    return str(algorithm), kid, ""


def _judge(
    claims: Mapping[str, Any], application: Application, request: Request, now: float | None
) -> Checked:
    expires = claims.get("exp")
    if not _is_moment(expires):
        return Checked("the token does not say when it expires")
    assert expires is not None
    begins = claims.get("nbf", 0)
    if not _is_moment(begins):
        return Checked(_MALFORMED)
    if now is not None and now >= expires + LEEWAY_SECONDS:
        return Checked("the token has expired")
    if now is not None and now < begins - LEEWAY_SECONDS:
        return Checked("the token does not hold yet")
    if application.jwt_issuer and claims.get("iss") != application.jwt_issuer:
        return Checked("the token is from another issuer")
    if application.jwt_audience and application.jwt_audience not in _texts(claims.get("aud")):
        return Checked("the token is for another audience")
    verb = "publish" if request.action is Action.PUBLISH else "play"
    names = _texts(claims.get(f"ntvmedia_{verb}"))
    key = request.key
    if not {str(key), f"{key.application}/*", "*"} & names:
        return Checked(f"the token gives no right to {verb} this stream")
    return Checked("", expires + LEEWAY_SECONDS)


def _texts(claim: object) -> set[str]:
    if isinstance(claim, str):
        return {claim}
    if isinstance(claim, list):
        return {text for text in claim[:_MAX_NAMES] if isinstance(text, str)}
    return set()


def _is_moment(value: object) -> bool:
    # True is 1; and JSON of Python has infinity, and NaN, of which each comparison is false.
    return isinstance(value, int | float) and value is not True and 0 <= value <= _MAX_MOMENT
