"""Tests of ntvmedia.cli.applications: `ntvmedia app`."""

from __future__ import annotations

import contextlib
import io
import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ntvmedia.cli import applications
from ntvmedia.cli.main import main
from ntvmedia.cli.places import claimed
from ntvmedia.store import Store, list_applications
from tests.cli.sockets import answer, serving

Run = Callable[..., tuple[str, str]]

BUILT_IN = 'application "tv" is built in'
STATUS = answer(b'{"version": "1"}')
SHOWN = {
    "name": "a",
    "type": "live",
    "enabled": True,
    "outputs": ["rtmp"],
    "recording": "manual",
    "publish_password_set": False,
    "referers": [],
    "signed": False,
    "encrypted": False,
    "built_in": False,
    "streams": 2,
    "viewers": 7,
}


class Terminal(io.StringIO):
    """Somebody sits there."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `ntvmedia app` on the data of the test; returns its output and its complaints."""

    def do(*words: str, status: int = 0, stdin: io.StringIO | None = None) -> tuple[str, str]:
        monkeypatch.setattr(sys, "stdin", stdin or io.StringIO())
        found = main(["app", words[0], f"--data={tmp_path}", *words[1:]])
        out, err = capsys.readouterr()
        assert (found, bool(err)) == (status, bool(status)) or stdin is not None, err
        assert found == status
        if status:
            assert err.endswith("\n")
            assert "Traceback" not in err
        return out, err

    return do


def rows(data: Path) -> dict[str, Any]:
    """Return what the database has."""
    store = Store(None, "", data)
    store.open()
    return {row.name: row for row in store.run_now(list_applications)}


def test_stopped_server(run: Run, tmp_path: Path) -> None:
    """Without a server the database is changed, as the server would do it."""
    out, _err = run(
        "add", "studio", "outputs=hls,rtmp", "referers=Example.org,例子.cn", "signed=true"
    )
    assert out == "application studio was added\n"
    row = rows(tmp_path)["studio"]
    assert (row.outputs, row.referers) == (("rtmp", "hls"), ("example.org", "xn--fsqu00a.cn"))
    assert row.signed is True
    assert run("set", "studio", "hls_segment_seconds=4", "name=atelier")[0] == (
        "application atelier was changed\n"
    )
    assert set(rows(tmp_path)) == {"liveshow", "tv", "audio", "vod", "atelier"}
    assert rows(tmp_path)["atelier"].hls_segment_seconds == 4.0
    assert run("delete", "atelier", "--yes")[0] == "application atelier was deleted\n"
    assert set(rows(tmp_path)) == {"liveshow", "tv", "audio", "vod"}


def test_options_anywhere(run: Run, tmp_path: Path) -> None:
    """Options may stand before, between and behind what is changed."""
    assert main(["app", "add", "a", "signed=true", "--data", str(tmp_path), "enabled=false"]) == 0
    assert (rows(tmp_path)["a"].signed, rows(tmp_path)["a"].enabled) == (True, False)
    assert main(["app", "add", "b", "-d", str(tmp_path)]) == 0
    assert "b" in rows(tmp_path)


def test_fields_of_hls(run: Run, tmp_path: Path) -> None:
    """Lists have commas; numbers and flags are what they look like; each is shown as it is set."""
    given = {
        "encrypted": "true",
        "hls_key_segments": "3",
        "hls_format": "ll",
        "hls_part_seconds": "0.25",
        "hls_blocking": "false",
        "hls_variants": "_720p,_480p",
        "hls_audio_variant": "false",
    }
    run("add", "a", *(f"{name}={value}" for name, value in given.items()))
    row = rows(tmp_path)["a"]
    assert (row.encrypted, row.hls_key_segments, row.hls_format) == (True, 3, "ll")
    assert (row.hls_part_seconds, row.hls_blocking, row.hls_audio_variant) == (0.25, False, False)
    assert row.hls_variants == ("_720p", "_480p")
    lines = run("show", "a")[0].splitlines()
    assert [line for line in lines if line.partition("=")[0] in given] == [
        f"{name}={value}" for name, value in given.items()
    ]
    assert run("list")[0].splitlines()[1].split()[6] == "encrypted"
    run("set", "a", "hls_variants=", "hls_part_seconds=1")
    assert (rows(tmp_path)["a"].hls_variants, rows(tmp_path)["a"].hls_part_seconds) == ((), 1.0)
    assert "hls_variants=\n" in run("show", "a")[0]


