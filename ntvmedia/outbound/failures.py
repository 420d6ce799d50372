"""Why another server was not asked, or did not answer."""

from __future__ import annotations

from ntvmedia.errors import NtvMediaError


class OutboundError(NtvMediaError):
    """A request of ours to another server came to nothing.

    The message is one clause for the log, which begins with the origin that was asked, such as
    "https://keys.example.org: no answer within 10 seconds". Nothing else of the address stands in
    it: user, password, path and query may be secret.
    """
