"""Tests of ntvmedia.config.reading."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_network
from typing import Literal

import pytest
from hypothesis import given, strategies as st

from ntvmedia.config.reading import (
    Count,
    Groups,
    Networks,
    PortRange,
    Ports,
    Seconds,
    Size,
    Text,
    Texts,
    describe_section,
    parse_section,
    setting,
)
from ntvmedia.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Sample:
    """One setting of each kind."""

    wait: Seconds = setting(1.5, "How long.", minimum=0.5, maximum=60.0)
    size: Size = setting(1024, "How large.", minimum=1)
    count: Count = setting(3, "How many.", minimum=0, maximum=2000)
    mode: Literal["slow", "fast"] = setting("slow", "Which way.")
    names: Texts = setting(("a",), "Whose.")
    near: Networks = setting((), "Where.")
    groups: Groups = setting((ip_network("239.192.0.0/16"),), "To whom.")
    ports: Ports = setting(PortRange(30000, 30999), "Through which.")
    title: str = setting("", "What it is called.")
    loud: bool = setting(False, "Whether it sounds.")


def parse(key: str, value: object) -> object:
    """Read one value of the sample section."""
    return getattr(parse_section(Sample, "sample", {key: value}), key)


def refusal(key: str, value: object) -> str:
    """Return the one line that refuses a value."""
    with pytest.raises(ConfigError) as caught:
        parse_section(Sample, "sample", {key: value})
    assert caught.value.path == ("sample", key)
    line = str(caught.value)
    assert line.isprintable()
    return line


def test_defaults() -> None:
    """What is not configured is as declared."""
    assert parse_section(Sample, "sample", {}) == Sample()
    assert Sample().wait == 1.5


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("wait", 2, 2.0),
        ("wait", 0.5, 0.5),
        ("wait", Text("60"), 60.0),
        ("wait", Text("1.25"), 1.25),
        ("size", 1, 1),
        ("size", "8MiB", 8 << 20),
        ("size", " 2 kib ", 2048),
        ("size", Text("1GiB"), 1 << 30),
        ("size", Text("77"), 77),
        ("size", "77B", 77),
        ("count", 0, 0),
        ("count", Text("2000"), 2000),
        ("mode", "fast", "fast"),
        ("mode", Text("fast"), "fast"),
        ("names", "b", ("b",)),
        ("names", "", ()),
        ("names", ["b", "c"], ("b", "c")),
        ("names", [], ()),
        ("names", Text("b"), ("b",)),
        ("names", Text('["b", "c"]'), ("b", "c")),
        ("near", "10.0.0.0/8", (ip_network("10.0.0.0/8"),)),
        ("near", ["::1", "192.0.2.7"], (ip_network("::1/128"), ip_network("192.0.2.7/32"))),
        ("title", "Ünïcode, yes", "Ünïcode, yes"),
        ("loud", True, True),
        ("loud", Text("true"), True),
        ("loud", Text("false"), False),
    ],
)
def test_values(key: str, value: object, expected: object) -> None:
    """Each kind is read from the file and, as text, from the command line."""
    result = parse(key, value)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("wait", 0.49, "seconds, 0.5 to 60, not 0.49"),
        ("wait", 60.5, "seconds, 0.5 to 60, not 60.5"),
        ("wait", float("nan"), "seconds, 0.5 to 60, not nan"),
        ("wait", float("inf"), "seconds, 0.5 to 60, not inf"),
        ("wait", True, "seconds, 0.5 to 60, not True"),
        ("wait", "15", "seconds, 0.5 to 60, not '15'"),
        ("wait", Text("15s"), "seconds, 0.5 to 60, not '15s'"),
        ("size", 0, 'bytes, or text such as "8MiB", at least 1, not 0'),
        ("size", "8MB", "not '8MB'"),
        ("size", "-1", "not '-1'"),
        ("size", 1.5, "not 1.5"),
        ("size", "9" * 16, "not '9999999999999999'"),
        ("count", -1, "a whole number, 0 to 2,000, not -1"),
        ("count", 1.0, "not 1.0"),
        ("count", False, "not False"),
        ("count", Text("1e3"), "not '1e3'"),
        ("mode", "faster", '"slow" or "fast", not \'faster\''),
        ("mode", 1, "not 1"),
        ("mode", [], "not []"),
        ("names", 7, "text, or a list of texts, not 7"),
        ("names", ["a", 7], "not ['a', 7]"),
        ("names", ["a", ""], "not ['a', '']"),
        ("names", Text("[oops"), "not '[oops'"),
        ("names", "a\nb", "not 'a\\nb'"),
        ("near", "10.0.0.1/8", "an IP address or network"),
        ("near", "example.org", "not 'example.org'"),
        ("title", 3, "text on one line, not 3"),
        ("title", "a\rb", "not 'a\\rb'"),
        ("loud", "true", "true or false, not 'true'"),
        ("loud", Text("yes"), "not 'yes'"),
        ("loud", 1, "not 1"),
    ],
)
def test_refusals(key: str, value: object, allowed: str) -> None:
    """What is wrong is named with what is allowed, and nothing is guessed."""
    line = refusal(key, value)
    assert line.startswith(f"sample.{key}: expected ")
    assert allowed in line


def test_unknown_setting() -> None:
    """A slip of the pen is answered with the likely key, anything else with all keys."""
    assert refusal("waitt", 1) == "sample.waitt: unknown setting; did you mean wait?"
    line = refusal("zzzzzz", 1)
    assert line == (
        "sample.zzzzzz: unknown setting; expected one of wait, size, count, mode, names, near, "
        "groups, ports, title, loud"
    )


def test_long_value_is_cut() -> None:
    """A megabyte in a wrong place does not make a megabyte of an error."""
    assert len(refusal("mode", "x" * 1_000_000)) < 200


def test_describe() -> None:
    """The documentation is made of the declaration."""
    wait, size, *_rest = describe_section(Sample)
    assert (wait.key, wait.default, wait.expected) == ("wait", 1.5, "seconds, 0.5 to 60")
    assert wait.rule.text == "How long."
    assert size.expected == 'bytes, or text such as "8MiB", at least 1'


toml_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.text().map(Text),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from([setting.key for setting in describe_section(Sample)]), toml_values)
def test_any_value(key: str, value: object) -> None:
    """Whatever is configured is taken, or refused in one printable line."""
    try:
        parse(key, value)
    except ConfigError as error:
        assert str(error).isprintable()


@given(st.integers(0, (1 << 30) // 1024))
def test_sizes_agree(count: int) -> None:
    """A number of KiB is 1024 times that number, in text and as a number."""
    size = max(count, 1)
    assert parse("size", f"{size}KiB") == parse("size", size * 1024)


def test_ports() -> None:
    """Two ports with a hyphen; nothing that only root may have, and room for one pair."""
    assert parse("ports", "1024-65535") == PortRange(1024, 65535)
    assert parse("ports", Text("30000-30001")) == PortRange(30000, 30001)
    assert str(PortRange(30000, 30999)) == "30000-30999"
    for wrong in ("", "30000", "30000-", "30000-x", "1-2", "30000:30001", 30000, [30000, 30001]):
        assert "30000-30999" in refusal("ports", wrong)
    assert "from 1024 to 65535" in refusal("ports", "1023-2000")
    assert "from 1024 to 65535" in refusal("ports", "30000-65536")
    assert "the first is the lower one" in refusal("ports", "30001-30000")
    assert "no even port" in refusal("ports", "30001-30002")


def test_groups() -> None:
    """Networks of multicast, of either kind, and at least one."""
    assert parse("groups", "239.1.2.3") == (ip_network("239.1.2.3/32"),)
    both = ["239.192.0.0/16", "ff05::/64"]
    assert parse("groups", both) == tuple(map(ip_network, both))
    for wrong in ("10.0.0.0/8", ["239.192.0.0/16", "10.0.0.0/8"], []):
        assert "multicast is 224.0.0.0/4" in refusal("groups", wrong)
    for mistaken in ("x", 5, "239.192.0.1/16"):
        assert "239.192.0.0/16" in refusal("groups", mistaken)
