"""Equal calls share one answer: who waits for which call in flight.

Owns: `Sharing`, pure bookkeeping. Refuses: to start, stop or know calls; to decide which are equal
(whoever asks gives the key: the hash of a request's content).

    join(key, member) --> a flight; the first member of one is told that it is new, and starts it
    leave(member)     --> the flight, when nobody is left in it: then it is to be aborted
    land(flight)      --> its members, in the order they joined: then it is over

A flight belongs to none of its members: the first may leave, and the others get the answer. One
that everybody has left is not joined any more, although it may take its time to close: whoever
comes then gets a new one.

Invariants (`_check`): each member is in one flight; a key leads to at most one flight, which has
members.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

Member = TypeVar("Member", bound=Hashable)


class Flight(Generic[Member]):
    """One call that several may wait for. number: unique in its `Sharing`."""

    __slots__ = ("is_over", "key", "members", "number")

    def __init__(self, key: Hashable, number: int) -> None:
        self.key, self.number = key, number
        self.members: dict[Member, None] = {}  # in the order they joined
        self.is_over = False

    def __repr__(self) -> str:
        return f"Flight({self.key!r}, {self.number}, {len(self.members)} waiting)"


class Sharing(Generic[Member]):
    """See the module. shared: how many joined a flight that was there already, in all."""

    def __init__(self) -> None:
        self._by_key: dict[Hashable, Flight[Member]] = {}
        self._by_member: dict[Member, Flight[Member]] = {}
        self._number = 0
        self.shared = 0

    def join(self, key: Hashable, member: Member) -> tuple[Flight[Member], bool]:
        """The flight for `key`, and whether it is new: then `member` starts it."""
        assert member not in self._by_member, f"{member!r} waits already"
        flight = self._by_key.get(key)
        is_new = flight is None
        if flight is None:
            self._number += 1
            flight = self._by_key[key] = Flight(key, self._number)
        else:
            self.shared += 1
        flight.members[member] = None
        self._by_member[member] = flight
        return flight, is_new

    def leave(self, member: Member) -> Flight[Member] | None:
        """The member does not want the answer any more (or has it, which changes nothing).

        The flight, when it was the last one in it: nobody wants that call any more.
        """
        flight = self._by_member.pop(member, None)
        if flight is None:
            return None
        del flight.members[member]
        if flight.members:
            return None
        del self._by_key[flight.key]
        return flight

    def land(self, flight: Flight[Member]) -> list[Member]:
        """The call is over, however it went: those who wait for it, once."""
        assert not flight.is_over, "a flight lands once"
        flight.is_over = True
        members = list(flight.members)
        flight.members.clear()
        for member in members:
            del self._by_member[member]
        if members:
            del self._by_key[flight.key]
        return members

    def flight_of(self, member: Member) -> Flight[Member] | None:
        """What the member waits for."""
        return self._by_member.get(member)

    def __len__(self) -> int:
        """Flights somebody waits for."""
        return len(self._by_key)

    def _check(self) -> None:
        """Assert the invariants. For tests, after every step."""
        for key, flight in self._by_key.items():
            assert flight.key == key and flight.members and not flight.is_over
            assert all(self._by_member[member] is flight for member in flight.members)
        assert sum(len(flight.members) for flight in self._by_key.values()) == len(self._by_member)
