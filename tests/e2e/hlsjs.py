"""HLS in a browser, by hls.js or by what the browser has itself, and the account of what it did."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.browser import Browser, Page
from tests.e2e.processes import Failed

NODE = Path(__file__).parent / "node"
NEWEST = "hls.js"
BEFORE = "hls.js-1.6"
"""The packages of hls.js: the newest one, and the last of the series before it."""

# What hls.js calls errors while all is as it should be: that it waits for media, that it steps
# over a hole at the start, and that it does not need any more what it has asked for.
HARMLESS = frozenset({"bufferStalledError", "bufferSeekOverHole", "bufferNudgeOnStall", "aborted"})

# hls.js gave a decoder two things to do at once, as it may when a track is changed on a busy
# machine, and gives it the second again. What it was sent has no part in this.
BUSY = "still processing an 'appendBuffer' or 'remove' operation"

HTML = '<!doctype html><title>HLS</title><video id="video" width="320" height="240" muted></video>'


@dataclass(frozen=True)
class Account:
    """What a watcher has seen so far: see node/watch.js.

    Attributes:
        fields: All of it. Times are milliseconds since the page was told to play.
    """

    fields: Mapping[str, Any]

    def __getattr__(self, name: str) -> Any:
        try:
            return self.fields[name]
        except KeyError:
            raise AttributeError(name) from None

    @property
    def troubles(self) -> list[dict[str, Any]]:
        """The errors but for those that only say that media was waited for, or hls.js itself."""
        return [
            x
            for x in self.fields["errors"]
            if x["details"] not in HARMLESS and not (BUSY in x["reason"] and not x["fatal"])
        ]

    @property
    def stalls(self) -> list[dict[str, Any]]:
        """How often there was nothing to play, as hls.js tells."""
        return [x for x in self.fields["errors"] if x["details"] == "bufferStalledError"]

    def latencies(self, since_seconds: float = 0.0) -> list[float]:
        """Return hls.js's own figure, four times a second, from so many seconds on."""
        return [x[1] for x in self.fields["latencies"] if x[0] >= since_seconds * 1000]

    def uris(self, kind: str = "main") -> list[str]:
        """Return the addresses of what was played, in order: segments, or parts where there are."""
        return [x["url"] for x in self.fields["fragments"] if x["type"] == kind]


class Watcher:
    """A page that plays an address, best used in a `with` statement, which closes it.

    Args:
        browser: Where.
        site: The address of a page with `HTML`.
        url: What is played.
        native: By the browser itself, without hls.js.
        package: Which hls.js.
        keep: All that is given to the decoders: see `save`.
        config: Of hls.js.
    """

    def __init__(
        self,
        browser: Browser,
        site: str,
        url: str,
        *,
        native: bool = False,
        package: str = NEWEST,
        keep: bool = False,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        self.page: Page = browser.open(site)
        if not native:
            self.page.add_script(NODE / "node_modules" / package / "dist" / "hls.min.js")
        self.page.add_script(NODE / "watch.js")
        options = {"native": native, "keep": keep, "config": dict(config or {})}
        self.page.evaluate("([url, options]) => watch(url, options)", given=[url, options])

    def __enter__(self) -> Watcher:
        return self

    def __exit__(self, *_: object) -> None:
        self.page.close()

    def account(self) -> Account:
        """Return what it has seen so far."""
        return Account(self.page.evaluate("account()"))

    def wait_for(self, condition: str, seconds: float = 60.0) -> Account:
        """Wait until a JavaScript expression is true in the page; `seen` is the account in it.

        Raises:
            Failed: It is not in time, or playing failed for good before.
        """
        deadline = time.monotonic() + seconds
        test = f"((seen) => Boolean({condition}))(account())"
        while not self.page.evaluate(test):
            found = self.account()
            if any(x["fatal"] for x in found.errors):
                raise Failed(f"playing failed: {found.errors}")
            if time.monotonic() > deadline:
                raise Failed(f"waited {seconds} seconds in vain until {condition}: {found.fields}")
            time.sleep(0.05)
        return self.account()

    def wait_until_played(self, seconds: float, patience: float = 60.0) -> Account:
        """Wait until it has played for so long in all.

        Raises:
            Failed: It has not in so many seconds more, or playing failed for good before.
        """
        return self.wait_for(f"seen.played >= {seconds}", seconds + patience)

    def play_on(self, seconds: float) -> Account:
        """Wait until it has played for so long from now on.

        Raises:
            Failed: It does not go on, or playing failed for good.
        """
        return self.wait_until_played(self.account().played + seconds)

    def wait_for_failure(self, seconds: float = 60.0) -> list[dict[str, Any]]:
        """Wait until playing fails for good, and return the errors."""
        self.page.wait_for("account().errors.some((x) => x.fatal)", seconds=seconds)
        errors: list[dict[str, Any]] = self.account().errors
        return errors

    @property
    def kinds(self) -> set[str]:
        """Which decoders were given something: "video", "audio" or both."""
        return set(self.page.evaluate("appendedKinds()"))

    def save(self, kind: str, path: Path) -> float:
        """Write what the decoder of "video" or "audio" was given into a file.

        Returns:
            What hls.js told the browser to add to the times in it, in seconds.

        Raises:
            Failed: There is nothing, or what is to be added changed.
        """
        appended = self.page.evaluate(f"appended('{kind}')")
        pieces = [(offset, base64.b64decode(text)) for offset, text in appended]
        path.write_bytes(b"".join(piece for _offset, piece in pieces))
        # Of an init segment it means nothing.
        offsets = {offset for offset, piece in pieces if piece[4:8] != b"ftyp"}
        if len(offsets) != 1:
            raise Failed(f"{kind}: {len(pieces)} pieces with offsets {offsets}")
        found: float = offsets.pop()
        return found
