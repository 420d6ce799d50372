"""Tests of G.711's constants."""

from __future__ import annotations

import pytest

from ntvmedia.codecs import g711
from ntvmedia.media.packets import Codec


@pytest.mark.parametrize("codec", [Codec.PCM_ALAW, Codec.PCM_MULAW])
def test_tables_are_complete(codec: Codec) -> None:
    """Both laws have every name, and different ones."""
    for table in (g711.PAYLOAD_TYPES, g711.ENCODING_NAMES, g711.CODEC_STRINGS, g711.SILENCE):
        assert codec in table
        assert len(set(map(str, table.values()))) == len(table) == 2


def test_samples() -> None:
    """A byte is a sample of a channel; an odd rest does not count; no channels count as one."""
    assert g711.samples(bytes(160)) == 160
    assert g711.samples(bytes(161), 2) == 80
    assert g711.samples(bytes(3), 0) == 3
