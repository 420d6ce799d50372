"""Tests of ntvmedia.admin.settings: what the server was started with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.admin.site import make_control_resource
from ntvmedia.config import SECTIONS, DatabaseSettings, HTTPSettings, RTMPSettings, describe_section
from tests.admin.web import ROOT, Answer, Host, ask


class SettingsTests(SynchronousTestCase):
    """The settings of the file, read only."""

    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.host = Host(Path(folder.name))

    def ask(self) -> Answer:
        """Ask for them."""
        resource = make_control_resource(cast(Any, self.host))
        return ask(resource, self.host.reactor, b"GET", ROOT + b"/settings")

    def value(self, section: str, key: str) -> Any:
        """Return what is shown of one."""
        (found,) = (x for x in self.ask().json()["sections"] if x["name"] == section)
        (setting,) = (x for x in found["settings"] if x["key"] == key)
        return setting["value"]

    def test_all(self) -> None:
        """Each section and each of its settings, with what is allowed and what it is for."""
        found = {x["name"]: x["settings"] for x in self.ask().json()["sections"]}
        self.assertEqual(list(found), list(SECTIONS))
        for name, section in SECTIONS.items():
            self.assertEqual(
                [x["key"] for x in found[name]], [x.key for x in describe_section(section)]
            )
            for setting in found[name]:
                self.assertEqual(setting["value"], setting["default"])
                self.assertTrue(setting["text"] and setting["expected"])

    def test_secrets(self) -> None:
        """F-AC-03: no password is shown, nor a query that may have one."""
        for url, shown in (
            ("postgresql://me:sEc@ReT@db/x", "postgresql://me:***@db/x"),
            ("postgresql://me@db/x?password=sEcReT", "postgresql://me:***@db/x?***"),
            ("", ""),
        ):
            settings = replace(self.host.settings, database=DatabaseSettings(url=url))
            self.host.settings = settings
            self.assertEqual(self.value("database", "url"), shown)
            self.assertNotIn(b"ReT", self.ask().body)

    def test_plugins(self) -> None:
        """A section of a plugin is shown too, and what is called a secret there is not."""
        endpoints = {"http": HTTPSettings(), "other": RTMPSettings()}
        self.host.settings = replace(self.host.settings, endpoints=endpoints)
        names = [x["name"] for x in self.ask().json()["sections"]]
        self.assertEqual((names.count("http"), names[-1]), (1, "other"))
        self.assertEqual(self.value("other", "listen"), ["tcp:1935"])
