"""Requests through an HTTP proxy (RFC 9110 7.3.2, 9.3.6; RFC 9112 3.2.2).

A request for http goes to the proxy as a whole. For https the proxy is asked to connect us to the
target, and TLS is spoken with that: the proxy sees its name and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure
from twisted.web.client import HTTPConnectionPool, ProxyAgent
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from ntvmedia.outbound.addresses import Target, parse_target
from ntvmedia.outbound.bodies import Unread
from ntvmedia.outbound.failures import OutboundError, Unacceptable
from ntvmedia.outbound.limits import OpenConnections

MAX_HEAD_BYTES: Final = 64 << 10
"""Of a proxy's answer to CONNECT: some have a page of explanations as field or body."""

_PASSWORD_WANTED: Final = 407
_TEMPORARY: Final = frozenset({408, 425, 429})
_SUCCESS: Final = range(200, 300)
_WRONG_PASSWORD: Final = "the proxy asks for another user and password"  # noqa: S105

_START: Final = b"HTTP/1."
_STATUS: Final = re.compile(rb"HTTP/1\.[0-9] ([1-9][0-9]{2})(?: [^\n]*)?\r?\n")
_END: Final = re.compile(rb"\n\r?\n")


def parse_proxy(url: str) -> Target:
    """Read the address of a proxy: "http://[USER:PASSWORD@]HOST[:PORT]", or without "http://".

    Raises:
        OutboundError: It is none. The message does not show it.
    """
    try:
        target = parse_target(url if "://" in url else f"http://{url}")
    except OutboundError as error:
        raise OutboundError(f"the proxy: {error}", is_permanent=True) from None
    if target.scheme != "http":
        why = "the address does not begin with http://, and other proxies are not known"
    elif target.path != "/":
        why = "the address has a path"
    else:
        return target
    raise OutboundError(f"the proxy: {why}", is_permanent=True)


@implementer(IAgent)
class ProxiedAgent:
    """Sends requests for http to a proxy.

    Args:
        reactor: As for Twisted's agents.
        endpoint: Connects to the proxy.
        pool: Keeps the connections.
        proxy: With its user and password.
        check_host: Raises what is wrong with a target's host.
    """

    def __init__(
        self,
        reactor: Any,
        endpoint: IStreamClientEndpoint,
        pool: HTTPConnectionPool,
        proxy: Target,
        check_host: Callable[[str], None],
    ) -> None:
        self._agent = ProxyAgent(endpoint, reactor, pool)
        self._authorization = proxy.authorization
        self._check_host = check_host

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        self._check_host(parse_target(uri.decode("ascii")).host)
        headers = Headers() if headers is None else headers.copy()
        if self._authorization:
            headers.setRawHeaders("Proxy-Authorization", [self._authorization])
        response: Deferred[IResponse] = self._agent.request(method, uri, headers, bodyProducer)
        return response.addCallback(self._answered)

    def _answered(self, response: Any) -> IResponse:
        if response.code == _PASSWORD_WANTED:
            response.deliverBody(Unread())
            raise Unacceptable(_WRONG_PASSWORD, is_permanent=True)
        answer: IResponse = response
        return answer


@implementer(IStreamClientEndpoint)
class TunnelEndpoint:
    """Connects to a host by way of a proxy.

    Args:
        endpoint: Connects to the proxy.
        proxy: With its user and password.
        host: A name, or an IP address without brackets.
        port: 1 to 65535.
        connections: Where those to the proxy are entered.
    """

    def __init__(
        self,
        endpoint: IStreamClientEndpoint,
        proxy: Target,
        host: str,
        port: int,
        connections: OpenConnections,
    ) -> None:
        self._endpoint = endpoint
        self._open = connections
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        lines = [f"CONNECT {where} HTTP/1.1", f"Host: {where}"]
        if proxy.authorization:
            lines.append(f"Proxy-Authorization: {proxy.authorization}")
        self._request = "\r\n".join([*lines, "", ""]).encode("ascii")

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect; fails with `Unacceptable` where the proxy will not have it."""
        factory = _Tunnels(self._request, protocolFactory, self._open)
        connecting: Deferred[Any] = self._endpoint.connect(factory)
        return connecting.addCallback(lambda tunnel: tunnel.ready)


class _Tunnels(Factory):
    """Makes one.

    Args:
        request: What the proxy is asked.
        inside: Makes what speaks with the target.
        connections: As in `TunnelEndpoint`.
    """

    noisy = False

    def __init__(
        self, request: bytes, inside: IProtocolFactory, connections: OpenConnections
    ) -> None:
        self._request = request
        self._inside = inside
        self._open = connections

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        where: Any = addr
        return _Tunnel(self._request, lambda: self._inside.buildProtocol(where), self._open)


class _Tunnel(Protocol):
    """A connection to a proxy that becomes one to the target.

    Args:
        request: What the proxy is asked.
        build: Makes what speaks with the target.
        connections: As in `TunnelEndpoint`.

    Attributes:
        ready: Fires with what speaks with the target, when it does. May be cancelled.
    """

    def __init__(
        self, request: bytes, build: Callable[[], Any], connections: OpenConnections
    ) -> None:
        self.ready: Deferred[IProtocol] = Deferred(lambda _ready: self.loseConnection())
        self._request = request
        self._build = build
        self._open = connections
        self._got = bytearray()
        self._inside: Any = None

    def loseConnection(self) -> None:
        """End it at once."""
        transport: Any = self.transport
        transport.abortConnection()

    def connectionMade(self) -> None:
        self._open.connections.add(self)
        transport: Any = self.transport
        transport.write(self._request)

    def dataReceived(self, data: bytes) -> None:
        if self._inside is not None:
            self._inside.dataReceived(data)
        elif not self.ready.called:
            before = len(self._got)
            self._got += data
            self._look(before)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self._open.connections.discard(self)
        if self._inside is not None:
            self._inside.connectionLost(reason)
        elif not self.ready.called:
            self.ready.errback(Unacceptable("the proxy closed the connection"))
        self._open.tell()

    def _look(self, before: int) -> None:
        """See what the proxy says, once its head is complete.

        Args:
            before: How much of it was looked at already.
        """
        if not self._got.startswith(_START[: len(self._got)]):
            self._fail("the proxy's answer is no HTTP")
            return
        # An end that began before is three bytes long.
        end = _END.search(self._got, max(0, before - 2))
        if end is None:
            if len(self._got) > MAX_HEAD_BYTES:
                self._fail("the proxy's answer is too long")
            return
        status = _STATUS.match(self._got)
        if status is None:
            self._fail("the proxy's answer is no HTTP")
            return
        code = int(status[1])
        if code in _SUCCESS:
            self._begin(bytes(self._got[end.end() :]))
        elif code == _PASSWORD_WANTED:
            self._fail(_WRONG_PASSWORD, is_permanent=True)
        else:
            # What the target is to blame for comes as 502 or 504, and may pass.
            is_final = code < 500 and code not in _TEMPORARY
            self._fail(f"the proxy refused, with status {code}", is_permanent=is_final)

    def _begin(self, rest: bytes) -> None:
        self._got.clear()
        self._inside = self._build()
        self._inside.makeConnection(self.transport)
        self.ready.callback(self._inside)
        if rest:
            self._inside.dataReceived(rest)

    def _fail(self, why: str, *, is_permanent: bool = False) -> None:
        self.ready.errback(Unacceptable(why, is_permanent=is_permanent))
        self.loseConnection()
