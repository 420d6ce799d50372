"""Tests of `StreamConnector.resolve`: addresses for what connects by itself."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from ntvmedia.config import OutboundSettings
from ntvmedia.config.reading import parse_section
from ntvmedia.outbound import OutboundError
from ntvmedia.outbound.streams import StreamConnector
from tests.outbound.rig import Names

HOST = "media.example"


class ResolvingTests(SynchronousTestCase):
    """A host becomes one address that may be connected to, or a reason."""

    def setUp(self) -> None:
        self.reactor: Any = MemoryReactorClock()
        self.names = self.reactor.nameResolver = Names()
        settings = parse_section(OutboundSettings, "outbound", {"allow": ["192.0.2.0/24"]})
        self.connector = StreamConnector(self.reactor, settings)

    def resolve(self, host: str = HOST) -> Any:
        """Look a host up for five seconds."""
        return self.connector.resolve(host, timeout_seconds=5.0)

    def error_of(self, looking: Any) -> OutboundError:
        """Return what a look-up fails with."""
        error = self.failureResultOf(looking, OutboundError).value
        assert isinstance(error, OutboundError)
        return error

    def test_first_good_one(self) -> None:
        """F-SS-03: of several addresses the first one that is not forbidden is taken."""
        self.names.known[HOST] = [["10.0.0.1", "192.0.2.7", "192.0.2.8"]]
        self.assertEqual(self.successResultOf(self.resolve()), "192.0.2.7")

    def test_addresses(self) -> None:
        """An IP address is itself, where it is not forbidden."""
        self.assertEqual(self.successResultOf(self.resolve("192.0.2.9")), "192.0.2.9")
        self.assertIn("169.254.169.254 is", str(self.error_of(self.resolve("169.254.169.254"))))

    def test_forbidden(self) -> None:
        """F-SS-03: a name that leads inside only is refused, and for good."""
        self.names.known[HOST] = [["127.0.0.1", "::1"]]
        error = self.error_of(self.resolve())
        self.assertIn("127.0.0.1 is a loopback address", str(error))
        self.assertTrue(error.is_permanent)

    def test_unknown(self) -> None:
        """A name that has no address may have one later."""
        error = self.error_of(self.resolve())
        self.assertEqual((str(error), error.is_permanent), ("its name is unknown", False))

    def test_silence(self) -> None:
        """E-SR-13: a name server that is silent is not waited for beyond the time."""
        self.names.known[HOST] = [None]
        looking = self.resolve()
        self.reactor.advance(4.9)
        self.assertNoResult(looking)
        self.reactor.advance(0.2)
        self.assertIn("within 5 seconds", str(self.error_of(looking)))

    def test_cancelled(self) -> None:
        """E-SR-13: who no longer wants to know is told nothing, at once."""
        self.names.known[HOST] = [None]
        looking = self.resolve()
        looking.cancel()
        self.failureResultOf(looking, CancelledError)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