def test_key_server(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """F-AC-03: the secrets of its address are kept, not shown, and can be typed unseen."""
    url = "https://me:sEcReT@keys.example/{application}/{key}?token=sEcReT"
    run("add", "a", "hls_key_url=-", stdin=io.StringIO(f"{url}\n"))
    assert rows(tmp_path)["a"].hls_key_url == url
    for words in (["show", "a"], ["show", "a", "--json"], ["list", "--json"]):
        assert "sEcReT" not in run(*words)[0]
    out, _err = run("show", "a")
    assert "hls_key_url_set=true\n" in out
    assert "hls_key_url_shown=https://<hidden>@keys.example/{application}/{key}?<hidden>\n" in out
    monkeypatch.setattr("getpass.getpass", lambda prompt: f"http://k/{{key}}?{len(prompt)}")
    run("set", "a", "hls_key_url=-", "publish_password=x", stdin=Terminal())
    assert rows(tmp_path)["a"].hls_key_url == f"http://k/{{key}}?{len('hls_key_url: ')}"
    _out, err = run("set", "a", f"hls_key_url={url}}}", status=1)
    assert err.startswith("ntvmedia: hls_key_url: expected ")
    assert "sEcReT" not in err
    run("set", "a", "hls_key_url=")
    assert "hls_key_url_set=false\nhls_key_url_shown=\n" in run("show", "a")[0]


def test_list(run: Run) -> None:
    """P-205: a table that is aligned, by name; and JSON."""
    lines = run("list")[0].splitlines()
    assert lines[0].split() == [
        *("NAME", "TYPE", "ENABLED", "OUTPUTS", "RECORDING", "PASSWORD", "PROTECTION"),
        *("STREAMS", "VIEWERS"),
    ]
    assert [line.split()[0] for line in lines[1:]] == ["audio", "liveshow", "tv", "vod"]
    assert len({line.index("manual") for line in lines[1:]}) == 1
    found = json.loads(run("list", "--json")[0])
    assert [x["name"] for x in found] == ["audio", "liveshow", "tv", "vod"]


def test_show(run: Run) -> None:
    """All fields, as `set` takes them; and JSON."""
    run("set", "tv", "publish_password=sEcReT", "referers=b.example,a.example")
    out, _err = run("show", "tv")
    assert "referers=b.example,a.example\n" in out
    assert "publish_password_set=true\n" in out
    assert "sEcReT" not in out
    found = json.loads(run("show", "tv", "--json")[0])
    assert (found["name"], found["type"], found["hls_segment_count"]) == ("tv", "time-shift", 7)
    assert "sEcReT" not in json.dumps(found)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("show", "none"), 'there is no application "none"'),
        (("set", "none", "enabled=true"), 'there is no application "none"'),
        (("delete", "none", "--yes"), 'there is no application "none"'),
        (("add", "tv"), 'there is an application "tv" already'),
        (("add", "mserver"), 'name: expected 1 to 128 letters, digits, "_", "-" and "."; '
            'application name "mserver" is reserved'),
        (("add", "a", "name=b"), "name: given twice"),
        (("add", "a", "enabled=true", "enabled=true"), "enabled: given twice"),
        (("add", "a", "typ=live"), "typ: unknown field; did you mean type?"),
        (("set", "tv", "enabled=yes"), "enabled: expected true or false, not 'yes'"),
        (("set", "tv", "hls_format=dash"), 'hls_format: expected "ts" or "fmp4" or "ll", not '
            "'dash'"),
        (("set", "tv", "hls_part_seconds=0"), "hls_part_seconds: expected seconds, 0.1 to 2, not "
            "'0'"),
        (("set", "tv", "hls_variants=_a,_a"), "hls_variants: expected a list of at most 10 ends "
            "of streams' names, each of 1 to 32 letters, digits, \"_\", \"-\" and \".\", such as "
            "\"_720p\"; '_a' is given twice"),
        (("set", "tv", "recording=automatic"), 'recording: expected "manual" or "automatic"; '
            "automatic recording is not served yet"),
        (("set", "tv", "type=live"), f"{BUILT_IN}: its type stays"),
        (("set", "tv", "name=x"), f"{BUILT_IN}: its name stays"),
        (("delete", "tv"), f"{BUILT_IN}: it can be disabled, not deleted"),
        (("delete", "tv", "--yes"), f"{BUILT_IN}: it can be disabled, not deleted"),
        (("show", ""), 'name: expected 1 to 128 letters, digits, "_", "-" and "."; application '
            "name is empty"),
    ],
)  # fmt: skip
def test_refusals(run: Run, words: tuple[str, ...], complaint: str) -> None:
    """One line on standard error, and status 1."""
    assert run(*words, status=1) == ("", f"ntvmedia: {complaint}\n")


