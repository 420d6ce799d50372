"""A server with a publisher and a player, for the tests of who is given what."""

from __future__ import annotations

from typing import Any
from urllib.parse import urljoin

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.access import Access, Request, Verdict
from ntvmedia.endpoints.http.hls.outputs import HLSOutputs
from ntvmedia.events import PlayEnded, PlayStarted
from tests.hls.rig import KEY, Player, Rig


class HLSCase(SynchronousTestCase):
    """A server with a publisher and one player."""

    options: dict[str, Any] = {}  # noqa: RUF012

    def setUp(self) -> None:
        self.rig = Rig(**{"hls_audio_variant": False, **self.options})
        self.addCleanup(self.rig.close)
        self.rig.publish()
        self.rig.run(5.0)
        self.plays: list[str] = []
        self.rig.host.events.subscribe(PlayStarted, lambda x: self.plays.append(x.protocol))
        self.rig.host.events.subscribe(PlayEnded, lambda x: self.plays.append(x.reason))
        self.player = Player(self.rig)

    @property
    def outputs(self) -> HLSOutputs:
        """What the server has of HLS."""
        found: HLSOutputs = self.rig.host.part(HLSOutputs)
        return found

    @property
    def viewers(self) -> list[Any]:
        """Who watches."""
        return list(self.rig.host.hub.streams[KEY].viewers)

    def watch(self, player: Player | None = None) -> Player:
        """Have a player that has its playlist."""
        player = player or self.player
        player.join()
        player.wait()
        return player

    def segment(self, player: Player) -> str:
        """Return the address of the last segment that a player sees."""
        lines = player.poll().body.decode("ascii").splitlines()
        return urljoin(player.playlist, [x for x in lines if x.endswith(".ts")][-1])


class SlowAccess(Access):
    """Answers as it is told to.

    Attributes:
        verdict: What.
        asked: How often.
    """

    verdict = Verdict(True)
    asked = 0

    def decide(self, request: Request, **_how: Any) -> Deferred[Verdict]:
        """Answer."""
        self.asked += 1
        return succeed(self.verdict)
