"""What sends streams to other servers, by the scheme of an address."""

from __future__ import annotations

from typing import Any

import pytest

from ntvmedia.errors import RemoteError
from ntvmedia.relay.schemes import Targets


class Foreign:
    """A target of somebody else."""

    def __init__(self, *schemes: str) -> None:
        self.schemes = schemes
        self.checked: list[str] = []

    def check(self, url: str) -> None:
        """Refuse one address."""
        self.checked.append(url)
        if url.endswith("bad"):
            raise RemoteError("it is bad", is_permanent=True)


class Own(Foreign):
    """One of the server's."""


Own.__module__ = "ntvmedia.clients.own"


def test_by_scheme() -> None:
    """A scheme is found however it is written; each target has all of its schemes."""
    rtmp, srt = Own("rtmp", "rtmps"), Foreign("srt")
    targets = Targets((), [srt, rtmp])
    assert targets.find("RTMPS://host/app") is rtmp
    assert targets["srt"] is srt
    assert sorted(targets) == ["rtmp", "rtmps", "srt"]
    assert len(targets) == 3


@pytest.mark.parametrize("turned", [False, True])
def test_replaced(turned: bool) -> None:
    """A plugin of somebody else that has a scheme of ours replaces ours."""
    own, foreign = Own("rtmp", "rtmps"), Foreign("rtmp")
    plugins: list[Any] = [own, foreign]
    targets = Targets((), reversed(plugins) if turned else plugins)
    assert targets["rtmp"] is foreign
    assert targets["rtmps"] is own


def test_unknown() -> None:
    """Nothing for a scheme: that stays so, and what there is is named; the address is not."""
    with pytest.raises(RemoteError, match=r'no target for "ftp:"; .*: rtmp, srt$') as caught:
        Targets((), [Own("srt", "rtmp")]).find("ftp://user:secret@host")
    assert caught.value.is_permanent
    with pytest.raises(RemoteError, match="there are: none"):
        Targets((), []).check("")


def test_check() -> None:
    """The target itself looks at its address."""
    target = Own("rtmp")
    targets = Targets((), [target])
    targets.check("rtmp://host/app/good")
    with pytest.raises(RemoteError, match="it is bad"):
        targets.check("rtmp://host/app/bad")
    assert target.checked == ["rtmp://host/app/good", "rtmp://host/app/bad"]


def test_installed() -> None:
    """RTMP and RTSP, plain and with TLS, are there."""
    targets = Targets()
    assert {"rtmp", "rtmps", "rtsp", "rtsps"} <= set(targets)
    targets.check("rtmp://example.org/live/one")
    targets.check("rtsps://example.org/live/one")
