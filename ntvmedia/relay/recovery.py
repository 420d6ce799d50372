"""Back to the first source: it is pulled beside the other until it has worked for long enough."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall

from ntvmedia.relay.attempt import Attempt, Outcome
from ntvmedia.relay.backoff import Backoff


class Recovery:
    """Looks whether the first source works again, while another one is in use.

    Its pull publishes nothing. When media came for long enough, it is armed: with its next keyframe
    it says that it is ready, and whoever runs the task takes it.

    Args:
        reactor: For time.
        fraction: As of `Backoff`.
        seconds: For which it has to work.
        make: Makes the pull; returns None where it is not wanted any more.
    """

    def __init__(
        self,
        reactor: Any,
        fraction: Callable[[], float],
        seconds: float,
        make: Callable[[], Attempt | None],
    ) -> None:
        self._reactor = reactor
        self._seconds = seconds
        self._make = make
        self._backoff = Backoff(fraction)
        self._wait = 0.0
        self._timer: IDelayedCall | None = None
        self._attempt: Attempt | None = None

    @property
    def has_media(self) -> bool:
        """Whether there is a pull from which something came: better than nothing."""
        return self._attempt is not None and self._attempt.has_media

    def failed(self, media_seconds: float, outcome: Outcome) -> None:
        """Take note that the first source failed while in use; seconds as of `Backoff`."""
        self._backoff.worked(media_seconds)
        self._wait = self._failed(outcome)

    def begin(self) -> None:
        """Look from now on: another source is in use."""
        if self._timer is None and self._attempt is None:
            self._later(self._wait)

    def stop(self) -> list[Attempt]:
        """Look no more. Idempotent.

        Returns:
            What has to give everything back still.
        """
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        attempt, self._attempt = self._attempt, None
        if attempt is None:
            return []
        attempt.end("not needed any more", lost=False)
        return [attempt]

    def take(self) -> Attempt | None:
        """Give the pull away, to be the one in use; None where there is none."""
        attempt, self._attempt = self._attempt, None
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        if attempt is not None:
            self._backoff.reset()
            self._wait = 0.0
        return attempt

    def lost(self, attempt: Attempt, outcome: Outcome) -> bool:
        """Try again later, where it was the pull that is over.

        Returns:
            Whether it was, and is to be told.
        """
        if attempt is not self._attempt:
            return False
        self._attempt = None
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        self._later(self._failed(outcome))
        return self._backoff.is_told

    def _failed(self, outcome: Outcome) -> float:
        return self._backoff.failed(is_permanent=outcome.is_permanent, is_absent=outcome.is_absent)

    def _later(self, seconds: float) -> None:
        self._timer = self._reactor.callLater(seconds, self._due)

    def _due(self) -> None:
        self._timer = None
        self._attempt = attempt = self._make()
        if attempt is None:
            return
        attempt.start()
        if self._attempt is attempt:
            self._timer = self._reactor.callLater(1.0, self._look)

    def _look(self) -> None:
        self._timer = None
        attempt = self._attempt
        if attempt is None:
            return
        if attempt.has_media and attempt.media_seconds >= self._seconds:
            attempt.arm()
        else:
            self._timer = self._reactor.callLater(1.0, self._look)
