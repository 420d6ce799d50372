"""Slowing down those who guess passwords, by address and by account.

The first attempts are free; after each further one it takes twice as long until the next is looked
at. An attempt is charged before its password is looked at, so that many at once gain nothing; and
given back when the password was right.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Callable, Container
from hashlib import sha256
from ipaddress import IPv6Address, ip_address
from typing import Final, NamedTuple

from ntvmedia.accounts.refusals import SlowDown

FREE_PER_ADDRESS: Final = 10
"""People behind one address share it, and forget their passwords."""

FREE_PER_ACCOUNT: Final = 5
"""Attempts of all addresses together on one account."""

FIRST_WAIT_SECONDS: Final = 1.0
"""After the first attempt that is not free; doubled by each further one."""

MAX_WAIT_SECONDS: Final = 300.0
"""That makes 288 attempts in a day."""

FORGET_SECONDS: Final = 3600.0
"""After the last attempt all is forgotten."""

TABLE_SIZE: Final = 10_000
"""Addresses, and names that nobody has: some 2 MB each. Those quiet for longest make room."""

# Of a user who logged in from so many addresses, the latest are remembered.
_KNOWN_ADDRESSES: Final = 10

# What one customer of a provider has, at least (RFC 6177 2).
_IPV6_NETWORK_BITS: Final = 64


class _Entry(NamedTuple):
    attempts: int
    last: float


class Backoff:
    """Attempts by key, in a table that never grows over its size.

    Args:
        free: So many attempts wait for nothing.
        size: Most keys.
    """

    def __init__(self, free: int, size: int = TABLE_SIZE) -> None:
        self._free = free
        self._size = size
        self._entries: OrderedDict[object, _Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def wait(self, key: object, now: float) -> float:
        """Return the seconds until the next attempt is looked at; 0 or less for none."""
        entry = self._entries.get(key)
        if entry is None or now - entry.last >= FORGET_SECONDS:
            return 0.0
        over = entry.attempts - self._free
        if over < 0:
            return 0.0
        # 2 ** 1100 is no number any more.
        return entry.last + min(FIRST_WAIT_SECONDS * 2.0 ** min(over, 30), MAX_WAIT_SECONDS) - now

    def charge(self, key: object, now: float) -> None:
        """Count an attempt."""
        entry = self._entries.pop(key, None)
        if entry is None or now - entry.last >= FORGET_SECONDS:
            entry = _Entry(0, now)
            while len(self._entries) >= self._size:
                self._entries.popitem(last=False)
        self._entries[key] = _Entry(entry.attempts + 1, now)

    def give_back(self, key: object) -> None:
        """Take back one attempt."""
        entry = self._entries.get(key)
        if entry is not None and entry.attempts > 1:
            self._entries[key] = entry._replace(attempts=entry.attempts - 1)
        else:
            self.clear(key)

    def clear(self, key: object) -> None:
        """Forget all attempts of a key."""
        self._entries.pop(key, None)

    def prune(self, now: float) -> None:
        """Forget those who have been quiet for long."""
        while self._entries:
            key, entry = next(iter(self._entries.items()))
            if now - entry.last < FORGET_SECONDS:
                return
            del self._entries[key]


_Charge = tuple[Backoff, object]


class Attempts:
    """Attempts to log in, by address and by account.

    Who knows a name that exists learns nothing from being slowed down: names that nobody has are
    counted as well, in a table of their own, so that making them up does not push out the others.

    An address that a user logged in from before is not held up by what others try on the account:
    else anybody could keep an administrator out.

    Args:
        clock: Returns seconds that never go back.
        size: As for `Backoff`.
    """

    def __init__(self, clock: Callable[[], float], size: int = TABLE_SIZE) -> None:
        self._clock = clock
        self._addresses = Backoff(FREE_PER_ADDRESS, size)
        self._accounts = Backoff(FREE_PER_ACCOUNT, size)
        self._strangers = Backoff(FREE_PER_ACCOUNT, size)
        self._known: dict[str, deque[str]] = {}

    def begin(self, peer_host: str, account: str = "", *, exists: bool = False) -> Attempt:
        """Count an attempt before it is looked at.

        Args:
            peer_host: The address; empty where there is none.
            account: The key of the name that was given; empty for something that has none.
            exists: There is a user of this name.

        Raises:
            SlowDown: It is too early: nothing is counted, and nothing shall be looked at.
        """
        now = self._clock()
        by_address: list[_Charge] = []
        by_account: list[_Charge] = []
        address = address_key(peer_host)
        if address:
            by_address.append((self._addresses, address))
        if account and address not in self._known.get(account, ()):
            table = self._accounts if exists else self._strangers
            by_account.append((table, sha256(account.encode("utf-8", "surrogatepass")).digest()))
        charges = by_address + by_account
        wait = max((table.wait(key, now) for table, key in charges), default=0.0)
        if wait > 0:
            raise SlowDown(math.ceil(wait))
        for table, key in charges:
            table.charge(key, now)
        return Attempt(by_address, by_account)

    def remember(self, peer_host: str, account: str) -> None:
        """Say that a user logged in from an address."""
        address = address_key(peer_host)
        if address:
            known = self._known.setdefault(account, deque(maxlen=_KNOWN_ADDRESSES))
            if address not in known:
                known.append(address)

    def prune(self, accounts: Container[str]) -> None:
        """Forget those who have been quiet for long.

        Args:
            accounts: The keys of all users: where others logged in from is forgotten too.
        """
        self._known = {key: known for key, known in self._known.items() if key in accounts}
        now = self._clock()
        for table in (self._addresses, self._accounts, self._strangers):
            table.prune(now)

    def __len__(self) -> int:
        return len(self._addresses) + len(self._accounts) + len(self._strangers)


class Attempt:
    """One attempt that was charged.

    Args:
        by_address: Where it was charged to the address.
        by_account: Where it was charged to the account.
    """

    def __init__(self, by_address: list[_Charge], by_account: list[_Charge]) -> None:
        self._by_address = by_address
        self._by_account = by_account

    def good(self) -> None:
        """The password was right.

        The account is innocent. The address is not: with one account of its own it could else
        guess at others for ever.
        """
        for table, key in self._by_address:
            table.give_back(key)
        for table, key in self._by_account:
            table.clear(key)

    def not_made(self) -> None:
        """The password was not looked at."""
        for table, key in self._by_address + self._by_account:
            table.give_back(key)


def address_key(peer_host: str) -> str:
    """Return what is the same for all addresses that one attacker has at no cost.

    Returns:
        An IPv4 address, or the network of an IPv6 address; empty for what is no address.
    """
    try:
        address = ip_address(peer_host.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return f"{int(address) >> (128 - _IPV6_NETWORK_BITS):016x}/{_IPV6_NETWORK_BITS}"
    return str(address)