@pytest.mark.parametrize(
    "words",
    [
        ("set", "a\x1b[2J", "enabled=true"),
        ("set", "a\r\nb", "enabled=true"),
        ("set", "tv", "a\x1b[2J=1"),
        ("set", "tv", "enabled=\x1b[2J\r\n"),
        ("set", "tv", "referers=a\x1b[2J"),
        ("set", "tv", "publish_password=a\nb"),
        ("set", "tv", "hls_key_url=http://a\x1b[2J/{key}"),
        ("set", "tv", "hls_variants=a\x1b[2J"),
        ("set", "tv", "hls_format=a\x1b[2J"),
        ("set", "tv", "publish_password=a\udcffb"),
        ("show", "\udcff"),
    ],
)
def test_controls(run: Run, words: tuple[str, ...]) -> None:
    """F-IN-06: what was typed never controls the terminal that it is shown on."""
    _out, err = run(*words, status=1)
    assert err.removesuffix("\n").isprintable()
    err.encode("ascii")


@pytest.mark.parametrize(
    "words",
    [
        *([], ["lst"], ["set", "tv"], ["add"], ["add", "a", "b"], ["add", "a", "=b"], ["show"]),
        *(["list", "x"], ["delete", "a", "b"], ["list", "--yes"]),
    ],
)
def test_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """What is no command has status 2."""
    with pytest.raises(SystemExit) as ended:
        main(["app", *words])
    assert ended.value.code == 2
    assert "error: " in capsys.readouterr().err


