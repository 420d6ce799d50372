"""Share links: a stream for whoever is given the address, until it is revoked.

The address of a stream, on every protocol, is given `share=`: the id of the link, 16 hexadecimal
digits, and 22 characters of a signature over it by the server's own key (base64url, 132 bits). The
text is not kept: it can be shown again, and a copy of the database alone gives nobody a link.

A link stands for a signed address, for an allowed page and for a token; it is no right to publish.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

from twisted.internet.defer import Deferred

from ntvmedia.access.keeping import MAX_TIME, Kept, changes
from ntvmedia.access.refusals import WrongField
from ntvmedia.access.signing import MAX_VIEWERS, message
from ntvmedia.media import StreamKey
from ntvmedia.store import SHARE_LINK_ROWS, Note, ShareLinkRow

MAX_NAME_LENGTH: Final = 200

_ID_BYTES: Final = 8
_ID_LENGTH: Final = 2 * _ID_BYTES
_PROOF_LENGTH: Final = 22

_FIELDS: Final = ("name", "expires_at", "max_viewers")


class ShareLinks(Kept[ShareLinkRow]):
    """All share links. To revoke one is to remove it."""

    WHAT = "share_links"
    MAXIMUM = 100_000
    _ROWS = SHARE_LINK_ROWS

    def __init__(self, *arguments: Any, random: Callable[[int], bytes]) -> None:
        self._random = random
        super().__init__(*arguments)

    def add(
        self,
        key: StreamKey,
        name: str,
        *,
        expires_at: float = 0.0,
        max_viewers: int = 0,
        note: Note | None = None,
    ) -> Deferred[ShareLinkRow]:
        """Make a link.

        Args:
            key: The stream, by its checked name. It need not be there.
            name: For people: whom it is for.
            expires_at: Seconds since 1970 from which it is worth nothing; 0 for never.
            max_viewers: Most at the same time; 0 for any number.
            note: Written with the change.

        Returns:
            Fires with it. Fails with `WrongField`, `TooMany` or `StoreError`.
        """
        fields = {"name": name, "expires_at": expires_at, "max_viewers": max_viewers}
        return self._in_turn(partial(self._add, key, fields, note))

    def change(
        self, id: str, fields: Mapping[str, Any], *, note: Note | None = None
    ) -> Deferred[ShareLinkRow]:
        """Give a link another name, expiry or limit.

        Returns:
            As for `add`; also fails with `NoRule`.
        """
        return self._in_turn(partial(self._change, id, dict(fields), note))

    def token(self, key: bytes, id: str) -> str:
        """Return what stands behind `share=` in the address of a link.

        Args:
            key: The server's own signing key.
            id: Of the link.
        """
        return id + _proof(key, id)

    def of_token(self, key: bytes, token: str) -> ShareLinkRow | None:
        """Return the link whose token this is; None where it is none."""
        id, given = token[:_ID_LENGTH], token[_ID_LENGTH:]
        # Computed for what is no link too: it takes as long (F-RE-15).
        expected = _proof(key, id)
        is_right = hmac.compare_digest(
            expected.encode("ascii"), given.encode("utf-8", "surrogatepass")
        )
        return self._rules.get(id) if is_right else None

    async def _add(self, key: StreamKey, fields: dict[str, Any], note: Note | None) -> ShareLinkRow:
        now = self._wall_clock()
        empty = ShareLinkRow(self._random(_ID_BYTES).hex(), "", *key, 0.0, 0, now, now)
        return await self._insert(self._read(replace(empty, **fields)), note)

    async def _change(self, id: str, fields: dict[str, Any], note: Note | None) -> ShareLinkRow:
        before = self.find(id)
        after = self._read(replace(before, **changes(fields, _FIELDS)))
        return await self._update(before, after, note)

    def _read(self, row: ShareLinkRow) -> ShareLinkRow:
        name = row.name.strip()
        if not name or len(name) > MAX_NAME_LENGTH or not name.isprintable():
            raise WrongField(f"expected 1 to {MAX_NAME_LENGTH} printable characters", "name")
        # A comparison that is false for NaN too.
        if not 0 <= row.expires_at <= MAX_TIME:
            raise WrongField("expected seconds since 1970, or 0 for never", "expires_at")
        if not 0 <= row.max_viewers <= MAX_VIEWERS:
            raise WrongField(f"expected 0 to {MAX_VIEWERS:,}", "max_viewers")
        return replace(row, name=name)

    def _shown(self, rule: ShareLinkRow) -> dict[str, object]:
        return {
            "name": rule.name,
            "application": rule.application,
            "stream": rule.stream,
            "expires_at": rule.expires_at,
            "max_viewers": rule.max_viewers,
        }


def _proof(key: bytes, id: str) -> str:
    return message(key, f"share\n{id}")[:_PROOF_LENGTH]
