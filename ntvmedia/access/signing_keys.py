"""The keys that addresses are signed with: the server's own, and more for rotation.

The server's own is in a file, `keys/signing`, and named "default" here; addresses that are signed
with it need not name it. Another one has an id that its addresses carry as `kid=`. To exchange a
key that too many know: make another, sign with that, and remove or disable the old one, which ends
what its addresses play.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

from twisted.internet.defer import Deferred, fail

from ntvmedia.access.keeping import Kept, changes, read_comment
from ntvmedia.access.refusals import KeptKey, WrongField
from ntvmedia.access.signing import KEY_BYTES, KEY_ID
from ntvmedia.store import SIGNING_KEY_ROWS, Note, SigningKeyRow

DEFAULT: Final = "default"
"""The id of the server's own key."""

_FIELDS: Final = ("enabled", "comment")


class SigningKeys(Kept[SigningKeyRow]):
    """All keys.

    Attributes:
        own: The server's own key, of the file; empty before it was read.
    """

    WHAT = "signing_keys"
    MAXIMUM = 1000
    _ROWS = SIGNING_KEY_ROWS

    def __init__(self, *arguments: Any, random: Callable[[int], bytes]) -> None:
        self._random = random
        self.own = b""
        self._bytes: dict[str, tuple[bytes, str]] = {}
        super().__init__(*arguments)
        if self._store is None:
            self._keep_all([_OWN])

    def key_of(self, id: str, application: str) -> bytes:
        """Return the key that addresses of an application may be signed with.

        Args:
            id: As in the address; empty for the server's own.
            application: Whose stream it is.

        Returns:
            Nothing where there is none, or it is disabled or another application's.
        """
        id = id or DEFAULT
        secret, only = self._bytes.get(id, (b"", ""))
        if id == DEFAULT and id in self._bytes:
            return self.own
        return secret if only in ("", application) else b""

    def add(
        self,
        *,
        application: str = "",
        secret: str = "",
        comment: str = "",
        note: Note | None = None,
    ) -> Deferred[SigningKeyRow]:
        """Make a key.

        Args:
            application: Whose streams it is good for; empty for all.
            secret: 64 hexadecimal digits; empty to have it made.
            comment: For people: who has it.
            note: Written with the change; it does not have the secret.

        Returns:
            Fires with it. Fails with `WrongField`, `TooMany` or `StoreError`.
        """
        return self._in_turn(partial(self._add, application, secret, comment, note))

    def change(
        self, id: str, fields: Mapping[str, Any], *, note: Note | None = None
    ) -> Deferred[SigningKeyRow]:
        """Enable or disable a key, or say something else about it.

        Returns:
            As for `add`; also fails with `NoRule`.
        """
        return self._in_turn(partial(self._change, id, dict(fields), note))

    def remove(self, id: str, *, note: Note | None = None) -> Deferred[None]:
        """Remove a key; `KeptKey` for the server's own, which can be disabled."""
        if id == DEFAULT:
            return fail(KeptKey("the server's own key can be disabled, not removed"))
        return super().remove(id, note=note)

    async def _add(
        self, application: str, secret: str, comment: str, note: Note | None
    ) -> SigningKeyRow:
        now = self._wall_clock()
        secret = secret.lower() or self._random(KEY_BYTES).hex()
        id = self._random(4).hex()
        row = SigningKeyRow(id, application, secret, True, comment, now, now)
        return await self._insert(self._read(row), note)

    async def _change(self, id: str, fields: dict[str, Any], note: Note | None) -> SigningKeyRow:
        before = self.find(id)
        after = self._read(replace(before, **changes(fields, _FIELDS)))
        return await self._update(before, after, note)

    def _read(self, row: SigningKeyRow) -> SigningKeyRow:
        if not KEY_ID.fullmatch(row.id):
            raise WrongField("expected letters, digits, _ and -", "id")
        if (row.id == DEFAULT) != (row.secret == "") or len(row.secret) not in (0, 2 * KEY_BYTES):
            raise WrongField(f"expected {2 * KEY_BYTES} hexadecimal digits", "secret")
        try:
            # Not `fromhex` alone, which takes spaces too.
            if len(bytes.fromhex(row.secret)) * 2 != len(row.secret):
                raise ValueError
        except ValueError:
            # Not quoted (F-AC-03).
            raise WrongField(f"expected {2 * KEY_BYTES} hexadecimal digits", "secret") from None
        return replace(row, comment=read_comment(row.comment))

    def _shown(self, rule: SigningKeyRow) -> dict[str, object]:
        return {
            "id": rule.id,
            "application": rule.application,
            "enabled": rule.enabled,
            "comment": rule.comment,
        }

    def _index(self) -> None:
        self._bytes = {
            key.id: (bytes.fromhex(key.secret), key.application)
            for key in self._rules.values()
            if key.enabled
        }


_OWN: Final = SigningKeyRow(DEFAULT, "", "", True, "", 0.0, 0.0)
