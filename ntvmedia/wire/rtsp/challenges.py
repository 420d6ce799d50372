"""Challenges of a server, and what a client answers: Digest and Basic (RFC 7616, RFC 7617)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from enum import Enum
from typing import Final, NamedTuple

from ntvmedia.wire.rtsp.fields import parse_parameter, quoted, split_list, unquoted

MAX_HEADER: Final = 4096
"""Characters of an `Authorization` or of all challenges together: real ones have 500."""

_SCHEME: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?:[ \t]+(.*))?", re.DOTALL)


class Algorithm(Enum):
    """How a digest is made (RFC 7616 section 6.1)."""

    MD5 = "MD5"
    SHA_256 = "SHA-256"


class Challenge(NamedTuple):
    """One way that a server offers.

    Attributes:
        scheme: In lower case: "digest", "basic".
        parameters: By names in lower case.
    """

    scheme: str
    parameters: dict[str, str]

    @property
    def algorithm(self) -> Algorithm | None:
        """Of a Digest: MD5 where none is named, None for one that is not known."""
        return _algorithm(self.parameters.get("algorithm", ""))

    @property
    def is_stale(self) -> bool:
        """Whether only the nonce was too old, and the password may be right."""
        return self.parameters.get("stale", "").lower() == "true"


def parse_challenges(headers: Iterable[str]) -> list[Challenge]:
    """Read `WWW-Authenticate` headers, one or several challenges in each.

    An `Authorization` header is of the same form, with one of them. What is longer than
    `MAX_HEADER` is passed over.
    """
    found: list[Challenge] = []
    for header in headers:
        if len(header) > MAX_HEADER:
            continue
        # A parameter before the first scheme belongs to nothing.
        parameters: dict[str, str] = {}
        for part in split_list(header, ","):
            match = _SCHEME.fullmatch(part)
            if match is not None and not (match[2] or "").startswith("="):
                parameters = {}
                found.append(Challenge(match[1].lower(), parameters))
                part = match[2] or ""
            name, value = parse_parameter(part)
            if name:
                parameters.setdefault(name, value)
    return found


def parse_basic(header: str) -> tuple[str, str] | None:
    """Return user and password of an `Authorization` with Basic; None if it is none."""
    scheme, _space, text = header.strip().partition(" ")
    if scheme.lower() != "basic" or len(header) > MAX_HEADER:
        return None
    try:
        data = base64.b64decode(text.strip().encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        return None
    try:
        credentials = data.decode("utf-8")
    except UnicodeDecodeError:
        credentials = data.decode("latin-1")
    user, colon, password = credentials.partition(":")
    return (user, password) if colon else None


def choose_challenge(headers: Iterable[str], *, basic: bool = True) -> Challenge | None:
    """Choose what a client answers: Digest before Basic, and of Digest the strongest.

    Args:
        headers: All `WWW-Authenticate` of a 401.
        basic: Take Basic, which shows the password to everybody on the way.

    Returns:
        None if nothing is offered that can be answered.
    """
    best, rank = None, 0
    for challenge in parse_challenges(headers):
        found = 0
        if challenge.scheme == "basic":
            found = 1 if basic else 0
        elif challenge.scheme == "digest" and challenge.parameters.get("nonce"):
            offered = challenge.parameters.get("qop", "")
            if not offered or "auth" in _qops(offered):
                found = {None: 0, Algorithm.MD5: 2, Algorithm.SHA_256: 3}[challenge.algorithm]
        if found > rank:
            best, rank = challenge, found
    return best


def authorization(
    challenge: Challenge,
    user: str,
    password: str,
    method: str,
    url: str,
    *,
    count: int = 1,
    cnonce: str = "",
) -> str:
    """Return the `Authorization` header for one request.

    Args:
        challenge: From `choose_challenge`.
        user: Without a colon, where Basic is used.
        password: Its password.
        method: Of the request.
        url: Of the request, as it is sent.
        count: How many requests were answered with this challenge, this one included.
        cnonce: Unpredictable text of this client; needed with `qop` alone.
    """
    if challenge.scheme == "basic":
        return "Basic " + base64.b64encode(encoded(f"{user}:{password}")).decode("ascii")
    realm = challenge.parameters.get("realm", "")
    nonce = challenge.parameters.get("nonce", "")
    qop = "auth" if challenge.parameters.get("qop") else ""
    number = f"{count:08x}"
    response = response_of(
        challenge.algorithm or Algorithm.MD5,
        (user, realm, password),
        (method, url),
        nonce,
        (qop, number, cnonce),
    )
    parts = [
        f"username={quoted(user)}",
        f"realm={quoted(realm)}",
        f"nonce={quoted(nonce)}",
        f"uri={quoted(url)}",
        f'response="{response}"',
    ]
    # As it was asked for: cameras without a name for MD5 do not expect one.
    if challenge.algorithm is not None and "algorithm" in challenge.parameters:
        parts.append(f"algorithm={challenge.algorithm.value}")
    if "opaque" in challenge.parameters:
        parts.append(f"opaque={quoted(challenge.parameters['opaque'])}")
    if qop:
        parts += [f"qop={qop}", f"nc={number}", f"cnonce={quoted(cnonce)}"]
    return "Digest " + ", ".join(parts)


def _qops(text: str) -> set[str]:
    return {unquoted(part).lower() for part in split_list(text, ",")}


def _algorithm(name: str) -> Algorithm | None:
    if not name:
        return Algorithm.MD5
    return next((found for found in Algorithm if found.value == name.upper()), None)


def encoded(text: str) -> bytes:
    """Return the bytes of text as they came, or UTF-8."""
    return text.encode("utf-8", "surrogateescape")


def _hash(algorithm: Algorithm, *parts: str) -> str:
    data = encoded(":".join(parts))
    if algorithm is Algorithm.SHA_256:
        return hashlib.sha256(data).hexdigest()
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def response_of(
    algorithm: Algorithm,
    secret: tuple[str, str, str],
    request: tuple[str, str],
    nonce: str,
    once: tuple[str, str, str],
) -> str:
    """Compute the digest (RFC 7616 section 3.4.1; RFC 2069 section 2.1.2 without qop).

    Args:
        algorithm: Which one.
        secret: User, realm and password.
        request: Method and URI.
        nonce: Of the server.
        once: The qop, or nothing; nc; cnonce.
    """
    first, second = _hash(algorithm, *secret), _hash(algorithm, *request)
    qop, count, cnonce = once
    if not qop:
        return _hash(algorithm, first, nonce, second)
    return _hash(algorithm, first, nonce, count, cnonce, qop, second)
