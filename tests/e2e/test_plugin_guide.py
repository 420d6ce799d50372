"""The example of the plugin guide: installed by pip, it serves as the guide says."""

from __future__ import annotations

import http.client
import re
import signal
import socket
import sys
from pathlib import Path

from tests.e2e.clients import publish_command
from tests.e2e.processes import Program, run, wait_until
from tests.e2e.server import ROOT, free_port


def installed(folder: Path) -> Path:
    """Write the files of the guide, have pip install them, and return where they are then."""
    page = (ROOT / "docs" / "plugins.md").read_text("utf-8")
    files = re.findall(r"```(?:toml|python)\n# (\S+)\n(.*?)```", page, re.DOTALL)
    assert len(files) == 4
    for name, text in files:
        path = folder / "ntv-example" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--root-user-action=ignore"]
    run([*pip, *offline, "--target", folder / "site", folder / "ntv-example"], folder)
    return folder / "site"


def accepts(port: int) -> bool:
    """Whether somebody listens there."""
    try:
        socket.create_connection(("127.0.0.1", port), 10).close()
    except OSError:
        return False
    return True


def test_plugin_guide(tmp_path: Path, clip: Path) -> None:
    """The port counts the streams; the output has a line for each packet, from a keyframe on."""
    site = installed(tmp_path)
    ports = {"rtmp": free_port(), "http": free_port(), "count": free_port()}
    listen = [f"--set={x}.listen=tcp:{port}:interface=127.0.0.1" for x, port in ports.items()]
    twistd = Path(sys.executable).with_name("twistd")
    address = f"rtmp://127.0.0.1:{ports['rtmp']}/liveshow/guide"
    with Program(
        [twistd, "--nodaemon", "--pidfile=", "ntvmedia", f"--data={tmp_path / 'data'}", *listen],
        tmp_path,
        "server",
        env={"PYTHONPATH": f"{site}:{ROOT}"},
    ) as server:
        wait_until(lambda: all(map(accepts, ports.values())), "the ports were open")
        client = http.client.HTTPConnection("127.0.0.1", ports["http"], timeout=60)
        # It waits for the publisher.
        client.putrequest("GET", "/liveshow/guide.txt")
        client.endheaders()
        with Program(publish_command(clip, address), tmp_path, "publisher") as publisher:
            answer = client.getresponse()
            assert (answer.status, answer.getheader("Transfer-Encoding")) == (200, "chunked")
            first = [answer.readline() for _ in range(2)]
            with socket.create_connection(("127.0.0.1", ports["count"]), 10) as counter:
                assert counter.recv(100) == b"1\n"
            publisher.finish()
        lines = [*first, *answer.read().splitlines(keepends=True)]
        # The connection goes on after the end of the stream.
        client.request("HEAD", "/nowhere/guide.txt")
        assert client.getresponse().status == 403
        client.close()
        assert server.stop(signal.SIGTERM) == -signal.SIGTERM
    assert re.fullmatch(rb"tracks at \d+ ms: h264 aac\n", lines[0])
    assert all(re.fullmatch(rb"\d+\.\d{3} (h264|aac) \d+( keyframe)?\n", x) for x in lines[1:])
    pictures = [line for line in lines if b" h264 " in line and not line.startswith(b"tracks")]
    assert pictures[0].endswith(b" keyframe\n")
    assert len(pictures) > 100
    assert "Traceback" not in server.output.decode() + server.errors
