"""A lane: one provider, model and key, and what it takes before a call may be sent there.

Owns: `LaneLimits` (configuration), `Outcome` (what became of an attempt), `Lane`: the gate, the
learned cap, the buckets, the allowances and the counters of one lane. Refuses: a clock, the calls
that wait (`waiting.py`), the order among lanes (`governor.py`).

What a refusal of the provider changes, by its kind:

    concurrency   too many at once: the gate closes and the cap falls. A ramp follows: from the cap
                  when a call or few were refused, from `cap_ramp` when most were, or again
    slope         growing too fast: the same, with a ramp from `cap_ramp` in any case
    overload      the provider has too much to do, whoever asks: as for concurrency
    rate          too many in a time: the gate closes, and buckets the headers say nothing of are
                  drained, and keep a larger margin. Where the rate of requests is known, that is
                  all: the bucket paces what comes, and a cap below what the rate needs would waste
                  it. Else as for concurrency, but the cap falls half as far: it is not what was
                  too large
    quota         no waiting cures it: whoever waits here, or comes within `quota_s`, is told so
                  without being sent. Then a single call finds out whether it is so still
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from omega.errors import HostError, OmegaError
from omega.llm.allowance import Allowance
from omega.llm.buckets import Bucket, Rate
from omega.llm.budget import Amounts
from omega.llm.gate import GUESS_S, GUESS_S_MAX, Gate
from omega.llm.learned import CAP_MAX, LearnedCap

if TYPE_CHECKING:
    from omega.llm.rate_limits import Limit, RateLimits

GATE_WAIT_S_MAX = 120.0  # longest Retry-After that is waited for: as `RetryPolicy` has it
MARGIN_S = 0.05  # a local network varies by less, a process that has to share its processor by more
QUOTA_S = 60.0  # somebody may pay meanwhile; a refused call costs little, a hundred take turns
DURATIONS_MIN = 5  # answers before their mean duration is believed
DURATION_WEIGHT = 0.1  # of the latest answer in that mean

THROTTLES = ("concurrency", "rate", "slope", "overload", "quota")
KINDS = ("requests", "tokens", "input_tokens", "output_tokens")


class LaneLimits:
    """What a host configures for a lane. None: unknown, learned from the vendor's headers.

    requests, tokens (input and output together), input_tokens, output_tokens: rates.
    cap_start, cap_floor, cap_ceiling: of calls in flight; without a start the cap is the ceiling
    until a call is throttled. cap_decrease: the share that is left then. cap_ramp: how many may be
    in flight at least when a gate opens. retry_share, retry_constant: retries per call, and in all
    without any; hedge_share, hedge_constant the same for hedges. gate_s, gate_s_max: the first and
    the longest guess of how long a gate is closed. gate_wait_s_max: calls that would wait longer
    for a gate are refused at once. quota_s: how long nobody is asked after a quota was used up.
    margin_s: by how much the time may vary that calls take to the vendor, without one of them being
    refused for a rate that is configured as the vendor has it; 0 takes it to the last unit.
    """

    __slots__ = (
        "cap_ceiling",
        "cap_decrease",
        "cap_floor",
        "cap_ramp",
        "cap_start",
        "gate_s",
        "gate_s_max",
        "gate_wait_s_max",
        "hedge_constant",
        "hedge_share",
        "margin_s",
        "quota_s",
        "rates",
        "retry_constant",
        "retry_share",
    )

    def __init__(
        self,
        *,
        requests: Rate | None = None,
        tokens: Rate | None = None,
        input_tokens: Rate | None = None,
        output_tokens: Rate | None = None,
        cap_start: int | None = None,
        cap_floor: int = 1,
        cap_ceiling: int = CAP_MAX,
        cap_decrease: float = 0.5,
        cap_ramp: int = 1,
        retry_share: float = 0.2,
        retry_constant: int = 10,
        hedge_share: float = 0.05,
        hedge_constant: int = 1,
        gate_s: float = GUESS_S,
        gate_s_max: float = GUESS_S_MAX,
        gate_wait_s_max: float = GATE_WAIT_S_MAX,
        quota_s: float = QUOTA_S,
        margin_s: float = MARGIN_S,
    ) -> None:
        self.rates = (requests, tokens, input_tokens, output_tokens)
        self.cap_start, self.cap_floor, self.cap_ceiling = cap_start, cap_floor, cap_ceiling
        self.cap_decrease, self.cap_ramp = cap_decrease, cap_ramp
        self.retry_share, self.retry_constant = retry_share, retry_constant
        self.hedge_share, self.hedge_constant = hedge_share, hedge_constant
        self.gate_s, self.gate_s_max, self.gate_wait_s_max = gate_s, gate_s_max, gate_wait_s_max
        if not gate_wait_s_max >= 0:
            raise HostError(f"gate_wait_s_max must not be negative, got {gate_wait_s_max}")
        if not 0 <= quota_s < float("inf"):
            raise HostError(f"quota_s must be seconds >= 0, got {quota_s}")
        if not 0 <= margin_s < float("inf"):
            raise HostError(f"margin_s must be seconds >= 0, got {margin_s}")
        self.quota_s, self.margin_s = quota_s, margin_s
        self.learned_cap(), self.gate(), self.retries(), self.hedges()  # wrong ones are told here

    def learned_cap(self) -> LearnedCap:
        start, decrease, ramp = self.cap_start, self.cap_decrease, self.cap_ramp
        return LearnedCap(start, self.cap_floor, self.cap_ceiling, decrease, ramp)

    def gate(self) -> Gate:
        return Gate(self.gate_s, self.gate_s_max)

    def retries(self) -> Allowance:
        return Allowance(self.retry_share, self.retry_constant)

    def hedges(self) -> Allowance:
        return Allowance(self.hedge_share, self.hedge_constant)


class Outcome:
    """What became of one attempt, or what is known of it so far.

    is_ok: answered. used: what it cost; None when nobody knows: an attempt that was sent is then
    charged what it reserved. input_tokens, output_tokens: as the vendor's rate limit counts them;
    None keeps the estimate. throttle: one of THROTTLES. limits: what the vendor's headers said.
    error: what the call failed with, for those that a used up quota fails as well.
    """

    __slots__ = (
        "error",
        "input_tokens",
        "is_ok",
        "limits",
        "output_tokens",
        "retry_after_s",
        "throttle",
        "used",
    )

    def __init__(
        self,
        is_ok: bool = False,
        *,
        used: Amounts | None = None,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        throttle: str | None = None,
        retry_after_s: float | None = None,
        limits: RateLimits | None = None,
        error: OmegaError | None = None,
    ) -> None:
        assert throttle is None or throttle in THROTTLES, throttle
        self.is_ok, self.used, self.throttle = is_ok, used, throttle
        self.input_tokens, self.output_tokens = input_tokens, output_tokens
        self.retry_after_s, self.limits, self.error = retry_after_s, limits, error


Needs = tuple[int, int, int, int]  # in the order of KINDS


class Lane:
    """See the module. number: in the order lanes were made. sent: the number of the last call sent.

    duration_s: the mean time from sending to answer, of late; None before DURATIONS_MIN answers.
    spent_until_s: when somebody may be asked again after a quota was used up; spent: how that call
    failed.
    """

    def __init__(self, key: Hashable, number: int, limits: LaneLimits) -> None:
        self.key, self.number, self.limits = key, number, limits
        self.cap = limits.learned_cap()
        self.gate = limits.gate()
        self.retries = limits.retries()
        self.hedges = limits.hedges()
        self.buckets = tuple(Bucket(rate, limits.margin_s) for rate in limits.rates)
        self.in_flight = 0
        self.sent = 0
        self.answered = 0
        self.throttled = dict.fromkeys(THROTTLES, 0)
        self._duration_s = 0.0
        self.spent_until_s = float("-inf")
        self.spent: OmegaError | None = None

    # May a call be sent?

    @property
    def is_full(self) -> bool:
        return self.in_flight >= self.cap.limit()

    def open_s(self, now_s: float) -> float:
        """When time alone lets any call be sent, whatever it needs: `now_s`, or later."""
        ready_s = max(now_s, self.gate.until_s)
        requests = self.buckets[0]
        return ready_s if requests.rate_s is None else max(ready_s, requests.ready_s(1, now_s))

    def ready_s(self, needs: Needs, now_s: float) -> float:
        """When time alone lets a call with these needs be sent."""
        ready_s = max(now_s, self.gate.until_s)
        for kind, bucket in enumerate(self.buckets):
            if bucket.rate_s is not None:
                ready_s = max(ready_s, bucket.ready_s(needs[kind], now_s))
        return ready_s

    def blocker(self, needs: Needs, now_s: float) -> str:
        """What a call with these needs waits for longest: "gate", or one of KINDS."""
        ready = [
            (bucket.ready_s(need, now_s), kind)
            for kind, bucket, need in zip(KINDS, self.buckets, needs, strict=True)
        ]
        return max([(self.gate.until_s, "gate"), *ready])[1]

    def expected_s(
        self, needs: Needs, ahead: int, tokens_ahead: Needs, hard_limit: int, now_s: float
    ) -> tuple[float, str]:
        """When a call is expected to be sent with `ahead` others before it, and what it waits for.

        A guess from the mean of what waits and the mean duration; without enough answers to know
        that, the slots are not counted.
        """
        found = (max(now_s, self.gate.until_s), "gate")
        for kind, bucket, need, before in zip(
            KINDS, self.buckets, needs, tokens_ahead, strict=True
        ):
            found = max(found, (bucket.expected_s(need + before, now_s), kind))
        # Not by the ramp: it doubles with every round, so that a guess from it would refuse nearly
        # all that wait after a single 429.
        slots = min(hard_limit, self.cap.settled)
        free = slots - self.in_flight
        if self.duration_s is not None and ahead >= free:
            rounds = (ahead - free + 1) / slots
            found = max(found, (now_s + rounds * self.duration_s, "queue"))
        return found

    @property
    def duration_s(self) -> float | None:
        return self._duration_s if self.answered >= DURATIONS_MIN else None

    # What happens to a call

    def send(self, needs: Needs, now_s: float) -> tuple[int, tuple[float, ...]]:
        """A call takes a slot and what it needs. Its number, and what had then been taken."""
        self.in_flight += 1
        self.sent += 1
        requests, tokens, put, got = self.buckets
        requests.take(needs[0], now_s)
        if needs[1]:
            tokens.take(needs[1], now_s)
            put.take(needs[2], now_s)
            got.take(needs[3], now_s)
        self.cap.sent(self.sent, self.in_flight)
        return self.sent, (requests.taken, tokens.taken, put.taken, got.taken)

    def unsend(self, needs: Needs, now_s: float) -> None:
        """It was never sent after all."""
        self.in_flight -= 1
        for bucket, need in zip(self.buckets, needs, strict=True):
            bucket.refund(need, now_s)

    def release(self, needs: Needs, outcome: Outcome | None, now_s: float) -> None:
        """It is over, and its slot free."""
        self.in_flight -= 1
        if outcome is None:
            return
        put, got = outcome.input_tokens, outcome.output_tokens
        _, tokens, puts, gots = self.buckets
        if put is not None and got is not None:
            tokens.settle(needs[1], put + got, now_s)
        if put is not None:
            puts.settle(needs[2], put, now_s)
        if got is not None:
            gots.settle(needs[3], got, now_s)

    def learn(
        self,
        outcome: Outcome,
        sent: int,
        taken_before: tuple[float, ...],
        duration_s: float,
        now_s: float,
    ) -> None:
        """What an answer tells. While the call still counts as in flight, once per attempt."""
        if outcome.is_ok:
            self.gate.succeeded(sent)
            self.cap.succeeded(sent)
            self.answered += 1
            weight = max(DURATION_WEIGHT, 1 / self.answered)
            self._duration_s += weight * (duration_s - self._duration_s)
        if outcome.limits is not None:
            self.adopt(outcome.limits, taken_before, now_s - duration_s, now_s)
        if outcome.throttle is not None:
            self._throttle(outcome, outcome.throttle, sent, taken_before, now_s)

    def adopt(
        self, limits: RateLimits, taken_before: tuple[float, ...], sent_s: float, now_s: float
    ) -> None:
        """What the headers of a call that was sent at `sent_s` say about the buckets."""
        for kind, bucket, taken in zip(KINDS, self.buckets, taken_before, strict=True):
            told: Limit | None = getattr(limits, kind)
            if told is not None:
                bucket.adopt(
                    told.limit,
                    told.remaining,
                    told.reset_s,
                    taken_before=taken,
                    sent_s=sent_s,
                    now_s=now_s,
                )

    def _throttle(
        self,
        outcome: Outcome,
        throttle: str,
        sent: int,
        taken_before: tuple[float, ...],
        now_s: float,
    ) -> None:
        self.throttled[throttle] += 1
        if throttle == "quota":
            wait_s = max(self.limits.quota_s, outcome.retry_after_s or 0.0)
            self.spent_until_s, self.spent = now_s + wait_s, outcome.error
            self.cap.gate_closed(sent, self.sent, True)
            return
        self.gate.close(now_s, outcome.retry_after_s, sent, self.sent)
        if throttle == "rate":
            for kind, bucket, taken in zip(KINDS, self.buckets, taken_before, strict=True):
                if getattr(outcome.limits, kind, None) is None:
                    bucket.refused(taken, now_s)
            if self.buckets[0].is_known:
                return
        share = (1 + self.cap.decrease) / 2 if throttle == "rate" else None
        self.cap.throttled(sent, self.sent, self.in_flight, share)
        is_anew = throttle == "slope" or self.gate.bursts > 1
        self.cap.gate_closed(sent, self.sent, is_anew)

    def stats(self, now_s: float) -> dict[str, Any]:
        """Its figures now. Levels only of buckets that have a limit."""
        levels = {
            kind: {"level": bucket.level(now_s), "burst": bucket.burst, "per_s": bucket.rate_s}
            for kind, bucket in zip(KINDS, self.buckets, strict=True)
            if bucket.is_known
        }
        return {
            "cap": self.cap.limit(),
            "in_flight": self.in_flight,
            "sent": self.sent,
            "answered": self.answered,
            "gate_s": self.gate.until_s if self.gate.is_closed(now_s) else None,
            "spent_until_s": self.spent_until_s if now_s < self.spent_until_s else None,
            "buckets": levels,
            "retries": self.retries.taken,
            "retries_refused": self.retries.refused,
            "hedges": self.hedges.taken,
            "hedges_refused": self.hedges.refused,
            "throttled": {kind: count for kind, count in self.throttled.items() if count},
            "duration_s": self.duration_s,
        }
