"""The web resource that serves all that is not media."""

from __future__ import annotations

from typing import Any

from ntvmedia.admin.api import API
from ntvmedia.admin.metrics import Metrics
from ntvmedia.admin.owner import OwnerOnly
from ntvmedia.interfaces import IHost


def make_resource(host: IHost) -> OwnerOnly:
    """Build the resource.

    Args:
        host: Asked at each request; nothing is kept here.

    Returns:
        A `twisted.web.resource.IResource` for every path.
    """
    reactor: Any = host.reactor
    return OwnerOnly(API(host, Metrics(host), reactor.seconds()).app.resource())
