"""Connections to other servers in protocols that are not HTTP: media is pulled and pushed by them.

As in `connections`, each passes the `Gate`: also one that a server redirects us to (F-SS-03).
"""

from __future__ import annotations

from typing import Any, Final

from twisted.internet.defer import Deferred, fail
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IProtocol, IProtocolFactory
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.web.client import BrowserLikePolicyForHTTPS, HostnameCachingHTTPSPolicy

from ntvmedia.config import OutboundSettings
from ntvmedia.outbound.connections import Gate
from ntvmedia.outbound.failures import OutboundError
from ntvmedia.outbound.policy import Policy
from ntvmedia.outbound.reasons import NETWORK_ERRORS, is_permanent, reason_of

# Hosts whose side of TLS is kept, for the reason that `connections` has.
_TLS_HOSTS: Final = 20

_NO_NAME: Final = "its name is none that may be looked up"


class StreamConnector:
    """Connects to hosts, by name or address: to the one that answers first of those that it has.

    Args:
        reactor: Has sockets, a resolver and threads.
        settings: Whom it may connect to.
        trust: Whose certificates are believed, for `twisted.internet.ssl.optionsForClientTLS`;
            None for those that the system trusts.
        policy: Says whom it may connect to, instead of the settings.
    """

    def __init__(
        self,
        reactor: Any,
        settings: OutboundSettings,
        trust: Any = None,
        *,
        policy: Policy | None = None,
    ) -> None:
        self._gate: Any = Gate(reactor, policy or Policy(settings.allow))
        self._tls = HostnameCachingHTTPSPolicy(BrowserLikePolicyForHTTPS(trust), _TLS_HOSTS)

    def connect(
        self,
        host: str,
        port: int,
        factory: IProtocolFactory,
        *,
        tls: bool = False,
        timeout_seconds: float,
    ) -> Deferred[IProtocol]:
        """Connect once.

        Args:
            host: Name or IP address; with TLS the certificate has to be for it.
            port: 1 to 65535.
            factory: Makes the protocol.
            tls: Speak TLS. What is wrong with a certificate is told by `connectionLost`, since
                TLS begins with the first bytes; `reasons.reason_of` has words for it.
            timeout_seconds: For all of it, the look-up of the name included.

        Returns:
            Fires with the protocol, once it is connected. Fails with `OutboundError`, whose
            message is one clause without the address; with `CancelledError` when cancelled.
        """
        made: Any = factory
        if tls:
            try:
                creator = self._tls.creatorForNetloc(host.encode("idna"), port)
            except ValueError:
                return fail(OutboundError(_NO_NAME, is_permanent=True))
            made = TLSMemoryBIOFactory(creator, True, factory, self._gate)
        endpoint = HostnameEndpoint(self._gate, host, port, timeout_seconds)
        connecting: Deferred[Any] = endpoint.connect(made)
        connecting.addTimeout(timeout_seconds, self._gate, _too_late)
        connecting.addCallback(lambda protocol: protocol.wrappedProtocol if tls else protocol)
        connecting.addErrback(_in_words)
        return _cancellable(connecting)

    def resolve(self, host: str, *, timeout_seconds: float) -> Deferred[str]:
        """Find an address that may be connected to, for what connects by itself.

        Args:
            host: Name or IP address.
            timeout_seconds: For the look-up.

        Returns:
            Fires with the first one of the host's IP addresses that the policy has nothing
            against. Fails with `OutboundError`, permanent where it has something against all of
            them; with `CancelledError` when cancelled.
        """
        looking = self._gate.resolve(host)
        looking.addTimeout(timeout_seconds, self._gate, _not_found)
        return _cancellable(looking)


def _cancellable(connecting: Deferred[Any]) -> Deferred[Any]:
    """Return what fails with `CancelledError` when cancelled, whatever Twisted makes of that.

    For a name that is being looked up, it says that there is none.
    """
    is_cancelled = False

    def cancel(_waiting: object) -> None:
        nonlocal is_cancelled
        is_cancelled = True
        connecting.cancel()

    def pass_on(result: Any) -> None:
        if not is_cancelled:
            waiting.callback(result)

    waiting: Deferred[Any] = Deferred(cancel)
    connecting.addBoth(pass_on)
    return waiting


def _not_found(_result: object, seconds: float) -> None:
    raise OutboundError(f"its name was not found within {seconds:g} seconds")


def _too_late(_result: object, seconds: float) -> None:
    raise OutboundError(f"no connection within {seconds:g} seconds")


def _in_words(failure: Failure) -> Failure:
    if failure.check(ValueError):
        # What Twisted makes of a host that is neither an address nor a name.
        raise OutboundError(_NO_NAME, is_permanent=True) from None
    if failure.check(*NETWORK_ERRORS):
        error = failure.value
        assert error is not None
        raise OutboundError(reason_of(error), is_permanent=is_permanent(error)) from None
    return failure
