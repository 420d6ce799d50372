"""`file:`: a file below one of `relay.folders`, as though it were live."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from ntvmedia.clients.ffmpeg.source import FFmpegSource, wrong
from ntvmedia.media.relaying import PullOptions

if TYPE_CHECKING:
    from ntvmedia.avtools.job import Input

_MAX_PATH: Final = 4000


class FileSource(FFmpegSource):
    """Plays files: "file:movies/one.mp4" below one of the folders, or "file:///srv/movies/one.mp4".

    With `PullOptions.loop` over and over, with times that go on.
    """

    schemes = ("file",)

    def check(self, url: str) -> None:
        path_of(url)

    def _input(self, host: Any, url: str, options: PullOptions) -> Input:
        from ntvmedia.avtools.job import FileInput

        path = path_of(url)
        folders = host.settings.relay.folders
        if not folders:
            raise wrong("no file is played while relay.folders of the settings is empty")
        return FileInput(path, tuple(map(str, folders)), options.loop)


def path_of(url: str) -> str:
    """Return the path in an address: absolute, or below a folder.

    Raises:
        RemoteError: It has none.
    """
    scheme, _colon, rest = url.partition(":")
    if scheme.lower() != "file":
        raise wrong("an address of a file begins with file:")
    if rest.startswith("//"):
        authority, slash, path = rest[2:].partition("/")
        if authority not in ("", "localhost") or not slash:
            raise wrong("a file is on this machine: file:NAME, or file:///PATH")
        rest = "/" + path
    try:
        path = unquote(rest, errors="strict")
    except UnicodeDecodeError:
        raise wrong("the name of the file is no UTF-8") from None
    if not path.strip("/") or len(path) > _MAX_PATH or any(x < " " for x in path):
        raise wrong("the address has no name of a file")
    return path
