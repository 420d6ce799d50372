"""The guide to the API: each of its commands is run, in order, against a new server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.e2e.server import ROOT, Server

# The last word of some outputs; the others only have to succeed.
_EXPECTED = {
    "openapi.json": '"openapi": "3.1.0"',
    "cat data/setup-code": '"role":"administrator"',
    "metrics": "# HELP ntvmedia_info",
    "csrf_token": '"enabled":false',
    "page_size=2": '"page_size": 2',
    "If-Match": '"status":412',
    "control.sock http://localhost/mserver/api/v1/events": "event: server",
    "/audit": '"action": "applications.add"',
}


def test_guide(server: Server, tmp_path: Path) -> None:
    """docs/api.md: what it says works as it stands, but for the port."""
    text = (ROOT / "docs" / "api.md").read_text("utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 9
    (tmp_path / "data").symlink_to(server.folder / "data")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    seen = set()
    for block in blocks:
        script = block.replace("localhost:8080", f"127.0.0.1:{server.http_port}")
        done = subprocess.run(
            ["bash", "-euc", script],
            cwd=tmp_path,
            env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        for mark, expected in _EXPECTED.items():
            if mark in block:
                assert expected in done.stdout, f"{block}\n{done.stdout}\n{done.stderr}"
                seen.add(mark)
    assert seen == set(_EXPECTED)
