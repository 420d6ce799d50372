"""Which addresses are media: everything else is the web resource's."""

from __future__ import annotations

from collections.abc import Container
from typing import Final, NamedTuple

from ntvmedia.media.names import (
    RESERVED_APPLICATIONS,
    SERVED_EXTENSIONS,
    Address,
    parse_path,
)

# The first character of a folder that an output keeps below a stream: no name has it. Some
# clients encode it (RFC 3986 section 2.3 says they should not).
_TILDES: Final = ("~", "%7E", "%7e")


class MediaTarget(NamedTuple):
    """A target that asks for an output of a stream.

    Attributes:
        extension: Which output: lower case, without the dot; empty where `below` is not.
        path: The target without the extension or what is below, its query kept; not yet checked.
        below: What follows the stream's name and a slash, when it begins with a tilde.
    """

    extension: str
    path: str
    below: str = ""

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
    media at its end, or the third with a tilde at its beginning.

    Args:
        target: In origin form, as sent.
        outputs: The extensions that have a route, for those of plugins beside ours.
    """
    path, mark, query = target.partition("?")
    if "/~" in path or "/%7" in path:
        segments = [segment for segment in path.split("/") if segment]
        if len(segments) > 2 and segments[2].startswith(_TILDES):
            if segments[0].lower() in RESERVED_APPLICATIONS:
                return None
            return MediaTarget(
                "", f"/{segments[0]}/{segments[1]}{mark}{query}", "/".join(segments[2:])
            )
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
