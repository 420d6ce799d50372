"""Tests of ntvmedia.cli.users: `ntvmedia user`."""

from __future__ import annotations

import getpass
import io
import json
import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from ntvmedia.accounts import Accounts, AuditQuery, Passwords, Role, WrongPassword, registry
from ntvmedia.cli import serverless
from ntvmedia.cli.control import SOCKET_NAME, ControlClient, NotRunning
from ntvmedia.cli.main import main
from ntvmedia.cli.places import claimed
from ntvmedia.cli.serverless import StoreAtOnce, result_of
from ntvmedia.events import EventBus
from ntvmedia.store import Store
from tests.accounts.cases import CHEAP, GOOD, OTHER
from tests.cli.sockets import answer, serving

Run = Callable[..., tuple[str, str]]

# Of most systems: somebody who owns nothing.
NOBODY = 65534

STATUS = answer(b'{"version": "1"}')


class Terminal(io.StringIO):
    """Somebody sits there."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have passwords hashed in no time."""
    monkeypatch.setattr(registry, "Passwords", lambda reactor: Passwords(reactor, CHEAP))


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `ntvmedia user` on the data of the test; returns its output and its complaints."""

    def do(*words: str, status: int = 0, stdin: io.StringIO | str = "") -> tuple[str, str]:
        given = io.StringIO(stdin) if isinstance(stdin, str) else stdin
        monkeypatch.setattr(sys, "stdin", given)
        assert main(["user", words[0], f"--data={tmp_path / 'data'}", *words[1:]]) == status
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        assert not status or err.startswith("ntvmedia: ") or isinstance(given, Terminal)
        return out, err

    return do


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return the data folder, which there is not yet."""
    return tmp_path / "data"


def accounts(data: Path) -> Accounts:
    """Return what a server that starts now has."""
    store = Store(None, "", data)
    store.open()
    found = Accounts(StoreAtOnce(store), EventBus(), time.time, None, data)
    found.load(with_setup_code=False)
    return found


def knows(data: Path, name: str, password: str) -> bool:
    """Whether a password is right."""
    try:
        result_of(accounts(data).log_in(name, password, "192.0.2.1"))
    except WrongPassword:
        return False
    return True


def test_unattended_install(run: Run, data: Path) -> None:
    """P-102: before the first start of a server the administrator is made by one command."""
    out, _err = run("add", "root", stdin=f"{GOOD}\n")
    assert out == "user root was added: administrator\n"
    assert stat.S_IMODE(data.stat().st_mode) == 0o750
    found = accounts(data)
    assert found.is_set_up
    assert found.user("root").role is Role.ADMINISTRATOR
    assert not (data / "setup-code").exists()
    assert knows(data, "root", GOOD)


def test_first_and_next(run: Run, data: Path) -> None:
    """The first is an administrator, the others watch; or what --role says."""
    run("add", "guest", "--role=viewer", stdin=GOOD)
    run("add", "root", stdin=GOOD)
    run("add", "ann", stdin=GOOD)
    run("add", "bob", "--role", "operator", stdin=GOOD)
    assert [(user.name, user.role.value) for user in accounts(data).users()] == [
        ("ann", "viewer"),
        ("bob", "operator"),
        ("guest", "viewer"),
        ("root", "administrator"),
    ]


def test_list(run: Run, data: Path) -> None:
    """All users, for people and for programs."""
    run("add", "root", stdin=GOOD)
    run("add", "例子", stdin=GOOD)
    knows(data, "root", GOOD)
    lines = run("list")[0].splitlines()
    assert lines[0].split() == ["NAME", "ROLE", "ENABLED", "LAST", "LOG-IN"]
    assert lines[1].split()[:3] == ["root", "administrator", "true"]
    assert lines[1].split()[3].startswith("20")
    assert lines[2].split() == ["例子", "viewer", "true", "-"]
    shown = json.loads(run("list", "--json")[0])
    assert [user["name"] for user in shown] == ["root", "例子"]
    assert not [text for text in map(str, shown) if "hash" in text or "argon2" in text]


def test_set(run: Run, data: Path) -> None:
    """Role and state are changed; the last administrator stays."""
    run("add", "root", stdin=GOOD)
    run("add", "ann", stdin=GOOD)
    assert run("set", "ANN", "--role=operator")[0] == "user ann was changed: operator, enabled\n"
    assert run("set", "ann", "--disable")[0] == "user ann was changed: operator, disabled\n"
    assert not knows(data, "ann", GOOD)
    assert run("set", "ann", "--enable")[0] == "user ann was changed: operator, enabled\n"
    assert knows(data, "ann", GOOD)
    assert "last administrator" in run("set", "root", "--disable", status=1)[1]
    assert "nothing to change" in run("set", "root", status=1)[1]
    assert 'no user "nobody"' in run("set", "nobody", "--disable", status=1)[1]


