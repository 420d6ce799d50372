"""What is read from /proc."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

from bench.proc import cpu_seconds, open_peers, resident_bytes, run_seconds, tree, waited_seconds


def test_tree() -> None:
    """A process's children are found, and counted in its memory."""
    command = [sys.executable, "-c", "input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as child:
        assert child.pid in tree(os.getpid())
        assert resident_bytes(os.getpid()) > resident_bytes(child.pid)
        child.communicate(b"\n")


def test_cpu() -> None:
    """CPU time is in seconds and grows with use."""
    before = cpu_seconds(os.getpid())
    while cpu_seconds(os.getpid()) - before < 0.02:
        sum(range(10000))
    assert before < cpu_seconds(os.getpid()) < 100000


def test_run() -> None:
    """What a process that waits has run is known exactly, and does not grow while it waits."""
    command = [sys.executable, "-c", "input()\nprint(sum(range(10**6)), flush=True)\ninput()"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as child:
        assert child.stdin is not None and child.stdout is not None
        before = run_seconds(child.pid)
        child.stdin.write(b"\n")
        child.stdin.flush()
        child.stdout.readline()
        assert 0.001 < run_seconds(child.pid) - before < 10.0
        child.communicate(b"\n")


def test_waited() -> None:
    """Waiting for the CPU is told in seconds, of this boot at most."""
    assert 0.0 <= waited_seconds(os.getpid()) < 3600


def test_open_peers() -> None:
    """A connection counts until the server's side is closed, whatever the client does."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _peer = server.accept()
            assert open_peers(port) == {client.getsockname()[1]}
            accepted.close()
            assert open_peers(port) == set()
