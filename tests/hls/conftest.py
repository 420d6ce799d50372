"""Fixtures of the tests of HLS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.hls.rig import Rig


@pytest.fixture
def rigs() -> Iterator[Any]:
    """Make rigs that are closed after the test, when nothing may be left of them."""
    made: list[Rig] = []

    def make(*, publish: bool = True, gop: float = 2.0, **options: Any) -> Rig:
        rig = Rig(**options)
        made.append(rig)
        rig.encoder.gop_seconds = gop
        if publish:
            rig.publish()
            rig.run(1.2)
        return rig

    yield make
    for rig in made:
        rig.close()
