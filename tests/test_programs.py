"""Which programs the product starts: its own Python with modules of its own, and nothing else.

What the API, a stream's name or a setting says is in no program's name and in none of its
arguments, and no shell is between (F-IN-01, F-IN-02, E-ST-03).
"""

from __future__ import annotations

import ast
import json
import os
import re
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
import pytest
from hypothesis import given, settings, strategies as st
from twisted.internet.task import Clock

import ntvmedia
from ntvmedia.admin.openapi import document
from ntvmedia.admin.resources import RESOURCES
from ntvmedia.avtools.framing import FrameReader, FrameType
from ntvmedia.avtools.job import DataInput, FileInput, Input, Job, URLInput, read_job
from ntvmedia.avtools.process import run_job
from ntvmedia.cli.hls_download.merging import start_worker
from ntvmedia.config.settings import SECTIONS
from ntvmedia.preferences import FIELDS
from ntvmedia.relay.parts import Audio, Video
from ntvmedia.relay.schemes import Targets
from ntvmedia.relay.sources import Sources
from tests.avtools.rig import Kept

ROOT = Path(ntvmedia.__file__).parent

# The only two that start a process, and by what.
STARTERS = {"avtools/process.py": "spawnProcess", "cli/hls_download/merging.py": "spawnProcess"}

# Of the module `os`.
_OF_OS = re.compile(r"(exec|spawn|posix_spawn|popen|system|fork|startfile)[a-z]*")

# Of whatever else.
_CALLS = frozenset({"spawnProcess", "ProcessEndpoint", "create_subprocess_exec"}) | {
    "create_subprocess_shell", "ProcessPoolExecutor", "getProcessOutput", "getProcessValue",
}  # fmt: skip

_MODULES = frozenset({"subprocess", "multiprocessing", "pty", "pexpect", "imageio_ffmpeg"}) | {
    "asyncio.subprocess", "twisted.internet.utils", "twisted.runner", "twisted.python.procutils",
}  # fmt: skip

# Programs that others' servers start, and shells.
_PROGRAM = re.compile(
    r"(.*/)?(ffmpeg|ffprobe|ffplay|c?vlc|gst-launch(-1\.0)?|mencoder|streamlink|yt-dlp|curl|wget"
    r"|(ba|da|z|k)?sh|cmd(\.exe)?|powershell|env|xargs|sudo|perl|python[0-9.]*)( .*)?"
)

# What a field that names a program, or its arguments, would be called.
_NAMES = re.compile(
    r"(^|_)(exec|execute|executable|command|commands|cmd|program|programs|binary|bin|shell|script"
    r"|scripts|ffmpeg|ffprobe|argv|args|arguments|interpreter|run|spawn|filter|filters|template"
    r"|plugin|plugins|module|modules|env|environment|cwd|hook)(_|$)"
)

# Of a child process; none of them is told by a job.
SURROUNDINGS = {
    "CUDA_VISIBLE_DEVICES", "LANG", "LD_LIBRARY_PATH", "LIBVA_DRIVERS_PATH", "LIBVA_DRIVER_NAME",
    "MALLOC_ARENA_MAX", "PATH", "PYTHONHOME", "PYTHONPATH",
}  # fmt: skip

HOSTILE = (
    "`id`", "$(id)", '";id;"', "a\nid\n", "-oProxyCommand=id", "%n", "--help", "; rm -rf /", "|id",
    "&& id", "${IFS}id", "\\x60id\\x60", "-i /etc/passwd", "\x00id", "файл", "'\"", "~root",
)  # fmt: skip


@pytest.fixture(name="sources", scope="module")
def _sources() -> dict[str, ast.Module]:
    """The code of each module of the product, and of its plugins, by path."""
    plugins = ROOT.parent / "twisted" / "plugins"
    return {
        path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name: ast.parse(
            path.read_text("utf-8")
        )
        for path in [*ROOT.rglob("*.py"), *plugins.glob("*.py")]
    }


@pytest.fixture(name="described", scope="module")
def _described() -> Any:
    """The description of the API, as it is served."""
    return json.loads(msgspec.json.encode(document(RESOURCES)))


