"""Attribute lists, numbers, dates and variables of playlists, as they should be and as they are."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from ntvmedia.errors import LimitExceeded, PeerError
from ntvmedia.formats import m3u8_attributes
from ntvmedia.formats.m3u8 import ByteRange
from ntvmedia.formats.m3u8_attributes import (
    Variables,
    attribute_list,
    byte_range,
    decimal,
    integer,
    resolution,
    vector,
    wall_seconds,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # RFC 8216bis 9.6
        (
            'TYPE=AUDIO,GROUP-ID="aac",NAME="English",DEFAULT=YES,URI="main/eng.m3u8"',
            {
                "TYPE": "AUDIO",
                "GROUP-ID": "aac",
                "NAME": "English",
                "DEFAULT": "YES",
                "URI": "main/eng.m3u8",
            },
        ),
        # Commas, equals signs and spaces in quotes; an empty string; an empty list
        ('CODECS="a,b = c",NAME=""', {"CODECS": "a,b = c", "NAME": ""}),
        ("", {}),
        # sile/hls_m3u8#64: a space behind the comma
        ("PROGRAM-ID=1, BANDWIDTH=10000000", {"PROGRAM-ID": "1", "BANDWIDTH": "10000000"}),
        (' A = 1 , B = "x" ', {"A": "1", "B": "x"}),
        ("A=1,,B=2,", {"A": "1", "B": "2"}),
        ("METHOD=NONE URI=x", {"METHOD": "NONE", "URI": "x"}),
        # grafov/m3u8#154 and hls.js#139: quotes where none belong, none where they do
        ('A="1",URI=a/b.mp4,BYTERANGE=7@8', {"A": "1", "URI": "a/b.mp4", "BYTERANGE": "7@8"}),
        ("method=none,Uri=x", {"METHOD": "none", "URI": "x"}),
        # A quote that is not closed, what is behind a quote, names that are missing, words alone
        ('A=1,URI="x,B=2', {"A": "1", "URI": "x,B=2"}),
        ('A="x"y,B=2', {"A": "x", "B": "2"}),
        ("=1,B=2", {"B": "2"}),
        ("junk,B=2,junk", {"B": "2"}),
        ("A=,B=2", {"A": "", "B": "2"}),
        # androidx/media#2420: a form feed is a letter like others in quotes
        ('NAME="a\x0cb"', {"NAME": "a\x0cb"}),
        # Which of two is meant nobody knows (4.2 forbids it); ExoPlayer finds the first
        ("A=1,A=2", {"A": "1"}),
    ],
)
def test_attribute_list(text: str, expected: dict[str, str]) -> None:
    """RFC 8216bis 4.2, and what has been seen beside."""
    assert attribute_list(text) == expected


@given(
    st.dictionaries(
        st.from_regex(r"[A-Z0-9-]{1,20}", fullmatch=True),
        st.one_of(
            st.from_regex(r"[A-Za-z0-9@./-]{1,20}", fullmatch=True),
            st.text(st.characters(exclude_characters='"\r\n', exclude_categories=["Cs"])).map(
                '"{}"'.format
            ),
        ),
        max_size=8,
    )
)
def test_attribute_lists_are_read_back(attributes: dict[str, str]) -> None:
    """What is written by the rules is read, whatever stands in quotes."""
    text = ",".join(f"{name}={value}" for name, value in attributes.items())
    assert attribute_list(text) == {name: value.strip('"') for name, value in attributes.items()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7", 7),
        (" 7 ", 7),
        ("18446744073709551615", 2**64 - 1),
        ("5.9", 5),
        ("6/JOC", 6),
        ("", -1),
        ("None", -1),
        ("-7", -1),
        ("9" * 21, -1),
        ("9" * 5000, -1),
        ("\u0663", -1),
    ],
)
def test_integer(text: str, expected: int) -> None:
    """RFC 8216bis 4.2: a decimal integer below 2^64; what follows it does not matter."""
    assert integer(text, -1) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1.5", 1.5), ("-12.", -12.0), (" +3s", 3.0), (".5", 0.5), ("nan", None), ("", None)],
)
def test_decimal(text: str, expected: float | None) -> None:
    """RFC 8216bis 4.2: signed decimals, and nothing that only Python takes for a number."""
    assert decimal(text) == expected


def test_resolution() -> None:
    """RFC 8216bis 4.2; a height alone is no resolution (NimitzDEV/m3u8-file-parser#4)."""
    assert resolution("1280x720") == resolution(" 1280 X 720 ") == (1280, 720)
    assert resolution("1080") == resolution("x") == resolution("") == (0, 0)


def test_byte_range() -> None:
    """RFC 8216bis 4.4.4.2: an offset, or the default; anything else is refused, not guessed."""
    assert byte_range("720@5", 9) == byte_range(" 720 @ 5 ", 9) == ByteRange(720, 5)
    assert byte_range("720", 9) == byte_range("720@", 9) == ByteRange(720, 9)
    for wrong in ("", "@5", "-1@5", "7@-5", "a", "0x10@0", "7@5-6", "9" * 19):
        with pytest.raises(PeerError, match="no byte range"):
            byte_range(wrong, 0)


def test_vector() -> None:
    """RFC 8216bis 4.4.4.4: 128 bits in hexadecimal; short ones are filled up on the left."""
    assert vector("0x" + "0123456789abcdef" * 2) == bytes.fromhex("0123456789abcdef" * 2)
    assert vector("0X0123456789ABCDEF0123456789ABCDEF") == bytes.fromhex("0123456789abcdef" * 2)
    assert vector("0x1") == vector("1") == vector("0x" + "0" * 40 + "1") == bytes(15) + b"\1"
    assert vector("0xabc") == bytes(14) + b"\x0a\xbc"
    assert vector("0x0") == bytes(16)
    assert vector("") == vector(" ") == vector("0x") == b""
    for wrong in ("0x" + "1" * 33, "0xg", "None", "0x 1", "\u0663"):
        with pytest.raises(PeerError, match="128 bits"):
            vector(wrong)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # RFC 8216bis 4.4.4.6
        ("2010-02-19T14:54:23.031+08:00", 1266562463.031),
        ("2010-02-19T06:54:23.031Z", 1266562463.031),
        ("2010-02-19T06:54:23.031", 1266562463.031),  # hls.js#7268: no zone is UTC
        ("2010-02-19T14:54:23.031+0800", 1266562463.031),  # carlanton/m3u8-parser#4
        ("2010-02-19T00:54:23.031000-06", 1266562463.031),  # androidx/media#2929
        ("2010-02-19t06:54:23,031z", 1266562463.031),
        (" 2010-02-19 06:54:23.031Z ", 1266562463.031),
        ("2010-02-19T06:54:23.031000999Z", 1266562463.031),
        ("0001-01-01T00:00:00+14:00", -62135647200.0),
        ("2024-03-28T07:35:37R", None),  # androidx/media#1326
        ("2024-02-30T00:00:00Z", None),
        ("2016-12-31T23:59:60Z", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_wall_seconds(text: str, expected: float | None) -> None:
    """RFC 8216bis 4.4.4.6: ISO 8601; what is none is no date, and no reason not to play."""
    assert wall_seconds(text) == expected


def test_variables() -> None:
    """RFC 8216bis 4.4.2.3: from the list, from the address it came from, and from its parent."""
    variables = Variables("https://h/a.m3u8?token=a%2Fb+c&empty=&token=2#x", {"host": "cdn"})
    variables.define({"NAME": "a", "VALUE": "1"})
    variables.define({"IMPORT": "host"})
    variables.define({"QUERYPARAM": "token"})
    assert variables.expand("{$host}/{$a}{$a}?{$token}") == "cdn/11?a/b+c"
    assert variables.expand("{$}{a}$a {$a b} {$a") == "{$}{a}$a {$a b} {$a"
    variables.define({"NAME": "a", "VALUE": "{$a}"})  # a value is not looked through again
    assert variables.expand("{$a}") == "{$a}"
    for missing in ({"IMPORT": "x"}, {"QUERYPARAM": "empty"}, {"QUERYPARAM": "x"}, {}):
        variables.define(missing)
    for name in ("x", "empty"):
        with pytest.raises(PeerError, match=f"variable {name} is not defined"):
            variables.expand(f"{{${name}}}")


def test_no_query() -> None:
    """An address that is none has no parameters."""
    variables = Variables("http://[::1", {})
    variables.define({"QUERYPARAM": "x"})
    assert variables.values == {}


def test_expanded_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The values are not longer than a limit together, however often they are named."""
    monkeypatch.setattr(m3u8_attributes, "MAX_EXPANDED", 100)
    variables = Variables("", {})
    variables.define({"NAME": "a", "VALUE": "x" * 10})
    assert len(variables.expand("{$a}" * 10)) == 100
    with pytest.raises(LimitExceeded) as caught:
        variables.expand("{$a}")
    assert caught.value.limit == 100
