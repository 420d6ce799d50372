"""The API's callbacks: `/callbacks`."""

from __future__ import annotations

from operator import attrgetter
from typing import Any, ClassVar, Final

import msgspec
from msgspec import UNSET

from ntvmedia.access import WrongField
from ntvmedia.accounts import Role
from ntvmedia.admin.callback_types import (
    CallbackChange,
    CallbackCounts,
    CallbackList,
    CallbackQuery,
    CallbackShown,
    CallbackTest,
    DeliveryList,
    DeliveryShown,
    NewCallback,
)
from ntvmedia.admin.operations import ROOT, Answer, Call, Operations, etag_of, operation
from ntvmedia.admin.paging import paged
from ntvmedia.callbacks.callback import FIELDS, Callback, describe
from ntvmedia.callbacks.refusals import NoCallback, TooManyCallbacks

_KEYS: Final = {
    "name": attrgetter("name"),
    "dialect": attrgetter("dialect"),
    "enabled": attrgetter("enabled"),
    "decides": attrgetter("decides"),
}


class CallbackOperations(Operations):
    """Callbacks: other systems that are told what happens, and asked who may publish and play.

    Secrets are written, never read: of an address its user, password and query.
    """

    tag = "callbacks"
    refusals: ClassVar = {WrongField: 400, NoCallback: 404, TooManyCallbacks: 409}

    @operation(
        "GET", "/callbacks", role=Role.ADMINISTRATOR, query=CallbackQuery, answers=CallbackList
    )
    def callbacks(self, call: Call) -> Any:
        """List callbacks.

        Sorted by `name`, `dialect`, `enabled` or `decides`; `q` is looked for in the name.
        """
        query: CallbackQuery = call.query
        found = [
            callback
            for callback in self._registry.values()
            if query.enabled is None or callback.enabled == query.enabled
        ]
        cut = paged(found, query, _KEYS, search=attrgetter("name"))
        return CallbackList(callbacks=[self._shown(x) for x in cut.items], **cut.numbers)

    @operation(
        "POST",
        "/callbacks",
        role=Role.ADMINISTRATOR,
        body=NewCallback,
        answers=CallbackShown,
        status=201,
    )
    async def add(self, call: Call) -> Answer:
        """Make a callback."""
        fields = msgspec.structs.asdict(call.body)
        note = call.note("callbacks.add", call.body.name)
        callback = await self._registry.add(fields, note)
        return self._answer(callback, 201, {"Location": f"{ROOT}/callbacks/{callback.id}"})

    @operation("GET", "/callbacks/counts", role=Role.VIEWER, answers=CallbackCounts)
    def counts(self, call: Call) -> Any:
        """Count what became of all messages since the start."""
        return CallbackCounts(**self.host.callbacks.counts._asdict())

    @operation("GET", "/callbacks/{id}", role=Role.ADMINISTRATOR, answers=CallbackShown)
    def callback(self, call: Call) -> Answer:
        """Show a callback.

        Its ETag is of what can be edited.
        """
        return self._answer(self._registry.find(call.path["id"]))

    @operation(
        "PATCH",
        "/callbacks/{id}",
        role=Role.ADMINISTRATOR,
        body=CallbackChange,
        answers=CallbackShown,
    )
    async def change(self, call: Call) -> Answer:
        """Change the fields of a callback that the body names."""
        callback = self._registry.find(call.path["id"])
        call.must_match(self._editable(callback))
        given = {x: getattr(call.body, x) for x in FIELDS if getattr(call.body, x) is not UNSET}
        note = call.note("callbacks.change", callback.name)
        return self._answer(await self._registry.change(callback.id, given, note))

    @operation("DELETE", "/callbacks/{id}", role=Role.ADMINISTRATOR)
    async def remove(self, call: Call) -> None:
        """Delete a callback, with what it was still to be told."""
        callback = self._registry.find(call.path["id"])
        call.must_match(self._editable(callback))
        await self._registry.remove(callback.id, call.note("callbacks.delete", callback.name))

    @operation(
        "POST",
        "/callbacks/{id}/test",
        role=Role.ADMINISTRATOR,
        body=CallbackTest,
        answers=DeliveryShown,
    )
    async def test(self, call: Call) -> Any:
        """Send a callback a made-up event, and say what came of it.

        Whether it is enabled or not, and once.
        """
        done = await self.host.callbacks.test(call.path["id"], call.body.event)
        return DeliveryShown(**done._asdict())

    @operation("GET", "/callbacks/{id}/deliveries", role=Role.ADMINISTRATOR, answers=DeliveryList)
    def deliveries(self, call: Call) -> Any:
        """List the last tries to tell or ask a callback, the newest first.

        At most 50, since the server's start.
        """
        found = self.host.callbacks.deliveries(call.path["id"])
        return DeliveryList(deliveries=[DeliveryShown(**x._asdict()) for x in found])

    @property
    def _registry(self) -> Any:
        return self.host.callbacks.registry

    def _answer(
        self, callback: Callback, status: int = 200, headers: dict[str, str] | None = None
    ) -> Answer:
        return Answer(
            self._shown(callback), status, headers or {}, etag_of(self._editable(callback))
        )

    def _editable(self, callback: Callback) -> dict[str, Any]:
        """Return what an ETag is made of."""
        return {**describe(callback), **self._registry.times(callback.id)._asdict()}

    def _shown(self, callback: Callback) -> Any:
        waiting = self.host.callbacks.waiting(callback.id)
        return CallbackShown(**self._editable(callback), waiting=waiting)
