"""Which addresses are media: everything else is the web resource's."""

from __future__ import annotations

from collections.abc import Container
from typing import NamedTuple

from ntvmedia.media.names import (
    RESERVED_APPLICATIONS,
    SERVED_EXTENSIONS,
    Address,
    parse_path,
)


class MediaTarget(NamedTuple):
    """A target that asks for an output of a stream.

    Attributes:
        extension: Which output: lower case, without the dot.
        path: The target without the extension, its query kept; not yet checked.
    """

    extension: str
    path: str

    def address(self) -> Address:
        """Return the stream that is meant, and the decoded query.

        Raises:
            ntvmedia.media.names.BadName: It is not the name of a stream.
        """
        return parse_path(self.path)


def media_target(target: str, outputs: Container[str] = ()) -> MediaTarget | None:
    """Say whether a request's target is a media address, `/APP/STREAM.flv?audio=1`.

    It is one by its form alone, whether or not such an application or output exists: at least two
    segments, the first not a name that the server keeps for itself, the last with an extension of
    media at its end.

    Args:
        target: In origin form, as sent.
        outputs: The extensions that have a route, for those of plugins beside ours.
    """
    path, mark, query = target.partition("?")
    folder, _slash, name = path.rpartition("/")
    stem, dot, extension = name.rpartition(".")
    extension = extension.lower()
    if not (stem and dot):
        return None
    if extension not in SERVED_EXTENSIONS and extension not in outputs:
        return None
    application = folder.lstrip("/").partition("/")[0]
    if not application or application.lower() in RESERVED_APPLICATIONS:
        return None
    return MediaTarget(extension, f"{folder}/{stem}{mark}{query}")
