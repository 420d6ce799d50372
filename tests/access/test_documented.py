"""The recipe and the test vectors of docs/security.md, as others use them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

from ntvmedia.access.signing import signature, signed_query
from ntvmedia.media import StreamKey

PAGE = (Path(__file__).parents[2] / "docs" / "security.md").read_text("utf-8")
KEY = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
STREAM = StreamKey("liveshow", "test")
EXPIRES = 1_767_225_600


def vectors() -> list[tuple[str, int, str, str]]:
    """Return the table: ip, viewers, kid and signature."""
    table = PAGE.partition("### Test vectors")[2].partition("### Keys")[0]
    found = re.findall(r"^\| *(\S*) *\| *(\d*) *\| *(\S*) *\| `(\S{43})` \|$", table, re.MULTILINE)
    return [(ip, int(viewers or 0), kid, sign) for ip, viewers, kid, sign in found]


def block(language: str, with_text: str) -> str:
    """Return a block of code of the page."""
    blocks: list[str] = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return next(code for code in blocks if with_text in code)


def test_vectors() -> None:
    """Five of them, and the server makes the same."""
    assert KEY in PAGE
    assert len(vectors()) == 5
    for ip, viewers, kid, sign in vectors():
        key = bytes.fromhex(KEY)
        assert signature(key, STREAM, EXPIRES, ip=ip, viewers=viewers, key_id=kid) == sign


def test_python() -> None:
    """The recipe in Python makes what the server accepts, but for the order of the parameters."""
    names: dict[str, Any] = {}
    exec(block("python", "hmac"), names)
    for ip, viewers, kid, _sign in vectors():
        made = names["signed_query"](KEY, "/liveshow/test", EXPIRES, ip, viewers, kid)
        ours = signed_query(
            bytes.fromhex(KEY), STREAM, EXPIRES, ip=ip, viewers=viewers, key_id=kid
        ).replace("%2F", "/")
        assert sorted(made.split("&")) == sorted(ours.split("&"))


def test_shell() -> None:
    """So does the recipe with OpenSSL."""
    for ip, viewers, kid, sign in vectors():
        text = f"play\n/liveshow/test\n{EXPIRES}"
        text += f"\nip={ip}" if ip else ""
        text += f"\nviewers={viewers}" if viewers else ""
        text += f"\nkid={kid}" if kid else ""
        environment = {"TEXT": text, "KEY": KEY, "PATH": "/usr/bin:/bin"}
        done = subprocess.run(
            ["/bin/sh", "-c", block("sh", "openssl")],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == sign
