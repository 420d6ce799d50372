"""The web resources that serve all that is not media."""

from __future__ import annotations

from typing import Any

from ntvmedia.admin.api import API
from ntvmedia.admin.metrics import Metrics
from ntvmedia.admin.owner import OwnerOnly
from ntvmedia.interfaces import IHost


def make_resource(host: IHost) -> OwnerOnly:
    """Build the resource of the HTTP ports: for this machine only, and for reading only.

    Args:
        host: Asked at each request; nothing is kept here.

    Returns:
        A `twisted.web.resource.IResource` for every path.
    """
    return OwnerOnly(make_control_resource(host))


def make_control_resource(host: IHost) -> Any:
    """Build the resource of the control socket: the same, for whoever may open the socket.

    Args:
        host: As for `make_resource`.
    """
    reactor: Any = host.reactor
    return API(host, Metrics(host), reactor.seconds()).app.resource()