def test_password(run: Run, data: Path) -> None:
    """The way back in: a new password, and all sessions and tokens end."""
    run("add", "root", stdin=GOOD)
    before = accounts(data)
    _identity, secret = result_of(before.log_in("root", GOOD, "192.0.2.1"))
    _token, text = result_of(before.add_token("root", "ci", Role.VIEWER, None))
    assert run("password", "Root", stdin=f"{OTHER}\r\n")[0] == "user root has another password\n"
    after = accounts(data)
    assert after.identify_session(secret.value) is None
    assert after.identify_token(text) is None
    assert (knows(data, "root", GOOD), knows(data, "root", OTHER)) == (False, True)


def test_delete(run: Run, data: Path) -> None:
    """A user is deleted after a question, or with --yes."""
    run("add", "root", stdin=GOOD)
    run("add", "ann", stdin=GOOD)
    assert "use --yes" in run("delete", "ann", status=1)[1]
    assert "was not deleted" in run("delete", "ann", status=1, stdin=Terminal("n\n"))[1]
    assert "was not deleted" in run("delete", "ann", status=1, stdin=Terminal(""))[1]
    assert run("delete", "ann", stdin=Terminal("y\n"))[0] == "user ann was deleted\n"
    assert "no user" in run("delete", "ann", "--yes", status=1)[1]
    assert "last administrator" in run("delete", "root", "--yes", status=1)[1]
    assert [user.name for user in accounts(data).users()] == ["root"]


def test_bad_values(run: Run, data: Path) -> None:
    """F-AC-03: what is refused is told in one line, without the password."""
    for name, password, complaint in (
        ("root", "", "no password on standard input"),
        ("root", "\n", "no password on standard input"),
        ("root", "short12\n", "shorter than 8"),
        ("root", "password1\n", "first that are tried"),
        ("a b", GOOD, "expected letters"),
        ("", GOOD, "empty"),
    ):
        _out, err = run("add", name, status=1, stdin=password)
        assert complaint in err
        assert err.count("\n") == 1
        assert not password.strip() or password.strip() not in err
    run("add", "root", stdin=GOOD)
    assert "already" in run("add", "ROOT", status=1, stdin=GOOD)[1]
    with pytest.raises(SystemExit):
        run("add", "ann", "--role=god", stdin=GOOD)
    assert len(accounts(data).users()) == 1


