"""The web resources that serve all that is not media."""

from __future__ import annotations

from typing import Any

from ntvmedia.admin.api import API
from ntvmedia.admin.resources import RESOURCES
from ntvmedia.interfaces import IHost


def make_resource(host: IHost) -> Any:
    """Build the resource of the HTTP ports, where everybody has to show who it is.

    Args:
        host: Asked at each request; nothing is kept here.

    Returns:
        A `twisted.web.resource.IResource` for every path.
    """
    return API(host, RESOURCES).resource()


def make_control_resource(host: IHost) -> Any:
    """Build the resource of the control socket: the same, for whoever may open the socket.

    Args:
        host: As for `make_resource`.
    """
    return API(host, RESOURCES, is_control=True).resource()
