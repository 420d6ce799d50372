"""What a request of ours to another server may end with."""

from __future__ import annotations

from ntvmedia.errors import NtvMediaError


class OutboundError(NtvMediaError):
    """A request of ours to another server came to nothing.

    The message is one clause for the log, such as "https://keys.example.org: no answer within 10
    seconds". Only the origin of the address stands in it, and nothing where it has none: user,
    password, path and query may be secret.
    """


class Forbidden(NtvMediaError):
    """An address leads to where the policy forbids; the message is a clause that names it."""


class Unacceptable(NtvMediaError):
    """An answer is not taken, though it may be good HTTP; the message is a clause that says why."""