def starts(tree: ast.Module) -> set[str]:
    """Return by what a module could start a process; `shell` where it would have a shell do it."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            names = []
        for name in names:
            parts = name.split(".")
            heads = {".".join(parts[:count]) for count in range(1, len(parts) + 1)}
            found |= heads & _MODULES
            if parts[0] in ("os", "posix") and _OF_OS.fullmatch(parts[-1]):
                found.add(name)
            found |= {parts[-1]} & _CALLS
        if isinstance(node, ast.Attribute):
            owner = ast.unparse(node.value)
            if node.attr in _CALLS or (owner in ("os", "posix") and _OF_OS.fullmatch(node.attr)):
                found.add(node.attr)
        if isinstance(node, ast.keyword) and node.arg in ("shell", "usePTY"):
            found.add("shell")
    return found


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import os\nos.system('x')", {"system"}),
        ("import os\nos.execvp('x', ['x'])", {"execvp"}),
        ("from os import popen", {"os.popen"}),
        ("import subprocess as s", {"subprocess"}),
        ("from subprocess import run", {"subprocess"}),
        ("from twisted.internet.utils import getProcessOutput as g", {"twisted.internet.utils"}
         | {"getProcessOutput"}),
        ("x.spawnProcess(p, 'sh', usePTY=True)", {"spawnProcess", "shell"}),
        ("start('x', shell=True)", {"shell"}),
        ("import os\nos.read(0, 1)\nstatus.system = 1", set()),
    ],
)  # fmt: skip
def test_what_is_looked_for(code: str, expected: set[str]) -> None:
    """What the next test looks for is found where it is."""
    assert starts(ast.parse(code)) == expected


def test_two_modules_start_processes(sources: dict[str, ast.Module]) -> None:
    """F-IN-01: no module but two starts a process, none with a shell, and both start Python.

    The program is this process's own; it is not looked up anywhere, nor told by anybody.
    """
    found = {name: starts(tree) for name, tree in sources.items()}
    assert {name: by for name, by in found.items() if by} == {
        name: {by} for name, by in STARTERS.items()
    }
    for name in STARTERS:
        calls = [
            node
            for node in ast.walk(sources[name])
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".spawnProcess")
        ]
        assert [ast.unparse(call.args[1]) for call in calls] == ["sys.executable"], name


def test_no_other_program(sources: dict[str, ast.Module]) -> None:
    """E-ST-03: no program of FFmpeg's is started, nor anybody's: none is named in the code.

    So no flag of one is relied upon: `avtools.process` watches its own children itself.
    """
    for name, tree in sources.items():
        says = {
            id(node.value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        }
        for node in ast.walk(tree):
            value = getattr(node, "value", None) if isinstance(node, ast.Constant) else None
            if isinstance(value, str) and id(node) not in says:
                assert not _PROGRAM.fullmatch(value), (name, value)


class Starting(Clock):
    """A reactor that keeps what it would have started."""

    def __init__(self) -> None:
        super().__init__()
        self.started: list[tuple[str, list[str], dict[str, str] | None]] = []
        self.process = mock.Mock()
        self.process.pid = None

    def spawnProcess(
        self,
        protocol: object,
        executable: str,
        args: list[str],
        env: dict[str, str] | None = None,
        **how: Any,
    ) -> Any:
        """Keep it."""
        assert set(how) <= {"childFDs"}
        self.started.append((executable, args, env))
        return self.process

    def given(self) -> bytes:
        """What the process was written."""
        calls = self.process.pipes[0].write.call_args_list
        return b"".join(call.args[0] for call in calls)


def job_with(reactor: Starting, source: Input) -> None:
    """Start a job."""
    reactor.process.pipes = {0: mock.Mock()}
    job = run_job(reactor, Job(source), [Kept()])
    job.done.addErrback(lambda failure: failure.trap(Exception))


def names_of(text: str) -> tuple[Input, ...]:
    """Return inputs with a text wherever somebody may write one."""
    return (
        FileInput(text, (text,), True),
        URLInput(f"mmst://192.0.2.1/{text}", "asf", ("mmst", "tcp"), {"a": text}),
        DataInput(text),
    )


def assert_fixed(text: str) -> None:
    """Start jobs with a text in them: program, arguments and surroundings are always the same.

    What was typed goes over a pipe, as JSON, and comes out as it was.
    """
    for source in names_of(text):
        reactor = Starting()
        job_with(reactor, source)
        [(executable, args, env)] = reactor.started
        assert executable == args[0] == sys.executable
        assert args[1:] == ["-P", "-m", "ntvmedia.avtools.worker", str(os.getpid())]
        assert env is not None and set(env) <= SURROUNDINGS
        reader = FrameReader()
        reader.receive_data(reactor.given())
        [frame] = reader.frames()
        assert frame.type is FrameType.JOB
        assert read_job(frame.body).input == source


@pytest.mark.parametrize("text", HOSTILE)
def test_arguments(text: str) -> None:
    """F-IN-01: what a shell, or a program's own options, would take for more than a name."""
    assert_fixed(text)


