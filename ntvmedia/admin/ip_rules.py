"""Rules about addresses: who is trusted, and who is kept out (P-307)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Annotated, Any, ClassVar, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, structs

from ntvmedia.access import NoRule, TooMany, WrongField
from ntvmedia.access.networks import host_of, parse_host
from ntvmedia.accounts import Role
from ntvmedia.admin.operations import ROOT, Answer, Call, Operations, etag_of, operation
from ntvmedia.admin.paging import Page, Paging, paged
from ntvmedia.admin.problems import Problem

_Time = Annotated[float, Meta(description="Seconds since 1970.")]
_Network = Annotated[
    str, Meta(max_length=64, description='An address, a network as "10.0.0.0/8", or "all".')
]
_Action = Literal["trust", "block"]
_Scope = Literal["publish", "play", "console"]
_Scopes = Annotated[
    list[_Scope],
    Meta(min_length=1, max_length=3, description="What it is about; `console` has the API in it."),
]
_Comment = Annotated[str, Meta(max_length=500, description="For people.")]


class IPRule(Struct, kw_only=True):
    """What holds for the addresses of a network."""

    id: str
    network: _Network
    action: Annotated[
        _Action, Meta(description="Asked nothing more, or refused; a block comes before a trust.")
    ]
    scopes: _Scopes
    enabled: bool
    comment: _Comment
    created_at: _Time
    updated_at: _Time


class IPRuleList(Page, kw_only=True):
    """Rules about addresses."""

    ip_rules: list[IPRule]


class NewIPRule(Struct, forbid_unknown_fields=True, kw_only=True):
    """A rule to be made."""

    network: _Network
    action: _Action
    scopes: _Scopes
    enabled: bool = True
    comment: _Comment = ""


class IPRuleChange(Struct, forbid_unknown_fields=True, kw_only=True):
    """What changes of a rule."""

    network: _Network | UnsetType = UNSET
    action: _Action | UnsetType = UNSET
    scopes: _Scopes | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    comment: _Comment | UnsetType = UNSET


_KEYS: Final[dict[str, Callable[[Any], Any]]] = {
    name: attrgetter(name) for name in ("created_at", "network", "action", "comment")
}


class IPRuleOperations(Operations):
    """Rules about addresses.

    A blocked one is refused whatever else is said; a trusted one is asked nothing more. A change
    counts at once, for those who are there too.
    """

    tag = "ip-rules"
    refusals: ClassVar = {WrongField: 400, NoRule: 404, TooMany: 409}

    @operation("GET", "/ip-rules", role=Role.VIEWER, query=Paging, answers=IPRuleList)
    def ip_rules(self, call: Call) -> IPRuleList:
        """List the rules.

        Sorted by `created_at`, `network`, `action` or `comment`.
        """
        cut = paged(self.host.access.ip_rules, call.query, _KEYS)
        return IPRuleList(ip_rules=[shown_ip_rule(row) for row in cut.items], **cut.numbers)

    @operation(
        "POST", "/ip-rules", role=Role.ADMINISTRATOR, body=NewIPRule, answers=IPRule, status=201
    )
    async def add(self, call: Call) -> Answer:
        """Make a rule. One that would keep out who asks is refused."""
        fields = structs.asdict(call.body)
        fields["scopes"] = tuple(fields["scopes"])
        self._check_own(call, "", fields)
        note = call.note("ip_rules.add", fields["network"])
        row = await self.host.access.ip_rules.add(**fields, note=note)
        return _answer(row, 201)

    @operation("GET", "/ip-rules/{id}", role=Role.VIEWER, answers=IPRule)
    def ip_rule(self, call: Call) -> Answer:
        """Show a rule."""
        return _answer(self.host.access.ip_rules.find(call.path["id"]))

    @operation(
        "PATCH", "/ip-rules/{id}", role=Role.ADMINISTRATOR, body=IPRuleChange, answers=IPRule
    )
    async def change(self, call: Call) -> Answer:
        """Change a rule. What would keep out who asks is refused."""
        id = call.path["id"]
        rules = self.host.access.ip_rules
        call.must_match(shown_ip_rule(rules.find(id)))
        given = structs.asdict(call.body)
        fields = {name: value for name, value in given.items() if value is not UNSET}
        if "scopes" in fields:
            fields["scopes"] = tuple(fields["scopes"])
        self._check_own(call, id, fields)
        return _answer(await rules.change(id, fields, note=call.note("ip_rules.change", id)))

    @operation("DELETE", "/ip-rules/{id}", role=Role.ADMINISTRATOR)
    async def remove(self, call: Call) -> None:
        """Remove a rule."""
        id = call.path["id"]
        call.must_match(shown_ip_rule(self.host.access.ip_rules.find(id)))
        await self.host.access.ip_rules.remove(id, note=call.note("ip_rules.delete", id))

    def _check_own(self, call: Call, id: str, fields: Mapping[str, Any]) -> None:
        """Refuse a change that its own author could not take back; the control socket can."""
        host = parse_host(host_of(call.peer_host))
        rules = self.host.access.ip_rules
        if host.version and rules.would_block("console", host, id, fields):
            raise Problem(409, "network: it would keep out your own address", "network")


def shown_ip_rule(row: Any) -> IPRule:
    """Return what the API shows of a rule."""
    return IPRule(**{name: _plain(getattr(row, name)) for name in IPRule.__struct_fields__})


def _plain(value: object) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _answer(row: Any, status: int | None = None) -> Answer:
    shown = shown_ip_rule(row)
    headers = {"Location": f"{ROOT}/ip-rules/{shown.id}"} if status == 201 else {}
    return Answer(shown, status, headers, etag_of(shown))
