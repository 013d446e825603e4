"""shim"""

from __future__ import annotations

from typing import Any, Protocol


class Cache(Protocol):
    def get(self, key: str) -> Any: ...
    def put(self, key: str, reply: Any) -> None: ...


class MemoryCache:
    def __init__(self) -> None:
        self.d: dict[str, Any] = {}

    def get(self, key: str) -> Any:
        return self.d.get(key)

    def put(self, key: str, reply: Any) -> None:
        self.d[key] = reply
