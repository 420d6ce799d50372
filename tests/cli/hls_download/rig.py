"""A download without a network: servers and a clock as a test says, a folder of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from ntvmedia.cli.hls_download.downloads import Downloads
from ntvmedia.cli.hls_download.folder import WorkFolder
from ntvmedia.cli.hls_download.following import Part, Source
from ntvmedia.cli.hls_download.progress import Progress
from ntvmedia.formats.m3u8 import MediaPlaylist
from ntvmedia.formats.m3u8_reader import parse_playlist
from tests.clients.hls.fakes import LoaderCase, Reply

SITE = "https://example.org/"
TARGET = 4.0


def ts(number: int) -> bytes:
    """Return what passes for a segment of MPEG-TS, and tells which it is."""
    return b"".join(b"\x47%6d%6d" % (number, i) + bytes(175) for i in range(6))


def media_list(
    numbers: Iterable[int],
    *,
    ended: bool = False,
    name: str = "{}.ts",
    sequence: int | None = None,
    before: str = "",
    each: str = "",
    target: float = TARGET,
) -> bytes:
    """Return a playlist.

    Args:
        numbers: Of its segments.
        ended: It has ended.
        name: Of a segment, by its number.
        sequence: The number of the first; None for what it has.
        before: Lines of tags before the first.
        each: Lines of tags before each segment, by its number.
        target: Seconds of each.
    """
    numbers = list(numbers)
    first = (numbers or [0])[0] if sequence is None else sequence
    lines = ["#EXTM3U", f"#EXT-X-TARGETDURATION:{target:g}", f"#EXT-X-MEDIA-SEQUENCE:{first}"]
    lines += [before] * bool(before)
    for number in numbers:
        lines += [each.format(number)] * bool(each)
        lines += [f"#EXTINF:{target:.3f},", name.format(number)]
    lines += ["#EXT-X-ENDLIST"] * ended
    return "\n".join([*lines, ""]).encode()


class DownloadCase(LoaderCase):
    """A folder, and what loads into it.

    Attributes:
        path: Of the folder.
        folder: Itself.
        progress: What is told.
        shown: Where it is shown.
    """

    wanted: dict[str, Any] = {"url": "x"}  # noqa: RUF012

    def setUp(self) -> None:
        super().setUp()
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.path = Path(place.name) / "out.mp4.download"
        self.shown = StringIO()
        self.progress = Progress(self.shown)
        self.open()

    def open(self) -> WorkFolder:
        """Open the folder, as another process would."""
        self.folder = WorkFolder(self.path, self.wanted, force=False, resume=False)
        self.addCleanup(self.folder.close)
        return self.folder

    def reopen(self) -> None:
        """End the process, and begin another."""
        self.folder.close()
        self.open()
        self.loader = self.make_loader()
        self.outbound.asked.clear()

    def downloads(self, jobs: int = 3, *, partial: bool = False) -> Downloads:
        """Return what loads segments."""
        return Downloads(self.loader, self.folder, self.progress, jobs=jobs, partial=partial)

    def source(self, url: str, body: bytes, number: int = 0) -> Source:
        """Return a list as it was loaded first."""
        playlist = parse_playlist(body, url)
        assert isinstance(playlist, MediaPlaylist)
        return Source(number, Part(), url, playlist, url)

    def serve_segments(self, numbers: Iterable[int], name: str = f"{SITE}{{}}.ts") -> None:
        """Have servers have segments."""
        for number in numbers:
            self.serve(name.format(number), Reply(ts(number)))

    def loaded(self, source: int = 0) -> list[str]:
        """Return the names of what there is of a source, in order.

        "-" is before what is missing, "|" before a discontinuity.
        """
        entries = [self.folder.entries[x] for x in sorted(self.folder.entries) if x[0] == source]
        assert [entry.place for entry in entries] == list(range(len(entries))), entries
        return [
            f"{'|' * entry.discontinuity}{'-' * (entry.size < 0)}{entry.name}" for entry in entries
        ]

    def told(self) -> list[str]:
        """Return the lines that were shown."""
        return [line.removeprefix("ntvmedia: ") for line in self.shown.getvalue().splitlines()]


class Gone(StringIO):
    """What nobody reads any more."""

    def write(self, _text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


def names(numbers: Sequence[int] | range) -> list[str]:
    """Return names as `media_list` gives them."""
    return [f"{number}.ts" for number in numbers]
