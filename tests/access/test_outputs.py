"""Tests of ntvmedia.access.outputs."""

from __future__ import annotations

import pytest

from ntvmedia.access import OUTPUTS, output_of


@pytest.mark.parametrize(
    ("protocol", "output"),
    [
        ("rtmp", "rtmp"),
        ("rtmps", "rtmp"),
        ("flv", "flv"),
        ("ws-flv", "flv"),
        ("ts", "ts"),
        ("ws-ts", "ts"),
        ("hls", "hls"),
        ("rtsp", "rtsp"),
        ("rtsps", "rtsp"),
        ("rtsp-http", "rtsp"),
        ("rtsp-https", "rtsp"),
        ("carrier-pigeon", "carrier-pigeon"),
        ("", ""),
    ],
)
def test_output_of(protocol: str, output: str) -> None:
    """Every protocol of ours belongs to one output; that of a plugin is its own."""
    assert output_of(protocol) == output


def test_every_output_is_reached() -> None:
    """No output is without a protocol."""
    assert {output_of(name) for name in ("rtmps", "ws-flv", "ts", "hls", "rtsps")} == set(OUTPUTS)
