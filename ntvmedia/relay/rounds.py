"""Whether tasks that take streams of this server would go round in a ring (E-ST-08)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ntvmedia.access.refusals import WrongField
from ntvmedia.errors import RemoteError
from ntvmedia.media import StreamKey
from ntvmedia.media.relaying import MAX_HOPS
from ntvmedia.relay.addresses import LOCAL_SCHEME, fill_in, local_key, scheme_of
from ntvmedia.relay.task import Relay, keys, stands_for


def local_sources(relay: Relay, text: str = "") -> Iterator[StreamKey]:
    """Yield the streams of this server that a task takes; `text` is what `*` stands for."""
    for source in relay.sources:
        if scheme_of(source) == LOCAL_SCHEME:
            try:
                yield local_key(fill_in(source, text))
            except RemoteError:  # with that text it is no name, and nothing is taken
                continue


def maker_of(key: StreamKey, relays: Iterable[Relay]) -> tuple[Relay, str] | None:
    """Return the task that makes a stream, and what `*` stands for; one that names it comes first.

    Of several patterns the longest has it, and of those the oldest.
    """
    best: tuple[Relay, str] | None = None
    length = -1
    for relay in relays:
        if relay.target.server or relay.target.application != key.application:
            continue
        if not relay.is_pattern:
            if key.stream in relay.streams:
                return relay, ""
            continue
        for name in relay.streams:
            text = stands_for(name, key.stream)
            if text is not None and len(name) > length:
                best, length = (relay, text), len(name)
    return best


def check_rounds(relay: Relay, others: Iterable[Relay]) -> None:
    """Refuse a task with which one would be fed with what it makes itself, by way of others.

    Args:
        relay: The new one.
        others: All others, whether they run or not.

    Raises:
        WrongField: It would be so, or the way is longer than `MAX_HOPS` tasks.
    """
    if relay.target.server:
        return
    everybody = [relay, *others]
    # Whether one goes round by way of a pattern depends on its name: each that takes a stream of
    # this server is looked at.
    for one in everybody:
        if not one.target.server and (one is relay or relay.is_pattern):
            _check_way(one, everybody)


def _check_way(relay: Relay, everybody: Iterable[Relay]) -> None:
    text = "x" if relay.is_pattern else ""
    own = frozenset(keys(relay, text))
    reached = set(local_sources(relay, text))
    for _hop in range(MAX_HOPS):
        if reached & own:
            raise WrongField("is made of what it makes: it would go round", "source")
        further: set[StreamKey] = set()
        for key in reached:
            found = maker_of(key, everybody)
            if found is not None:
                further.update(local_sources(*found))
        if not further:
            return
        reached = further
    raise WrongField(f"comes by way of more than {MAX_HOPS} tasks", "source")
