"""What somebody may do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """A set of rights; each role has those of the ones after it too (P-103)."""

    ADMINISTRATOR = "administrator"
    OPERATOR = "operator"
    VIEWER = "viewer"

    def includes(self, other: Role) -> bool:
        """Whether one with this role may do what the other role is needed for."""
        order = tuple(Role)
        return order.index(self) <= order.index(other)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks for something.

    Attributes:
        name: The user's name; "operator on the host" for the control socket.
        role: What it may do.
        kind: "session", "token" or "control": how it showed who it is.
        session: The id of the session or token, as lists show it; else empty.
    """

    name: str
    role: Role
    kind: str
    session: str = ""
