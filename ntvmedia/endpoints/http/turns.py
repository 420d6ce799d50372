"""Whose turn it is to answer on a connection."""

from __future__ import annotations

from typing import Protocol

from ntvmedia.endpoints.http.heads import BadRequest


class Turn(Protocol):
    """Who answers the request at hand."""

    @property
    def begun(self) -> bool:
        """Whether something of the answer may have been sent."""

    @property
    def streaming(self) -> bool:
        """Whether the answer is one without a known end."""

    @property
    def wants_body(self) -> bool:
        """Whether the next bytes of the request's body may come."""

    def body_received(self, raw: bytes, pieces: list[bytes], *, complete: bool) -> None:
        """Take more of the body: as it came, and its content.

        Raises:
            BadRequest: It is too long.
        """

    def body_failed(self, error: BadRequest) -> None:
        """Call `HTTPConnection.fail`, and tell whoever waits for the body."""

    def lost(self) -> None:
        """The client has left, or is sent away. Idempotent."""

    def stop(self) -> None:
        """The server stops: come to an end soon."""
