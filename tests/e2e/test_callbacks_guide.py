"""The guide `docs/callbacks.md`: each of its examples does what it says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ntvmedia.callbacks.callback import EVENTS, FIELDS, SRS_ACTIONS
from ntvmedia.callbacks.facts import client_facts
from ntvmedia.callbacks.signing import signature
from tests.callbacks.rig import KEY, request
from tests.e2e.clients import publish_command
from tests.e2e.conftest import StartServer
from tests.e2e.processes import Program, wait_until
from tests.e2e.server import ROOT, Server, free_port

PAGE = (ROOT / "docs" / "callbacks.md").read_text("utf-8")
SECRET = "a long random text"


def blocks(language: str, part: str = "") -> list[str]:
    """Return the examples in a language, or those that have a text."""
    found = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return [block for block in found if part in block]


def shell(script: str, folder: Path, **environment: str) -> str:
    """Run a script where the server's data folder is, and return what it prints."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-e", "-c", script],
        cwd=folder,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def table(heading: str) -> list[str]:
    """Return the first cells of the first table below a heading."""
    text = PAGE.partition(f"\n## {heading}\n")[2] if heading else PAGE
    rows = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)[0].splitlines()[2:]
    return [row.split("|")[1].strip().strip("`") for row in rows]


def test_tables() -> None:
    """Fields and events are those that there are, in their order."""
    assert tuple(table("")) == FIELDS
    assert tuple(table("Events")) == tuple(EVENTS)
    assert table("The dialect of SRS") == list(SRS_ACTIONS)
    (example,) = map(json.loads, blocks("json"))
    own = ["kind", "event", "event_id", "time", "server_id", "service_id"]
    assert list(example) == [*own, *client_facts(KEY, "1", request())]


def test_vector(tmp_path: Path) -> None:
    """The two checks by shell give what they say."""
    (script,) = blocks("sh", "printf '%s' '1700000000")
    command, comment = script.strip().split("\n# ")
    assert shell(command, tmp_path).split()[-1] == comment
    (script,) = blocks("sh", "SIGNATURE")
    body = b'{"kind":"test"}'
    (tmp_path / "body.json").write_bytes(body)
    signed = signature(SECRET, 1795441200, body)
    printed = shell(script, tmp_path, SIGNATURE=signed)
    assert printed.strip() == signed.partition(",v1=")[2]


@pytest.fixture
def server(start_server: StartServer) -> Server:
    """A server that may ask this machine."""
    return start_server("outbound.allow=127.0.0.1")


def test_commands(server: Server) -> None:
    """The commands make what they say."""
    made = [shell(script, server.folder) for script in blocks("sh", "ntvmedia api")]
    first, preferences, application, srs = map(json.loads, made)
    assert (first["name"], first["secret_set"], first["decides"]) == ("cms", True, False)
    assert preferences["outbound_networks"] == ["10.1.2.0/24"]
    assert application["authorize_url_shown"] == "https://cms.example.org/may?<hidden>"
    assert (srs["dialect"], srs["decides"]) == ("srs", True)
    assert len(server.api("callbacks")["callbacks"]) == 2


def test_receiver(server: Server, clip: Path, tmp_path: Path) -> None:
    """The receiver lets in who has a token, and takes what is told; of nobody else anything."""
    (code,) = blocks("python")
    port = free_port()
    (tmp_path / "receiver.py").write_text(code.replace("8085", str(port)), "utf-8")
    command = [sys.executable, "-u", str(tmp_path / "receiver.py")]
    with Program(command, tmp_path, "receiver") as receiver:
        values: dict[str, Any] = {
            "name": "cms",
            "url": f"http://127.0.0.1:{port}/",
            "events": ["publish", "unpublish"],
            "secret": SECRET,
            "decides": True,
        }
        made = server.api("callbacks", "POST", values)
        path = f"callbacks/{made['id']}"
        wait_until(
            lambda: server.api(f"{path}/test", "POST", {})["status"] == 200, "it was reached"
        )
        bad = publish_command(clip, server.rtmp("liveshow/one?token=bad"))
        with Program(bad, tmp_path, "bad") as publisher:
            assert publisher.wait() != 0
        assert "the token is missing or wrong" in server.log
        good = publish_command(clip, server.rtmp("liveshow/one?token=good"), realtime=False)
        with Program(good, tmp_path, "good") as publisher:
            publisher.finish()
        wait_until(lambda: b"\nunpublish liveshow one" in receiver.output, "the end was told")
        assert receiver.output.count(b"publish liveshow one") == 2
        server.api(path, "PATCH", {"secret": "another"})
        done = server.api(f"{path}/test", "POST", {})
        assert (done["status"], done["problem"]) == (403, "status 403")
