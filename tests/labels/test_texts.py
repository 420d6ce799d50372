"""Tests of ntvmedia.labels.texts: what a stream may be called."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from ntvmedia.labels import MAX_LENGTH, WrongLabel, published_label, read_label


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Main hall", "Main hall"),
        ("  a \u3000", "a"),
        ("", ""),
        (" ", ""),
        ("cafe\u0301", "caf\u00e9"),
        ("<b>&amp;", "<b>&amp;"),
        # U+200D joins a family, and U+200C keeps letters of a Persian word apart.
        ("\U0001f468\u200d\U0001f469",) * 2,
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",) * 2,
        ("\u4f8b" * MAX_LENGTH, "\u4f8b" * MAX_LENGTH),
    ],
)
def test_good(text: str, label: str) -> None:
    """A line in any script, without space around."""
    assert read_label(text) == label


@pytest.mark.parametrize(
    "text",
    [
        "a\nb",
        "a\r\nSet-Cookie: b=c",
        "\x1b[2J",
        "a\0",
        "a\u2028b",
        "\u202ecba",
        "\ud800",
        "\ue000",
        "\ufeffa",
        "x" * (MAX_LENGTH + 1),
        "x" * 1_000_000,
    ],
)
def test_wrong(text: str) -> None:
    """F-IN-06: what breaks lines, turns text around, or is no text, is refused by its name."""
    with pytest.raises(WrongLabel) as caught:
        read_label(text)
    assert caught.value.field == "label"
    assert len(str(caught.value)) < 100


@pytest.mark.parametrize(
    ("metadata", "label"),
    [
        ({}, ""),
        ({"title": "News"}, "News"),
        ({"label": "Studio", "title": "News"}, "Studio"),
        ({"label": "", "title": " News\r\nat\tten "}, "News at ten"),
        ({"label": 7, "title": None, "name": ["x"]}, ""),
        ({"title": "\x1b\u202e"}, ""),
        ({"title": "y" * 10_000}, "y" * MAX_LENGTH),
    ],
)
def test_published(metadata: dict[str, object], label: str) -> None:
    """What a publisher says is made fit to be shown, and never refused."""
    assert published_label(metadata) == label


@given(st.text())
def test_published_labels_are_good(text: str) -> None:
    """What a publisher's label becomes is what an operator could have typed."""
    label = published_label({"title": text})
    assert read_label(label) == label
