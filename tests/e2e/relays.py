"""Relay tasks and pushes of a running server, driven by its API, and viewers of what they make."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from ntvmedia.formats.flv import TagType
from tests.e2e.media import Frame, packets, pictures
from tests.e2e.peers import read_flv
from tests.e2e.processes import Failed, Program, wait_until
from tests.e2e.server import Server

H264 = {"video": {"codec": "h264", "preset": "ultrafast"}, "audio": {"codec": "aac"}}
"""Of a task that encodes anew."""

SMALL_CARD = "test:?size=160x120&rate=25"
"""A test card that costs little."""

# Of an FLV file: its header with the first "previous tag size", and what each tag has besides its
# body (Video File Format 10.1, annex E).
_HEADER_BYTES = 13
_TAG_BYTES = 15


class _Thing:
    """Something of the API that runs, best used in a `with` statement, which deletes it.

    Args:
        server: Where.
        collection: "relays" or "pushes".
        fields: As the API takes them.

    Attributes:
        id: As the server gave it.
    """

    def __init__(self, server: Server, collection: str, fields: dict[str, Any]) -> None:
        self._server = server
        self._collection = collection
        self.id: str = server.api(collection, "POST", fields)["id"]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._server.program.is_running:
            self._server.api(self._path, "DELETE")

    @property
    def _path(self) -> str:
        return f"{self._collection}/{self.id}"

    def shown(self) -> Any:
        """What the API says of it."""
        return self._server.api(self._path)

    @property
    def status(self) -> Any:
        """How it is doing."""
        return self.shown()["status"]

    @property
    def log(self) -> list[str]:
        """The last lines of its log."""
        return [line["text"] for line in self._server.api(f"{self._path}/log")["lines"]]

    def act(self, action: str) -> None:
        """Start or stop it."""
        self._server.api(f"{self._path}/{action}", "POST")

    def change(self, **fields: Any) -> None:
        """Edit it."""
        self._server.api(self._path, "PATCH", fields)

    def wait_for(self, state: str, seconds: float = 60.0) -> Any:
        """Wait until it is in a state; returns its status.

        Raises:
            Failed: It is not in time.
        """
        return self.wait_until(lambda status: status["state"] == state, state, seconds)

    def wait_until(
        self, condition: Callable[[Any], object], what: str, seconds: float = 60.0
    ) -> Any:
        """Wait until something is true of its status, which is returned.

        Raises:
            Failed: It is not in time.
        """
        try:
            wait_until(lambda: condition(self.status), f"it was {what}", seconds)
        except Failed as error:
            raise Failed(f"{error}: {self.status}, {self.log}") from None
        return self.status


class Task(_Thing):
    """A relay task.

    Args:
        server: Where.
        source: Its address.
        target: "APP/STREAM" of this server, or an address of RTMP with both.
        fields: Further ones.
    """

    def __init__(self, server: Server, source: str, target: str, **fields: Any) -> None:
        where, _slash, stream = target.rpartition("/")
        other, _slash, application = where.rpartition("/")
        place = {"server": other, "application": application, "stream": stream}
        super().__init__(server, "relays", {"source": source, "target": place, **fields})
        self.key = f"{application}/{stream}"


class Push(_Thing):
    """A push of the application `liveshow`.

    Args:
        server: From where.
        to: The address of the other server.
        streams: Which.
        fields: Further ones.
    """

    def __init__(self, server: Server, to: str, *streams: str, **fields: Any) -> None:
        wanted = {"application": "liveshow", "streams": streams, "server": to, **fields}
        super().__init__(server, "pushes", wanted)


class Viewer:
    """A viewer of HTTP-FLV who records, best used in a `with` statement.

    Args:
        server: Of whom.
        name: "APP/STREAM"; it may be published later.
        folder: For the recording.
    """

    def __init__(self, server: Server, name: str, folder: Path) -> None:
        number = len(list(folder.glob("viewer-*.flv")))
        self.path = folder / f"viewer-{number}.flv"
        self.path.touch()
        words: list[str | Path] = ["curl", "-sS", "-f", "-N", "-o", self.path, server.flv(name)]
        self._program = Program(words, folder, "viewer")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._program.stop()

    @property
    def is_watching(self) -> bool:
        """Whether it is connected yet, or still."""
        return self._program.is_running

    @property
    def has_media(self) -> bool:
        """Whether anything came but headers."""
        return self.path.stat().st_size > _HEADER_BYTES and bool(self.times())

    def times(self, kind: TagType = TagType.VIDEO) -> list[int]:
        """The decode times of one track so far, in milliseconds, codec headers left out."""
        if self.path.stat().st_size < _HEADER_BYTES:
            return []
        tags = [tag for tag in read_flv(self.path)[1] if tag.kind is kind]
        # Of H.264 and AAC the second byte tells headers from media (annex E.4.2.1, E.4.3.1).
        return [tag.timestamp for tag in tags if len(tag.body) > 5 and tag.body[1] == 1]

    def span(self, kind: TagType = TagType.VIDEO) -> float:
        """How many seconds of one track came."""
        times = self.times(kind)
        return (times[-1] - times[0]) / 1000 if times else 0.0

    def keyframes(self) -> list[int]:
        """The times of the keyframes so far, in milliseconds."""
        tags = [tag for tag in read_flv(self.path)[1] if tag.kind is TagType.VIDEO]
        return [x.timestamp for x in tags if len(x.body) > 5 and x.body[0] >> 4 == 1 == x.body[1]]

    def wait_for(
        self, seconds: float, kind: TagType = TagType.VIDEO, patience: float = 60.0
    ) -> None:
        """Wait until so many seconds of media came.

        Raises:
            Failed: They did not, or it was sent away.
        """

        def came() -> bool:
            if not self.is_watching:
                raise Failed(f"the viewer was sent away{self._program.tail()}")
            return self.span(kind) >= seconds

        wait_until(came, f"{seconds} seconds came", patience)

    def wait_for_more(self, seconds: float = 1.0, patience: float = 60.0) -> None:
        """Wait for media beyond what has come."""
        self.wait_for(self.span() + seconds, patience=patience)

    def stop(self) -> Path:
        """Leave; returns what came, whole tags only."""
        self._program.stop()
        data = self.path.read_bytes()
        place = _HEADER_BYTES
        while len(data) - place >= _TAG_BYTES:
            size = int.from_bytes(data[place + 1 : place + 4], "big") + _TAG_BYTES
            if place + size > len(data):
                break
            place += size
        self.path.write_bytes(data[:place])
        return self.path

    def assert_steady(self, gap: float = 0.15) -> None:
        """Times only rise, by no more than `gap` seconds, in both tracks.

        Sounds may follow each other within a millisecond, where sources take turns.

        Raises:
            Failed: They do not.
        """
        for kind, least in ((TagType.VIDEO, 1), (TagType.AUDIO, 0)):
            for one, other in pairwise(self.times(kind)):
                if not one + least <= other <= one + gap * 1000:
                    raise Failed(f"{kind.name}: after {one} ms comes {other}")


def assert_around(received: Sequence[Frame], sent: Sequence[Frame], least: int) -> None:
    """Check that what came is what was sent, from anywhere, and over and over.

    Args:
        received: Of a viewer who joined and left in the middle.
        sent: One round.
        least: How many frames must have come.

    Raises:
        Failed: There is another frame, or one is missing.
    """
    if len(received) < least:
        raise Failed(f"{len(received)} frames came, not at least {least}")
    digests = [frame.digest for frame in sent]
    start = digests.index(received[0].digest)
    for place, frame in enumerate(received):
        if frame.digest != digests[(start + place) % len(digests)]:
            raise Failed(f"frame {place}, of {len(received)} from {start} on, is another")


def assert_rounds(recorded: Path, clip: Path, least: int) -> None:
    """Check a recording against the clip that it is of: pictures, and sound where it was copied.

    Raises:
        Failed: Something is missing, or is another.
    """
    # With B-frames the last pictures lack those that come later and are shown before them.
    assert_around(pictures(recorded)[:-3], pictures(clip), least)
    assert_around(packets(recorded, "a"), packets(clip, "a"), least)


def children(pid: int) -> list[int]:
    """List the processes that a process has started and that run."""
    found: list[int] = []
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        found += map(int, listed.read_text("ascii").split())
    return [child for child in found if _is_alive(child)]


def _is_alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/status").read_text("utf-8")
    except FileNotFoundError:
        return False
    return re.search(r"^State:\s+Z", status, re.MULTILINE) is None


def cpu_seconds(pid: int) -> float:
    """Return what a process has used of a CPU, to a hundredth."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def looping(clip: Path, address: str, form: str = "flv") -> list[str | Path]:
    """Return the command of an FFmpeg that publishes a clip over and over."""
    return [
        *("ffmpeg", "-v", "error", "-re", "-stream_loop", "-1", "-i", clip),
        *("-map", "0", "-c", "copy", "-f", form, address),
    ]


_Running = TypeVar("_Running", bound=Program | Viewer)


class Programs:
    """Programs that run until the end of a `with` statement."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: list[Program | Viewer] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for program in reversed(self._running):
            program.stop()

    def start(self, command: Sequence[str | Path], **more: Any) -> Program:
        """Start one."""
        program = Program(command, self._folder, **more)
        self._running.append(program)
        return program

    def keep(self, running: _Running) -> _Running:
        """Have another stopped with them; returns it."""
        self._running.append(running)
        return running