def test_on_a_terminal(run: Run, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal the password is asked for twice, and not shown."""
    answers: Iterator[str] = iter([GOOD, GOOD, GOOD, OTHER])
    asked: list[str] = []

    def ask(prompt: str) -> str:
        asked.append(prompt)
        return next(answers)

    monkeypatch.setattr(getpass, "getpass", ask)
    assert run("add", "root", stdin=Terminal())[0] == "user root was added: administrator\n"
    assert asked == ["Password of root: ", "Once more: "]
    assert "differ" in run("password", "root", status=1, stdin=Terminal())[1]
    assert knows(data, "root", GOOD)


def test_noted(run: Run, data: Path) -> None:
    """What is done to a stopped server is in the audit log of the next."""
    run("add", "root", stdin=GOOD)
    run("add", "ann", stdin=GOOD)
    run("set", "ANN", "--role=operator")
    run("delete", "Ann", "--yes")
    page = result_of(accounts(data).audit(AuditQuery(oldest_first=True)))
    assert [(row.who, row.kind, row.peer_host, row.action, row.subject) for row in page.rows] == [
        ("operator on the host", "control", "", action, subject)
        for action, subject in (
            ("users.add", "root"),
            ("users.add", "ann"),
            ("users.change", "ann"),
            ("users.delete", "ann"),
        )
    ]


def test_no_data(run: Run, data: Path) -> None:
    """Only a first user is made where nothing is yet: for the others the folder is wrong."""
    for words in (["list"], ["set", "root", "--disable"], ["delete", "root", "--yes"]):
        assert "no such folder" in run(*words, status=1)[1]
    assert "no such folder" in run("password", "root", status=1, stdin=GOOD)[1]
    assert not data.exists()


def test_data_is_a_file(run: Run, data: Path) -> None:
    """A folder that cannot be made is told."""
    data.write_text("x", "ascii")
    assert "--data" in run("add", "root", status=1, stdin=GOOD)[1]


def requests_of(run: Run, data: Path, *words: str, replies: list[bytes], **more: Any) -> Any:
    """Run a command while a server runs; returns its output and what it asked."""
    data.mkdir(exist_ok=True)
    with serving(data, [STATUS, *replies]) as requests:
        out, err = run(*words, **more)
    (data / SOCKET_NAME).unlink()
    asked = []
    for request in requests[1:]:
        head, _mark, body = request.partition(b"\r\n\r\n")
        asked.append((head.split(b" HTTP")[0].decode(), json.loads(body) if body else None))
    return out, err, asked


def user(name: str, role: str = "viewer") -> dict[str, Any]:
    """Return a user as the API shows it."""
    return {"name": name, "role": role, "enabled": True, "logged_in_at": None}


def page(*names: str, total: int) -> bytes:
    """Return a page of the API."""
    users = [user(name) for name in names]
    return answer(json.dumps({"users": users, "total": total}).encode())


def test_running_server(run: Run, data: Path) -> None:
    """A running server is asked, over the control socket."""
    made = answer(json.dumps(user("root", "administrator")).encode(), b"201 Created")
    out, _err, asked = requests_of(
        run, data, "add", "root", replies=[page(total=0), made], stdin=GOOD
    )
    assert out == "user root was added: administrator\n"
    fields = {"name": "root", "password": GOOD, "role": "administrator"}
    assert asked == [
        ("GET /mserver/api/v1/users?page=1&page_size=500", None),
        ("POST /mserver/api/v1/users", fields),
    ]
    changed = answer(json.dumps(user("a/b")).encode())
    assert requests_of(run, data, "set", "a/b", "--disable", replies=[changed])[2] == [
        ("PATCH /mserver/api/v1/users/a%2Fb", {"enabled": False})
    ]
    assert requests_of(run, data, "password", "x", replies=[changed], stdin=OTHER)[2] == [
        ("PATCH /mserver/api/v1/users/x", {"password": OTHER})
    ]
    gone = answer(b"", b"204 No Content")
    assert requests_of(run, data, "delete", "x", "--yes", replies=[gone])[2] == [
        ("DELETE /mserver/api/v1/users/x", None)
    ]


def test_pages_of_a_running_server(run: Run, data: Path) -> None:
    """All pages are read; a user who is deleted meanwhile is not waited for."""
    replies = [page("a", "b", total=3), page("c", total=3)]
    out, _err, asked = requests_of(run, data, "list", replies=replies)
    assert [line.split()[0] for line in out.splitlines()] == ["NAME", "a", "b", "c"]
    assert [path.partition("?")[2] for path, _body in asked] == [
        "page=1&page_size=500",
        "page=2&page_size=500",
    ]
    replies = [page("a", total=2), page(total=1)]
    assert len(requests_of(run, data, "list", replies=replies)[0].splitlines()) == 2


def test_refusal_of_a_running_server(run: Run, data: Path) -> None:
    """What the server refuses is told in its words."""
    problem = {"type": "about:blank", "status": 409, "detail": "the last administrator"}
    refused = answer(json.dumps(problem).encode(), b"409 Conflict")
    _out, err, _asked = requests_of(
        run, data, "delete", "root", "--yes", replies=[refused], status=1
    )
    assert err == "ntvmedia: the last administrator\n"


def test_server_that_hangs(run: Run, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While somebody else has the data folder nothing is changed."""
    run("add", "root", stdin=GOOD)
    monkeypatch.setattr(serverless, "PATIENCE_SECONDS", 0.2)
    with claimed(data):
        assert "try again" in run("delete", "root", "--yes", status=1)[1]


def test_result_of() -> None:
    """What a Deferred has is returned, or raised."""
    good: Deferred[int] = Deferred()
    good.callback(1)
    assert result_of(good) == 1
    bad: Deferred[int] = Deferred()
    bad.errback(KeyError("x"))
    with pytest.raises(KeyError):
        result_of(bad)


def test_made_by_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that root makes in the folder of the server's user is that user's."""
    folder = Path(tempfile.mkdtemp())
    try:
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
        monkeypatch.setattr(sys, "stdin", io.StringIO(f"{GOOD}\n"))
        assert main(["user", "add", f"--data={folder}", "ann"]) == 0
        made = list(folder.iterdir())
        assert made
        assert {path.stat().st_uid for path in made} == {folder.stat().st_uid}
        assert os.geteuid() == os.getuid()
    finally:
        shutil.rmtree(folder)


def test_server_ends_meanwhile(run: Run, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that answered, and is gone a moment later, is told in one line."""
    data.mkdir()
    asked: list[str] = []

    def ask(client: ControlClient, method: str, path: str, body: object = None) -> Any:
        asked.append(path)
        if len(asked) > 1:
            raise NotRunning
        return {}

    monkeypatch.setattr(ControlClient, "ask", ask)
    _out, err = run("delete", "ann", "--yes", status=1)
    assert err == "ntvmedia: the server has ended meanwhile: nothing was done\n"


def test_password_that_is_no_text(run: Run) -> None:
    """Of a password in another encoding nothing is told."""
    given: Any = io.TextIOWrapper(io.BytesIO(b"secr\xff\n"), "utf-8")
    _out, err = run("add", "ann", status=1, stdin=given)
    assert err == "ntvmedia: the password on standard input is no text\n"