def test_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    """Fields may be left out of `add`, and not of `set`."""
    for action, missing in (("add", "NAME"), ("set", "NAME, FIELD=VALUE")):
        with pytest.raises(SystemExit):
            main(["app", action])
        assert f"the following arguments are required: {missing}\n" in capsys.readouterr().err


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` lists it all."""
    for words, parts in (
        (["--help"], ("app", "sign", "serve", "check", "version")),
        (["app", "--help"], ("list", "show", "add", "set", "delete")),
        (["app", "set", "--help"], ("FIELD=VALUE", "--data", "--config")),
        (["app", "delete", "--help"], ("--yes",)),
    ):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 0
        shown = capsys.readouterr().out
        assert [part for part in parts if part not in shown] == []


@pytest.mark.parametrize(
    ("typed", "status"), [("y\n", 0), ("YES\n", 0), ("n\n", 1), ("\n", 1), ("", 1), ("yellow\n", 1)]
)
def test_asking(run: Run, tmp_path: Path, typed: str, status: int) -> None:
    """P-203: on a terminal one is asked, and nothing but yes is yes."""
    run("add", "a")
    out, err = run("delete", "a", status=status, stdin=Terminal(typed))
    assert err.startswith("Delete application a for good? [y/N] ")
    assert ("a" in rows(tmp_path)) is bool(status)
    if status:
        assert (out, err.partition("] ")[2]) == ("", "ntvmedia: application a was not deleted\n")


def test_nobody_to_ask(run: Run, tmp_path: Path) -> None:
    """Where there is no terminal it has to be said beforehand."""
    run("add", "a")
    assert run("delete", "a", status=1)[1] == (
        "ntvmedia: there is no terminal to ask on: use --yes to delete it\n"
    )
    assert "a" in rows(tmp_path)


def test_password_from_elsewhere(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """F-AC-03: it need not stand in the list of processes."""
    run("add", "a", "publish_password=-", stdin=io.StringIO("geheim wort\nx\n"))
    assert rows(tmp_path)["a"].publish_password == "geheim wort"
    monkeypatch.setattr("getpass.getpass", lambda prompt: "typed")
    run("set", "a", "publish_password=-", stdin=Terminal())
    assert rows(tmp_path)["a"].publish_password == "typed"


def test_no_folder(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that was mistyped is not made."""
    assert main(["app", "list", "--data", str(tmp_path / "dta")]) == 1
    assert (
        "dta: there is no such folder; a server's first start makes it" in capsys.readouterr().err
    )
    assert list(tmp_path.iterdir()) == []


def test_broken_database(run: Run, tmp_path: Path) -> None:
    """What is wrong with a database is told as the server tells it."""
    (tmp_path / "ntvmedia.db").write_bytes(b"no database" * 1000)
    _out, err = run("list", status=1)
    assert err.startswith("ntvmedia: ")
    assert err.count("\n") == 1


def test_config(run: Run, tmp_path: Path) -> None:
    """The database is the one that the server's settings name."""
    config = tmp_path / "ntvmedia.toml"
    config.write_text('[database]\nurl = "mysql://x"\n')
    assert "database" in run("list", f"--config={config}", status=1)[1]
    config.write_text("[rtmp]\nlisten = 5\n")
    assert "liveshow" in run("list", "-c", str(config))[0]


def test_running_server(run: Run, tmp_path: Path) -> None:
    """With a server it is asked, and its database is left to it."""
    body = json.dumps(SHOWN).encode()
    gone = answer(b"", b"204 No Content")
    created = answer(body, b"201 Created")
    every = answer(json.dumps({"applications": [SHOWN], "total": 2}).encode())
    replies = [STATUS, every, every, STATUS, answer(body), STATUS, created, STATUS, answer(body)]
    with serving(tmp_path, [*replies, STATUS, answer(body), STATUS, gone]) as asked:
        assert run("list")[0].splitlines()[1].split()[-2:] == ["2", "7"]
        assert "viewers=7\n" in run("show", "a")[0]
        assert run("add", "a", "outputs=rtmp")[0] == "application a was added\n"
        assert run("set", "é", "enabled=false", "hls_segment_seconds=2")[0] == (
            "application a was changed\n"
        )
        _out, err = run("delete", "a", stdin=Terminal("y\n"))
    assert "Delete application a, which has 2 streams and 7 viewers now, for good?" in err
    path = b"/mserver/api/v1/applications"
    lines = [request.partition(b"\r\n")[0].removesuffix(b" HTTP/1.1") for request in asked]
    status = b"GET /mserver/api/v1/status"
    assert lines == [
        *(status, b"GET " + path + b"?page_size=500&page=1"),
        b"GET " + path + b"?page_size=500&page=2",
        *(status, b"GET " + path + b"/a"),
        *(status, b"POST " + path),
        *(status, b"PATCH " + path + b"/%C3%A9"),
        *(status, b"GET " + path + b"/a"),
        *(status, b"DELETE " + path + b"/a"),
    ]
    assert json.loads(asked[6].partition(b"\r\n\r\n")[2]) == {"name": "a", "outputs": ["rtmp"]}
    assert json.loads(asked[8].partition(b"\r\n\r\n")[2]) == {
        "enabled": False,
        "hls_segment_seconds": 2.0,
    }
    assert not (tmp_path / "ntvmedia.db").exists()


def test_server_that_begins(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that has the folder and does not answer yet is waited for, and not gone behind."""
    with claimed(tmp_path):
        threading.Timer(0.3, lambda: begun.enter_context(serving(tmp_path, replies))).start()
        replies = [STATUS, answer(json.dumps({"applications": [SHOWN], "total": 1}).encode())]
        with contextlib.ExitStack() as begun:
            assert "7" in run("list")[0].splitlines()[1]
            (tmp_path / "control.sock").unlink()
        monkeypatch.setattr(applications, "PATIENCE_SECONDS", 0.1)
        assert run("list", status=1)[1] == (
            "ntvmedia: a server begins or ends, and does not answer: try again\n"
        )
    assert not (tmp_path / "ntvmedia.db").exists()
    monkeypatch.undo()
    run("list")
    with claimed(tmp_path) as is_free:
        assert is_free


def test_running_server_refuses(run: Run, tmp_path: Path) -> None:
    """What the server says against it is one line; its words do not control the terminal."""
    said = json.dumps({"type": "about:blank", "detail": "no\r\n\x1b[2J way"}).encode()
    with serving(tmp_path, [STATUS, answer(said, b"503 No")]):
        assert run("list", status=1)[1] == "ntvmedia: no \\x1b[2J way\n"


def test_wrong_values_are_not_sent(run: Run, tmp_path: Path) -> None:
    """What can be known to be wrong is told without asking the server."""
    with serving(tmp_path, [STATUS]) as asked:
        run("set", "a", "enabled=maybe", status=1)
    assert asked == []
