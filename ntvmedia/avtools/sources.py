"""Where a child process has its media from: each kind of input as a container of FFmpeg's.

In the child process only. Demuxer and protocols are pinned: what a source sends never chooses
them, beyond the formats that are listed here (F-SS-01).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

import av

from ntvmedia.avtools.datagrams import DatagramReader
from ntvmedia.avtools.files import MAX_SNIFFED, OpenFile, format_of
from ntvmedia.avtools.framing import FrameType
from ntvmedia.avtools.job import DatagramInput, DataInput, FileInput, Job, URLInput
from ntvmedia.avtools.streams import FrameSource
from ntvmedia.errors import RemoteError, UsageError

# A protocol that FFmpeg does not have: nothing that a file or stream names is opened.
_NO_PROTOCOL: Final = "none"

# What is read of a live source before its tracks are believed to be known: FFmpeg's default of 5 s
# and 5 MB is what a viewer would wait.
_LIVE_OPTIONS: Final = {"analyzeduration": "2500000", "probesize": "2500000"}

_FORMAT_OPTIONS: Final = {
    # A new version of the PMT is the same programme, not further streams (E-SR-05).
    "mpegts": {"merge_pmt_versions": "1"},
    # Nothing beside the file is opened, which are the defaults.
    "mov": {"use_absolute_path": "0", "enable_drefs": "0"},
}

# FFmpeg's own reads of what we read for it: datagrams are gathered up to this.
_BUFFER_BYTES: Final = 1 << 16

Note = Callable[[str], None]


class Source(Protocol):
    """A source that can be opened.

    Attributes:
        is_paced: It comes at the speed of life by itself.
        loops: It may be opened again at its end.
    """

    is_paced: bool
    loops: bool

    def open(self) -> Any:
        """Return an `av.container.InputContainer`, from the beginning where it loops."""

    def close(self) -> None:
        """Give everything back."""


def open_source(job: Job, given: FrameSource, note: Note) -> Source:
    """Prepare the source of a job.

    Raises:
        RemoteError: It cannot be.
    """
    source = job.input
    if isinstance(source, URLInput):
        return _URLSource(source, job)
    if isinstance(source, DatagramInput):
        return _DatagramSource(source, note)
    if isinstance(source, FileInput):
        return _FileSource(source)
    if isinstance(source, DataInput):
        return _DataSource(source, given)
    raise UsageError("an input without a container")


class _URLSource:
    is_paced = False
    loops = False

    def __init__(self, source: URLInput, job: Job) -> None:
        self._source = source
        self._timeouts = (job.limits.open_seconds, job.limits.stall_seconds)

    def open(self) -> Any:
        source = self._source
        options = {
            **_LIVE_OPTIONS,
            **_FORMAT_OPTIONS.get(source.format, {}),
            **source.options,
            "protocol_whitelist": ",".join(source.protocols),
            "format_whitelist": source.format,
        }
        return av.open(
            source.url, format=source.format, container_options=options, timeout=self._timeouts
        )

    def close(self) -> None:
        """Nothing is held beside the container."""


class _DatagramSource:
    is_paced = True
    loops = False

    def __init__(self, source: DatagramInput, note: Note) -> None:
        self._reader = DatagramReader(source, note)

    def open(self) -> Any:
        return _open_bytes(self._reader, "mpegts", _LIVE_OPTIONS)

    def close(self) -> None:
        self._reader.close()


class _FileSource:
    is_paced = False

    def __init__(self, source: FileInput) -> None:
        self.loops = source.loop
        self._file = OpenFile(source.path, source.folders)
        self._format = format_of(self._file.read(MAX_SNIFFED))
        if not self._format:
            self._file.close()
            raise RemoteError("the file is of no known format", is_permanent=True)

    def open(self) -> Any:
        self._file.seek(0)
        return _open_bytes(self._file, self._format, {})

    def close(self) -> None:
        self._file.close()


class _DataSource:
    is_paced = False
    loops = False

    def __init__(self, source: DataInput, given: FrameSource) -> None:
        self._format = source.format
        self._reader = _DataReader(given)

    def open(self) -> Any:
        kind = self._format
        if not kind:
            kind = format_of(self._reader.peek(MAX_SNIFFED))
        if not kind:
            raise RemoteError("what came is of no known format")
        return _open_bytes(self._reader, kind, _LIVE_OPTIONS)

    def close(self) -> None:
        """Do nothing: the pipe ends with the process."""


class _DataReader:
    """The bytes of DATA frames as a file."""

    def __init__(self, given: FrameSource) -> None:
        self._given = given
        self._rest = b""
        self._ended = False

    def peek(self, count: int) -> bytes:
        """Return the first bytes, which `read` gives too; fewer at the end."""
        while len(self._rest) < count and not self._ended:
            self._fill()
        return self._rest[:count]

    def read(self, count: int) -> bytes:
        """Return what is there, at least a byte but at the end."""
        if not self._rest and not self._ended:
            self._fill()
        data, self._rest = self._rest[:count], self._rest[count:]
        return data

    def _fill(self) -> None:
        frame = self._given.read()
        if frame is None or frame.type is FrameType.END:
            self._ended = True
        elif frame.type is FrameType.DATA:
            self._rest += frame.body


def _open_bytes(file: Any, kind: str, options: dict[str, str]) -> Any:
    options = {
        **options,
        **_FORMAT_OPTIONS.get(kind, {}),
        "protocol_whitelist": _NO_PROTOCOL,
        "format_whitelist": kind,
    }
    return av.open(file, format=kind, container_options=options, buffer_size=_BUFFER_BYTES)
