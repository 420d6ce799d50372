"""Tests of the pieces of header values."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from ntvmedia.errors import UsageError
from ntvmedia.wire.rtsp.fields import (
    parse_parameters,
    parse_range_of_numbers,
    quoted,
    split_list,
    unquoted,
)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", []),
        (" , ,", []),
        ("a, b,c ", ["a", "b", "c"]),
        ('a="b,c", d', ['a="b,c"', "d"]),
        (r'a="b\",c",d', [r'a="b\",c"', "d"]),
        ('a="b,c', ['a="b,c']),
        ('"', ['"']),
        ('"\\', ['"\\']),
    ],
)
def test_lists(text: str, parts: list[str]) -> None:
    """D-RQ-04: a comma within quotation marks separates nothing, closed or not."""
    assert split_list(text, ",") == parts


def test_parameters() -> None:
    """Names are in lower case, the first of a name counts."""
    text = 'Realm = "a;b" ; x;X=2;nonce=c"d'
    assert parse_parameters(text, ";") == {"realm": "a;b", "x": "", "nonce": 'c"d'}


@given(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"])))
def test_quoted(text: str) -> None:
    """What is quoted is one part of a list, and says what it said."""
    assert unquoted(quoted(text)) == text
    assert split_list(f"{quoted(text)},b", ",") == [quoted(text), "b"]


def test_unquotable() -> None:
    """No line's end gets into a header."""
    with pytest.raises(UsageError):
        quoted("a\nb")


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("0-1", (0, 1)),
        ("5", (5, 6)),
        ("254-255", (254, 255)),
        (" 2-2 ", (2, 2)),
        ("255", None),
        ("1-0", None),
        ("0-256", None),
        ("-1", None),
        ("1-", None),
        ("", None),
        ("a-b", None),
        ("1-2-3", None),
        ("000001-2", None),
        ("\u0661-2", None),
    ],
)
def test_ranges_of_numbers(text: str, pair: tuple[int, int] | None) -> None:
    """D-TR-01, D-TR-06: channels and ports that are none are none."""
    assert parse_range_of_numbers(text, 255) == pair


def test_linear() -> None:
    """A header full of quotation marks takes no more time than one without (F-RE-14)."""
    text = '"\\' * 100_000
    assert split_list(text, ",") == [text]
    assert len(split_list('"",' * 50_000, ",")) == 50_000
