"""The API of a real server: by its own description, by the command line, by curl."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.processes import Failed
from tests.e2e.server import Server

PASSWORD = "correct horse"

# What ends the session, the token or the user that asks; and what goes on for ever.
_ENDS = (
    *("--exclude-path", "/events"),
    *("--exclude-path", "/session/password"),
    *("--exclude-path-regex", r"^/(users|tokens|sessions)/\{"),
)

# The rules of names, hosts and addresses are more than a schema can say: good by the schema may be
# 400. What is open to nobody is walked by tests/admin/test_rights.py, with better tokens.
_CHECKS = ("--exclude-checks", "positive_data_acceptance,ignored_auth")


@pytest.fixture
def token(server: Server) -> str:
    """Return a token of an administrator."""
    new = {"name": "ann", "password": PASSWORD, "role": "administrator"}
    server.api("users", "POST", new)
    made = server.api("tokens", "POST", {"name": "test", "role": "administrator", "owner": "ann"})
    return str(made["token"])


def fuzz(server: Server, token: str, folder: Path, *options: str) -> None:
    """Have schemathesis look for answers that the description does not know.

    Raises:
        AssertionError: It found some.
    """
    settings = folder / "schemathesis.toml"
    settings.write_text(f'[auth.openapi.token]\nbearer = "{token}"\n', "ascii")
    done = subprocess.run(
        [
            Path(sys.executable).with_name("schemathesis"),
            *("run", server.http("/mserver/api/v1/openapi.json")),
            *("--no-color", "--request-timeout=20", "--generation-database=none"),
            *_CHECKS,
            *options,
        ],
        cwd=folder,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        check=False,
        timeout=1500,
    )
    assert done.returncode == 0, f"{done.stdout[-8000:]}\n{done.stderr[-2000:]}"


def test_description(server: Server, token: str, tmp_path: Path) -> None:
    """Schemathesis finds nothing: a short dose of random good and bad requests."""
    fuzz(server, token, tmp_path, *_ENDS, "--phases=fuzzing", "--max-examples=3")
    assert server.api("status")["version"]


@pytest.mark.long
def test_description_long(server: Server, token: str, tmp_path: Path) -> None:
    """The full dose, of all operations; those that end what asks last."""
    fuzz(server, token, tmp_path, *_ENDS, "--phases=examples,coverage,fuzzing", "--max-examples=50")
    fuzz(
        server, token, tmp_path, "--phases=coverage,fuzzing", "--max-examples=50",
        "--include-path-regex", r"^/(session/password|(users|tokens|sessions)/\{)",
    )  # fmt: skip


def curl(server: Server, path: str, *options: str) -> tuple[int, Any]:
    """Ask as a program does; returns the status, and what the answer says."""
    done = subprocess.run(
        ["curl", "-s", "-w", "\n%{http_code}", *options, server.http(f"/mserver/api/v1{path}")],
        capture_output=True,
        check=True,
        timeout=30,
    )
    body, _line, status = done.stdout.rpartition(b"\n")
    return int(status), json.loads(body) if body.strip() else None


def test_first_start(server: Server, tmp_path: Path) -> None:
    """P-102: setup by the code in the data folder, log-in, a change, log-out; as in the guide."""
    jar = str(tmp_path / "jar")
    kind = ("-H", "Content-Type: application/json")
    elsewhere = ("-H", "X-Forwarded-For: 203.0.113.1")
    assert curl(server, "/status")[0] == 401
    assert curl(server, "/setup", *elsewhere)[1] == {"is_set_up": False, "needs_code": True}
    new = {"name": "ann", "password": PASSWORD}
    assert curl(server, "/setup", *elsewhere, *kind, "-d", json.dumps(new))[0] == 403
    path = server.folder / "data" / "setup-code"
    assert path.stat().st_mode & 0o777 == 0o600
    code = path.read_text("ascii").strip()
    with_code = json.dumps({**new, "code": code})
    assert curl(server, "/setup", *elsewhere, *kind, "-d", with_code)[0] == 201
    assert not path.exists()
    status, who = curl(server, "/session", "-c", jar, *kind, "-d", json.dumps(new))
    assert (status, who["role"]) == (201, "administrator")
    change = ("-X", "PATCH", "-b", jar, *kind, "-d", '{"enabled": false}')
    assert curl(server, "/applications/tv", *change)[0] == 403
    proof = ("-H", f"X-CSRF-Token: {who['csrf_token']}")
    assert curl(server, "/applications/tv", *change, *proof)[1]["enabled"] is False
    assert curl(server, "/session", "-X", "DELETE", "-b", jar, *proof)[0] == 204
    assert curl(server, "/session", "-b", jar)[0] == 401


def test_changes_survive(server: Server, token: str) -> None:
    """The audit log has what was changed, and by whom; the command line asks the same API."""
    bearer = ("-H", f"Authorization: Bearer {token}", "-H", "Content-Type: application/json")
    assert curl(server, "/applications", *bearer, "-d", '{"name": "studio"}')[0] == 201
    rows = server.api("audit?action=applications")["audit"]
    assert [(x["action"], x["who"], x["kind"]) for x in rows] == [
        ("applications.add", "ann", "token")
    ]
    data = f"--data={server.folder / 'data'}"
    command = [str(Path(sys.executable).with_name("ntvmedia")), "api", data]
    done = subprocess.run(
        [*command, "GET", "/applications/studio"], capture_output=True, check=True, timeout=60
    )
    assert json.loads(done.stdout)["name"] == "studio"
    gone = subprocess.run(
        [*command, "GET", "/applications/none"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (gone.returncode, gone.stderr) == (1, 'ntvmedia: there is no application "none"\n')


def test_live_updates(server: Server, token: str) -> None:
    """Events come as they happen, through the real HTTP front, and end with the token."""
    with subprocess.Popen(
        [
            *("curl", "-sN", "-H", f"Authorization: Bearer {token}"),
            server.http("/mserver/api/v1/events"),
        ],
        stdout=subprocess.PIPE,
    ) as listener:
        assert listener.stdout is not None
        try:
            _wait_for(listener.stdout, b"event: server")
            server.api("applications", "POST", {"name": "studio"})
            _wait_for(listener.stdout, b"event: application")
            assert json.loads(listener.stdout.readline().removeprefix(b"data: ")) == {
                "name": "studio",
                "after": "studio",
            }
            (shown,) = server.api("tokens")["tokens"]
            server.api(f"tokens/{shown['id']}", "DELETE")
            listener.stdout.read()
            assert listener.wait(10) == 0
        finally:
            listener.kill()


def _wait_for(stream: Any, text: bytes) -> None:
    """Read lines until one has a text.

    Raises:
        Failed: There are no more.
    """
    for line in stream:
        if text in line:
            return
    raise Failed(f"the stream ended before {text!r}")
