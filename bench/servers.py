"""The servers under test: how each is configured, started on one core, and stopped."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from bench.address import APPLICATION, HOST, Address
from bench.proc import cpu_seconds, resident_bytes
from bench.source import CACHE

CHECKOUT: Final = Path(__file__).parent.parent
NGINX: Final = "/usr/sbin/nginx"
NGINX_RTMP: Final = "/usr/lib/nginx/modules/ngx_rtmp_module.so"

# The last of the 2.x line, which has a switch for the GOP cache and runs on Node.js 12 to 20.
NODE_MEDIA_SERVER: Final = "node-media-server@2.7.4"

_START_SECONDS: Final = 20.0
_STOP_SECONDS: Final = 15.0

# What both nginx servers share. One worker, as the core is one; no logs of access, as for nobody.
_NGINX_HEAD: Final = """
daemon off; user root; worker_processes 1; worker_rlimit_nofile 65536;
pid {folder}/nginx.pid; error_log {folder}/error.log error;
events {{ worker_connections 16384; }}
"""

# `wait_key`: a player's first frame is a keyframe, as everywhere else here (there is no GOP cache).
# Buffers, corking and the rest stay at their defaults.
_NGINX_RTMP: Final = (
    f"load_module {NGINX_RTMP};"
    + _NGINX_HEAD
    + """
rtmp {{ server {{
    listen {host}:{rtmp_port}; chunk_size 4096; access_log off;
    application {application} {{ live on; wait_key on; }}
}} }}
"""
)

_NGINX_FILE: Final = (
    _NGINX_HEAD
    + """
http {{
    access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000;
    client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    types {{ application/vnd.apple.mpegurl m3u8; video/mp2t ts; }}
    server {{ listen {host}:{http_port}; location / {{ root {folder}/www; }} }}
}}
"""
)

# Its README's values. It listens on every address: only this test's machine may reach it.
_NODE_SCRIPT: Final = """
const net = require('net');
const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (port, done) {{
  return listen.call(this, {{ port: port, host: '{host}', backlog: 4096 }}, done);
}};
const NodeMediaServer = require('{module}');
new NodeMediaServer({{
  logType: 1,
  rtmp: {{ port: {rtmp_port}, chunk_size: 60000, gop_cache: true, ping: 30, ping_timeout: 60 }},
  http: {{ port: {http_port}, allow_origin: '*' }},
}}).run();
"""


class NotStarted(Exception):
    """A server could not be installed or did not come up."""


class Server:
    """A running server; leaving the context stops it and removes its folder.

    Subclasses write what the server needs and say how it is started.

    Attributes:
        address: Its ports.
        folder: For its configuration, data and log.
    """

    environment: dict[str, str] | None = None

    def __init__(self, core: int) -> None:
        self._core = core
        self.address = Address(*free_ports(3))
        self.folder = Path(tempfile.mkdtemp(prefix="bench-"))
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        """Write the configuration, and return the command that serves it in the foreground."""
        raise NotImplementedError

    def ports(self) -> list[int]:
        """List the ports that must answer before anything is measured."""
        return [self.address.rtmp_port]

    @property
    def pid(self) -> int:
        """The process, which `taskset` has become."""
        assert self._process is not None
        return self._process.pid

    def cpu_seconds(self) -> float:
        """CPU time used so far, its children's included."""
        return cpu_seconds(self.pid)

    def resident_bytes(self) -> int:
        """Resident memory now, its children's included."""
        return resident_bytes(self.pid)

    def __enter__(self) -> Self:
        try:
            command = ["taskset", "-c", str(self._core), *self.command()]
            with (self.folder / "log").open("wb") as log:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=self.folder,
                    env=self.environment,
                )
            self._wait()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def _wait(self) -> None:
        """Wait until every port answers."""
        assert self._process is not None
        deadline = time.monotonic() + _START_SECONDS
        for port in self.ports():
            while True:
                try:
                    socket.create_connection((HOST, port), 1.0).close()
                    break
                except OSError:
                    if self._process.poll() is not None or time.monotonic() > deadline:
                        log = (self.folder / "log").read_text(errors="replace")[-2000:]
                        raise NotStarted(f"{type(self).__name__}: {log}") from None
                    time.sleep(0.05)

    def _stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Ours(Server):
    """NTV Media Server of this checkout, under `twistd`, with default settings and `settings`."""

    def __init__(self, core: int, settings: tuple[str, ...] = ()) -> None:
        super().__init__(core)
        self._settings = settings
        self.environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}

    def command(self) -> list[str]:
        twistd = Path(sys.executable).with_name("twistd")
        listen = f"listen=tcp:{{}}:interface={HOST}"
        settings = [
            f"rtmp.{listen.format(self.address.rtmp_port)}",
            f"http.{listen.format(self.address.http_port)}",
            f"rtsp.{listen.format(self.address.rtsp_port)}",
            *self._settings,
        ]
        options = [part for setting in settings for part in ("--set", setting)]
        return [str(twistd), "-n", "--pidfile=", "ntvmedia", *options, *self._data]

    def ports(self) -> list[int]:
        return [self.address.rtmp_port, self.address.http_port, self.address.rtsp_port]

    def set_application(self, *fields: str) -> None:
        """Change the application that is published to, while the server runs.

        Args:
            fields: Each as in `ntvmedia app set NAME FIELD=VALUE`.

        Raises:
            NotStarted: It was refused.
        """
        program = Path(sys.executable).with_name("ntvmedia")
        command = [str(program), "app", "set", APPLICATION, *fields, *self._data]
        done = subprocess.run(
            command, capture_output=True, check=False, cwd=self.folder, env=self.environment
        )
        if done.returncode:
            raise NotStarted(f"app set: {done.stderr.decode(errors='replace')[-2000:]}")

    @property
    def data(self) -> Path:
        """Its data folder."""
        return self.folder / "data"

    @property
    def _data(self) -> list[str]:
        return ["--data", str(self.data)]


