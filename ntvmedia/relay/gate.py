"""Whether a stream may be published by a task now: what holds for publishers holds for tasks."""

from __future__ import annotations

from typing import Any

from ntvmedia.access import Action, ApplicationType, Request
from ntvmedia.media import StreamKey

PROTOCOL = "relay"
"""What tasks are called among publishers."""


class Gate:
    """Looks at applications, forbidden streams, limits and names.

    Passwords and callbacks are for those who come; tasks were made by an operator.

    Args:
        host: The server; all is looked up each time.
    """

    def __init__(self, host: Any) -> None:
        self._host = host

    def problem(self, key: StreamKey, *, is_there: bool = False) -> str:
        """Return why a stream may not be published, as one clause; empty where it may.

        Args:
            key: The stream.
            is_there: The task publishes it already: there is room for it, and the name is its own.
        """
        application = self._host.applications.get(key.application)
        if application is None:
            return f'there is no application "{key.application}"'
        if not application.enabled:
            return f'application "{application.name}" is disabled'
        if key in self._host.access.forbidden:
            return f"{key} is forbidden"
        if is_there:
            return ""
        stream = self._host.hub.streams.get(key)
        if stream is not None and stream.publication is not None:
            return f"{key} has another publisher"
        verdict = self._host.limits(Request(Action.PUBLISH, key, PROTOCOL, ""))
        return "" if verdict is None else str(verdict.reason)

    def is_audio_only(self, key: StreamKey) -> bool:
        """Say whether only the audio of a stream may be kept (P-207)."""
        application = self._host.applications.get(key.application)
        return application is not None and application.type is ApplicationType.AUDIO
