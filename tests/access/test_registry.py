"""Tests of ntvmedia.access.registry: the applications in memory and in the database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from ntvmedia.access import (
    BUILT_IN,
    FIELDS,
    Access,
    Action,
    Application,
    Applications,
    ApplicationType,
    BuiltIn,
    NameInUse,
    NoApplication,
    Request,
    WrongField,
)
from ntvmedia.errors import ConfigError
from ntvmedia.media import StreamKey
from ntvmedia.store import ApplicationRow, StoreError
from tests.access.registries import RegistryCase, overwrite

SECRET = "s3cret-of-the-studio"


class ApplicationsTests(RegistryCase):
    """Adding, changing, removing."""

    def refused(self, changing: Deferred[Any], kind: type[Exception]) -> str:
        """Return why a change was refused; nothing happened."""
        before, rows = dict(self.applications), self.store.rows()
        self.assertEqual(self.heard, [])
        text = str(self.failureResultOf(changing, kind).value)
        self.assertEqual((dict(self.applications), self.store.rows()), (before, rows))
        self.assertEqual(self.heard, [])
        return text

    def test_default_deny(self) -> None:
        """F-AC-10: before anything was read, nothing is accepted."""
        empty = Applications(self.store, self.bus, lambda: self.now)
        self.assertEqual((len(empty), list(empty)), (0, []))
        access = Access(empty)
        for name in BUILT_IN:
            for action in Action:
                request = Request(action, StreamKey(name, "x"), "rtmp", "192.0.2.1:5")
                self.assertFalse(self.successResultOf(access.decide(request)).allowed)

    def test_unreadable(self) -> None:
        """F-AC-10: a database that cannot be read at the start fails it, and opens no door."""
        self.store.problem = StoreError("the database file is broken")
        empty = Applications(self.store, self.bus, lambda: self.now)
        with self.assertRaisesRegex(ConfigError, "^database: the database file is broken$"):
            empty.load()
        self.assertEqual(dict(empty), {})

    def test_fresh(self) -> None:
        """P-202: a fresh database has the four, with the values that the code documents."""
        self.assertEqual(dict(self.applications), BUILT_IN)

    def test_mapping(self) -> None:
        """Everything else sees a mapping."""
        self.assertIsInstance(self.applications, Mapping)
        self.assertEqual(self.applications["tv"].type, ApplicationType.TIME_SHIFT)
        self.assertIsNone(self.applications.get("none"))
        self.assertEqual(len(self.applications), 4)

    def test_every_field_is_kept(self) -> None:
        """Every field is the same after a restart, a password with odd characters too."""
        fields: dict[str, object] = {
            "type": "audio",
            "enabled": False,
            "outputs": ["hls", "rtmp"],
            "publish_password": "é'\"; DROP TABLE\\x &?=%20",
            "referers": ["Example.org", "例子.cn"],
            "allow_empty_referer": False,
            "signed": True,
            "encrypted": True,
            "hls_key_segments": 3,
            "hls_key_url": "https://u:p'@keys.example/{application}/{stream}?key={key}&t=%00",
            "hls_format": "ll",
            "hls_segment_seconds": 4,
            "hls_segment_count": 5,
            "hls_part_seconds": 0.5,
            "hls_blocking": False,
            "hls_variants": ["_720p", "_e\u0301"],
            "hls_audio_variant": False,
            "hls_always": True,
            "hls_sessions": False,
            "hls_end_list": True,
            "rtsp_multicast": True,
            "max_players": 1,
            "max_publishers": 2,
            "max_stream_players": 3,
            "max_bandwidth_kbps": 1_000_000_000,
            "authorize_url": "https://u:p'@crm.example/may?key=1&t=%00",
            "authorize_failure": "allow",
            "jwks_url": "https://id.example/keys.json",
            "jwt_issuer": "https://id.example/",
            "jwt_audience": "tv \u00e9",
            "cut_at_expiry": True,
            "rtmp_authentication": True,
        }
        self.assertEqual(set(FIELDS) - set(fields), {"name", "recording"})
        added = self.add("studio", **fields)
        self.assertEqual(added.outputs, ("rtmp", "hls"))
        self.assertEqual(added.referers, ("example.org", "xn--fsqu00a.cn"))
        self.assertEqual(added.hls_segment_seconds, 4.0)
        self.assertEqual(added.hls_variants, ("_720p", "_\u00e9"))
        self.assertEqual(self.applications["studio"], added)
        self.assertEqual(self.make()["studio"], added)
        self.assertEqual(self.heard, [("studio", "studio")])

    def test_times(self) -> None:
        """When it was made stays; when it was changed does not, and is never before."""
        self.add("a")
        self.assertEqual(self.applications.times("a"), (1000.0, 1000.0))
        for now, updated in ((2000.0, 2000.0), (500.0, 1000.0)):
            self.now = now
            enabled = not self.applications["a"].enabled
            self.successResultOf(self.applications.change("a", {"enabled": enabled}))
            self.assertEqual(self.applications.times("a"), (1000.0, updated))
            self.assertEqual(self.make().times("a"), (1000.0, updated))

    def test_change(self) -> None:
        """What is given changes; all else stays."""
        before = self.add("a", hls_segment_count=9, publish_password=SECRET)
        self.heard.clear()
        after = self.successResultOf(self.applications.change("a", {"enabled": False}))
        self.assertEqual((after.enabled, after.hls_segment_count), (False, 9))
        self.assertEqual(after.publish_password, SECRET)
        self.assertNotEqual(after, before)
        self.assertEqual(self.make()["a"], after)
        self.assertEqual(self.heard, [("a", "a")])

    def test_change_to_the_same(self) -> None:
        """What changes nothing is no event, and no viewer is looked at."""
        self.add("a")
        self.heard.clear()
        self.successResultOf(self.applications.change("a", {"enabled": True, "name": "a"}))
        self.assertEqual(self.heard, [])

    def test_rename(self) -> None:
        """The old name is gone at once; the event has both."""
        self.add("a", hls_segment_count=9)
        self.heard.clear()
        after = self.successResultOf(self.applications.change("a", {"name": "b"}))
        self.assertEqual((after.name, after.hls_segment_count), ("b", 9))
        for applications in (self.applications, self.make()):
            self.assertNotIn("a", applications)
            self.assertEqual(applications["b"], after)
        self.assertEqual(self.heard, [("a", "b")])
        with self.assertRaises(KeyError):
            self.applications.times("a")

    def test_remove(self) -> None:
        """P-203: it is gone, for good."""
        self.add("a")
        self.heard.clear()
        self.assertIsNone(self.successResultOf(self.applications.remove("a")))
        self.assertNotIn("a", self.applications)
        self.assertNotIn("a", self.make())
        self.assertEqual(self.heard, [("a", None)])

    def test_built_in(self) -> None:
        """P-202: the four keep name and type and stay; all else of them may be edited."""
        for name in BUILT_IN:
            text = self.refused(self.applications.change(name, {"name": "x"}), BuiltIn)
            self.assertEqual(text, f'application "{name}" is built in: its name stays')
            self.refused(self.applications.remove(name), BuiltIn)
            other = "vod" if name == "liveshow" else "live"
            self.refused(self.applications.change(name, {"type": other}), BuiltIn)
        for name in BUILT_IN:
            same = {"name": name, "type": BUILT_IN[name].type.value, "enabled": False}
            after = self.successResultOf(self.applications.change(name, same))
            self.assertFalse(after.enabled)
        self.assertFalse(any(application.enabled for application in self.make().values()))

    def test_names(self) -> None:
        """Names obey the rule for addresses (F-PA-01); those in use are refused."""
        for name in (
            "",
            ".",
            "..",
            "a/b",
            "a b",
            "mserver",
            "Metrics",
            "a\x00",
            "a\r\nb",
            "\ud800",
        ):
            text = self.refused(self.applications.add(name, {}), WrongField)
            self.assertTrue(text.startswith("name: "), text)
            self.assertTrue(text.isprintable(), text)
            self.refused(self.applications.change("tv", {"name": name}), WrongField)
        self.assertEqual(
            self.refused(self.applications.add("tv", {}), NameInUse),
            'there is an application "tv" already',
        )
        self.refused(self.applications.add("a", {"name": "b"}), WrongField)
        self.add("a")
        self.heard.clear()
        self.refused(self.applications.change("a", {"name": "tv"}), NameInUse)

    def test_composed(self) -> None:
        """A name typed in another form of Unicode is the same name."""
        self.add("Cafe\u0301")
        self.assertEqual(self.applications.find("Caf\u00e9"), self.applications["Caf\u00e9"])
        self.heard.clear()
        self.refused(self.applications.add("Caf\u00e9", {}), NameInUse)
        self.successResultOf(self.applications.change("Cafe\u0301", {"enabled": False}))
        self.successResultOf(self.applications.remove("Cafe\u0301"))
        self.assertEqual(self.make().keys(), BUILT_IN.keys())

    def test_absent(self) -> None:
        """What is not there is neither changed nor deleted; what was typed is shown safely."""
        for name, shown in (("none", '"none"'), ("a\x1b[2J", "'a\\x1b[2J'"), ("x" * 9999, "xxx")):
            self.assertIn(shown, self.refused(self.applications.change(name, {}), NoApplication))
            self.assertIn(shown, self.refused(self.applications.remove(name), NoApplication))

    def test_database_fails(self) -> None:
        """A change that is not saved does not happen, is logged, and the next one is tried."""
        self.add("a")
        self.heard.clear()
        self.store.problem = StoreError("the disk of the database is full")
        fields = {"publish_password": SECRET}
        for change in (
            self.applications.add("b", fields),
            self.applications.change("a", fields),
            self.applications.remove("a"),
        ):
            self.assertEqual(
                str(self.failureResultOf(change, StoreError).value),
                "the disk of the database is full",
            )
        self.assertEqual(self.heard, [])
        self.assertEqual(self.applications.keys(), {*BUILT_IN, "a"})
        self.assertEqual(self.applications["a"].publish_password, "")
        # Only the first was tried: what it did was not known to the others.
        self.assertEqual(sum("not saved: the disk" in line for line in self.logged), 1)
        self.assertEqual(sum("for want of a read: the disk" in line for line in self.logged), 2)
        self.store.problem = None
        self.add("b")
        self.assertEqual(self.make().keys(), {*BUILT_IN, "a", "b"})

    def test_another_program(self) -> None:
        """What another program did to the database is found out, not written over."""
        other = self.make()
        self.successResultOf(other.add("a", {"hls_segment_count": 3}))
        self.heard.clear()
        self.refused(self.applications.add("a", {}), NameInUse)
        for change in (
            lambda applications: applications.change("a", {"enabled": False}),
            lambda applications: applications.remove("a"),
        ):
            applications = self.make()
            self.successResultOf(other.remove("a"))
            self.heard.clear()
            text = str(self.failureResultOf(change(applications), StoreError).value)
            self.assertEqual(text, 'the database has no application "a" any more')
            # It is believed, and everybody told.
            self.assertNotIn("a", applications)
            self.assertEqual(self.heard, [("a", None)])
            self.failureResultOf(change(applications), NoApplication)
            self.successResultOf(other.add("a", {}))

    def test_one_after_the_other(self) -> None:
        """Changes asked for at the same time happen in order, each on what the last one left."""
        self.store.at_once = False
        applications = self.applications
        changes: list[Deferred[Any]] = [
            applications.add("a", {"hls_segment_count": 3}),
            applications.add("a", {"hls_segment_count": 4}),
            applications.change("a", {"name": "b"}),
            applications.change("b", {"enabled": False}),
            applications.remove("a"),
        ]
        self.assertEqual((self.store.waiting, len(applications)), (1, 4))
        while self.store.waiting:
            self.assertEqual(self.store.waiting, 1)
            self.store.step()
            self.assertEqual(set(applications), set(self.store.rows()))
        self.successResultOf(changes[0])
        self.failureResultOf(changes[1], NameInUse)
        self.successResultOf(changes[2])
        self.successResultOf(changes[3])
        self.failureResultOf(changes[4], NoApplication)
        self.assertEqual(self.heard, [("a", "a"), ("a", "b"), ("b", "b")])
        self.assertEqual(applications["b"], Application("b", hls_segment_count=3, enabled=False))

    def test_flood(self) -> None:
        """G-RS-15: many changes at once leave memory and database the same."""
        self.store.at_once = False
        changes = [
            self.applications.change("tv", {"hls_segment_count": 3 + number % 28})
            for number in range(60)
        ]
        while self.store.waiting:
            self.store.step()
        for change in changes:
            self.successResultOf(change)
        last = self.applications["tv"].hls_segment_count
        self.assertEqual(last, 3 + 59 % 28)
        self.assertEqual(self.store.rows()["tv"].hls_segment_count, last)

    def test_client_hangs_up(self) -> None:
        """Who asked may leave: what was begun is finished, in the database and in memory."""
        self.store.at_once = False
        adding = self.applications.add("a", {})
        waiting = self.applications.add("b", {})
        adding.cancel()
        waiting.cancel()
        self.failureResultOf(adding, CancelledError)
        self.failureResultOf(waiting, CancelledError)
        while self.store.waiting:
            self.store.step()
        self.assertEqual(set(self.applications), set(self.store.rows()))
        self.assertIn("a", self.applications)
        self.add_next()

    def add_next(self) -> None:
        """Another change has its turn."""
        adding = self.applications.add("next", {})
        self.store.step()
        self.successResultOf(adding)

    def test_longer_segments(self) -> None:
        """C-PL-04: a row with more seconds than are served has the most that are, and is served."""
        self.add("a")
        row = self.store.rows()["a"]
        long = ApplicationRow(**{**row.__dict__, "hls_segment_seconds": 30.0})
        self.store.run_now(lambda connection: overwrite(connection, long))
        self.applications = self.make()
        self.assertEqual(self.applications["a"].hls_segment_seconds, 20.0)
        self.successResultOf(self.applications.change("a", {"signed": True}))
        self.assertEqual(self.store.rows()["a"].hls_segment_seconds, 20.0)

    def test_not_understood(self) -> None:
        """A row that this program cannot have written is left out: its streams are refused."""
        self.add("a")
        row = self.store.rows()["a"]
        bad = ApplicationRow(**{**row.__dict__, "type": "hologram"})
        self.store.run_now(lambda connection: overwrite(connection, bad))
        self.assertEqual(self.make().keys(), BUILT_IN.keys())
        self.assertIn("application 'a' is not served: type: expected", self.logged[-1])

    def test_no_secret_in_the_log(self) -> None:
        """F-AC-03: a change of a password or a key server is logged, never what it was."""
        self.add("a", publish_password=SECRET)
        self.successResultOf(self.applications.change("a", {"publish_password": SECRET + "2"}))
        self.failureResultOf(self.applications.change("a", {"publish_password": SECRET * 99}))
        self.assertIn("application a was changed: ['publish_password']", self.logged)
        url = f"https://keys.example/{{key}}?token={SECRET}"
        self.add("b", hls_key_url=url)
        self.successResultOf(self.applications.change("b", {"hls_key_url": url + "2"}))
        self.failureResultOf(self.applications.change("b", {"hls_key_url": url + "}"}))
        self.assertIn("application b was changed: ['hls_key_url']", self.logged)
        self.assertNotIn(SECRET, "\n".join(self.logged))
        self.assertNotIn(SECRET, repr(self.applications["a"]) + repr(self.applications["b"]))
