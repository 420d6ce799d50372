"""Why an account is not opened or changed as somebody asked."""

from __future__ import annotations

from ntvmedia.errors import Refused


class WrongField(Refused):
    """A value is not allowed.

    Attributes:
        field: Its name.
        clause: What is wrong, without the name; a password is never quoted in it.
    """

    def __init__(self, clause: str, field: str) -> None:
        super().__init__(f"{field}: {clause}")
        self.field = field
        self.clause = clause


class WrongPassword(Refused):
    """Name and password do not belong together, or the user is disabled: it is not said which."""


class SlowDown(Refused):
    """There were too many wrong attempts; what was given now was not looked at.

    Attributes:
        retry_after: Seconds to wait, rounded up: above 0.
    """

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"too many wrong attempts: try again in {retry_after} seconds")
        self.retry_after = retry_after


class AlreadySetUp(Refused):
    """There is an administrator: further users are added by one."""


class NoUser(Refused):
    """There is no user of this name."""


class NoSession(Refused):
    """There is no session of this id, or it is somebody else's."""


class NoToken(Refused):
    """There is no token of this id, or it is somebody else's."""


class NameTaken(Refused):
    """There is a user of this name already, in upper or lower case."""


class LastAdministrator(Refused):
    """Nobody could administer the server any more."""


class TooMany(Refused):
    """There are as many as there may be."""
