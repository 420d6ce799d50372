"""Publishers and viewers that come and go in any order leave nothing behind."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ntvmedia.config import HubSettings
from ntvmedia.events import EventBus, PlayEnded, PlayStarted, PublishEnded, PublishStarted
from ntvmedia.hub.context import StreamState
from ntvmedia.hub.publication import Publication
from ntvmedia.hub.refusals import HubFull, NameTaken, NotFound
from ntvmedia.hub.rendition import RenditionKey
from ntvmedia.hub.stream import Stream
from ntvmedia.hub.streams import Hub
from ntvmedia.hub.viewer import OutletViewer, ViewerInfo
from ntvmedia.media import StreamKey
from tests.hub.fakes import (
    AUDIO,
    VIDEO,
    FakeConnection,
    FakePublisher,
    FakeReactor,
    FakeSerialiser,
    audio,
    video,
)

NAMES = st.sampled_from(["a", "a", "b"])
PICK = st.integers(0, 1000)
KEYS = st.sampled_from([RenditionKey("flv"), RenditionKey("flv", (("video", "none"),))])


class Publisher(FakePublisher):
    """A connection that gives its publication back once more when it is sent away."""

    publication: Publication | None = None

    def dismissed(self, reason: str) -> None:
        super().dismissed(reason)
        assert self.publication is not None
        assert not self.publication.active
        self.publication.close("connection closed", lost=True)


class Watcher:
    """A connection that waits for a stream and plays it."""

    def __init__(self, machine: LifecycleMachine, name: str, key: RenditionKey) -> None:
        self.transport = FakeConnection(machine.reactor)
        self.transport.outlet = self.outlet = machine.hub.outlet(self.transport)
        self.key = key
        self.viewer: OutletViewer | None = None
        self.ends = 0
        self.left = False
        self.answers = 0
        self.waiting: Deferred[Stream] = machine.hub.wait_for(StreamKey("live", name))
        self.waiting.addCallbacks(self.play, self.refused)

    def play(self, stream: Stream) -> None:
        """Play what was waited for."""
        self.answers += 1
        info = ViewerInfo("flv", "192.0.2.9:9")
        try:
            self.viewer = stream.play(self.key, self.outlet, info, self.ended)
        except NotFound:
            assert stream.state is StreamState.ENDED

    def refused(self, failure: Failure) -> None:
        """Wait no more."""
        self.answers += 1

    def ended(self, _reason: str) -> None:
        """The hub says that it is over: the connection closes."""
        self.ends += 1
        assert not self.left
        assert self.viewer is not None
        self.viewer.leave()

    def leave(self) -> None:
        """Hang up, in whatever state."""
        self.waiting.cancel()
        if self.viewer is not None and not self.ends:
            self.left = True
            self.viewer.leave()


class LifecycleMachine(RuleBasedStateMachine):
    """A hub, and everybody who may come to it."""

    @initialize(
        policy=st.sampled_from(["refuse", "takeover"]),
        grace=st.sampled_from([0.0, 15.0]),
        limit=st.sampled_from([1, 100]),
        latency=st.sampled_from(["auto", "low"]),
    )
    def begin(self, policy: Any, grace: float, limit: int, latency: Any) -> None:
        """Make the hub."""
        self.reactor = FakeReactor()
        self.reactor.advance(5000.0)
        bus = EventBus()
        self.started: Counter[int] = Counter()
        self.ended: Counter[int] = Counter()
        self.publishing: set[int] = set()
        self.playing: set[int] = set()
        bus.subscribe(PublishStarted, self.publish_started)
        bus.subscribe(PublishEnded, self.publish_ended)
        bus.subscribe(PlayStarted, self.play_started)
        bus.subscribe(PlayEnded, self.play_ended)
        self.hub = Hub(
            self.reactor,
            HubSettings(
                publish_policy=policy,
                publisher_grace=grace,
                max_streams=limit,
                max_waiting=3,
                latency=latency,
            ),
            bus,
            lambda: 1.7e9,
        )
        self.hub.register_format("flv", FakeSerialiser)
        self.publications: list[Publication] = []
        self.watchers: list[Watcher] = []
        self.at = 0

    def publish_started(self, event: PublishStarted) -> None:
        """Note it."""
        self.started[event.session] += 1
        self.publishing.add(event.session)

    def publish_ended(self, event: PublishEnded) -> None:
        """Note it."""
        self.ended[event.session] += 1
        self.publishing.remove(event.session)

    def play_started(self, event: PlayStarted) -> None:
        """Note it."""
        self.started[event.session] += 1
        self.playing.add(event.session)

    def play_ended(self, event: PlayEnded) -> None:
        """Note it."""
        self.ended[event.session] += 1
        self.playing.remove(event.session)

    @rule(name=NAMES, audio_only=st.booleans(), sound=st.booleans())
    def publish(self, name: str, audio_only: bool, sound: bool) -> None:
        """Somebody publishes, perhaps against another."""
        publisher = Publisher()
        try:
            publication = self.hub.publish(
                StreamKey("live", name), publisher, audio_only=audio_only
            )
        except (NameTaken, HubFull):
            return
        publisher.publication = publication
        publication.track_received(VIDEO)
        if sound:
            publication.track_received(AUDIO)
        self.publications.append(publication)

    @rule(name=NAMES, audience=st.lists(KEYS, max_size=2))
    def broadcast(self, name: str, audience: list[RenditionKey]) -> None:
        """Somebody publishes sound and pictures at once, and some watch."""
        before = len(self.publications)
        self.publish(name, False, True)
        if len(self.publications) > before:
            self.media(before, True, True, 40)
        for key in audience:
            self.watch(name, key)

    @precondition(lambda self: self.publications)
    @rule(which=PICK, key=st.booleans(), sound=st.booleans(), step=st.sampled_from([40, 0, -9000]))
    def media(self, which: int, key: bool, sound: bool, step: int) -> None:
        """A publisher, perhaps one that has lost its stream, sends something."""
        publication = self.publications[which % len(self.publications)]
        self.at += step
        publication.packet_received(video(self.at, key=key))
        if sound:
            publication.packet_received(audio(self.at))
        publication.batch_ended()

    @precondition(lambda self: self.publications)
    @rule(which=PICK, lost=st.booleans())
    def close(self, which: int, lost: bool) -> None:
        """A publisher goes, perhaps again."""
        self.publications[which % len(self.publications)].close("closed", lost=lost)

    @rule(name=NAMES, key=KEYS)
    def watch(self, name: str, key: RenditionKey) -> None:
        """Somebody wants to watch."""
        self.watchers.append(Watcher(self, name, key))

    @precondition(lambda self: self.watchers)
    @rule(which=PICK)
    def leave(self, which: int) -> None:
        """A viewer hangs up, or one who waits."""
        self.watchers[which % len(self.watchers)].leave()

    @precondition(lambda self: self.watchers)
    @rule(which=PICK, paused=st.booleans())
    def pause(self, which: int, paused: bool) -> None:
        """A viewer pauses or goes on."""
        viewer = self.watchers[which % len(self.watchers)].viewer
        if viewer is not None:
            viewer.pause(paused)

    @precondition(lambda self: self.watchers)
    @rule(which=PICK)
    def kick(self, which: int) -> None:
        """A viewer is sent away."""
        viewer = self.watchers[which % len(self.watchers)].viewer
        if viewer is not None:
            viewer.kick("sent away")

    @precondition(lambda self: self.watchers)
    @rule(which=PICK, room=st.sampled_from([0, 3, 1 << 30]))
    def congestion(self, which: int, room: int) -> None:
        """A viewer's network becomes better or worse."""
        transport = self.watchers[which % len(self.watchers)].transport
        transport.kernel.room = room
        transport.run()

    @precondition(lambda self: self.watchers)
    @rule(which=PICK)
    def reset(self, which: int) -> None:
        """A viewer's connection breaks."""
        watcher = self.watchers[which % len(self.watchers)]
        watcher.transport.connection_lost()
        watcher.leave()

    @precondition(lambda self: self.hub.streams)
    @rule(which=PICK)
    def end(self, which: int) -> None:
        """An operator ends a stream."""
        streams = list(self.hub.streams.values())
        streams[which % len(streams)].end("ended by the operator")

    @rule(seconds=st.sampled_from([0.0, 0.4, 1.0, 5.0, 16.0, 21.0]))
    def time(self, seconds: float) -> None:
        """Time passes, and the clockwork turns."""
        self.reactor.advance(seconds)
        self.hub.tick()

    @invariant()
    def consistent(self) -> None:
        """Everybody is where the counters say, and nobody at a stream that is over."""
        if not hasattr(self, "hub"):
            return
        streams = self.hub.streams.values()
        attached = [viewer for stream in streams for viewer in stream.viewers]
        assert {viewer.session for viewer in attached} == self.playing
        assert len(attached) == self.hub.viewers == len(self.playing)
        holders = {s.publication.session for s in streams if s.publication is not None}
        assert holders == self.publishing
        assert sum(publication.active for publication in self.publications) == len(holders)
        for stream in streams:
            assert stream.state is not StreamState.ENDED
            assert (stream.state is StreamState.WAITING) == (stream.publication is None)
            users = Counter(
                viewer.plays(x) and x.key
                for viewer in stream.viewers
                for x in stream.renditions.values()
                if viewer.plays(x)
            )
            assert users == {x.key: x.users for x in stream.renditions.values()}
        assert self.hub.waiting == sum(not watcher.answers for watcher in self.watchers)
        assert set(self.ended) <= set(self.started)
        assert max([*self.started.values(), *self.ended.values()], default=0) <= 1

    def teardown(self) -> None:
        """At the end all is given back."""
        if not hasattr(self, "hub"):
            return
        self.hub.stop("server is stopping")
        self.consistent()
        assert self.started == self.ended
        assert (self.hub.viewers, self.hub.waiting, self.hub.streams) == (0, 0, {})
        assert not self.publishing
        for publication in self.publications:
            assert not publication.active
        for watcher in self.watchers:
            assert watcher.answers == 1
            if watcher.viewer is not None:
                assert watcher.ends + watcher.left == 1
            assert watcher.outlet.catch_up is None
            watcher.outlet.abort()
        self.reactor.advance(0)
        assert self.reactor.getDelayedCalls() == []
        assert not self.hub.outlet_policy.waiting


TestLifecycle = LifecycleMachine.TestCase
TestLifecycle.settings = settings(
    max_examples=100,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
