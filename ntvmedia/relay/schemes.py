"""Sources and targets by the scheme of an address."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, Final

from twisted.plugin import getPlugins

from ntvmedia.errors import RemoteError
from ntvmedia.interfaces import ITarget
from ntvmedia.relay.addresses import scheme_of

_OURS: Final = "ntvmedia."


class ByScheme(Mapping[str, Any]):
    """Plugins of one interface, each with `schemes` and `check`.

    One of somebody else that has a scheme of ours replaces ours.

    Args:
        own: Those that belong to the server itself.
        plugins: The others; by default, those that are installed, looked up when first needed.
    """

    INTERFACE: ClassVar[Any]
    WHAT: ClassVar[str]
    """What one is called: "source"."""

    def __init__(self, own: Iterable[Any] = (), plugins: Iterable[Any] | None = None) -> None:
        self._own = tuple(own)
        self._plugins = plugins
        self._found: dict[str, Any] | None = None

    def __getitem__(self, scheme: str) -> Any:
        return self._by_scheme()[scheme]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_scheme())

    def __len__(self) -> int:
        return len(self._by_scheme())

    def find(self, url: str) -> Any:
        """Return what an address is for.

        Raises:
            RemoteError: There is nothing; another try is no better.
        """
        scheme = scheme_of(url)
        found = self._by_scheme().get(scheme)
        if found is None:
            known = ", ".join(sorted(self._by_scheme())) or "none"
            message = f'there is no {self.WHAT} for "{scheme}:"; those that there are: {known}'
            raise RemoteError(message, is_permanent=True)
        return found

    def check(self, url: str) -> None:
        """Look whether an address can be one.

        Raises:
            RemoteError: It cannot; the message does not quote it.
        """
        self.find(url).check(url)

    def _by_scheme(self) -> dict[str, Any]:
        if self._found is None:
            plugins = getPlugins(self.INTERFACE) if self._plugins is None else self._plugins
            everybody = [*self._own, *plugins]
            # Theirs come last, and so they stay.
            everybody.sort(key=lambda x: not type(x).__module__.startswith(_OURS))
            self._found = {scheme: x for x in everybody for scheme in x.schemes}
        return self._found


class Targets(ByScheme):
    """`ITarget`s by scheme."""

    INTERFACE = ITarget
    WHAT = "target"
