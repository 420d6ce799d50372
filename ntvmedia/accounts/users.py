"""Users: their names, what is known of them, and what may be shown."""

from __future__ import annotations

import unicodedata
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from ntvmedia.accounts.refusals import WrongField
from ntvmedia.accounts.roles import Role
from ntvmedia.store import UserRow

MAX_NAME_LENGTH: Final = 64
"""Characters; as the table has it."""

MAX_TYPED_LENGTH: Final = 4 * MAX_NAME_LENGTH
"""Characters of a name before it is composed: four become one at most (UAX 15, 9)."""

MAX_USERS: Final = 1000
"""All are in memory, and each may have sessions and tokens: see there."""

# Beside letters and digits. None of them means anything in a path or a query.
_NAME_EXTRAS: Final = frozenset("._-@+")


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who may log in.

    Attributes:
        name: As it is shown; composed (NFC).
        role: What the user may do.
        enabled: A disabled user can do nothing, and has no session or token.
        password_hash: As argon2 spells it; not in a text that a log may show.
        password_changed_at: Seconds since 1970, as are the other times.
        logged_in_at: None for never.
    """

    name: str
    role: Role
    enabled: bool
    password_hash: str = field(repr=False)
    password_changed_at: float
    created_at: float
    updated_at: float
    logged_in_at: float | None = None


def name_key(name: str) -> str:
    """Return what is the same for all spellings of a name that are one user's.

    Phones begin a word with a capital.
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def read_name(text: str) -> str:
    """Check the name of a new user.

    Returns:
        It, composed (NFC).

    Raises:
        WrongField: It is empty, too long, or has another character.
    """
    too_long = f"it is longer than {MAX_NAME_LENGTH} characters"
    if len(text) > MAX_TYPED_LENGTH:
        raise WrongField(too_long, "name")
    name = unicodedata.normalize("NFC", text)
    if not name:
        raise WrongField("it is empty", "name")
    # Both: a folded name may be longer, and is what two names are compared by.
    if max(len(name), len(name_key(name))) > MAX_NAME_LENGTH:
        raise WrongField(too_long, "name")
    # A letter first: no name is an option of the command line, or leads to another folder.
    if not name[0].isalnum() or not all(x.isalnum() or x in _NAME_EXTRAS for x in name):
        clause = 'expected letters, digits, ".", "_", "-", "@" and "+", a letter or digit first'
        raise WrongField(clause, "name")
    return name


def read_role(text: str) -> Role:
    """Check a role.

    Raises:
        WrongField: There is no such role.
    """
    try:
        return Role(text)
    except ValueError:
        expected = ", ".join(Role)
        raise WrongField(f"expected one of {expected}", "role") from None


def describe_user(user: User) -> dict[str, Any]:
    """Return what may be shown of a user, as JSON has it."""
    return {
        "name": user.name,
        "role": user.role.value,
        "enabled": user.enabled,
        "password_changed_at": user.password_changed_at,
        "created_at": user.created_at,
        "updated_at": user.updated_at,
        "logged_in_at": user.logged_in_at,
    }


def user_of(row: UserRow) -> User:
    """Read a row.

    Raises:
        WrongField: This program does not understand it.
    """
    values = asdict(row)
    values["name"] = read_name(row.name)
    values["role"] = read_role(row.role)
    return User(**values)


def user_row(user: User) -> UserRow:
    """Write a row: the store keeps primitive values."""
    return UserRow(**{**asdict(user), "role": user.role.value})
