"""Why an application or a rule of access is not changed as somebody asked."""

from __future__ import annotations

from ntvmedia.errors import Refused


class WrongField(Refused):
    """A field does not exist, or its value is not allowed.

    Attributes:
        field: Its name, fit to be shown.
        clause: What is wrong, without the name.
    """

    def __init__(self, clause: str, field: str) -> None:
        super().__init__(f"{field}: {clause}")
        self.field = field
        self.clause = clause


class NoApplication(Refused):
    """There is no application of this name."""


class NameInUse(Refused):
    """There is an application of this name already."""


class BuiltIn(Refused):
    """An application that every server has would lose its name or type, or be deleted."""


class NoRule(Refused):
    """There is no rule, link or key of this id."""


class TooMany(Refused):
    """There are as many rules of the kind as there may be."""


class KeptKey(Refused):
    """The server's own signing key can be disabled, but neither removed nor bound."""
