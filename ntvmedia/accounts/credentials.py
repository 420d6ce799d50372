"""What opens the administration: sessions of browsers, and tokens of programs.

Each has an id, which lists show and which opens nothing, and a secret, of which only the hash is
kept: who reads the database can open nothing with it. A secret has 256 random bits, so that one
SHA-256 is enough; slow hashes are for what people choose.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Generic, TypeVar

from ntvmedia.accounts.roles import Role
from ntvmedia.accounts.users import read_role
from ntvmedia.store import SessionRow, TokenRow

TOKEN_PREFIX: Final = "ntv_"  # noqa: S105 - not a secret
"""Begins each token, so that programs which look for leaked secrets find it."""

# 256 bits: nobody guesses it, and it is no key of anything else.
_SECRET_BYTES: Final = 32

# It only has to be the only one.
_ID_BYTES: Final = 9

# What is longer is nobody's secret: it is not hashed.
_MAX_SECRET_LENGTH: Final = 200


@dataclass(frozen=True, slots=True)
class Session:
    """A browser that somebody logged in with.

    Attributes:
        id: For lists.
        secret_hash: Of the cookie.
        owner: The user's name.
        peer_host: The address that logged in.
        agent: What the browser calls itself.
        created_at: Seconds since 1970, as is `used_at`.
    """

    id: str
    secret_hash: str = field(repr=False)
    owner: str
    peer_host: str
    agent: str
    created_at: float
    used_at: float


@dataclass(frozen=True, slots=True)
class Token:
    """A program's right to use the API.

    Attributes:
        id: For lists.
        secret_hash: Of the token.
        owner: The name of the user whose rights it has, at most.
        name: What people call it.
        role: What it may do.
        created_at: Seconds since 1970, as are the other times.
        expires_at: From then on it opens nothing; None for never.
        used_at: None for never.
    """

    id: str
    secret_hash: str = field(repr=False)
    owner: str
    name: str
    role: Role
    created_at: float
    expires_at: float | None
    used_at: float | None


@dataclass(frozen=True, slots=True)
class SessionSecret:
    """What a browser is given when somebody logs in; shown once, and kept nowhere.

    Attributes:
        value: Of the cookie.
        csrf: What the page sends with each change.
        expires_at: When the session ends, however it is used; seconds since 1970.
    """

    value: str = field(repr=False)
    csrf: str = field(repr=False)
    expires_at: float


def describe_session(session: Session) -> dict[str, Any]:
    """Return what may be shown of a session, as JSON has it."""
    return _shown(asdict(session))


def describe_token(token: Token) -> dict[str, Any]:
    """Return what may be shown of a token, as JSON has it."""
    return _shown({**asdict(token), "role": token.role.value})


def session_of(row: SessionRow) -> Session:
    """Read a row."""
    return Session(**asdict(row))


def session_row(session: Session) -> SessionRow:
    """Write a row."""
    return SessionRow(**asdict(session))


def token_of(row: TokenRow) -> Token:
    """Read a row.

    Raises:
        WrongField: This program does not understand it.
    """
    return Token(**{**asdict(row), "role": read_role(row.role)})


def token_row(token: Token) -> TokenRow:
    """Write a row."""
    return TokenRow(**{**asdict(token), "role": token.role.value})


def new_secret(random: Callable[[int], bytes], prefix: str = "") -> str:
    """Make a secret: letters, digits, "-" and "_"."""
    return prefix + _text(random(_SECRET_BYTES))


def new_id(random: Callable[[int], bytes]) -> str:
    """Make an id: letters, digits, "-" and "_"."""
    return _text(random(_ID_BYTES))


def hash_of(secret: str) -> str:
    """Return what is kept of a secret: 64 hexadecimal digits."""
    return hashlib.sha256(_bytes(secret)).hexdigest()


def csrf_of(secret: str) -> str:
    """Return what a page shows to prove that it can read what the server says.

    It is computed from the cookie, so that it is the same after a restart, and the database has
    nothing that it could be computed from.
    """
    return hmac.new(_bytes(secret), b"ntvmedia csrf", hashlib.sha256).hexdigest()


def is_same(one: str, other: str) -> bool:
    """Compare two secrets, in a time that says nothing about where they differ."""
    return hmac.compare_digest(_bytes(one), _bytes(other))


_Credential = TypeVar("_Credential", Session, Token)


class Keyring(Generic[_Credential]):
    """All sessions, or all tokens: found by id, or by secret.

    When one was last used is known here at once, and written from time to time: `unsaved`.

    Args:
        credentials: Those that there are.
    """

    def __init__(self, credentials: Iterable[_Credential] = ()) -> None:
        self._by_id: dict[str, _Credential] = {}
        self._by_hash: dict[str, _Credential] = {}
        self._used_at: dict[str, float] = {}
        for credential in credentials:
            self.put(credential)

    def __len__(self) -> int:
        return len(self._by_id)

    def __contains__(self, id: object) -> bool:
        return id in self._by_id

    def ids(self) -> set[str]:
        """Return the ids of all."""
        return set(self._by_id)

    def put(self, credential: _Credential) -> None:
        """Add one."""
        self._by_id[credential.id] = credential
        self._by_hash[credential.secret_hash] = credential

    def drop(self, id: str) -> None:
        """Forget one, if there is such."""
        credential = self._by_id.pop(id, None)
        self._used_at.pop(id, None)
        if credential is not None:
            self._by_hash.pop(credential.secret_hash, None)

    def find(self, secret: str) -> _Credential | None:
        """Return what a secret opens.

        The time says nothing about the secret: what is looked up is a hash, and nobody can choose
        how one begins.
        """
        if not 0 < len(secret) <= _MAX_SECRET_LENGTH:
            return None
        return self._by_hash.get(hash_of(secret))

    def get(self, id: str) -> _Credential | None:
        """Return one as it is now."""
        credential = self._by_id.get(id)
        return None if credential is None else self._now(credential)

    def of(self, owner: str | None = None) -> list[_Credential]:
        """Return those of a user, or all, as they are now; the oldest first."""
        return [
            self._now(one) for one in self._by_id.values() if owner is None or one.owner == owner
        ]

    def used_at(self, credential: _Credential) -> float | None:
        """Return when one was last used."""
        return self._used_at.get(credential.id, credential.used_at)

    def use(self, credential: _Credential, now: float) -> None:
        """Say that one is used."""
        self._used_at[credential.id] = now

    def unsaved(self, slack_seconds: float = 0.0) -> dict[str, float]:
        """Return what is to be written: when they were last used, by id.

        Args:
            slack_seconds: What was written less than this before is good enough.
        """
        found = {}
        for id, used_at in self._used_at.items():
            saved = self._by_id[id].used_at or 0.0
            if not 0 <= used_at - saved <= slack_seconds:
                found[id] = used_at
        return found

    def saved(self, used_at: Mapping[str, float]) -> None:
        """Say that this was written."""
        for id, at in used_at.items():
            credential = self._by_id.get(id)
            if credential is not None:
                self.put(replace(credential, used_at=at))

    def renewed(self, credentials: Iterable[_Credential]) -> Keyring[_Credential]:
        """Return one with what the database has, and the times that are known here."""
        found: Keyring[_Credential] = Keyring(credentials)
        found._used_at = {id: at for id, at in self._used_at.items() if id in found}
        return found

    def _now(self, credential: _Credential) -> _Credential:
        used_at = self._used_at.get(credential.id)
        return credential if used_at is None else replace(credential, used_at=used_at)


def _shown(values: dict[str, Any]) -> dict[str, Any]:
    del values["secret_hash"]
    return values


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _bytes(text: str) -> bytes:
    # JSON and headers may bring half of a surrogate pair.
    return text.encode("utf-8", "surrogatepass")
