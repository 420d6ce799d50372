"""Whatever happens to tasks, in whatever order: one pull each, and nothing is left behind."""

from __future__ import annotations

from typing import Any

from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from twisted.internet.defer import Deferred

from ntvmedia.events import ApplicationChanged, RelayDown, RelayUp
from ntvmedia.media import StreamKey
from tests.relay.rig import FakeHost, Pull, RelayCase

MOST_TASKS = 3

KINDS: tuple[dict[str, Any], ...] = (
    {},
    {"loop": False},
    {"fallbacks": 2, "recover_seconds": 2.0},
    {"on_demand": True},
    {"on_demand": True, "fallbacks": 1, "recover_seconds": 2.0},
    {"enabled": False, "renditions": True},
)
CHANGES: tuple[dict[str, Any], ...] = (
    {"description": "other"},
    {"stall_seconds": 3.0},
    {"stall_seconds": 30.0},
    {"enabled": True},
    {"enabled": False},
    {"recover_seconds": 5.0},
)
numbers = st.integers(0, 20)


class TaskMachine(RuleBasedStateMachine):
    """A server with a few tasks, whose sources and viewers do what they like."""

    def __init__(self) -> None:
        super().__init__()
        self.case = RelayCase("finish")
        self.case.setUp()
        self.host: FakeHost = self.case.host
        self.relays = self.case.relays
        self.ids: list[str] = []
        self.made = 0
        self.waiters: list[Deferred[Any]] = []
        self.viewers: list[Any] = []

    # Operators

    @precondition(lambda self: len(self.ids) < MOST_TASKS)
    @rule(kind=st.sampled_from(KINDS))
    def add(self, kind: dict[str, Any]) -> None:
        """Make a task."""
        self.made += 1
        fields = dict(kind)
        name = f"t{self.made}"
        count = fields.pop("fallbacks", 0)
        fields["fallbacks"] = [f"fake://{name}/{number + 1}" for number in range(count)]
        if fields.pop("renditions", False):
            fields["renditions"] = [{"stream": f"{name}-small"}]
        self.ids.append(self.case.add(f"fake://{name}/0", target={"stream": name}, **fields))

    @precondition(lambda self: self.ids)
    @rule(number=numbers)
    def start(self, number: int) -> None:
        """Start one."""
        self.relays.start(self._id(number))

    @precondition(lambda self: self.ids)
    @rule(number=numbers)
    def stop(self, number: int) -> None:
        """Stop one."""
        id_ = self._id(number)
        self.relays.stop(id_)
        assert self.relays.state(id_).state == "stopped"

    @precondition(lambda self: self.ids)
    @rule(number=numbers, change=st.sampled_from(CHANGES))
    def change(self, number: int, change: dict[str, Any]) -> None:
        """Edit one."""
        id_ = self._id(number)
        before = self.relays.state(id_)
        assert self.relays.registry.change(id_, change).called
        if "description" in change:
            assert self.relays.state(id_) == before

    @precondition(lambda self: self.ids)
    @rule(number=numbers)
    def delete(self, number: int) -> None:
        """Delete one."""
        id_ = self._id(number)
        self.ids.remove(id_)
        assert self.relays.registry.remove(id_).called

    @rule()
    def toggle_application(self) -> None:
        """Disable or enable the application of all."""
        application = self.host.applications["liveshow"]
        application.enabled = not application.enabled
        if not application.enabled:
            for stream in tuple(self.host.hub.streams.values()):
                stream.end("the application was disabled")
        self.host.events.emit(ApplicationChanged("liveshow", "liveshow"))
        self.case.reactor.advance(0)
        if not application.enabled:
            assert not self._live()

    @rule(number=numbers)
    def close_stream(self, number: int) -> None:
        """Send a publisher away."""
        streams = tuple(self.host.hub.streams.values())
        if streams:
            streams[number % len(streams)].end("closed by an operator")

    # Sources

    @precondition(lambda self: self._live())
    @rule(number=numbers, seconds=st.sampled_from([0.0, 1.0, 4.0]))
    def media(self, number: int, seconds: float) -> None:
        """Send some."""
        live = self._live()
        pull = live[number % len(live)]
        pull.start()
        pull.media(seconds)

    @precondition(lambda self: self._live())
    @rule(seconds=st.sampled_from([2, 10, 70]))
    def all_send(self, seconds: int) -> None:
        """Let time go by while all that are asked send."""
        for _half in range(2 * seconds):
            for pull in self._live():
                pull.start()
            self.case.advance(0.5)

    @precondition(lambda self: self._live())
    @rule(number=numbers, is_permanent=st.booleans())
    def fail(self, number: int, is_permanent: bool) -> None:
        """Fail."""
        live = self._live()
        live[number % len(live)].fail("down", is_permanent=is_permanent)

    @precondition(lambda self: self._live())
    @rule(number=numbers)
    def end(self, number: int) -> None:
        """Come to an end."""
        live = self._live()
        live[number % len(live)].end()

    @rule()
    def toggle_slow(self) -> None:
        """From now on sources take their time when they are told to end, or do not."""
        self.case.source.are_slow = not self.case.source.are_slow

    @rule()
    def let_go(self) -> None:
        """Those that took their time are done."""
        for pull in self.case.source.open:
            if pull.is_cancelled:
                pull.let_go()

    @rule(seconds=st.sampled_from([0.5, 2.0, 12.0, 35.0]))
    def nothing_happens(self, seconds: float) -> None:
        """Let time go by: those who sent fall silent."""
        self.case.advance(seconds)

    # Viewers

    @precondition(lambda self: self.made)
    @rule(number=numbers)
    def want(self, number: int) -> None:
        """Ask for a stream, which may be there or not."""
        key = StreamKey("liveshow", f"t{number % self.made + 1}")
        waiter = self.host.hub.wait_for(key)
        waiter.addErrback(lambda _failure: None)
        self.waiters.append(waiter)

    @rule()
    def leave(self) -> None:
        """Leave, all who wait."""
        for waiter in self.waiters:
            waiter.cancel()
        self.waiters.clear()

    # What holds

    @invariant()
    def one_pull_each(self) -> None:
        """Never two pulls of one task, but for the one that the first source comes back by."""
        by_task: dict[str, list[Pull]] = {}
        for pull in self.case.source.open:
            if not pull.is_cancelled:
                by_task.setdefault(pull.url.split("/")[2], []).append(pull)
        for pulls in by_task.values():
            urls = sorted(pull.url[-1] for pull in pulls)
            assert len(pulls) == 1 or (len(pulls) == 2 and urls[0] == "0" != urls[1]), urls
        wanted = {self.relays.registry[id_].target.stream for id_ in self.ids}
        assert set(by_task) <= wanted

    @invariant()
    def states_are_true(self) -> None:
        """What is told of a task is so, and each up has its down."""
        for id_ in self.ids:
            state = self.relays.state(id_)
            name = self.relays.registry[id_].target.stream
            pulls = [x for x in self._live() if x.url.split("/")[2] == name]
            stream = self.host.hub.streams.get(StreamKey("liveshow", name))
            ups = self._count(RelayUp, id_) - self._count(RelayDown, id_)
            assert ups == (1 if state.state == "running" else 0)
            if state.state in ("stopped", "idle", "waiting"):
                assert not pulls, state
            if state.state in ("stopped", "idle"):
                assert stream is None
            if state.state == "waiting":
                assert state.reason
                assert state.next_retry_at > 0
            if state.state == "running":
                assert len(pulls) in (1, 2)
                assert stream is not None

    def teardown(self) -> None:
        """The server stops: nothing is left of it."""
        self.leave()
        stopping = self.relays.stopService()
        self.let_go()
        assert stopping.called
        self.case.finish()
        self.case.doCleanups()

    def _id(self, number: int) -> str:
        return self.ids[number % len(self.ids)]

    def _live(self) -> list[Pull]:
        return [pull for pull in self.case.source.open if not pull.is_cancelled]

    def _count(self, kind: type[Any], id_: str) -> int:
        return sum(isinstance(x, kind) and x.relay == id_ for x in self.case.events)


TestTasks = TaskMachine.TestCase
TestTasks.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
