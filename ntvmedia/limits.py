"""How many may be there at a time, and how much may be sent to them (P-301).

Who comes is counted by the events of the hub, each of which has exactly one end (G-HK-03), and what
is sent by its renditions: what one of them makes in a second, once for each of its viewers. Nothing
is done per packet, and once a second only where a bandwidth is limited.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from twisted.logger import Logger

from ntvmedia.access import Action, Request, Verdict
from ntvmedia.events import (
    ApplicationChanged,
    PlayEnded,
    PlayStarted,
    PublishEnded,
    PublishStarted,
)
from ntvmedia.media import StreamKey

WINDOW_SECONDS: Final = 5
"""Rates are those of so many seconds: groups of pictures are mostly shorter, and begin with a
picture that is as large as many of the others."""

# A rate of less than this time says little: that of what its stream is sent stands for it.
_LEAST_SECONDS: Final = 2.0

# Whose viewers fetch pieces, at rates that say nothing of the next second.
_IN_PIECES: Final = "hls"


class Load(NamedTuple):
    """How much there is of what is limited.

    Attributes:
        players: Viewers that asked, on all protocols.
        publishers: Likewise.
        bandwidth_kbps: What is sent, in thousands of bits a second. 0 while nothing limits it: it
            is measured only then.
    """

    players: int
    publishers: int
    bandwidth_kbps: int


class _Rate:
    """Bits a second of a counter of bytes, over `WINDOW_SECONDS`."""

    __slots__ = ("_samples",)

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque(maxlen=WINDOW_SECONDS + 1)

    def sample(self, now: float, count: int) -> None:
        """Note what the counter says; about once a second."""
        self._samples.append((now, count))

    def bits(self) -> float | None:
        """Return the rate; None where it is too early to tell."""
        if not self._samples:
            return None
        (before, first), (now, last) = self._samples[0], self._samples[-1]
        return (last - first) * 8 / (now - before) if now - before >= _LEAST_SECONDS else None


class Limits:
    """The limits of the server, its applications and their streams.

    Called with a request it says why there is no room; it is the `limits` of
    `ntvmedia.access.Access`.

    Args:
        host: The server; its preferences and applications are looked at each time.
    """

    _log = Logger()

    def __init__(self, host: Any) -> None:
        self._host = host
        # By the session of each viewer that is counted: its stream, and of some the ticket.
        self._players: dict[int, StreamKey] = {}
        self._ticket_of: dict[int, str] = {}
        self._publishers: dict[int, str] = {}
        # By application and, of players, by stream.
        self._players_of: Counter[str | StreamKey] = Counter()
        self._publishers_of: Counter[str] = Counter()
        self._tickets: Counter[str] = Counter()
        # Those who fetch pieces, by session and by stream.
        self._pieces: dict[int, StreamKey] = {}
        self._in_pieces: Counter[StreamKey] = Counter()
        # Bandwidth: who has a limit, the rates of streams and renditions, and the sums.
        self._limited: dict[str, int] = {}
        self._rates: dict[Any, _Rate] = {}
        self._bits: dict[str, float] = defaultdict(float)
        self._all_bits = 0.0
        events = host.events
        events.subscribe(PlayStarted, self._play_started)
        events.subscribe(PlayEnded, self._play_ended)
        events.subscribe(PublishStarted, self._publish_started)
        events.subscribe(PublishEnded, self._publish_ended)
        events.subscribe(ApplicationChanged, self._application_changed)

    def load(self) -> None:
        """Find the applications with a limit of bandwidth; changes of them are heard of later."""
        applications: Mapping[str, Any] = self._host.applications
        self._limited = {
            name: application.max_bandwidth_kbps
            for name, application in applications.items()
            if application.max_bandwidth_kbps
        }

    # Asked

    def __call__(self, request: Request, verdict: Verdict | None = None) -> Verdict | None:
        """Say why there is no room for one more; None where there is.

        Args:
            request: Of one who is not there yet.
            verdict: What else was decided about it: it may have another name, and a ticket that
                so many may use at a time.
        """
        key = request.key
        if verdict is not None and verdict.rename is not None:
            key = verdict.rename
        reason = (
            self._no_publisher(key) if request.action is Action.PUBLISH else self._no_player(key)
        )
        most = 0 if verdict is None or request.action is Action.PUBLISH else verdict.limit
        if not reason and verdict is not None and most and self._tickets[verdict.ticket] >= most:
            reason = f"this address has as many viewers as it may have ({most})"
        return Verdict(False, reason, rule="limit") if reason else None

    def _no_publisher(self, key: StreamKey) -> str:
        stream = self._host.hub.streams.get(key)
        if stream is not None and stream.publication is not None:
            return ""  # one takes the place of the other, or is refused by the hub
        most = self._host.preferences.values.max_publishers
        if most and len(self._publishers) >= most:
            return f"the server has as many publishers as it may have ({most})"
        application = self._host.applications.get(key.application)
        most = application.max_publishers if application is not None else 0
        if most and self._publishers_of[key.application] >= most:
            return f'application "{key.application}" has as many publishers as it may have ({most})'
        return ""

    def _no_player(self, key: StreamKey) -> str:
        values = self._host.preferences.values
        name = key.application
        if values.max_players and len(self._players) >= values.max_players:
            return f"the server has as many players as it may have ({values.max_players})"
        application = self._host.applications.get(name)
        if application is None:
            return ""
        most = application.max_players
        if most and self._players_of[name] >= most:
            return f'application "{name}" has as many players as it may have ({most})'
        most = application.max_stream_players
        if most and self._players_of[key] >= most:
            return f"the stream has as many players as it may have ({most})"
        if values.max_bandwidth_kbps or application.max_bandwidth_kbps:
            return self._no_bandwidth(
                key, values.max_bandwidth_kbps, application.max_bandwidth_kbps
            )
        return ""

    def _no_bandwidth(self, key: StreamKey, most: int, most_of_application: int) -> str:
        stream = self._host.hub.streams.get(key)
        # One more would be sent about this much, and at least something.
        more = max(1.0, self._bits_in(stream)) if stream is not None else 1.0
        if most and self._all_bits + more > most * 1000:
            return f"the server's bandwidth, {most:,} kbit/s, is used up"
        name = key.application
        if most_of_application and self._bits[name] + more > most_of_application * 1000:
            most = most_of_application
            return f'the bandwidth of application "{name}", {most:,} kbit/s, is used up'
        return ""

    def load_of(self, application: str = "") -> Load:
        """Return how much of an application's limits is used; of the server's for none."""
        if not application:
            bits = round(self._all_bits / 1000)
            return Load(len(self._players), len(self._publishers), bits)
        return Load(
            self._players_of[application],
            self._publishers_of[application],
            round(self._bits[application] / 1000),
        )

    def viewers_of(self, ticket: str) -> int:
        """Return how many play by a signed address or share link that has a limit."""
        return self._tickets[ticket]

    # Counted

    def _play_started(self, event: PlayStarted) -> None:
        stream = self._host.hub.streams.get(event.key)
        viewer = viewer_of(stream, event.session)
        info = viewer.info if viewer is not None else None
        if event.protocol == _IN_PIECES:
            self._pieces[event.session] = event.key
            self._in_pieces[event.key] += 1
        if self._limited or self._all_bits:
            # Who comes within the same second is not measured yet.
            bits = self._bits_in(stream)
            self._bits[event.key.application] += bits
            self._all_bits += bits
        if info is not None and info.request is None and event.protocol.startswith("rtsp"):
            return  # a multicast group: its members are counted
        verdict = info.verdict if info is not None else None
        self._players[event.session] = event.key
        self._players_of[event.key.application] += 1
        self._players_of[event.key] += 1
        if verdict is not None and verdict.limit and verdict.ticket:
            self._ticket_of[event.session] = verdict.ticket
            self._tickets[verdict.ticket] += 1

    def _play_ended(self, event: PlayEnded) -> None:
        key = self._pieces.pop(event.session, None)
        if key is not None:
            _take_one(self._in_pieces, key)
        stream = self._players.pop(event.session, None)
        if stream is None:
            return
        _take_one(self._players_of, stream.application)
        _take_one(self._players_of, stream)
        ticket = self._ticket_of.pop(event.session, "")
        if ticket:
            _take_one(self._tickets, ticket)

    def _publish_started(self, event: PublishStarted) -> None:
        self._publishers[event.session] = event.key.application
        self._publishers_of[event.key.application] += 1

    def _publish_ended(self, event: PublishEnded) -> None:
        name = self._publishers.pop(event.session, None)
        if name is not None:
            _take_one(self._publishers_of, name)

    def _application_changed(self, event: ApplicationChanged) -> None:
        self._limited.pop(event.name, None)
        application = None if event.after is None else self._host.applications.get(event.after)
        if application is not None and application.max_bandwidth_kbps:
            self._limited[application.name] = application.max_bandwidth_kbps

    # Bandwidth

    def tick(self, now: float) -> None:
        """Measure, and send away who came last where more is sent than may be.

        Args:
            now: Monotonic seconds; about one after the last.
        """
        most = self._host.preferences.values.max_bandwidth_kbps
        if not most and not self._limited:
            if self._rates or self._all_bits:
                self._rates, self._bits, self._all_bits = {}, defaultdict(float), 0.0
            return
        self._measure(now, everything=bool(most))
        for name, most_of_application in tuple(self._limited.items()):
            excess = self._bits[name] - most_of_application * 1000
            if excess > 0:
                reason = f'the bandwidth of application "{name}" is used up'
                self._send_away(excess, reason, name)
        excess = self._all_bits - most * 1000
        if most and excess > 0:
            self._send_away(excess, "the server's bandwidth is used up", "")

    def _measure(self, now: float, *, everything: bool) -> None:
        streams = {
            key: stream
            for key, stream in self._host.hub.streams.items()
            if everything or key.application in self._limited
        }
        before, self._rates = self._rates, {}
        for stream in streams.values():
            self._sample(before, stream, now, stream.bytes_in)
            for rendition in stream.renditions.values():
                self._sample(before, rendition, now, rendition.bytes_made)
        self._bits = defaultdict(float)
        for key, stream in streams.items():
            into = self._bits_in(stream)
            bits = self._in_pieces[key] * into
            for rendition in stream.renditions.values():
                bits += rendition.users * self._bits_of(rendition, into)
            self._bits[key.application] += bits
        self._all_bits = sum(self._bits.values())

    def _sample(self, before: Mapping[Any, _Rate], counted: Any, now: float, count: int) -> None:
        rate = self._rates[counted] = before.get(counted) or _Rate()
        rate.sample(now, count)

    def _bits_in(self, stream: Any) -> float:
        """Return what a stream is sent, in bits a second."""
        return 0.0 if stream is None else self._bits_of(stream, stream.bitrate)

    def _bits_to(self, stream: Any, viewer: Any) -> float:
        """Return what a viewer is sent, in bits a second."""
        into = self._bits_in(stream)
        if viewer.rendition is not None:
            return self._bits_of(viewer.rendition, into)
        return into if viewer.info.protocol == _IN_PIECES else 0.0

    def _bits_of(self, counted: Any, otherwise: float) -> float:
        rate = self._rates.get(counted)
        bits = None if rate is None else rate.bits()
        return otherwise if bits is None else bits

    def _send_away(self, excess: float, reason: str, application: str) -> None:
        """Send away who came last, until what is too much is gone.

        Args:
            excess: Bits a second.
            reason: Of it, for the viewers and the log.
            application: Whose viewers; empty for those of all.
        """
        found = [
            (viewer.session, viewer, stream)
            for key, stream in self._host.hub.streams.items()
            if not application or key.application == application
            for viewer in stream.viewers
        ]
        found.sort(key=lambda item: item[0], reverse=True)
        gone = 0
        for _session, viewer, stream in found:
            if excess <= 0:
                break
            bits = self._bits_to(stream, viewer)
            if not bits or not viewer.watching:
                continue
            excess -= bits
            self._all_bits -= bits
            self._bits[stream.key.application] -= bits
            gone += 1
            self._host.access.refused[stream.key.application, viewer.info.protocol, "limit"] += 1
            viewer.kick(reason)
        self._log.warn("{count} viewers were sent away: {reason}", count=gone, reason=reason)


def viewer_of(stream: Any, session: int) -> Any:
    """Return the viewer of a stream that a `PlayStarted` was just emitted for.

    Args:
        stream: An `ntvmedia.hub.stream.Stream`, or None.
        session: Of the event.

    Returns:
        None where it is gone already.
    """
    if stream is None:
        return None
    for viewer in reversed(stream.viewers):
        if viewer.session == session:
            return viewer
        if viewer.session < session:
            break
    return None


def _take_one(counter: Counter[Any], key: Any) -> None:
    """Count one less, and keep no zeros."""
    counter[key] -= 1
    if counter[key] <= 0:
        del counter[key]
