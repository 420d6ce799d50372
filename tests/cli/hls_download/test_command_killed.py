"""Tests of ntvmedia.cli.hls_download.command: ended at any moment, and begun again."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater

from tests.cli.hls_download.rig import SITE, TARGET, media_list, names, ts
from tests.cli.hls_download.test_command import LIST, MULTIVARIANT, CommandCase
from tests.clients.hls.fakes import Asked, Reply

VIDEO, AUDIO = f"{SITE}hd/", f"{SITE}en/"
SEGMENTS = 24
WINDOW = 16


class KilledTests(CommandCase):
    """However often it is ended, the file is the same in the end."""

    def slow(self, url: str, body: Callable[[], bytes]) -> None:
        """Have a server answer after a moment, and fail now and then."""

        def answer(_asked: Asked) -> Deferred[Reply]:
            chance = self.random.random()
            reply = Reply(b"", 503) if chance < 0.1 else Reply(body(), piece=300)
            if 0.1 <= chance < 0.15:
                reply = reply._replace(cut=True)
            return deferLater(self.clock, self.random.random() * 2, lambda: reply)

        self.serve(url, answer)

    def run_to_the_end(self, most_seconds: float, pause_seconds: float) -> int:
        """Run it, and end it after a while, until it is not ended any more; return how often."""
        kills = 0
        while True:
            done: Deferred[Any] = self.begin("--jobs", "3")
            left = self.random.random() * most_seconds if kills < 4 else 10_000.0
            while not done.called and left > 0:
                self.clock.advance(0.1)
                left -= 0.1
            if done.called:
                self.successResultOf(done)
                return kills
            done.cancel()
            self.failureResultOf(done, CancelledError)
            self.assertEqual(self.clock.getDelayedCalls(), [])
            kills += 1
            self.clock.advance(self.random.random() * pause_seconds)

    def test_whole(self) -> None:
        """Lists that have ended: all of it, and what is there is never asked for again."""
        for seed in range(12):
            self.random = random.Random(seed)
            self.outbound.asked.clear()
            self.slow(LIST, lambda: media_list(range(SEGMENTS), ended=True))
            for number in range(SEGMENTS):
                self.slow(f"{SITE}{number}.ts", lambda number=number: ts(number))  # type: ignore[misc]
            with self.subTest(seed=seed):
                self.run_to_the_end(6.0, 0.0)
                self.assertEqual(self.merged, [[ts(i) for i in range(SEGMENTS)]])
                self.assertEqual(self.out.read_bytes(), b"a film")
                self.assertFalse(self.path.exists())
            self.out.unlink()

    def test_live(self) -> None:
        """Lists that grow, of pictures and of sound.

        As long as what is missing is still listed, nothing is lost, nothing comes twice, and both
        begin together.
        """
        kills = 0
        for seed in range(15):
            self.random = random.Random(seed)
            began = self.clock.seconds()

            def listed() -> bytes:
                end = 20 + int((self.clock.seconds() - began) / TARGET)  # noqa: B023
                last = min(end, 20 + SEGMENTS)
                return media_list(range(last - WINDOW, last), ended=end >= 20 + SEGMENTS)

            self.slow(LIST, lambda: MULTIVARIANT)
            for folder in (VIDEO, AUDIO):
                self.slow(f"{folder}x.m3u8", listed)
                for number in range(20 - WINDOW, 20 + SEGMENTS):
                    body = ts(number)
                    self.slow(f"{folder}{number}.ts", lambda body=body: body)  # type: ignore[misc]
            with self.subTest(seed=seed):
                kills += self.run_to_the_end(7.0, 2.0)
                first = int(self.names_of(0)[0].removesuffix(".ts"))
                expected = names(range(first, 20 + SEGMENTS))
                self.assertEqual(self.names_of(0), expected)
                self.assertEqual(self.names_of(1), expected)
            self.out.unlink(missing_ok=True)
        self.assertGreater(kills, 15)
