"""What a request of ours to another server may end with."""

from __future__ import annotations

from ntvmedia.errors import NtvMediaError


class OutboundError(NtvMediaError):
    """A request of ours to another server came to nothing.

    The message is one clause for the log, such as "https://keys.example.org: no answer within 10
    seconds". Only the origin of the address stands in it, and nothing where it has none: user,
    password, path and query may be secret.

    Attributes:
        is_permanent: The same request would fail in the same way: its address is malformed or
            forbidden, the server's certificate is wrong, the answer is longer than the caller
            takes, and the like. False where another try may go better.
    """

    def __init__(self, message: str, *, is_permanent: bool = False) -> None:
        super().__init__(message)
        self.is_permanent = is_permanent


class Forbidden(NtvMediaError):
    """An address leads to where the policy forbids; the message is a clause that names it."""


class Unacceptable(NtvMediaError):
    """An answer is not taken, though it may be good HTTP; the message is a clause that says why.

    Attributes:
        is_permanent: As in `OutboundError`.
    """

    def __init__(self, message: str, *, is_permanent: bool = False) -> None:
        super().__init__(message)
        self.is_permanent = is_permanent
