"""Public keys of who signs tokens: a JSON Web Key Set (RFC 7517) at an address, kept for a while.

The address is asked when keys are needed for the first time, when they are old, and when a token
names a key that is not there, which is how a rotated key comes in; never oftener than every
`RETRY_SECONDS`, whatever tokens come. While it does not answer, the keys that there are go on.
"""

from __future__ import annotations

import base64
import re
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

import jwt
import msgspec
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from ntvmedia.outbound import OutboundError

MAX_AGE_SECONDS: Final = 600.0
"""So long a key that its owner took back may still count, and no longer."""

MAX_STALE_SECONDS: Final = 86_400.0
"""For so long keys are used while their address does not answer."""

RETRY_SECONDS: Final = 30.0
"""From one question to the next, with an answer or without."""

MAX_SETS: Final = 100
"""Addresses whose keys are kept."""

MAX_KEYS: Final = 64
"""Of one set. Providers have two to six."""

_MAX_BYTES: Final = 256 << 10
_TIMEOUT_SECONDS: Final = 10.0

_CURVES: Final = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}

ALGORITHMS: Final = ("RS256", "RS384", "RS512", *_CURVES, "EdDSA")
"""Those of signatures with a public key. "none" is no signature, and with HS256 and its kind the
public key would be taken for the secret one (RFC 8725 section 2.1)."""

# 2048 bits are the least (RFC 7518 section 3.3). The time that a check takes grows with the square.
_RSA_BITS: Final = range(2048, 8193)
_MAX_EXPONENT_BYTES: Final = 4
_MAX_DIGITS: Final = 2000
_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]*")


class KeySet:
    """The keys at one address.

    Attributes:
        asked_at: When it was asked last.
        got_at: When the keys came; None before.
    """

    def __init__(self) -> None:
        self.asked_at = float("-inf")
        self.got_at: float | None = None
        self.waiting: list[Deferred[None]] = []
        self.is_asking = False
        self._keys: list[dict[str, Any]] = []
        self._made: dict[tuple[int, str], Any] = {}

    def keep(self, keys: list[dict[str, Any]], now: float) -> None:
        """Take new keys instead of those that there are."""
        if keys != self._keys:
            self._keys, self._made = keys, {}
        self.got_at = now

    def find(self, kid: str | None, algorithm: str) -> Any:
        """Return the key that a token names, for `jwt.decode`; None where there is none.

        Args:
            kid: As in the token's header; None there, where the set must have one key that fits.
            algorithm: One of `ALGORITHMS`.
        """
        fitting = [
            place
            for place, key in enumerate(self._keys)
            if (kid is None or key.get("kid") == kid) and _fits(key, algorithm)
        ]
        if not fitting or (kid is None and len(fitting) > 1):
            return None
        which = fitting[0], algorithm
        if which not in self._made:
            try:
                self._made[which] = jwt.PyJWK(self._keys[which[0]], algorithm)
            except (jwt.PyJWTError, ValueError, TypeError, KeyError):
                # It says of itself what it is, and is not: a point that is not on its curve.
                self._made[which] = None
        return self._made[which]


