"""What the API's relay tasks and pushes have in common: both are kept, run, and say how they do."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from ntvmedia.access import WrongField
from ntvmedia.admin.declared_types import given
from ntvmedia.admin.noting import note_action
from ntvmedia.admin.operations import ROOT, Answer, Call, Operations, etag_of
from ntvmedia.admin.relay_types import LogLineShown, TaskLogShown
from ntvmedia.relay.addresses import HIDDEN


class TaskOperations(Operations):
    """Operations on one kind of tasks; its tag is the name of their service in the host."""

    @property
    def service(self) -> Any:
        """What runs them."""
        return getattr(self.host, self.tag)

    @abstractmethod
    def described(self, task: Any) -> dict[str, Any]:
        """Return what may be shown of one."""

    @abstractmethod
    def subject(self, task: Any) -> str:
        """Return what the audit log calls one."""

    @abstractmethod
    def shown(self, task: Any) -> Any:
        """Return what an answer about one shows."""

    def find(self, call: Call) -> Any:
        """Return the one that is asked for."""
        return self.service.registry.find(call.path["id"])

    def editable(self, task: Any) -> dict[str, Any]:
        """Return what an ETag is made of."""
        return {**self.described(task), **self.service.registry.times(task.id)._asdict()}

    def answer(self, task: Any, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
        """Return an answer about one."""
        return Answer(self.shown(task), status, headers or {}, etag_of(self.editable(task)))

    async def make(self, call: Call, fields: dict[str, Any], subject: str) -> Answer:
        """Make one.

        Args:
            call: The request.
            fields: Of the task.
            subject: What the audit log calls it.
        """
        note = call.note(f"{self.tag}.add", subject)
        task = await self.service.registry.add(fields, note)
        return self.answer(task, 201, {"Location": f"{ROOT}/{self.tag}/{task.id}"})

    async def edit(self, call: Call, fields: dict[str, Any]) -> Answer:
        """Change fields of one."""
        task = self.find(call)
        call.must_match(self.editable(task))
        note = call.note(f"{self.tag}.change", self.subject(task))
        return self.answer(await self.service.registry.change(task.id, fields, note))

    async def delete(self, call: Call) -> None:
        """Delete one."""
        task = self.find(call)
        call.must_match(self.editable(task))
        note = call.note(f"{self.tag}.delete", self.subject(task))
        await self.service.registry.remove(task.id, note)

    async def run(self, call: Call, *, is_wanted: bool) -> Any:
        """Start or stop one, and return its state.

        A source or a server may be slow to let go: nothing is left to be done by who asked.
        """
        task = self.find(call)
        before = self.service.state(task.id)
        act = self.service.start if is_wanted else self.service.stop
        act(task.id)
        after = self.service.state(task.id)
        states = ({"state": before.state}, {"state": after.state})
        action = f"{self.tag}.{'start' if is_wanted else 'stop'}"
        await note_action(self.host, call, action, self.subject(task), *states)
        return after

    def lines(self, call: Call) -> TaskLogShown:
        """Return the last lines of the log of one."""
        lines = self.service.log(call.path["id"])
        return TaskLogShown(lines=[LogLineShown(**line._asdict()) for line in lines])


def fields_of(body: Any, *secret: str) -> dict[str, Any]:
    """Return what was given.

    Args:
        body: Of the request.
        secret: The way to the name of a stream, which may be hidden.

    Raises:
        WrongField: What is shown in place of the name was sent back as one.
    """
    fields: dict[str, Any] = given(body)
    value: Any = fields
    for name in secret:
        value = value.get(name, {})
    if value == HIDDEN:
        clause = "it stands for what is not shown; leave it out to keep it"
        raise WrongField(clause, ".".join(secret))
    return fields


def numbers(state: Any, now: float) -> dict[str, Any]:
    """Return a state, and for how long it has been running.

    Args:
        state: As relays and pushes tell it.
        now: Seconds since 1970.
    """
    is_running = state.state == "running"
    uptime = max(0.0, now - state.since) if is_running else 0.0
    return {**state._asdict(), "uptime_seconds": uptime}
