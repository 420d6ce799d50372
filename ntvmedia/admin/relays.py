"""The API's relay tasks: `/relays`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from ntvmedia.access import WrongField
from ntvmedia.accounts import Role
from ntvmedia.admin.declared_types import given
from ntvmedia.admin.noting import note_action
from ntvmedia.admin.operations import ROOT, Answer, Call, Operations, etag_of, operation
from ntvmedia.admin.paging import paged
from ntvmedia.admin.relay_types import (
    LogLineShown,
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
from ntvmedia.errors import RemoteError
from ntvmedia.relay.addresses import HIDDEN, shown_address
from ntvmedia.relay.refusals import NoRelay, TargetTaken, TooManyRelays
from ntvmedia.relay.states import RelayState
from ntvmedia.relay.task import Relay, describe


class RelayOperations(Operations):
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
        registry = self._registry
        states = {id_: self.host.relays.state(id_) for id_ in registry}
        keys: dict[str, Callable[[Relay], Any]] = {
            "created_at": lambda x: registry.times(x.id).created_at,
            "updated_at": lambda x: registry.times(x.id).updated_at,
            "description": lambda x: x.description.casefold(),
            "source": lambda x: shown_address(x.source),
            "target": target_text,
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
        fields = _fields(call.body)
        note = call.note("relays.add", f"{call.body.target.application}/{_of(call.body.target)}")
        relay = await self._registry.add(fields, note)
        return self._answer(relay, 201, {"Location": f"{ROOT}/relays/{relay.id}"})

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
            self.host.relays.sources.check(call.body.source)
        except RemoteError as error:
            # As when a task is made of it: nobody was asked.
            raise WrongField(str(error), "source") from None
        return _probed(await self.host.relays.probe(call.body.source, call.body.transport))

    @operation("GET", "/relays/{id}", role=Role.VIEWER, answers=RelayShown)
    def relay(self, call: Call) -> Answer:
        """Show a relay task, and how it is doing.

        Its ETag is of what can be edited.
        """
        return self._answer(self._find(call))

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
        relay = self._find(call)
        call.must_match(self._editable(relay))
        note = call.note("relays.change", _subject(relay))
        return self._answer(await self._registry.change(relay.id, _fields(call.body), note))

    @operation("DELETE", "/relays/{id}", role=Role.ADMINISTRATOR)
    async def remove(self, call: Call) -> None:
        """Delete a relay task. What it makes ends."""
        relay = self._find(call)
        call.must_match(self._editable(relay))
        await self._registry.remove(relay.id, call.note("relays.delete", _subject(relay)))

    @operation("POST", "/relays/{id}/start", role=Role.OPERATOR, answers=RelayStatus)
    async def start(self, call: Call) -> Any:
        """Start a relay task, whether it is enabled or not; until the server's end.

        One that runs goes on; one that waits to try again tries at once.
        """
        relay = self._find(call)
        before = self.host.relays.state(relay.id)
        self.host.relays.start(relay.id)
        return await self._acted(call, "relays.start", relay, before)

    @operation("POST", "/relays/{id}/stop", role=Role.OPERATOR, answers=RelayStatus)
    async def stop(self, call: Call) -> Any:
        """Stop a relay task, until it is started again or the server is."""
        relay = self._find(call)
        before = self.host.relays.state(relay.id)
        # Its source may be slow to let go; nothing is left to be done by who asked.
        self.host.relays.stop(relay.id)
        return await self._acted(call, "relays.stop", relay, before)

    @operation("GET", "/relays/{id}/log", role=Role.VIEWER, answers=TaskLogShown)
    def log(self, call: Call) -> Any:
        """Show the last lines of a relay task's log, at most 100, the oldest first.

        They are of this run of the server.
        """
        lines = self.host.relays.log(call.path["id"])
        return TaskLogShown(lines=[LogLineShown(**line._asdict()) for line in lines])

    @operation("POST", "/relays/{id}/probe", role=Role.OPERATOR, answers=ProbeShown)
    async def probe_relay(self, call: Call) -> Any:
        """Find out what is in the source of a relay task, the first where it has several.

        Of a pattern nobody knows which stream to ask for: 400.
        """
        relay = self._find(call)
        if relay.is_pattern:
            raise WrongField("is of a pattern: probe an address of one of its streams", "source")
        return _probed(await self.host.relays.probe(relay.source, relay.transport))

    @property
    def _registry(self) -> Any:
        return self.host.relays.registry

    def _find(self, call: Call) -> Relay:
        relay: Relay = self._registry.find(call.path["id"])
        return relay

    async def _acted(self, call: Call, action: str, relay: Relay, before: RelayState) -> Any:
        after = self.host.relays.state(relay.id)
        states = ({"state": before.state}, {"state": after.state})
        await note_action(self.host, call, action, _subject(relay), *states)
        return _status(after, self.host.access.now())

    def _answer(
        self, relay: Relay, status: int = 200, headers: dict[str, str] | None = None
    ) -> Answer:
        shown = self._shown(relay, self.host.relays.state(relay.id))
        return Answer(shown, status, headers or {}, etag_of(self._editable(relay)))

    def _editable(self, relay: Relay) -> dict[str, Any]:
        """Return what an ETag is made of."""
        return {**describe(relay), **self._registry.times(relay.id)._asdict()}

    def _shown(self, relay: Relay, state: RelayState) -> Any:
        status = _status(state, self.host.access.now())
        return RelayShown(**self._editable(relay), status=status)


def target_text(relay: Relay) -> str:
    """Return where a relay task's stream goes, as it may be shown."""
    target = relay.target
    server = f"{shown_address(target.server)}/" if target.server else ""
    return f"{server}{target.application}/{_of(target)}"


def _of(target: Any) -> str:
    """Return the name of a target's stream; on another server it may be a key."""
    return HIDDEN if target.server else str(target.stream)


def _subject(relay: Relay) -> str:
    """Return what the audit log calls a task."""
    return relay.description or target_text(relay)


def _searched(relay: Relay) -> str:
    sources = [shown_address(x) for x in relay.sources]
    return "\n".join(
        (relay.id, relay.description, *sources, target_text(relay), *relay.streams[1:])
    )


def _fields(body: Any) -> dict[str, Any]:
    """Return what was given.

    Raises:
        WrongField: What is shown in place of a stream's name was sent back as one.
    """
    fields: dict[str, Any] = given(body)
    if fields.get("target", {}).get("stream") == HIDDEN:
        raise WrongField(
            "it stands for what is not shown; leave it out to keep it", "target.stream"
        )
    return fields


def _status(state: RelayState, now: float) -> Any:
    instances = {name: RelayInstance(**_numbers(x, now)) for name, x in state.instances.items()}
    return RelayStatus(**_numbers(state, now), instances=instances)


def _numbers(state: RelayState, now: float) -> dict[str, Any]:
    fields = state._asdict()
    del fields["instances"]
    is_running = state.state == "running"
    return {**fields, "uptime_seconds": max(0.0, now - state.since) if is_running else 0.0}


def _probed(probe: Any) -> Any:
    fields = probe._asdict()
    fields["tracks"] = [ProbedTrackShown(**x._asdict()) for x in probe.tracks]
    return ProbeShown(**fields)
