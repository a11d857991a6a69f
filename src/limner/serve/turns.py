"""Whose turn it is: a queue that is fair among addresses, and among the connections of each of them.

Start-time fair queueing (Goyal, Vin and Cheng 1996), at both levels: a turn starts, in virtual time, when the one
before it ends, and lasts as long as what it costs; whoever's turn starts first is next.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
_MOST_REMEMBERED = 1000  # who has nothing in the queue, and has had more than others


@dataclass(frozen=True)
class Client:
    """Who asks: an address of the network, and a connection from there."""

    address: str
    connection: int


class _Shares(Generic[K]):
    """Who of those that want a turn is next."""

    def __init__(self) -> None:
        self._now = 0.0
        self._starts: dict[K, float] = {}  # of the next turn, of those that want one
        self._owing: dict[K, float] = {}  # of those that want none, and whose last turn has not ended

    def enter(self, key: K) -> None:
        """Note that somebody wants turns."""
        if key not in self._starts:
            self._starts[key] = max(self._now, self._owing.pop(key, 0.0))

    def next(self) -> K:
        """Return whose turn it is: of equals the one that has waited longest."""
        return min(self._starts, key=self._starts.__getitem__)

    def charge(self, key: K, cost: float) -> None:
        """Note that somebody had a turn, and goes to the end of its equals."""
        start = self._starts.pop(key)
        self._now = max(self._now, start)
        self._starts[key] = start + cost

    def leave(self, key: K) -> None:
        """Note that somebody wants no more turns."""
        end = self._starts.pop(key)
        if end > self._now and self._starts:
            self._owing[key] = end
            if len(self._owing) > _MOST_REMEMBERED:
                self._owing = {k: e for k, e in self._owing.items() if e > self._now}
        if not self._starts:  # nobody waits, so nobody owes anything
            self._owing.clear()


@dataclass
class _Address(Generic[T]):
    """What the connections of an address have in the queue: items and their costs."""

    shares: _Shares[int] = field(default_factory=_Shares)
    items: dict[int, deque[tuple[T, float]]] = field(default_factory=dict)
    count: int = 0


class Turns(Generic[T]):
    """A queue of items of several clients; for one thread at a time."""

    def __init__(self) -> None:
        self._shares: _Shares[str] = _Shares()
        self._addresses: dict[str, _Address[T]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def waiting_of(self, address: str) -> int:
        """Return how many items of an address wait."""
        return self._addresses[address].count if address in self._addresses else 0

    def put(self, client: Client, item: T, cost: float = 1.0) -> None:
        """Add an item of a client, which takes so much of the time of what works on it."""
        own = self._addresses.setdefault(client.address, _Address())
        own.items.setdefault(client.connection, deque()).append((item, cost))
        own.count += 1
        self._count += 1
        self._shares.enter(client.address)
        own.shares.enter(client.connection)

    def first(self) -> T | None:
        """Return the item whose turn it is, and leave it; None where there is none."""
        if not self._count:
            return None
        own = self._addresses[self._shares.next()]
        return own.items[own.shares.next()][0][0]

    def take(self) -> T:
        """Take the item whose turn it is."""
        address = self._shares.next()
        own = self._addresses[address]
        connection = own.shares.next()
        item, cost = own.items[connection].popleft()
        self._shares.charge(address, cost)
        own.shares.charge(connection, cost)
        self._forget(address, connection)
        return item

    def remove(self, item: T) -> bool:
        """Take an item whose client is gone; return whether it still waited."""
        for address, own in self._addresses.items():
            for connection, items in own.items.items():
                for place, (other, _) in enumerate(items):
                    if other is item:
                        del items[place]
                        self._forget(address, connection)
                        return True
        return False

    def _forget(self, address: str, connection: int) -> None:
        """Count one item less, and forget who has none left."""
        own = self._addresses[address]
        own.count -= 1
        self._count -= 1
        if not own.items[connection]:
            del own.items[connection]
            own.shares.leave(connection)
        if not own.count:
            del self._addresses[address]
            self._shares.leave(address)
