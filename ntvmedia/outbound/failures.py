"""What a request of ours to another server may end with."""

from __future__ import annotations

from ntvmedia.errors import NtvMediaError, RemoteError


class OutboundError(RemoteError):
    """A request of ours to another server came to nothing.

    The message may have the origin before its clause, such as "https://keys.example.org: no answer
    within 10 seconds". It is permanent where the address is malformed or forbidden, the server's
    certificate is wrong, the answer is longer than the caller takes, and the like.
    """


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
