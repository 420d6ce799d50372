"""What the server and its child processes load."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import ntvmedia

ROOT = Path(ntvmedia.__file__).parents[1]

PARENT = ("process", "transcoder", "probing", "files", "job", "framing", "feeding", "complaints")


def loaded(code: str, *names: str) -> set[str]:
    """Return which of some modules are there after some code."""
    text = f"{code}; import sys; print(*(x for x in {names!r} if x in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", text], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return set(done.stdout.split())


def test_the_server_has_no_ffmpeg() -> None:
    """FFmpeg's libraries stay in child processes: what the server loads, has none of them."""
    code = "; ".join(f"import ntvmedia.avtools.{name}" for name in PARENT)
    code += "; import ntvmedia.clients.ffmpeg.mms, ntvmedia.clients.ffmpeg.udp"
    code += ", ntvmedia.clients.ffmpeg.file, ntvmedia.clients.ffmpeg.card"
    assert loaded(code, "av", "ntvmedia.avtools.doing", "twisted.internet.reactor") == set()


def test_the_child_has_no_twisted() -> None:
    """A child loads what it needs: each one has it all in memory, and waits for it."""
    unwanted = ("twisted", "zope.interface", "sqlalchemy", "klein", "asyncio", "ssl", "msgspec")
    code = "import ntvmedia.avtools.worker, ntvmedia.avtools.doing"
    assert loaded(code, "av", *unwanted) == {"av"}


def test_the_plugins_are_light() -> None:
    """Every twistd on the machine loads the plugins: they load nothing of what they use."""
    code = "import ntvmedia.clients.ffmpeg.mms, ntvmedia.clients.ffmpeg.card"
    assert loaded(code, "ntvmedia.avtools.process", "ntvmedia.avtools.job", "klein") == set()
