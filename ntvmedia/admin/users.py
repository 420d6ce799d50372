"""The API's users: who may log in, and what each may do (P-103)."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Annotated, Any, ClassVar, Final
from urllib.parse import quote

from msgspec import UNSET, Meta, Struct, UnsetType

from ntvmedia.accounts import (
    LastAdministrator,
    NameTaken,
    NoUser,
    Role,
    TooMany,
    User as Account,
    WrongField,
    describe_user,
)
from ntvmedia.admin.operations import ROOT, Answer, Call, Operations, etag_of, operation
from ntvmedia.admin.paging import Page, Paging, paged
from ntvmedia.admin.problems import Problem

UserName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        description='Letters, digits, ".", "_", "-", "@" and "+"; a letter or digit first.',
    ),
]

Password = Annotated[str, Meta(min_length=8, max_length=256, description="It is never shown.")]

_Time = Annotated[float, Meta(description="Seconds since 1970.")]


class User(Struct, kw_only=True):
    """Somebody who may log in."""

    name: UserName
    role: Role
    enabled: Annotated[bool, Meta(description="A disabled user can do nothing.")]
    password_changed_at: _Time
    created_at: _Time
    updated_at: _Time
    logged_in_at: Annotated[float | None, Meta(description="Seconds since 1970; null for never.")]


class UserList(Page, kw_only=True):
    """Users."""

    users: list[User]


class NewUser(Struct, forbid_unknown_fields=True, kw_only=True):
    """A user to be added."""

    name: UserName
    password: Password
    role: Role
    enabled: bool = True


class UserChange(Struct, forbid_unknown_fields=True, kw_only=True):
    """What is to be changed of a user."""

    role: Role | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    password: Password | UnsetType = UNSET


_KEYS: Final[dict[str, Callable[[Account], Any]]] = {
    "name": lambda user: user.name.casefold(),
    "role": attrgetter("role"),
    "enabled": attrgetter("enabled"),
    "created_at": attrgetter("created_at"),
    "logged_in_at": lambda user: user.logged_in_at or 0.0,
}


class UserOperations(Operations):
    """Users, for administrators."""

    tag = "users"
    refusals: ClassVar = {
        WrongField: 400,
        NoUser: 404,
        NameTaken: 409,
        LastAdministrator: 409,
        TooMany: 409,
    }

    @operation("GET", "/users", role=Role.ADMINISTRATOR, query=Paging, answers=UserList)
    def users(self, call: Call) -> UserList:
        """List users.

        Sorted by `name`, `role`, `enabled`, `created_at` or `logged_in_at`; `q` is looked for in
        the name.
        """
        found = self.host.accounts.users()
        cut = paged(found, call.query, _KEYS, search=attrgetter("name"))
        return UserList(users=[User(**describe_user(x)) for x in cut.items], **cut.numbers)

    @operation("POST", "/users", role=Role.ADMINISTRATOR, body=NewUser, answers=User, status=201)
    async def add(self, call: Call) -> Answer:
        """Add a user."""
        body: NewUser = call.body
        user = await self.host.accounts.add_user(
            body.name,
            body.password,
            body.role,
            enabled=body.enabled,
            note=call.note("users.add", body.name),
        )
        return _answer(user, 201, {"Location": f"{ROOT}/users/{quote(user.name, safe='')}"})

    @operation("GET", "/users/{name}", role=Role.ADMINISTRATOR, answers=User)
    def user(self, call: Call) -> Answer:
        """Show a user."""
        return _answer(self.host.accounts.user(call.path["name"]))

    @operation("PATCH", "/users/{name}", role=Role.ADMINISTRATOR, body=UserChange, answers=User)
    async def change(self, call: Call) -> Answer:
        """Change the role, the state or the password of a user.

        All sessions of the user end, and so do the tokens that may do more than the user now, or
        all of them with a new password.
        """
        body: UserChange = call.body
        user = self.host.accounts.user(call.path["name"])
        call.must_match(_editable(user))
        changed = await self.host.accounts.change_user(
            user.name,
            role=None if body.role is UNSET else body.role,
            enabled=None if body.enabled is UNSET else body.enabled,
            password=None if body.password is UNSET else body.password,
            note=call.note("users.change", user.name),
        )
        return _answer(changed)

    @operation("DELETE", "/users/{name}", role=Role.ADMINISTRATOR)
    async def remove(self, call: Call) -> None:
        """Delete a user, with all sessions and tokens."""
        user = self.host.accounts.user(call.path["name"])
        call.must_match(_editable(user))
        note = call.note("users.delete", user.name)
        await self.host.accounts.delete_user(user.name, note=note)


def whose(call: Call) -> str | None:
    """Return whose sessions and tokens who asks may see and end: None for everybody's.

    A token can do what its role says, and its role may be less than its owner's: it is not to end
    what the owner has, or to make another one.

    Raises:
        Problem: 403, a token that is no administrator's.
    """
    if call.identity.role is Role.ADMINISTRATOR:
        return None
    if call.identity.kind != "session":
        raise Problem(403, "this needs a session, or the role administrator")
    return call.identity.name


def _answer(user: Account, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    return Answer(User(**describe_user(user)), status, headers or {}, etag_of(_editable(user)))


def _editable(user: Account) -> dict[str, Any]:
    """Return what an ETag is made of: logging in is no edit."""
    shown = describe_user(user)
    del shown["logged_in_at"]
    return shown
