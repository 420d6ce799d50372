"""Telling each event to those who subscribed to its class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

from twisted.logger import Logger

from ntvmedia.events.happenings import Event

_E = TypeVar("_E", bound=Event)


class EventBus:
    """Subscriptions by class of event. Used from the reactor thread only.

    Attributes:
        emitted: How many events of each class there were.
    """

    _log = Logger()

    def __init__(self) -> None:
        self.emitted: Counter[type[Event]] = Counter()
        self._subscribers: dict[type[Event], dict[object, Callable[[Any], None]]] = {}

    def subscribe(self, kind: type[_E], callback: Callable[[_E], None]) -> Callable[[], None]:
        """Have `callback` called with each event of exactly this class.

        It is called at once, from the place where the event happens: it must not block. One that
        raises is logged, and is called again next time.

        Returns:
            Call it to end this one subscription, from the next call on. Idempotent.
        """
        callbacks = self._subscribers.setdefault(kind, {})
        subscription = object()  # the same function may subscribe twice
        callbacks[subscription] = callback

        def unsubscribe() -> None:
            callbacks.pop(subscription, None)

        return unsubscribe

    def emit(self, event: Event) -> None:
        """Tell the subscribers of the event's class, in the order of their subscription."""
        self.emitted[type(event)] += 1
        callbacks = self._subscribers.get(type(event), {})
        for subscription, callback in tuple(callbacks.items()):
            if subscription not in callbacks:
                continue  # ended by one before it
            try:
                callback(event)
            except Exception:
                self._log.failure("a subscriber failed on {event}", event=event)
