"""Tests of ntvmedia.accounts.audit: the log of what was changed."""

from __future__ import annotations

from typing import Any

from ntvmedia.accounts import AuditQuery, Identity, Role, audit
from ntvmedia.accounts.audit import KEEP_SECONDS, MAX_VALUE_BYTES
from ntvmedia.store import StoreError, take_note
from tests.accounts.cases import HOST, ROOT, AccountsCase

Shown = dict[str, Any] | None


class AuditTests(AccountsCase):
    """Notes are rows, committed with the change."""

    def write(
        self,
        before: Shown = None,
        after: Shown = None,
        *,
        action: str = "things.change",
        subject: str = "thing",
        identity: Identity = ROOT,
    ) -> None:
        """Write one row, as a registry does."""
        note = self.accounts.note(identity, HOST, action, subject)
        self.store.run_now(lambda connection: take_note(note, connection, before, after))

    def test_row(self) -> None:
        """Who, how, from where, when, what, and what of it changed."""
        identity = Identity("ann", Role.OPERATOR, "token", "abc")
        self.write({"a": 1, "b": [1], "c": None}, {"a": 1, "b": [2], "d": "x"}, identity=identity)
        [row] = self.audit()
        self.assertEqual(
            (row.time, row.who, row.kind, row.session, row.peer_host, row.action, row.subject),
            (self.now, "ann", "token", "abc", HOST, "things.change", "thing"),
        )
        # What is None on one side, and missing on the other, has not changed.
        self.assertEqual((row.before, row.after), ({"b": [1]}, {"b": [2], "d": "x"}))

    def test_made_and_deleted(self) -> None:
        """What was not there before, or is not after, is shown whole."""
        self.write(None, {"a": 1})
        self.write({"a": 1}, None)
        self.assertEqual(
            [(row.before, row.after) for row in self.audit()], [(None, {"a": 1}), ({"a": 1}, None)]
        )

    def test_undone_with_the_change(self) -> None:
        """A change that is undone has no row."""
        note = self.accounts.note(ROOT, HOST, "things.change", "thing")

        def work(connection: Any) -> None:
            note(connection, None, {"a": 1})
            raise StoreError("the disk of the database is full")

        self.assertRaises(StoreError, self.store.run_now, work)
        self.assertEqual(self.audit(), [])

    def test_unusual_values(self) -> None:
        """Whatever is written of a thing, it can be read again; a huge one is not kept."""
        self.write(
            None, {"a": "\0\ud800\N{GRINNING FACE}", "b": {1}, "c": 1 << 80, "d": "x" * 1000}
        )
        self.write(None, {"a": "x" * MAX_VALUE_BYTES})
        usual, huge = self.audit()
        assert usual.after is not None
        self.assertEqual(usual.after["a"], "\0\ud800\N{GRINNING FACE}")
        self.assertEqual((usual.after["b"], usual.after["c"]), ("{1}", 1 << 80))
        self.assertEqual(huge.after, {"not_kept": f"{MAX_VALUE_BYTES + 9:,} bytes"})

    def test_unusual_texts(self) -> None:
        """Names are cut, and made fit to be shown."""
        self.write(action="a" * 100, subject="x\0\n\x1b[31m\ud800" + "y" * 1000)
        [row] = self.audit()
        self.assertEqual(len(row.action), 64)
        self.assertTrue(row.subject.isprintable())
        self.assertEqual(len(row.subject), 300)

    def test_queries(self) -> None:
        """Rows are found by user, action and what is below it, subject, text and time."""
        ann = Identity("ann", Role.OPERATOR, "session", "s")
        for action, subject, identity in (
            ("users.add", "bob", ROOT),
            ("users.change", "bob", ann),
            ("users_x.add", "100%", ann),
            ("applications.add", "Live", ann),
        ):
            self.now += 1
            self.write(None, {"a": 1}, action=action, subject=subject, identity=identity)

        def found(**query: Any) -> list[int]:
            return [row.id for row in self.audit(**query)]

        one, two, three, four = found()
        self.assertEqual(found(who="ann"), [two, three, four])
        self.assertEqual(found(action="users"), [one, two])
        self.assertEqual(found(action="users.add"), [one])
        self.assertEqual(found(action="user"), [])
        self.assertEqual(found(subject="bob", who="ann"), [two])
        self.assertEqual(found(text="LIVE"), [four])
        self.assertEqual(found(text="%"), [three])
        self.assertEqual(found(text="_"), [three])
        self.assertEqual(found(since=self.now - 1), [three, four])
        self.assertEqual(found(until=self.now - 1), [one, two])
        self.assertEqual(found(since=self.now - 2, until=self.now), [two, three])

    def test_pages(self) -> None:
        """The newest first, in pages, with how many there are; also when a clock was set back."""
        for number in range(5):
            self.now -= 10
            self.write(None, {"n": number})
        pages = [
            self.successResultOf(self.accounts.audit(AuditQuery(page=page, page_size=2)))
            for page in (1, 2, 3, 4)
        ]
        self.assertEqual(
            [[row.after and row.after["n"] for row in page.rows] for page in pages],
            [[4, 3], [2, 1], [0], []],
        )
        self.assertEqual({page.total for page in pages}, {5})

    def test_database_fails(self) -> None:
        """Who asks is told."""
        self.store.problem = StoreError("the database is shutting down or starting up")
        self.failureResultOf(self.accounts.audit(AuditQuery()), StoreError)

    def test_pruned(self) -> None:
        """P-308: rows are kept for 400 days, and removed some at a time."""
        start = self.now
        self.patch(audit, "_BATCH_ROWS", 3)
        for number in range(8):
            self.now = start + number
            self.write(None, {"n": number})
        self.now = start + KEEP_SECONDS + 6.5
        self.store.at_once = False
        self.accounts.startService()
        self.clock.advance(60)
        steps = 0
        while self.store.waiting:
            self.store.step()
            steps += 1
        self.assertEqual(steps, 3)
        self.store.at_once = True
        self.assertEqual([row.after and row.after["n"] for row in self.audit()], [7])

    def test_pruning_fails(self) -> None:
        """What cannot be removed now is removed later."""
        self.write(None, {"a": 1})
        self.now += KEEP_SECONDS + 1
        self.accounts.startService()
        self.store.problem = StoreError("the database is locked by another program")
        self.clock.advance(60)
        self.store.problem = None
        self.assertEqual(len(self.audit()), 1)
        for _ in range(60):
            self.clock.advance(60)
        self.assertEqual(self.audit(), [])