class KeySets:
    """The keys of all addresses that applications name.

    Args:
        outbound: An `ntvmedia.outbound.client.Outbound`; None where nobody may be asked.
        clock: Returns seconds that never go back.
    """

    _log = Logger()

    def __init__(self, outbound: Any, clock: Callable[[], float]) -> None:
        self._outbound = outbound
        self._clock = clock
        self._sets: OrderedDict[str, KeySet] = OrderedDict()

    def cached(self, url: str) -> KeySet | None:
        """Return the keys that are here, if they are not too old."""
        found = self._sets.get(url)
        if found is None or found.got_at is None:
            return None
        self._sets.move_to_end(url)
        return found if self._clock() - found.got_at <= MAX_STALE_SECONDS else None

    def is_fresh(self, url: str) -> bool:
        """Say whether there are keys that need not be asked for again."""
        found = self._sets.get(url)
        age = MAX_AGE_SECONDS
        return found is not None and found.got_at is not None and self._clock() - found.got_at < age

    def may_ask(self, url: str) -> bool:
        """Say whether it is some time since the address was asked, or it is being asked now."""
        found = self._sets.get(url)
        return found is None or found.is_asking or self._clock() - found.asked_at >= RETRY_SECONDS

    def ask(self, url: str) -> Deferred[None]:
        """Ask for the keys; all who ask meanwhile wait for the same answer.

        Returns:
            Fires when they are here, or not to be had, which the log says. May be cancelled.
        """
        found = self._sets.setdefault(url, KeySet())
        self._sets.move_to_end(url)
        while len(self._sets) > MAX_SETS:
            self._sets.popitem(last=False)
        waiting: Deferred[None] = Deferred(found.waiting.remove)
        found.waiting.append(waiting)
        if not found.is_asking:
            found.is_asking = True
            found.asked_at = self._clock()
            asking = Deferred.fromCoroutine(self._fetch(url, found))
            asking.addErrback(self._failed)
            asking.addCallback(lambda _none: self._asked(found))
        return waiting

    async def _fetch(self, url: str, found: KeySet) -> None:
        if self._outbound is None:
            return
        try:
            answer = await self._outbound.get(
                url,
                headers={"Accept": "application/jwk-set+json, application/json"},
                limit_bytes=_MAX_BYTES,
                timeout_seconds=_TIMEOUT_SECONDS,
            )
            if answer.status != 200:
                raise OutboundError(f"it answers with status {answer.status}")
            found.keep(read_keys(answer.body), self._clock())
        except CancelledError:
            raise
        except (OutboundError, ValueError) as error:
            self._log.error("the keys for tokens are not to be had: {error}", error=error)

    def _failed(self, failure: Failure) -> None:
        # A program that stops cancels what it asked.
        if not failure.check(CancelledError):
            self._log.failure("asking for the keys of tokens failed", failure)

    def _asked(self, found: KeySet) -> None:
        found.is_asking = False
        waiting, found.waiting = found.waiting, []
        for waiter in waiting:
            waiter.callback(None)


def read_keys(body: bytes) -> list[dict[str, Any]]:
    """Return the keys of a set that tokens may be signed with, in their order.

    Those that this program does not know, or that are too weak, are left out, as RFC 7517 section 5
    has it; private parts are dropped.

    Raises:
        ValueError: It is no JSON Web Key Set, or has too many keys.
    """
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        raise ValueError("the answer is no JSON") from None
    keys = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(keys, list):
        raise ValueError("the answer is no set of keys (RFC 7517)")
    if len(keys) > MAX_KEYS:
        raise ValueError(f"there are {len(keys):,} keys")
    names = ("kty", "kid", "alg", "crv", "n", "e", "x", "y")
    return [{name: key[name] for name in names if name in key} for key in keys if _is_usable(key)]


def _is_usable(key: Any) -> bool:
    if not isinstance(key, dict) or key.get("use", "sig") != "sig":
        return False
    operations = key.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        return False
    if "kid" in key and not isinstance(key["kid"], str):
        return False
    if key.get("alg") is not None and key["alg"] not in ALGORITHMS:
        return False
    kind = key.get("kty")
    parts = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}.get(str(kind))
    if parts is None or not all(isinstance(key.get(part), str) for part in parts):
        return False
    if kind == "RSA":
        bits, exponent = _bits(key["n"]), (_bits(key["e"]) + 7) // 8
        return bits in _RSA_BITS and 0 < exponent <= _MAX_EXPONENT_BYTES
    return True


def _bits(text: str) -> int:
    """Return the length of a number (RFC 7518 section 2); 0 for what is none, or far too long."""
    if len(text) > _MAX_DIGITS or not _BASE64URL.fullmatch(text) or len(text) % 4 == 1:
        return 0
    padding = "=" * (-len(text) % 4)
    return int.from_bytes(base64.urlsafe_b64decode(text + padding), "big").bit_length()


def _fits(key: dict[str, Any], algorithm: str) -> bool:
    if key.get("alg") not in (None, algorithm):
        return False
    if algorithm == "EdDSA":
        return bool(key["kty"] == "OKP" and key["crv"] in ("Ed25519", "Ed448"))
    if algorithm in _CURVES:
        return bool(key["kty"] == "EC" and key["crv"] == _CURVES[algorithm])
    return bool(key["kty"] == "RSA")
