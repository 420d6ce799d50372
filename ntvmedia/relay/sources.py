"""The sources that there are, and whether a task can have them."""

from __future__ import annotations

from ntvmedia.access.refusals import WrongField
from ntvmedia.errors import RemoteError
from ntvmedia.interfaces import ISource
from ntvmedia.relay.addresses import fill_in
from ntvmedia.relay.schemes import ByScheme
from ntvmedia.relay.task import Relay


class Sources(ByScheme):
    """`ISource`s by scheme."""

    INTERFACE = ISource
    WHAT = "source"

    def check_relay(self, relay: Relay) -> None:
        """Look whether the addresses of a task can be some, with a name put in for a pattern's.

        Raises:
            WrongField: One cannot.
        """
        for number, url in enumerate(relay.sources):
            try:
                self.check(fill_in(url, "x") if relay.is_pattern else url)
            except RemoteError as error:
                clause = f"of number {number}: {error}" if number else str(error)
                raise WrongField(clause, "fallbacks" if number else "source") from None
