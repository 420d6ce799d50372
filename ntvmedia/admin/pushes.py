"""The API's pushes: `/pushes`."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any, ClassVar

from ntvmedia.access import WrongField
from ntvmedia.accounts import Role
from ntvmedia.admin.declared_types import given
from ntvmedia.admin.noting import note_action
from ntvmedia.admin.operations import ROOT, Answer, Call, Operations, etag_of, operation
from ntvmedia.admin.paging import MAX_PAGE_SIZE, paged
from ntvmedia.admin.push_types import (
    NewPush,
    PushChange,
    PushDetail,
    PushedStream,
    PushList,
    PushQuery,
    PushShown,
    PushStatus,
)
from ntvmedia.admin.relay_types import LogLineShown, TaskLogShown
from ntvmedia.relay.addresses import HIDDEN, shown_address
from ntvmedia.relay.push import PushState
from ntvmedia.relay.pushes import Push, describe
from ntvmedia.relay.refusals import NoPush, TargetTaken, TooManyPushes


class PushOperations(Operations):
    """Pushes: live streams that are sent to other servers, for as long as they are there."""

    tag = "pushes"
    refusals: ClassVar = {WrongField: 400, NoPush: 404, TargetTaken: 409, TooManyPushes: 409}

    @operation("GET", "/pushes", role=Role.VIEWER, query=PushQuery, answers=PushList)
    def pushes(self, call: Call) -> Any:
        """List the pushes.

        Sorted by `created_at`, `updated_at`, `description`, `application`, `server`, `enabled`,
        `state`, `since`, `bitrate_kbps`, `bytes_out`, `dropped` or `restarts`; `q` is looked for in
        description, application, streams and server.
        """
        query: PushQuery = call.query
        registry = self._registry
        states = {id_: self.host.pushes.state(id_) for id_ in registry}
        keys: dict[str, Callable[[Push], Any]] = {
            "created_at": lambda x: registry.times(x.id).created_at,
            "updated_at": lambda x: registry.times(x.id).updated_at,
            "description": lambda x: x.description.casefold(),
            "application": lambda x: x.application,
            "server": lambda x: shown_address(x.server),
            "enabled": lambda x: x.enabled,
            "state": lambda x: states[x.id].state,
            "since": lambda x: states[x.id].since,
            "bitrate_kbps": lambda x: states[x.id].bitrate_kbps,
            "bytes_out": lambda x: states[x.id].bytes_out,
            "dropped": lambda x: states[x.id].dropped,
            "restarts": lambda x: states[x.id].restarts,
        }
        found = [
            push
            for push in registry.values()
            if query.state in (None, states[push.id].state)
            and query.enabled in (None, push.enabled)
            and (query.application is None or push.application in ("", query.application))
        ]
        cut = paged(found, query, keys, search=_searched)
        shown = [PushShown(**self._fields(x, states[x.id])) for x in cut.items]
        return PushList(pushes=shown, **cut.numbers)

    @operation(
        "POST",
        "/pushes",
        role=Role.ADMINISTRATOR,
        body=NewPush,
        answers=PushDetail,
        status=201,
    )
    async def add(self, call: Call) -> Answer:
        """Make a push. One that is enabled sends at once what is there."""
        fields = _given(call.body)
        note = call.note("pushes.add", call.body.description or shown_address(call.body.server))
        push = await self._registry.add(fields, note)
        return self._answer(push, 201, {"Location": f"{ROOT}/pushes/{push.id}"})

    @operation("GET", "/pushes/{id}", role=Role.VIEWER, answers=PushDetail)
    def push(self, call: Call) -> Answer:
        """Show a push, and how it is doing with each stream.

        Its ETag is of what can be edited.
        """
        return self._answer(self._find(call))

    @operation(
        "PATCH",
        "/pushes/{id}",
        role=Role.ADMINISTRATOR,
        body=PushChange,
        answers=PushDetail,
    )
    async def change(self, call: Call) -> Answer:
        """Change the fields of a push that the body names; what is hidden stays where it is not.

        Streams that go on to the same address are not interrupted.
        """
        push = self._find(call)
        call.must_match(self._editable(push))
        note = call.note("pushes.change", _subject(push))
        return self._answer(await self._registry.change(push.id, _given(call.body), note))

    @operation("DELETE", "/pushes/{id}", role=Role.ADMINISTRATOR)
    async def remove(self, call: Call) -> None:
        """Delete a push. What it sends ends there, and goes on here."""
        push = self._find(call)
        call.must_match(self._editable(push))
        await self._registry.remove(push.id, call.note("pushes.delete", _subject(push)))

    @operation("POST", "/pushes/{id}/start", role=Role.OPERATOR, answers=PushStatus)
    async def start(self, call: Call) -> Any:
        """Start a push, whether it is enabled or not; until the server's end."""
        push = self._find(call)
        before = self.host.pushes.state(push.id)
        self.host.pushes.start(push.id)
        return await self._acted(call, "pushes.start", push, before)

    @operation("POST", "/pushes/{id}/stop", role=Role.OPERATOR, answers=PushStatus)
    async def stop(self, call: Call) -> Any:
        """Stop a push, until it is started again or the server is."""
        push = self._find(call)
        before = self.host.pushes.state(push.id)
        # The other server may be slow to take a goodbye; nothing is left to be done by who asked.
        self.host.pushes.stop(push.id)
        return await self._acted(call, "pushes.stop", push, before)

    @operation("GET", "/pushes/{id}/log", role=Role.VIEWER, answers=TaskLogShown)
    def log(self, call: Call) -> Any:
        """Show the last lines of a push's log, at most 100, the oldest first.

        They are of this run of the server.
        """
        lines = self.host.pushes.log(call.path["id"])
        return TaskLogShown(lines=[LogLineShown(**line._asdict()) for line in lines])

    @property
    def _registry(self) -> Any:
        return self.host.pushes.registry

    def _find(self, call: Call) -> Push:
        push: Push = self._registry.find(call.path["id"])
        return push

    async def _acted(self, call: Call, action: str, push: Push, before: PushState) -> Any:
        after = self.host.pushes.state(push.id)
        states = ({"state": before.state}, {"state": after.state})
        await note_action(self.host, call, action, _subject(push), *states)
        return PushStatus(**_numbers(after, self.host.access.now()))

    def _answer(
        self, push: Push, status: int = 200, headers: dict[str, str] | None = None
    ) -> Answer:
        now = self.host.access.now()
        streams = islice(self.host.pushes.states(push.id).items(), MAX_PAGE_SIZE)
        sending = [PushedStream(**key._asdict(), **_numbers(x, now)) for key, x in streams]
        shown = PushDetail(**self._fields(push, self.host.pushes.state(push.id)), sending=sending)
        return Answer(shown, status, headers or {}, etag_of(self._editable(push)))

    def _editable(self, push: Push) -> dict[str, Any]:
        """Return what an ETag is made of."""
        return {**describe(push), **self._registry.times(push.id)._asdict()}

    def _fields(self, push: Push, state: PushState) -> dict[str, Any]:
        status = PushStatus(**_numbers(state, self.host.access.now()))
        return {**self._editable(push), "status": status}


def _subject(push: Push) -> str:
    """Return what the audit log calls a push."""
    return push.description or shown_address(push.server)


def _searched(push: Push) -> str:
    server = shown_address(push.server)
    return "\n".join((push.id, push.description, push.application, *push.streams, server))


def _given(body: Any) -> dict[str, Any]:
    """Return what was given.

    Raises:
        WrongField: What is shown in place of a stream's name was sent back as one.
    """
    fields: dict[str, Any] = given(body)
    if fields.get("target_stream") == HIDDEN:
        raise WrongField(
            "it stands for what is not shown; leave it out to keep it", "target_stream"
        )
    return fields


def _numbers(state: PushState, now: float) -> dict[str, Any]:
    is_running = state.state == "running"
    uptime = max(0.0, now - state.since) if is_running else 0.0
    return {**state._asdict(), "uptime_seconds": uptime}
