"""What a program may use up: `Limits`.

Owns: the limits a host sets, their defaults, the profile for programs nobody has read, and how a
limit that was met is raised.
Refuses: enforcing them: the scheduler counts steps and seconds, the runtime sizes and depth.
"""

from __future__ import annotations

from typing import Any

from omega.errors import HostError, OmegaError

DEPTH_MAX = 1_000_000_000

# For hosts: how more of it is allowed. Other limits are fixed.
HOW_TO_RAISE = {
    "fuel": "Limits(fuel=...) allows more",
    "wall": "Limits(wall_s=...) allows more",
    "tasks": "Limits(tasks=...) allows more",
    "depth": "Limits(depth=...) allows more",
    "output": "Limits(output_bytes=...) allows more",
    "source-size": "Limits(source_bytes=...) allows more",
    "size": "Limits(alloc_items=...) allows more",
}


def advise(error: OmegaError, how_to_raise: dict[str, str]) -> None:
    """Say in the hint of an error that is a limit how whoever reads it can raise the limit."""
    advice = how_to_raise.get(getattr(error, "limit", ""))
    if advice is None or (error.hint is not None and advice in error.hint):
        return
    error.hint = advice if error.hint is None else f"{error.hint}; {advice}"


class Limits:
    """What a program may use up. None: no limit.

    fuel: steps in all. tasks: at once, that have not ended. depth: procedure calls within calls,
    per task. output_bytes: written to ports in all.
    wall_s: seconds from the interpreter's making. source_bytes: the largest text read. alloc_items:
    the largest single vector, string or list.
    """

    __slots__ = ("alloc_items", "depth", "fuel", "output_bytes", "source_bytes", "tasks", "wall_s")

    def __init__(
        self,
        *,
        fuel: int | None = None,
        depth: int = 1_100_000,
        output_bytes: int | None = None,
        wall_s: float | None = None,
        source_bytes: int = 4_000_000,
        alloc_items: int = 50_000_000,
        tasks: int | None = None,
    ) -> None:
        for name, value in (
            ("fuel", fuel),
            ("tasks", tasks),
            ("output_bytes", output_bytes),
            ("source_bytes", source_bytes),
            ("alloc_items", alloc_items),
            ("depth", depth),
            ("wall_s", wall_s),
        ):
            _check(name, value)
        self.fuel, self.depth, self.output_bytes, self.wall_s = fuel, depth, output_bytes, wall_s
        self.source_bytes, self.alloc_items, self.tasks = source_bytes, alloc_items, tasks

    @classmethod
    def untrusted(cls) -> Limits:
        """For programs nobody has read: 10 million steps, 20,000 tasks at once, depth 50,000, 1 MB
        out, a minute.
        """
        return cls(
            fuel=10_000_000,
            depth=50_000,
            output_bytes=1_000_000,
            wall_s=60.0,
            alloc_items=1_000_000,
            tasks=20_000,  # suspended, about 200 MB
        )


def _check(name: str, value: Any) -> None:
    """Raises HostError for what is no limit of that name: NaN would be none at all."""
    if value is None and name != "depth":
        return
    kinds: tuple[type, ...] = (int,)
    expected = "a whole number above 0"
    if name == "wall_s":
        kinds, expected = (int, float), "a number of seconds above 0"
    is_number = isinstance(value, kinds) and not isinstance(value, bool)
    if not is_number or not 0 < value < float("inf"):
        raise HostError(f"Limits({name}=...) must be positive: {expected}, got {value!r}")
    if name == "depth" and value > DEPTH_MAX:
        raise HostError(f"Limits(depth=...) is at most {DEPTH_MAX:,}")
