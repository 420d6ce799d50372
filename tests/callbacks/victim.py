"""A process that makes events and delivers them, and is killed: `python -m tests.callbacks.victim`.

Arguments: the data folder, the receiver's address, the number of the first event, how many, and
how many streams. It prints the number of each event once the database has it, and then goes on
delivering until it is killed, or nothing waits, which it says by "done".
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from twisted.internet import reactor as global_reactor, task

from ntvmedia.callbacks import Callbacks, delivery
from ntvmedia.config import OutboundSettings, Settings
from ntvmedia.config.reading import parse_section
from ntvmedia.events import EventBus
from ntvmedia.media import StreamKey
from ntvmedia.outbound.client import Outbound
from ntvmedia.store import Store

OUTBOUND = parse_section(OutboundSettings, "outbound", {"allow": "127.0.0.1"})


def main() -> None:
    """Do it."""
    data, url, first, count, streams = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
    reactor: Any = global_reactor
    store = Store(reactor, "", Path(data))
    store.open()
    host: Any = SimpleNamespace(
        reactor=reactor,
        settings=Settings(data=Path(data)),
        store=store,
        events=EventBus(),
        outbound=Outbound(reactor, OUTBOUND),
        applications={},
        access=SimpleNamespace(authorizers=[]),
        random=lambda size: bytes(size - 1) + b"\1",
    )
    callbacks = Callbacks(host, time.time)
    callbacks.load()
    callbacks.startService()
    waiting = iter(range(first, first + count))

    def say(text: object) -> None:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    def make() -> None:
        number = next(waiting, None)
        if number is not None:
            key = StreamKey("liveshow", f"s{number % streams}")
            callbacks.notify("record_file", key, file=str(number))
            callbacks._queue.settled().addCallback(lambda _none: say(number))
        elif not callbacks.counts.waiting:
            say("done")
            making.stop()

    def begin() -> None:
        if not callbacks.registry:
            added = {"name": "a", "url": url, "events": ["record_file"]}
            callbacks.registry.add(added).addCallback(lambda _added: making.start(0.002))
        else:
            making.start(0.002)

    making = task.LoopingCall(make)
    reactor.callWhenRunning(begin)
    with patch.object(delivery, "FIRST_PAUSE_SECONDS", 0.02):
        reactor.run()


if __name__ == "__main__":
    main()
