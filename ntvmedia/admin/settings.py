"""The API's view of the settings that the server was started with: those of its file."""

from __future__ import annotations

import dataclasses
import re
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from ntvmedia.accounts import Role
from ntvmedia.admin.operations import Call, Operations, operation
from ntvmedia.config import SECTIONS, describe_section

_HIDDEN: Final = "***"

# Of the settings of plugins, which may have what ours have not.
_SECRET_NAMES: Final = re.compile(r"password|secret|token|credential|private")

_Value = bool | int | float | str | list[str]


class Setting(Struct, kw_only=True):
    """One setting."""

    key: str
    value: Annotated[_Value, Meta(description="As it is now; passwords are not shown.")]
    default: _Value
    expected: Annotated[str, Meta(description="What is allowed.")]
    text: Annotated[str, Meta(description="What it is for.")]


class Section(Struct, kw_only=True):
    """One section of the file."""

    name: str
    settings: list[Setting]


class Sections(Struct, kw_only=True):
    """All settings that the server was started with."""

    sections: list[Section]


class SettingsOperations(Operations):
    """The settings of the server's file, which only a restart changes."""

    tag = "settings"

    @operation("GET", "/settings", role=Role.ADMINISTRATOR, answers=Sections)
    def settings(self, call: Call) -> Sections:
        """Show the settings that the server was started with.

        Those of its file and its command line; what is set by the API is below `/preferences`.
        """
        settings = self.host.settings
        found = {name: getattr(settings, name) for name in SECTIONS}
        found.update(
            (name, section)
            for name, section in settings.endpoints.items()
            if name not in found and dataclasses.is_dataclass(section)
        )
        return Sections(sections=[_section(name, value) for name, value in found.items()])


def _section(name: str, values: Any) -> Section:
    return Section(
        name=name,
        settings=[
            Setting(
                key=setting.key,
                value=_shown(setting.key, getattr(values, setting.key)),
                default=_shown(setting.key, setting.default),
                expected=setting.expected,
                text=setting.rule.text,
            )
            for setting in describe_section(type(values))
        ],
    )


def _shown(key: str, value: Any) -> _Value:
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return [_masked(key, str(item)) for item in value]
    return _masked(key, str(value))


def _masked(key: str, text: str) -> str:
    """Return a value without its secrets: a password before a host, and what a query has."""
    if text and _SECRET_NAMES.search(key):
        return _HIDDEN
    scheme, mark, rest = text.partition("://")
    if not mark:
        return text
    rest, question, _query = rest.partition("?")
    user, at, where = rest.rpartition("@")
    if at:
        user = user.partition(":")[0]
        rest = f"{user}:{_HIDDEN}@{where}"
    return f"{scheme}{mark}{rest}{question}{_HIDDEN if question else ''}"
