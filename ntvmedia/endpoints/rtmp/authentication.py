"""Asking encoders for user and password when they connect, where their application says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ntvmedia.access import Application
from ntvmedia.media.names import Address, BadName, parse_rtmp
from ntvmedia.wire.rtmp.authmod import (
    Credentials,
    Verifier,
    parse_credentials,
    without_credentials,
)
from ntvmedia.wire.rtmp.events import Connected

# Stands for the stream, which nobody knows yet at `connect`.
_ANY_STREAM = "any"


class Authentication:
    """What an encoder was asked for, and answered.

    Which stream it wants is not known before it may publish it, and only then is it decided: here
    it is asked, and what it answered is kept for that.

    Args:
        host: An `ntvmedia.interfaces.IHost`.
        secret: 16 unpredictable bytes or more, the same for all connections.
        peer_host: The peer's address without its port.
    """

    def __init__(self, host: Any, secret: bytes, peer_host: str) -> None:
        self._host = host
        self._peer_host = peer_host
        self._verifier = Verifier(secret, peer_host)
        self._credentials: Credentials | None = None

    def refusal(self, connected: Connected) -> str:
        """Return the description to refuse a `connect` with; empty where it is to be accepted.

        Args:
            connected: Of an encoder. Others are never asked: they would not know what to do.
        """
        address = _address(connected)
        if address is None or "password" in address.query:
            return ""
        application: Application | None = self._host.applications.get(address.key.application)
        if (
            application is None
            or not application.rtmp_authentication
            or not application.publish_password
            or self._host.access.trusts(self._peer_host, "publish")
        ):
            return ""
        credentials = parse_credentials(connected.app) or parse_credentials(connected.tc_url)
        refusal = self._verifier.refusal(credentials, self._host.reactor.seconds())
        if not refusal:
            self._credentials = credentials
        return refusal

    @property
    def proves(self) -> Callable[[str], bool] | None:
        """As in `ntvmedia.access.Request`."""
        credentials = self._credentials
        if credentials is None:
            return None
        return lambda password: self._verifier.proves(credentials, password)


def parse_address(app: str, name: str, tc_url: str) -> Address:
    """Read an address as `parse_rtmp` does, but for the answers of encoders in it.

    Raises:
        BadName: As that.
    """
    return parse_rtmp(without_credentials(app), name, without_credentials(tc_url))


def _address(connected: Connected) -> Address | None:
    """Return the application that is connected to, with some stream; None if there is none."""
    # Some have the stream's name in the app, and none to publish.
    for name in (_ANY_STREAM, ""):
        try:
            return parse_address(connected.app, name, connected.tc_url)
        except BadName:
            continue
    return None