class NginxRTMP(Server):
    """Debian's nginx with `libnginx-mod-rtmp`: one worker, chunks of 4096, RTMP only."""

    def command(self) -> list[str]:
        if not Path(NGINX_RTMP).exists():
            raise NotStarted("nginx-rtmp: apt-get install nginx libnginx-mod-rtmp")
        return _nginx(self, _NGINX_RTMP)


class NginxFiles(Server):
    """nginx serving files: contents by path.

    Attributes:
        root: The folder that they are served from.
    """

    def __init__(self, core: int, files: Mapping[str, bytes]) -> None:
        super().__init__(core)
        self.root = self.folder / "www"
        for path, content in files.items():
            file = self.root / path.removeprefix("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        # nginx opens its files as the user of the worker, and the folder is ours alone.
        self.folder.chmod(0o755)

    def command(self) -> list[str]:
        if not Path(NGINX).exists():
            raise NotStarted("nginx: apt-get install nginx")
        return _nginx(self, _NGINX_FILE)

    def ports(self) -> list[int]:
        return [self.address.http_port]


class NodeMediaServer(Server):
    """Node-Media-Server from npm, installed into the cache at first use; GOP cache on."""

    def command(self) -> list[str]:
        module = CACHE / "node" / "node_modules" / "node-media-server"
        if not module.exists():
            _install_node_media_server()
        script = self.folder / "server.js"
        address = self.address
        script.write_text(
            _NODE_SCRIPT.format(
                host=HOST,
                module=module,
                rtmp_port=address.rtmp_port,
                http_port=address.http_port,
            )
        )
        return ["node", str(script)]

    def ports(self) -> list[int]:
        return [self.address.rtmp_port, self.address.http_port]


def free_ports(count: int) -> list[int]:
    """Find loopback ports that nobody listens on."""
    sockets = [socket.create_server((HOST, 0)) for _number in range(count)]
    ports = [found.getsockname()[1] for found in sockets]
    for found in sockets:
        found.close()
    return ports


def _nginx(server: Server, template: str) -> list[str]:
    path = server.folder / "nginx.conf"
    path.write_text(
        template.format(
            folder=server.folder,
            host=HOST,
            application=APPLICATION,
            rtmp_port=server.address.rtmp_port,
            http_port=server.address.http_port,
        )
    )
    return [NGINX, "-p", str(server.folder), "-c", str(path)]


def _install_node_media_server() -> None:
    if shutil.which("npm") is None:
        raise NotStarted("Node-Media-Server: apt-get install nodejs npm")
    folder = CACHE / "node"
    folder.mkdir(parents=True, exist_ok=True)
    command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder)]
    done = subprocess.run([*command, NODE_MEDIA_SERVER], capture_output=True, check=False)
    if done.returncode:
        raise NotStarted(f"npm: {done.stderr.decode(errors='replace')[-2000:]}")
