"""A PostgreSQL server of the tests' own: nothing of the one that Debian may run is used."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
from itertools import count
from pathlib import Path

from tests.e2e.processes import Failed, Program, require, run, wait_until
from tests.e2e.server import free_port

USER = "ntvmedia"
PASSWORD = "kept-out-of-messages"

# Debian keeps the server's programs, but not the clients', out of the path.
_DEBIAN = Path("/usr/lib/postgresql")


def server_program(name: str) -> str:
    """Return the path of a program of the newest PostgreSQL server here.

    Raises:
        Failed: It is not installed.
    """
    found = sorted(_DEBIAN.glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    return str(found[-1]) if found else require(name)


class PostgreSQLServer:
    """A running server on a free port of 127.0.0.1, with a folder of its own below /tmp.

    It runs as somebody without rights, since it refuses root, and ends with this process even
    when that is killed. Best used in a `with` statement, which stops it and removes the folder.

    Attributes:
        port: Where it listens.

    Raises:
        Failed: It is not installed, or does not start.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self._numbers = count()
        self._folder = Path(tempfile.mkdtemp(prefix="ntvmedia-postgresql-"))
        self._cluster = self._folder / "cluster"
        self._as_nobody: tuple[str, ...] = ()
        try:
            if os.geteuid() == 0:
                user = _somebody()
                os.chown(self._folder, user.pw_uid, user.pw_gid)
                self._as_nobody = (f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}")
                self._as_nobody += ("--clear-groups",)
            secret = self._folder / "password"
            secret.write_text(PASSWORD, "utf-8")
            secret.chmod(0o644)
            options = ("--auth=scram-sha-256", f"--pwfile={secret}", "--no-sync")
            run(
                self._command("initdb", f"--username={USER}", "--encoding=UTF8", *options),
                self._folder,
            )
            self._program = self._start()
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    def __enter__(self) -> PostgreSQLServer:
        return self

    def __exit__(self, *error: object) -> None:
        # At once: nothing of it is kept.
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _command(self, name: str, *options: str) -> list[str]:
        # The locale of whoever runs the tests may not be installed for the server.
        words = ["setpriv", *self._as_nobody, "--pdeathsig=INT", "env", "LC_ALL=C.UTF-8"]
        return [*words, server_program(name), "-D", str(self._cluster), *options]

    def _start(self) -> Program:
        options = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            # A test ends processes, never the machine.
            "fsync": "off",
            "max_connections": 20,
        }
        words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        program = Program(self._command("postgres", *words), self._folder, "postgres")
        try:
            wait_until(lambda: self._is_ready(program), "PostgreSQL was ready")
        except BaseException:
            program.stop(signal.SIGQUIT)
            raise
        return program

    def _is_ready(self, program: Program) -> bool:
        if not program.is_running:
            raise Failed(f"PostgreSQL ended at its start{program.tail()}")
        command = [server_program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(command, check=False).returncode == 0

    def start(self) -> None:
        """Start it again after `stop`, on the same port with the same databases.

        Call it from the main thread: it ends with the thread that started it.
        """
        self._program = self._start()

    def stop(self, number: int = signal.SIGINT) -> None:
        """Stop it: by SIGINT, which ends connections in order, or by SIGQUIT at once."""
        self.resume()
        self._program.stop(number)

    def suspend(self) -> None:
        """Have it hang: connections stay open, and nobody answers."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, number: int) -> None:
        if not self._program.is_running:
            return
        # Each connection has a process, which is a child of the first one.
        self._program.send(number)
        children = Path(f"/proc/{self._program.pid}/task/{self._program.pid}/children")
        for child in children.read_text("ascii").split():
            os.kill(int(child), number)

    def new_database(self) -> str:
        """Make an empty database.

        Returns:
            Its address.
        """
        name = f"test{next(self._numbers)}"
        self.psql(f"CREATE DATABASE {name}")
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Remove what `new_database` made."""
        self.psql(f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)")

    def url(self, database: str, user: str = USER, password: str = PASSWORD) -> str:
        """Return the address of a database."""
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def psql(self, commands: str, url: str = "") -> str:
        """Have PostgreSQL's own client do something.

        Args:
            commands: SQL.
            url: In this database; empty for the one that there always is.

        Returns:
            What it prints: rows, their fields separated by "|".

        Raises:
            Failed: It does not succeed.
        """
        options = ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "-v", "ON_ERROR_STOP=1"]
        done = subprocess.run(
            [server_program("psql"), *options, url or self.url("postgres")],
            input=commands,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode:
            raise Failed(f"psql: {done.stderr}")
        return done.stdout.strip()

    def dump(self, url: str) -> str:
        """Return what restores a database, as SQL for `psql`."""
        command = [server_program("pg_dump"), "--no-owner", "--no-privileges", "--inserts", url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        # Without comments, and commands that clients of other versions do not know.
        lines = [line for line in done.stdout.splitlines() if not line.startswith(("--", "\\"))]
        return re.sub(r"\n{2,}", "\n\n", "\n".join(lines).strip()) + "\n"


def _somebody() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")
