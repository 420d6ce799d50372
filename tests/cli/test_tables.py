"""Tests of ntvmedia.cli.tables."""

from __future__ import annotations

import json
from unicodedata import east_asian_width

from ntvmedia.access import Application, ApplicationType, describe
from ntvmedia.cli.tables import as_fields, as_json, as_table


def columns(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)


def test_table() -> None:
    """P-204, P-205: what it is, how it is protected; aligned as terminals draw it."""
    applications = [
        describe(Application("演播室", ApplicationType.AUDIO, publish_password="x")),
        {
            **describe(Application("b", outputs=(), referers=("a.example",), signed=True)),
            "streams": 12,
            "viewers": 34567,
        },
    ]
    lines = as_table(applications).splitlines()
    assert lines[1].split() == [
        *("演播室", "audio", "true", "rtmp,flv,ts,hls,rtsp", "manual", "true", "-", "-", "-")
    ]
    assert lines[2].split() == [
        *("b", "live", "true", "-", "manual", "false", "referer,signed", "12", "34567")
    ]
    for title in ("TYPE", "OUTPUTS", "RECORDING", "VIEWERS"):
        start = lines[0].index(title)
        for line in lines[1:]:
            cut = next(n for n in range(len(line) + 1) if columns(line[:n]) >= start)
            assert columns(line[:cut]) == start
            assert line[cut - 1] == " " and line[cut] != " "
    assert not any(line.endswith(" ") for line in lines)


def test_empty_table() -> None:
    """Without applications there are the titles."""
    assert as_table([]).count("\n") == 1


def test_fields() -> None:
    """A line for each: lists with commas, times as people write them."""
    shown = {
        **describe(Application("b", outputs=("rtmp", "hls"), hls_segment_seconds=2.5)),
        "hls_variants": ["_720p", "_480p"],
        "created_at": 784111777.25,
        "viewers": 3,
    }
    lines = as_fields(shown).splitlines()
    for line in (
        "name=b",
        "type=live",
        "enabled=true",
        "outputs=rtmp,hls",
        "publish_password_set=false",
        "referers=",
        "hls_segment_seconds=2.5",
        "hls_segment_count=7",
        "hls_part_seconds=0.2",
        "hls_format=ts",
        "hls_blocking=true",
        "hls_variants=_720p,_480p",
        "hls_key_url_set=false",
        "hls_key_url_shown=",
        "created_at=1994-11-06T08:49:37+00:00",
        "viewers=3",
    ):
        assert line in lines


def test_json() -> None:
    """For programs: ASCII, whatever the terminal has."""
    text = as_json([{"name": "演播室"}])
    assert text.isascii()
    assert text.endswith("]\n")
    assert json.loads(text) == [{"name": "演播室"}]
