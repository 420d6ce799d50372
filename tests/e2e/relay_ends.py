"""Sources and targets of relays as programs, and servers of others for them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.e2e.processes import Failed, Program, is_listening, wait_until
from tests.e2e.server import ROOT, free_port

_MODULE = Path("/usr/lib/nginx/modules/ngx_rtmp_module.so")
_NGINX = Path("/usr/sbin/nginx")


class End(Program):
    """A source that pulls into an FLV file, or a target that is given one."""

    def __init__(self, folder: Path, action: str, url: str, path: Path, *options: str) -> None:
        words = [sys.executable, "-m", "tests.e2e.relay_process", action, url, str(path), *options]
        super().__init__(words, folder, f"relay-{action}", env={"PYTHONPATH": str(ROOT)})

    def __enter__(self) -> End:
        return self

    def did(self) -> Any:
        """Wait for its good end; returns what it did. It must have given back everything."""
        self.finish()
        return self._checked()

    def problem(self) -> str:
        """Wait for its bad end; returns why. It must have given back everything, too."""
        if self.wait() != 1:
            raise Failed(f"it ended well, or not as told{self.tail()}")
        self._checked()
        return self.errors.strip()

    def _checked(self) -> Any:
        said = json.loads(self.output)
        assert not [name for name in said["left"] if "Port" in name or "Client" in name], said
        return said


class NginxRTMP(Program):
    """nginx with its RTMP module, of Debian.

    Args:
        folder: For its files; made by it.
        port: Of one that ran before; by default a free one.

    Attributes:
        port: Where it listens on 127.0.0.1.
    """

    def __init__(self, folder: Path, port: int = 0) -> None:
        self.port = port or free_port()
        folder.mkdir()
        if not _MODULE.exists():
            raise Failed("there is no nginx with RTMP: run script/clients")
        (folder / "nginx.conf").write_text(
            f"""load_module {_MODULE};
daemon off; master_process off; worker_processes 1;
pid {folder}/pid; error_log {folder}/error.log info;
events {{ worker_connections 64; }}
rtmp {{ server {{
    listen 127.0.0.1:{self.port};
    chunk_size 4096;
    access_log off;
    application live {{ live on; publish_notify on; }}
    application closed {{ live on; deny publish all; deny play all; }}
}} }}
""",
            "utf-8",
        )
        super().__init__([_NGINX, "-p", folder, "-c", folder / "nginx.conf"], folder, "nginx")
        try:
            wait_until(self._listens, "nginx listened")
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> NginxRTMP:
        return self

    def url(self, name: str) -> str:
        """Return the address of "APP/STREAM"."""
        return f"rtmp://127.0.0.1:{self.port}/{name}"

    def _listens(self) -> bool:
        if not self.is_running:
            raise Failed(f"nginx ended at its start{self.tail()}")
        return is_listening(self.port)

    def wait_for_connections(self, count: int) -> None:
        """Wait until so many clients are connected."""
        wait_until(lambda: self._connections() >= count, f"{count} clients connected")

    def _connections(self) -> int:
        # Of proc(5): the local address second, and fourth the state, of which 01 is "established".
        rows = [line.split() for line in Path("/proc/net/tcp").read_text("utf-8").splitlines()]
        return sum(row[1] == f"0100007F:{self.port:04X}" and row[3] == "01" for row in rows)


class NodeMediaServer(Program):
    """Node-Media-Server, which keeps the last group of pictures for whoever comes.

    Attributes:
        port: Where it listens on 127.0.0.1.
    """

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        folder.mkdir()
        script = ROOT / "tests" / "e2e" / "node" / "media_server.cjs"
        super().__init__(["node", script, str(self.port), str(free_port())], folder, "node")
        try:
            wait_until(lambda: is_listening(self.port) or not self.is_running, "it listened")
            if not self.is_running:
                raise Failed(f"Node-Media-Server does not run: run script/clients{self.tail()}")
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> NodeMediaServer:
        return self

    def url(self, name: str) -> str:
        """Return the address of "APP/STREAM"."""
        return f"rtmp://127.0.0.1:{self.port}/{name}"
