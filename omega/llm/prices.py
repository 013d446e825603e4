"""shim"""

from __future__ import annotations

from typing import Any


class Price:
    input = 150_000
    output = 600_000
    max_output: int | None = None

    @classmethod
    def read(cls, data: Any, where: str) -> Price:
        return cls()

    def cost(self, i: int, o: int) -> int:
        return i * self.input + o * self.output

    def usage_cost(self, usage: Any) -> int:
        return self.cost(usage.input_tokens, usage.output_tokens)


class Prices:
    @classmethod
    def known(cls) -> Prices:
        return cls()

    @classmethod
    def read(cls, data: Any) -> Prices:
        return cls()

    def find(self, name: str) -> Price | None:
        return None


def read_table(path: str) -> dict[str, Any]:
    return {}
