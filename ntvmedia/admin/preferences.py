"""The API's preferences of the whole server, and the address that it is shown under.

What they are, their ranges and what they are for is declared once, by `ntvmedia.preferences`.
"""

from __future__ import annotations

import socket
from typing import Annotated, Any, ClassVar, Final, get_args, get_origin, get_type_hints

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from ntvmedia.accounts import Role
from ntvmedia.admin.operations import Answer, Call, Operations, etag_of, operation
from ntvmedia.preferences import FIELDS, Values, WrongPreference, describe


def _type_of(name: str, hint: Any) -> Any:
    """Return the type that JSON has for a value, with its range and text as they are declared."""
    plain = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    rule = Values.__dataclass_fields__[name].metadata["rule"]
    least, most = (None if x is None else int(x) for x in (rule.minimum, rule.maximum))
    # Networks are texts.
    shown = plain if plain in (bool, int, str) else list[str]
    return Annotated[shown, Meta(ge=least, le=most, description=rule.text)]


_TYPES: Final[dict[str, Any]] = {
    name: _type_of(name, hint) for name, hint in get_type_hints(Values, include_extras=True).items()
}

PreferencesShown: Final[Any] = msgspec.defstruct(
    "Preferences",
    [(name, _TYPES[name]) for name in FIELDS],
    namespace={"__doc__": "What is set for the whole server."},
    module=__name__,
    kw_only=True,
)

PreferencesChange: Final[Any] = msgspec.defstruct(
    "PreferencesChange",
    [(name, _TYPES[name] | UnsetType, UNSET) for name in FIELDS],
    namespace={"__doc__": "Preferences that are to be changed."},
    module=__name__,
    forbid_unknown_fields=True,
    kw_only=True,
)


class ServerAddress(Struct, kw_only=True):
    """Under which address the server shows its streams."""

    address: Annotated[str, Meta(description="As it is set; empty where it is not.")]
    shown: Annotated[
        str,
        Meta(description="What stands in addresses: as it is set here or in the file, or a guess."),
    ]


class ServerAddressChange(Struct, forbid_unknown_fields=True, kw_only=True):
    """Another address of the server."""

    address: Annotated[
        str, Meta(description="A host name or IP address, without a port; empty for none.")
    ]


class PreferenceOperations(Operations):
    """What is set for the whole server while it runs.

    It holds at once, on all protocols, and is kept in the database.
    """

    tag = "preferences"
    refusals: ClassVar = {WrongPreference: 400}

    @operation("GET", "/preferences", role=Role.VIEWER, answers=PreferencesShown)
    def preferences(self, call: Call) -> Answer:
        """Show all preferences."""
        return self._answer()

    @operation(
        "PATCH",
        "/preferences",
        role=Role.ADMINISTRATOR,
        body=PreferencesChange,
        answers=PreferencesShown,
    )
    async def change(self, call: Call) -> Answer:
        """Change the preferences that the body names.

        Who is there already stays, whatever number is exceeded; nobody joins them.
        """
        call.must_match(self._shown())
        given = {x: getattr(call.body, x) for x in FIELDS if getattr(call.body, x) is not UNSET}
        note = call.note("preferences.change", "server")
        await self.host.preferences.change(given, note=note)
        return self._answer()

    @operation("GET", "/server-address", role=Role.VIEWER, answers=ServerAddress)
    def server_address(self, call: Call) -> Answer:
        """Show the address that streams are shown under."""
        return self._address()

    @operation(
        "PATCH",
        "/server-address",
        role=Role.ADMINISTRATOR,
        body=ServerAddressChange,
        answers=ServerAddress,
    )
    async def change_address(self, call: Call) -> Answer:
        """Change the address that streams are shown under."""
        call.must_match(self._address().body)
        note = call.note("preferences.change", "server")
        await self.host.preferences.change({"server_address": call.body.address}, note=note)
        return self._address()

    def _shown(self) -> Any:
        return PreferencesShown(**describe(self.host.preferences.values))

    def _answer(self) -> Answer:
        shown = self._shown()
        return Answer(shown, etag=etag_of(shown))

    def _address(self) -> Answer:
        address = self.host.preferences.values.server_address
        shown = address or self.host.settings.server.address or socket.gethostname()
        found = ServerAddress(address=address, shown=shown)
        return Answer(found, etag=etag_of(found))