@settings(max_examples=25)
@given(st.text(min_size=1))
def test_any_arguments(text: str) -> None:
    """F-IN-01: whatever a source is called."""
    assert_fixed(text)


def test_download() -> None:
    """F-IN-01: nor has the downloader's process any argument of the user's."""
    reactor = Starting()
    start_worker(reactor)
    [(executable, args, _env)] = reactor.started
    assert executable == args[0] == sys.executable
    assert args[1:] == ["-P", "-m", "ntvmedia.cli.hls_download.merge_process"]


def test_started_modules_are_ours() -> None:
    """What is started is in this package."""
    for name in ("ntvmedia.avtools.worker", "ntvmedia.cli.hls_download.merge_process"):
        spec = find_spec(name)
        assert spec is not None and spec.origin is not None
        assert Path(spec.origin).is_relative_to(ROOT)


def fields(value: Any) -> Iterator[str]:
    """Yield the names of all properties and parameters in a part of the API's description."""
    if isinstance(value, dict):
        properties = value.get("properties")
        if isinstance(properties, dict):
            yield from properties
        if "in" in value and isinstance(value.get("name"), str):
            yield value["name"]
        for inner in value.values():
            yield from fields(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from fields(inner)


def test_no_field_names_a_program(described: Any) -> None:
    """F-IN-02: no field of the API, no preference and no setting has a program or a command."""
    found = set(fields(described))
    # It does find what is there, at the top, inside, in an answer and in a query.
    assert {"source", "preset", "restarts", "page_size", *FIELDS} <= found
    told = {field for section in SECTIONS.values() for field in section.__dataclass_fields__}
    assert "folders" in told
    for name in sorted(found | told | set(FIELDS) | set(SECTIONS)):
        assert not _NAMES.search(re.sub(r"(?<=[a-z])(?=[A-Z])|[-.]", "_", name).lower()), name


def test_settings_are_only_shown(described: Any) -> None:
    """F-IN-02: the file's settings are read by the API, and written by nothing but an editor."""
    methods = {
        method
        for path, item in described["paths"].items()
        if path.endswith("/settings") or "/settings/" in path
        for method in item
    }
    assert methods == {"get"}


def test_encoders_are_chosen(described: Any) -> None:
    """F-IN-02: what reaches FFmpeg of how something is encoded is a number, or one of a few words.

    No option of FFmpeg's can be put into it.
    """
    schemas = described["components"]["schemas"]
    for part in (Video, Audio):
        shown = schemas[f"Relay{part.__name__}"]["properties"]
        assert set(shown) == set(part.__dataclass_fields__)
        for name, field in shown.items():
            assert field.get("enum") or field["type"] in ("integer", "number"), name


def test_schemes() -> None:
    """F-IN-02: no scheme of ours is a program, a pipe or a protocol of FFmpeg's choosing.

    The sources and targets of the product are these; what others install is theirs.
    """
    found = {
        scheme
        for scheme, plugin in {**Sources(()), **Targets()}.items()
        if type(plugin).__module__.startswith("ntvmedia.")
    }
    assert found == {
        "file", "http", "https", "mms", "mmsh", "mmst", "rtmp", "rtmps", "rtp", "rtsp", "rtsps",
        "test", "udp",
    }  # fmt: skip
