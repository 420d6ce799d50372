"""The sources that there are, by the scheme of an address."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from twisted.plugin import getPlugins

from ntvmedia.access.refusals import WrongField
from ntvmedia.errors import RemoteError
from ntvmedia.interfaces import ISource
from ntvmedia.relay.addresses import fill_in, scheme_of
from ntvmedia.relay.task import Relay

_OURS: Final = "ntvmedia."


class Sources(Mapping[str, Any]):
    """`ISource`s by scheme. A plugin of somebody else that has a scheme of ours replaces ours.

    Args:
        own: Those that belong to the server itself.
        plugins: The others; by default, those that are installed, looked up when first needed.
    """

    def __init__(self, own: Iterable[Any], plugins: Iterable[Any] | None = None) -> None:
        self._own = tuple(own)
        self._plugins = plugins
        self._found: dict[str, Any] | None = None

    def __getitem__(self, scheme: str) -> Any:
        return self._by_scheme()[scheme]

    def __iter__(self) -> Any:
        return iter(self._by_scheme())

    def __len__(self) -> int:
        return len(self._by_scheme())

    def find(self, url: str) -> Any:
        """Return what pulls from an address.

        Raises:
            RemoteError: Nothing does; another try is no better.
        """
        scheme = scheme_of(url)
        source = self._by_scheme().get(scheme)
        if source is None:
            known = ", ".join(sorted(self._by_scheme()))
            message = f'there is no source for "{scheme}:"; there are {known or "none"}'
            raise RemoteError(message, is_permanent=True)
        return source

    def check(self, url: str) -> None:
        """Look whether an address can be one, with a name put in where it is a pattern.

        Raises:
            RemoteError: It cannot; the message does not quote it.
        """
        self.find(url).check(fill_in(url, "x"))

    def check_relay(self, relay: Relay) -> None:
        """Look whether the addresses of a task can be some.

        Raises:
            WrongField: One cannot.
        """
        for number, url in enumerate(relay.sources):
            try:
                self.check(url)
            except RemoteError as error:
                clause = f"of number {number}: {error}" if number else str(error)
                raise WrongField(clause, "fallbacks" if number else "source") from None

    def _by_scheme(self) -> dict[str, Any]:
        if self._found is None:
            plugins = getPlugins(ISource) if self._plugins is None else self._plugins
            everybody = [*self._own, *plugins]
            # Theirs come last, and so they stay.
            everybody.sort(key=lambda x: not type(x).__module__.startswith(_OURS))
            self._found = {scheme: x for x in everybody for scheme in x.schemes}
        return self._found
