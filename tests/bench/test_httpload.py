"""The reading of small HTTP answers."""

from __future__ import annotations

import pytest

from bench.flv import BadStream
from bench.httpload import answer_size


def test_size() -> None:
    """Head and body are counted, however the header's name is written."""
    head = b"HTTP/1.1 200 OK\r\nDate: x\r\nCONTENT-LENGTH: 3\r\n\r\n"
    assert answer_size(head + b"ok\n") == len(head) + 3
    assert answer_size(head[:-1]) is None


@pytest.mark.parametrize("head", [b"HTTP/1.1 503 No\r\nContent-Length: 3", b"HTTP/1.1 200 OK"])
def test_not_comparable(head: bytes) -> None:
    """A refusal, or an answer of unknown length, is not measured as if it were one."""
    with pytest.raises(BadStream):
        answer_size(head + b"\r\n\r\n")
