"""The server as a process: how it starts, stops, reloads, and what it says when it cannot."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import sys
from pathlib import Path

import pytest

from tests.config.pem import make_pair
from tests.e2e.conftest import StartServer
from tests.e2e.processes import Program, wait_until
from tests.e2e.server import ROOT, Server, free_port

SERVER = ROOT / "script" / "server"
TWISTD = Path(sys.executable).with_name("twistd")


def try_to_start(folder: Path, *options: str) -> Program:
    """Run a server that cannot start, and wait for its end."""
    data = f"--data={folder / 'data'}"
    with Program(
        [TWISTD, "-n", "--pidfile=", "ntvmedia", data, *options],
        folder,
        env={"PYTHONPATH": str(ROOT)},
    ) as program:
        return program.finish(30, status=1)


@pytest.mark.parametrize(
    ("option", "line"),
    [
        ("--set=hub.latency=fast", 'hub.latency: expected "auto" or "low", not \'fast\''),
        ("--set=http.listn=tcp:1", "http.listn: unknown setting; did you mean listen?"),
        ("--set=rtmps.listen=tcp:1", "rtmps.listen: needs tls.certificate and tls.key"),
        ("--config=/nonexistent.toml", "--config /nonexistent.toml: cannot be read: No such file"),
        ("--grace=-1", "--grace: expected seconds, above 0 to 3,600"),
    ],
)
def test_wrong_setting(tmp_path: Path, option: str, line: str) -> None:
    """One line that names the setting and what is allowed, status 1, nothing started."""
    program = try_to_start(tmp_path, option)
    assert program.output == b""
    (said,) = program.errors.splitlines()
    assert said.startswith(f"ntvmedia: {line}")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("section", ["rtmp", "http"])
def test_port_in_use(tmp_path: Path, section: str) -> None:
    """G-LC-07: one line that names setting and address, status 1, no traceback."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ports = {"rtmp": free_port(), "http": free_port(), section: port}
        program = try_to_start(
            tmp_path,
            *(f"--set={name}.listen=tcp:{ports[name]}:interface=127.0.0.1" for name in ports),
        )
    text = program.output.decode() + program.errors
    assert "Traceback" not in text
    (line,) = (line for line in text.splitlines() if " critical " in line)
    expected = f"{section}.listen: cannot listen on 127.0.0.1, port {port}: Address already in use"
    assert line.endswith(f"not started: {expected}")


