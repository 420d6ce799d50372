"""The API's relay tasks: `/relays`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Final

from ntvmedia.access import WrongField
from ntvmedia.accounts import Role
from ntvmedia.admin.operations import Answer, Call, operation
from ntvmedia.admin.paging import paged
from ntvmedia.admin.relay_types import (
    NewRelay,
    ProbedTrackShown,
    ProbeShown,
    RelayChange,
    RelayInstance,
    RelayList,
    RelayQuery,
    RelayShown,
    RelayStatus,
    SourceToProbe,
    TaskLogShown,
)
from ntvmedia.admin.tasks import TaskOperations, fields_of, numbers
from ntvmedia.errors import RemoteError
from ntvmedia.relay.addresses import HIDDEN, shown_address
from ntvmedia.relay.refusals import NoRelay, TargetTaken, TooManyRelays
from ntvmedia.relay.states import RelayState
from ntvmedia.relay.task import Relay, describe

# The way to what may be a key: the name of a stream on another server.
_KEY_FIELD: Final = ("target", "stream")


class RelayOperations(TaskOperations):
    """Relay tasks: streams that are pulled from elsewhere, for this server or for another.

    Addresses are written, never read whole: user, password and query are kept, and so is a stream's
    name on another server.
    """

    tag = "relays"
    # A source that does not give what is wanted is a bad gateway's (RFC 9110 15.6.3).
    refusals: ClassVar = {
        WrongField: 400,
        NoRelay: 404,
        TargetTaken: 409,
        TooManyRelays: 409,
        RemoteError: 502,
    }

    @operation("GET", "/relays", role=Role.VIEWER, query=RelayQuery, answers=RelayList)
    def relays(self, call: Call) -> Any:
        """List the relay tasks.

        Sorted by `description`, `created_at`, `updated_at`, `source`, `target`, `enabled`, `state`,
        `since`, `bitrate_kbps`, `bytes_in` or `restarts`; `q` is looked for in description, sources
        and target.
        """
        query: RelayQuery = call.query
        registry = self.service.registry
        states = {id_: self.service.state(id_) for id_ in registry}
        keys: dict[str, Callable[[Relay], Any]] = {
            "created_at": lambda x: registry.times(x.id).created_at,
            "updated_at": lambda x: registry.times(x.id).updated_at,
            "description": lambda x: x.description.casefold(),
            "source": lambda x: shown_address(x.source),
            "target": _target_text,
            "enabled": lambda x: x.enabled,
            "state": lambda x: states[x.id].state,
            "since": lambda x: states[x.id].since,
            "bitrate_kbps": lambda x: states[x.id].bitrate_kbps,
            "bytes_in": lambda x: states[x.id].bytes_in,
            "restarts": lambda x: states[x.id].restarts,
        }
        found = [
            relay
            for relay in registry.values()
            if query.state in (None, states[relay.id].state)
            and query.enabled in (None, relay.enabled)
        ]
        cut = paged(found, query, keys, search=_searched)
        return RelayList(relays=[self._shown(x, states[x.id]) for x in cut.items], **cut.numbers)

    @operation(
        "POST",
        "/relays",
        role=Role.ADMINISTRATOR,
        body=NewRelay,
        answers=RelayShown,
        status=201,
    )
    async def add(self, call: Call) -> Answer:
        """Make a relay task. One that is enabled is started."""
        target = call.body.target
        fields = fields_of(call.body, *_KEY_FIELD)
        return await self.make(call, fields, f"{target.application}/{_of(target)}")

    @operation(
        "POST",
        "/relays/probe",
        role=Role.ADMINISTRATOR,
        body=SourceToProbe,
        answers=ProbeShown,
    )
    async def probe(self, call: Call) -> Any:
        """Find out what is in a source: its tracks, their codecs and sizes.

        It takes some seconds, at most half a minute; a source that does not answer is 502.
        """
        try:
            self.service.sources.check(call.body.source)
        except RemoteError as error:
            # As when a task is made of it: nobody was asked.
            raise WrongField(str(error), "source") from None
        return _probed(await self.service.probe(call.body.source, call.body.transport))

    @operation("GET", "/relays/{id}", role=Role.VIEWER, answers=RelayShown)
    def relay(self, call: Call) -> Answer:
        """Show a relay task, and how it is doing.

        Its ETag is of what can be edited.
        """
        return self.answer(self.find(call))

    @operation(
        "PATCH",
        "/relays/{id}",
        role=Role.ADMINISTRATOR,
        body=RelayChange,
        answers=RelayShown,
    )
    async def change(self, call: Call) -> Answer:
        """Change the fields of a relay task that the body names; `source` stays where it is not.

        One that runs goes on with what holds now. It is started where `enabled` becomes true, and
        stopped where it becomes false.
        """
        return await self.edit(call, fields_of(call.body, *_KEY_FIELD))

    @operation("DELETE", "/relays/{id}", role=Role.ADMINISTRATOR)
    async def remove(self, call: Call) -> None:
        """Delete a relay task. What it makes ends."""
        await self.delete(call)

    @operation("POST", "/relays/{id}/start", role=Role.OPERATOR, answers=RelayStatus)
    async def start(self, call: Call) -> Any:
        """Start a relay task, whether it is enabled or not; until the server's end.

        One that runs goes on; one that waits to try again tries at once.
        """
        return self._status(await self.run(call, is_wanted=True))

    @operation("POST", "/relays/{id}/stop", role=Role.OPERATOR, answers=RelayStatus)
    async def stop(self, call: Call) -> Any:
        """Stop a relay task, until it is started again or the server is."""
        return self._status(await self.run(call, is_wanted=False))

    @operation("GET", "/relays/{id}/log", role=Role.VIEWER, answers=TaskLogShown)
    def log(self, call: Call) -> Any:
        """Show the last lines of a relay task's log, at most 100, the oldest first.

        They are of this run of the server.
        """
        return self.lines(call)

    @operation("POST", "/relays/{id}/probe", role=Role.OPERATOR, answers=ProbeShown)
    async def probe_relay(self, call: Call) -> Any:
        """Find out what is in the source of a relay task, the first where it has several.

        Of a pattern nobody knows which stream to ask for: 400.
        """
        relay: Relay = self.find(call)
        if relay.is_pattern:
            raise WrongField("is of a pattern: probe an address of one of its streams", "source")
        return _probed(await self.service.probe(relay.source, relay.transport))

    def described(self, task: Relay) -> dict[str, Any]:
        return describe(task)

    def subject(self, task: Relay) -> str:
        return task.description or _target_text(task)

    def shown(self, task: Relay) -> Any:
        return self._shown(task, self.service.state(task.id))

    def _shown(self, relay: Relay, state: RelayState) -> Any:
        return RelayShown(**self.editable(relay), status=self._status(state))

    def _status(self, state: RelayState) -> RelayStatus:
        now = self.host.access.now()
        instances = {name: RelayInstance(**_numbers(x, now)) for name, x in state.instances.items()}
        return RelayStatus(**_numbers(state, now), instances=instances)


def _target_text(relay: Relay) -> str:
    """Return where a relay task's stream goes, as it may be shown."""
    target = relay.target
    server = f"{shown_address(target.server)}/" if target.server else ""
    return f"{server}{target.application}/{_of(target)}"


def _of(target: Any) -> str:
    """Return the name of a target's stream; on another server it may be a key."""
    return HIDDEN if target.server else str(target.stream)


def _searched(relay: Relay) -> str:
    sources = [shown_address(x) for x in relay.sources]
    return "\n".join(
        (relay.id, relay.description, *sources, _target_text(relay), *relay.streams[1:])
    )


def _numbers(state: RelayState, now: float) -> dict[str, Any]:
    fields = numbers(state, now)
    del fields["instances"]
    return fields


def _probed(probe: Any) -> Any:
    fields = probe._asdict()
    fields["tracks"] = [ProbedTrackShown(**x._asdict()) for x in probe.tracks]
    return ProbeShown(**fields)
