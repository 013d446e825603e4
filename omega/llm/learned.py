"""A learned cap: how many calls a provider really takes at a time.

Owns: `LearnedCap`, for one lane. Refuses: a clock; rounds are told by the numbers of sending.

AIMD, as TCP does it (Chiu and Jain 1989; RFC 5681, RFC 6582):
- a success of a call during which the cap was reached adds 1/cap: about one per round. A cap that
  is not used is not tested, so it does not grow.
- until the first call is throttled, every such success adds one: the cap doubles per round from
  where it starts (slow start).
- a throttled call lowers the cap to a share of what was in flight, once per round trip: calls that
  were sent before the last decrease tell of the old cap, however many of them fail.
- after the gate was closed, a ramp starts at that share, less one for every further refusal of the
  same burst, but not below `ramp`; and at `ramp` after a burst without a success since the one
  before (so TCP goes on after a lost segment, and starts anew after a timeout). It gains one with
  every success of a call sent since (1, 2, 4, ... per round), until it meets the cap.

Invariants: floor <= cap <= ceiling; limit() >= 1; at most one decrease for each last number sent.
"""

from __future__ import annotations

from omega.errors import HostError

CAP_MAX = 1_000_000

_INFINITE = float("inf")


class LearnedCap:
    """start: None knows no cap until the first call is throttled. decrease: the share that is
    left then.
    """

    __slots__ = (
        "_cap",
        "_full",
        "_mark",
        "_ramp",
        "_ramp_mark",
        "ceiling",
        "decrease",
        "floor",
        "ramp",
    )

    def __init__(
        self,
        start: int | None = None,
        floor: int = 1,
        ceiling: int = CAP_MAX,
        decrease: float = 0.5,
        ramp: int = 1,
    ) -> None:
        first = ceiling if start is None else start
        is_ordered = 1 <= floor <= first <= ceiling <= CAP_MAX
        if not is_ordered or not 0 < decrease < 1 or not 1 <= ramp <= CAP_MAX:
            raise HostError(
                f"a learned cap needs 1 <= floor <= start <= ceiling <= {CAP_MAX:,}, ramp >= 1 and"
                f" 0 < decrease < 1, got floor {floor}, start {start}, ceiling {ceiling},"
                f" ramp {ramp}, decrease {decrease}"
            )
        self.floor, self.ceiling, self.decrease, self.ramp = floor, ceiling, decrease, ramp
        self._cap = float(first)
        self._ramp = _INFINITE
        self._mark = 0  # the last number sent at the last decrease
        self._ramp_mark = 0  # the last number sent when the gate closed
        self._full = 0  # the last number sent when the limit was last reached

    @property
    def cap(self) -> int:
        """What was learned, without the ramp."""
        return int(self._cap)

    @property
    def is_ramping(self) -> bool:
        return self._ramp < _INFINITE

    def limit(self) -> int:
        """How many calls may be in flight."""
        return int(min(self._cap, self._ramp))

    @property
    def settled(self) -> int:
        """How many may be in flight once the ramp is over, which it soon is."""
        return int(self._cap)

    def sent(self, last: int, in_flight: int) -> None:
        """A call was sent, the one with the number `last`; `in_flight` counts it."""
        if in_flight >= self.limit():
            self._full = last

    def succeeded(self, sent: int) -> None:
        """The call with the number `sent` was answered."""
        if sent > self._full:  # the limit was not reached while it was under way
            return
        if self.is_ramping:
            if sent > self._ramp_mark:
                self._ramp += 1
                self._meet()
        elif sent > self._mark:
            gained = 1 / self._cap if self._mark else 1.0
            self._cap = min(float(self.ceiling), self._cap + gained)

    def throttled(self, sent: int, last: int, in_flight: int, share: float | None = None) -> bool:
        """The provider took too many; `in_flight` counts the call with the number `sent`. True when
        the cap was lowered for it, to `share` of that: None for what `decrease` says.
        """
        if sent <= self._mark:
            return False
        self._mark = last
        share = self.decrease if share is None else share
        self._cap = max(float(self.floor), min(self._cap, float(in_flight)) * share)
        self._meet()
        return True

    def gate_closed(self, sent: int, last: int, is_anew: bool) -> None:
        """The call with the number `sent` closed the gate. What is sent from now on is no more than
        the cap; than one less, if another call of the same burst closed it before; than the least,
        if it is to start anew.
        """
        if sent > self._ramp_mark:
            self._ramp_mark = last
            self._ramp = self._cap
        else:
            self._ramp = min(self._ramp, self._cap) - 1
        self._ramp = float(self.ramp) if is_anew else max(float(self.ramp), float(int(self._ramp)))
        self._meet()

    def _meet(self) -> None:
        """A ramp that has met the cap is over: from there the cap grows, slowly."""
        if self._ramp >= self._cap:
            self._ramp = _INFINITE
