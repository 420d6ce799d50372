"""A live HLS stream as files: a new segment and a new playlist each target duration."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping
from itertools import cycle
from multiprocessing.connection import Connection
from pathlib import Path
from posixpath import splitext
from typing import Final
from urllib.parse import urljoin

from bench.flv import BadStream
from bench.playlist import read_playlist

_SEQUENCE: Final = "#EXT-X-MEDIA-SEQUENCE:"


class LiveFiles:
    """What a viewer was given once, going on for ever: the same segments under new names.

    Args:
        files: By path: playlists and the segments of a media playlist beside it.

    Attributes:
        target_seconds: Between two steps.

    Raises:
        BadStream: There is no media playlist among them.
    """

    def __init__(self, files: Mapping[str, bytes]) -> None:
        path = next((path for path, body in files.items() if b"\n#EXTINF:" in body), None)
        if path is None:
            raise BadStream("no media playlist")
        self._path = path
        listed = read_playlist(files[path])
        self.target_seconds = listed.target_seconds
        self._lines = files[path].decode().splitlines()
        self._sequence = listed.sequence
        self._names = deque(listed.names)
        self._contents = cycle([files[urljoin(path, name)] for name in listed.names])
        self._made = 0

    def step(self) -> dict[str, bytes]:
        """Return what changes by one segment, by path: the segment, and then the playlist."""
        self._made += 1
        self._sequence += 1
        # As long as the names before, so that requests and playlists are as large.
        stem, suffix = splitext(self._names[-1])
        name = str(self._made).zfill(len(stem)) + suffix
        self._names.popleft()
        self._names.append(name)
        names, lines = iter(self._names), list[str]()
        for line in self._lines:
            if line and not line.startswith("#"):
                lines.append(next(names))
            elif line.startswith(_SEQUENCE):
                lines.append(f"{_SEQUENCE}{self._sequence}")
            else:
                lines.append(line)
        lines.append("")
        return {
            urljoin(self._path, name): next(self._contents),
            self._path: "\n".join(lines).encode(),
        }


def run_writer(root: Path, files: Mapping[str, bytes], parent: Connection) -> None:
    """Take a step each target duration below `root` until the parent sends something.

    Runs in a process of its own. The parent is sent the string `ready`, or the exception that
    ended it.
    """
    try:
        live = LiveFiles(files)
        parent.send("ready")
        while not parent.poll(live.target_seconds):
            for path, content in live.step().items():
                write_whole(root / path.removeprefix("/"), content)
    except (BadStream, OSError) as error:
        parent.send(error)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that nobody ever sees half of it."""
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(content)
    os.replace(part, path)
