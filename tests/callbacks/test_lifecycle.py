"""G-HK-03 as a property: whatever happens in whatever order, starts and ends are pairs."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings, strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from ntvmedia.access import Verdict
from ntvmedia.callbacks.attendance import START_SECONDS, SWEEP_SECONDS, Attendance
from ntvmedia.callbacks.callback import Callback
from ntvmedia.callbacks.decisions import Decisions
from ntvmedia.events import PlayEnded, PlayStarted
from ntvmedia.outbound import OutboundError
from ntvmedia.outbound.exchange import Answer
from tests.callbacks.rig import KEY, NOW, request

EVENTS = ("play", "stop")
CALLBACKS = {
    "srs": Callback("srs", "srs", "http://s/", EVENTS, dialect="srs", decides=True),
    "own": Callback("own", "own", "http://o/", EVENTS, decides=True, on_failure="allow"),
    "told": Callback("told", "told", "http://t/", EVENTS, dialect="srs"),
}
CLIENTS = 3

STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["ask", "ask", "yes", "yes", "no", "fail", "leave", "start", "end", "wait"]
        ),
        st.integers(0, CLIENTS - 1),
    ),
    max_size=40,
)


class World:
    """Some clients, and what each receiver believes of them."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.questions: list[tuple[Callback, str, Deferred[Any]]] = []
        # By callback: the clients that it counts now.
        self.counted: dict[str, Counter[str]] = {name: Counter() for name in CALLBACKS}
        self.numbers = iter(range(1, 10_000))
        self.attendance = Attendance(
            self.clock, CALLBACKS, lambda: f"c{next(self.numbers)}", self.tell
        )
        self.decisions = Decisions(
            self.clock,
            SimpleNamespace(submit=self.submit),  # type: ignore[arg-type]
            self.attendance,
            {},
            CALLBACKS,
            {},
            lambda: NOW,
        )
        self.wishes = [request() for _client in range(CLIENTS)]
        self.deciding: dict[int, Deferred[Verdict | None]] = {}
        self.admitted: set[int] = set()
        self.sessions: dict[int, int] = {}

    def tell(self, event: str, _key: object, facts: Any, callbacks: Any) -> None:
        """Have receivers believe it; none hears of an end without a start, nor of two starts."""
        for callback in callbacks:
            counted = self.counted[callback.id]
            counted[facts["client_id"]] += 1 if event == "play" else -1
            assert counted[facts["client_id"]] in (0, 1), (event, callback.id)

    def submit(self, callback: Callback, notice: Any, _timeout: float) -> Deferred[Any]:
        """Ask a receiver."""
        answer: Deferred[Any] = Deferred()
        self.questions.append((callback, notice.facts["client_id"], answer))
        return answer

    def answer(self, status: int) -> None:
        """Answer the oldest question; 0 for no answer. SRS counts whom it lets in."""
        while self.questions:
            callback, client, answer = self.questions.pop(0)
            if answer.called:
                continue
            if status == 0:
                answer.errback(Failure(OutboundError("gone", is_permanent=True)))
                return
            if callback.id == "srs" and status == 200:
                self.counted["srs"][client] += 1
                assert self.counted["srs"][client] == 1
            body = b"0" if callback.dialect == "srs" else b""
            answer.callback(Answer(status, {}, body))
            return

    def ask(self, client: int) -> None:
        """Have a client ask, unless it waits."""
        if client in self.deciding or client in self.sessions:
            return
        deciding = self.decisions.decide(self.wishes[client])
        self.deciding[client] = deciding
        deciding.addCallbacks(self.decided, self.left, (client,), errbackArgs=(client,))

    def decided(self, verdict: Verdict | None, client: int) -> None:
        """Note the verdict."""
        del self.deciding[client]
        assert verdict is not None
        if verdict.allowed:
            self.admitted.add(client)

    def left(self, failure: Failure, client: int) -> None:
        """Note that it has left."""
        failure.trap(CancelledError)
        del self.deciding[client]

    def do(self, step: str, client: int) -> None:
        """Do one step, if it can be done."""
        if step == "ask":
            self.ask(client)
        elif step in ("yes", "no", "fail"):
            self.answer({"yes": 200, "no": 403, "fail": 0}[step])
        elif step == "leave" and client in self.deciding:
            self.deciding[client].cancel()
            self.wishes[client] = request()
        elif step == "start" and client in self.admitted:
            self.admitted.discard(client)
            self.sessions[client] = next(self.numbers)
            self.attendance.play_started(
                PlayStarted(KEY, "flv", "192.0.2.1:1", self.sessions[client], self.wishes[client])
            )
        elif step == "end" and client in self.sessions:
            self.attendance.play_ended(PlayEnded(KEY, self.sessions.pop(client), "left", 1))
        elif step == "wait":
            self.clock.advance(START_SECONDS / 2)


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_pairs(steps: list[tuple[str, int]]) -> None:
    """No receiver hears of an end without a start, or of two; at last it counts nobody."""
    world = World()
    for step, client in steps:
        world.do(step, client)
    for client in tuple(world.deciding):
        world.do("leave", client)
    while world.questions:
        world.answer(200)
    for client in tuple(world.sessions):
        world.do("end", client)
    for _time in range(40):
        world.clock.advance(SWEEP_SECONDS)
    assert {name: +counted for name, counted in world.counted.items()} == {
        name: Counter() for name in CALLBACKS
    }
    assert len(world.attendance) == 0
    assert not [call for call in world.clock.getDelayedCalls() if call.active()]
