"""Who is trusted, and who is kept out, by address (P-307).

An address that is in a blocked network is refused, whatever else is said of it: a rule that is
added to block never lets anybody in, in whatever order the rules are (F-AC-06). One that is in a
trusted network, and in none that is blocked, is asked nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

from twisted.internet.defer import Deferred

from ntvmedia.access.keeping import Kept, changes, read_comment
from ntvmedia.access.networks import Host, Networks, parse_network, spelling
from ntvmedia.access.refusals import WrongField
from ntvmedia.store import IP_RULE_ROWS, IPRuleRow, Note

ACTIONS: Final = ("trust", "block")

SCOPES: Final = ("publish", "play", "console")
"""What a rule is about. The console is all of the API over HTTP, too."""

_FIELDS: Final = ("network", "action", "scopes", "enabled", "comment")


class IPRules(Kept[IPRuleRow]):
    """All rules about addresses.

    Attributes:
        are_there: Whether there is any that is enabled.
    """

    WHAT = "ip_rules"
    MAXIMUM = 10_000
    _ROWS = IP_RULE_ROWS

    def __init__(self, *arguments: Any, random: Callable[[int], bytes]) -> None:
        self._random = random
        self.are_there = False
        self._sets: dict[tuple[str, str], Networks] = {}
        super().__init__(*arguments)

    def is_blocked(self, scope: str, host: Host) -> bool:
        """Say whether an address may not do something at all."""
        return host in self._sets["block", scope]

    def is_anybody_blocked(self, scope: str) -> bool:
        """Say whether there are addresses that may not do something."""
        return bool(self._sets["block", scope])

    def is_trusted(self, scope: str, host: Host) -> bool:
        """Say whether an address is asked nothing more. One that is blocked is not trusted."""
        return host in self._sets["trust", scope] and host not in self._sets["block", scope]

    def would_block(self, scope: str, host: Host, id: str, fields: Mapping[str, Any]) -> bool:
        """Say whether an address would be blocked if a rule were made or changed so.

        Args:
            scope: What it would not be allowed to do.
            host: The address.
            id: Of the rule to be changed; empty for a new one.
            fields: As for `add` and `change`.

        Raises:
            WrongField: They are wrong.
        """
        kept = self._rules.get(id, IPRuleRow(id, "all", "trust", SCOPES, True, "", 0.0, 0.0))
        rules = {**self._rules, id: self._with(kept, fields)}
        return host in _sets(rules.values())["block", scope]

    def add(
        self,
        network: str,
        action: str,
        scopes: Iterable[str] = SCOPES,
        *,
        enabled: bool = True,
        comment: str = "",
        note: Note | None = None,
    ) -> Deferred[IPRuleRow]:
        """Make a rule.

        Args:
            network: As `parse_network` reads it.
            action: One of `ACTIONS`.
            scopes: Some of `SCOPES`.
            enabled: Whether it counts.
            comment: For people.
            note: Written with the change.

        Returns:
            Fires with it. Fails with `WrongField`, `TooMany` or `StoreError`.
        """
        fields = {
            "network": network,
            "action": action,
            "scopes": tuple(scopes),
            "enabled": enabled,
            "comment": comment,
        }
        return self._in_turn(partial(self._add, fields, note))

    def change(
        self, id: str, fields: Mapping[str, Any], *, note: Note | None = None
    ) -> Deferred[IPRuleRow]:
        """Give a rule other values.

        Args:
            id: Which.
            fields: Those of `add` that change.
            note: Written with the change.

        Returns:
            As for `add`; also fails with `NoRule`.
        """
        return self._in_turn(partial(self._change, id, dict(fields), note))

    async def _add(self, fields: dict[str, Any], note: Note | None) -> IPRuleRow:
        now = self._wall_clock()
        empty = IPRuleRow(self._random(6).hex(), "", "", (), True, "", now, now)
        return await self._insert(self._with(empty, fields), note)

    async def _change(self, id: str, fields: dict[str, Any], note: Note | None) -> IPRuleRow:
        before = self.find(id)
        return await self._update(before, self._with(before, fields), note)

    def _with(self, row: IPRuleRow, fields: Mapping[str, Any]) -> IPRuleRow:
        return self._read(replace(row, **changes(fields, _FIELDS)))

    def _read(self, row: IPRuleRow) -> IPRuleRow:
        try:
            network = spelling(parse_network(row.network))
        except ValueError as error:
            raise WrongField(str(error), "network") from None
        if row.action not in ACTIONS:
            raise WrongField(f"expected {' or '.join(ACTIONS)}", "action")
        if not row.scopes or any(scope not in SCOPES for scope in row.scopes):
            raise WrongField(f"expected some of {', '.join(SCOPES)}", "scopes")
        scopes = tuple(scope for scope in SCOPES if scope in row.scopes)
        return replace(row, network=network, scopes=scopes, comment=read_comment(row.comment))

    def _shown(self, rule: IPRuleRow) -> dict[str, object]:
        return {
            "network": rule.network,
            "action": rule.action,
            "scopes": list(rule.scopes),
            "enabled": rule.enabled,
            "comment": rule.comment,
        }

    def _index(self) -> None:
        self._sets = _sets(self._rules.values())
        self.are_there = any(self._sets.values())


def _sets(rules: Iterable[IPRuleRow]) -> dict[tuple[str, str], Networks]:
    found: dict[tuple[str, str], list[Any]] = {
        (action, scope): [] for action in ACTIONS for scope in SCOPES
    }
    for rule in rules:
        if rule.enabled:
            for scope in rule.scopes:
                found[rule.action, scope] += parse_network(rule.network)
    return {which: Networks(networks) for which, networks in found.items()}
