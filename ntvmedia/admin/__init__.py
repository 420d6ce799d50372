"""What operators and their programs ask over HTTP: status, streams, applications, metrics."""

from __future__ import annotations

from typing import Any

from ntvmedia.interfaces import IHost

__all__ = ["make_resource"]


def make_resource(host: IHost) -> Any:
    """Build what serves all that is not media; see `ntvmedia.admin.site.make_resource`.

    It imports Klein, which installs a reactor: call it when one is chosen.
    """
    from ntvmedia.admin.site import make_resource as make

    return make(host)
