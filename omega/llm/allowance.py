"""An allowance: so many extra attempts for so many calls. For retries and for hedges.

Owns: `Allowance`. Refuses: time. Without one, a service that fails half of all calls is asked half
as often again, which is what it needs least (Google SRE book, chapter 21, "retry budgets").

Invariant: taken <= constant + share * deposits, at every moment. What was not needed does not add
up for ever: at most `constant` + `BALANCE_CALLS_MAX` calls' share is kept.
"""

from __future__ import annotations

from omega.errors import HostError

BALANCE_CALLS_MAX = 10_000
UNIT = 1_000_000  # balances are integers of millionths: shares add up without rounding


class Allowance:
    """share: extra attempts per call, 0..1. constant: extra attempts without any call, >= 0."""

    __slots__ = ("_balance", "_balance_max", "_share", "constant", "refused", "share", "taken")

    def __init__(self, share: float, constant: int) -> None:
        if not 0 <= share <= 1 or constant < 0:
            raise HostError(f"an allowance is a share 0..1 and a number, got {share}, {constant}")
        self.share, self.constant = share, constant
        self._share = round(share * UNIT)
        self._balance = constant * UNIT
        self._balance_max = self._balance + self._share * BALANCE_CALLS_MAX
        self.taken = self.refused = 0

    def deposit(self) -> None:
        """A call is made."""
        self._balance = min(self._balance_max, self._balance + self._share)

    def take(self) -> bool:
        """An extra attempt, when there is one left."""
        if self._balance < UNIT:
            self.refused += 1
            return False
        self._balance -= UNIT
        self.taken += 1
        return True

    def give_back(self) -> None:
        """The attempt was not made after all."""
        assert self.taken > 0, "nothing was taken"
        self._balance = min(self._balance_max, self._balance + UNIT)
        self.taken -= 1