def test_port_in_use_in_the_background(tmp_path: Path) -> None:
    """G-LC-07: a daemon that cannot start says so on the terminal and in its log; status 1."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        listen = f"--set=rtmp.listen=tcp:{port}:interface=127.0.0.1"
        command = [str(TWISTD), "ntvmedia", listen, "--set=http.listen=", "--set=rtsp.listen="]
        environment = {"PYTHONPATH": str(ROOT)}
        with Program(command, tmp_path, cwd=tmp_path, env=environment) as program:
            program.finish(30, status=1)
    expected = f"rtmp.listen: cannot listen on 127.0.0.1, port {port}: Address already in use"
    # twistd cuts what it tells the terminal.
    assert expected[:60] in program.errors
    log = (tmp_path / "twistd.log").read_text("utf-8")
    assert f"not started: {expected}" in log
    assert not (tmp_path / "twistd.pid").exists()


def test_addresses_at_the_start(server: Server) -> None:
    """The log says where to publish to and to play from, and that is where it is."""
    address = server.rtmp("liveshow/STREAM")
    assert f"publish to {address}" in server.log
    assert f"play from {address}" in server.log
    assert f"play from {server.flv('liveshow/STREAM')}" in server.log


def test_script(tmp_path: Path) -> None:
    """`script/server` serves from wherever it is called, and keeps its data there."""
    port = free_port()
    options = [f"--set=rtmp.listen=tcp:{free_port()}:interface=127.0.0.1", "--set=rtsp.listen="]
    options.append(f"--set=http.listen=tcp:{port}:interface=127.0.0.1")
    with Program([SERVER, *options], tmp_path, cwd=tmp_path) as program:
        wait_until(lambda: b"play from http" in program.output, "the server had started")
        assert (tmp_path / "data").is_dir()
        assert program.stop(signal.SIGTERM) == -signal.SIGTERM
    assert "Traceback" not in program.tail()


def test_json_log(start_server: StartServer) -> None:
    """Every line of a JSON log is an object, from the first one on."""
    server = start_server("log.format=json", "log.level=debug")
    server.stop()
    records = [json.loads(line) for line in server.program.output.splitlines()]
    assert any(record["message"].startswith("publish to rtmp://") for record in records)
    assert {"time", "level", "system", "message"} <= set(records[0])


def test_health(server: Server) -> None:
    """Both say so while all is well."""
    assert server.get("/healthz")[0] == 200
    assert server.get("/readyz")[0] == 200


def test_draining(start_server: StartServer, clip: Path, tmp_path: Path) -> None:
    """G-LC-01: a publisher and a player end in order, and the server with status 143."""
    server = start_server(options=("--grace=5",))
    name = "liveshow/drained"
    publish = f"ffmpeg -v error -re -stream_loop -1 -i {clip} -c copy -f flv {server.rtmp(name)}"
    play = f"ffmpeg -v error -i {server.flv(name)} -c copy -f flv {tmp_path / 'copy.flv'}"
    with (
        Program(publish.split(), tmp_path, "publisher") as publisher,
        Program(play.split(), tmp_path, "player") as player,
    ):
        wait_until(lambda: (tmp_path / "copy.flv").exists(), "something was played")
        server.program.send(signal.SIGTERM)
        # Load balancers are told before the ports close.
        wait_until(lambda: server.get("/readyz")[0] == 503, "it said that it is not ready", 5)
        assert server.program.wait(20) == -signal.SIGTERM
        # The end of the stream is a good end for a player.
        player.finish(20)
        publisher.wait(20)
    with pytest.raises(OSError, match="refused"):
        server.get("/readyz")


def test_second_signal(start_server: StartServer) -> None:
    """G-LC-02: a second signal ends the server at once, whatever it still does."""
    server = start_server(options=("--grace=60",))
    server.program.send(signal.SIGTERM)
    server.program.send(signal.SIGINT)
    assert server.program.wait(5) in (-signal.SIGTERM, -signal.SIGINT)
    server.expect_trouble()


def certificate_of(port: int) -> bytes:
    """Return the certificate that a TLS server shows now."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), 10) as plain,
        context.wrap_socket(plain, server_hostname="one.example") as secure,
    ):
        der = secure.getpeercert(binary_form=True)
    assert der is not None
    return der


def test_certificates_on_hangup(start_server: StartServer, tmp_path: Path) -> None:
    """SIGHUP brings a new certificate to HTTPS and RTMPS; a bad one is a line and no change."""
    certificate, key = make_pair(tmp_path, "one.example")
    ports = {"https": free_port(), "rtmps": free_port()}
    server = start_server(
        *(f"{name}.listen=tcp:{ports[name]}:interface=127.0.0.1" for name in ports),
        f"tls.certificate={certificate}",
        f"tls.key={key}",
    )
    before = {certificate_of(port) for port in ports.values()}
    assert len(before) == 1
    make_pair(tmp_path, "one.example")
    server.program.send(signal.SIGHUP)
    server.wait_for_log("read 1 TLS certificates again")
    after = {certificate_of(port) for port in ports.values()}
    assert len(after) == 1
    assert after != before
    Path(key).write_text("no key", "utf-8")
    server.program.send(signal.SIGHUP)
    server.wait_for_log("the certificates stay as they are: tls.key: ")
    assert {certificate_of(port) for port in ports.values()} == after
