"""What a loopback server does wrong on purpose.

Owns: `Fault` and its words. Refuses: to know a vendor: the wires write an error in their own shape.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from email.utils import formatdate
from typing import Any

# After a status and a colon: what kind of that error it is; each wire has its vendor's words.
STATUS_KINDS = (
    *("concurrency", "rate", "slope", "quota", "overload"),
    *("key", "model", "context", "content", "schema", "tools", "images"),
)
_STATUS = re.compile(rf"([3-5][0-9]{{2}})(?::({'|'.join(STATUS_KINDS)}))?")
_COUNTED = re.compile(r"(cut|cut-events|end|stall|error|garbage|slow):([0-9]{1,9})")


def http_date(in_s: float = 0.0) -> str:
    """The HTTP date `in_s` seconds from now (whole seconds, rounded down), as `Retry-After` may
    hold.
    """
    return formatdate(time.time() + in_s, usegmt=True)


class Fault:
    """What goes wrong with one request.

    kind: "status" (an error answer), "cut" (the connection ends), "end" (a stream ends as if it
    were complete), "stall" (nothing more comes), "garbage" (no JSON), "error" (an error event in
    the middle of a stream), "slow" (the body comes slowly, and is right).
    status, headers, body: of a status fault; without a body the vendor's own shape, of
    status_kind, code, error_type and message. after_bytes: how much of the answer's body is sent
    before a cut. after_events: how many events of a stream are sent before it goes wrong. Both
    None: it goes wrong before the first byte of the answer. bytes_per_s: of a slow body.
    """

    __slots__ = (
        *("after_bytes", "after_events", "body", "bytes_per_s", "code", "error_type", "headers"),
        *("kind", "message", "status", "status_kind"),
    )

    def __init__(
        self,
        kind: str,
        *,
        status: int = 200,
        status_kind: str | None = None,
        code: str | None = None,
        error_type: str | None = None,
        message: str | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        after_bytes: int | None = None,
        after_events: int | None = None,
        bytes_per_s: float | None = None,
    ) -> None:
        self.kind = kind
        self.status = status
        self.status_kind = status_kind
        self.code = code
        self.error_type = error_type
        self.message = message
        self.headers = dict(headers or {})
        self.body = body
        self.after_bytes = after_bytes
        self.after_events = after_events
        self.bytes_per_s = bytes_per_s

    @property
    def is_at_once(self) -> bool:
        """Whether it goes wrong before the first byte of the answer."""
        is_end = self.kind in ("cut", "stall")
        return is_end and self.after_bytes is None and self.after_events is None

    @classmethod
    def http(
        cls,
        status: int,
        *,
        kind: str | None = None,
        code: str | None = None,
        error_type: str | None = None,
        message: str | None = None,
        **headers: str,
    ) -> Fault:
        """An error answer in the vendor's shape.

        kind: one of STATUS_KINDS, for the vendor's own words. headers: names in snake case
        (`retry_after="1.5"`).
        """
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return cls(
            "status",
            status=status,
            status_kind=kind,
            code=code,
            error_type=error_type,
            message=message,
            headers=named,
        )

    @classmethod
    def parse(cls, text: str) -> Fault:
        """From words: the scripted provider's ("429", any status, "429:slope", "timeout", "cut",
        "cut:K" bytes, "garbage"), and for streams "cut-events:K", "end:K", "stall:K", "error:K",
        "garbage:K" (after K events); "slow:N" (bytes a second).
        """
        if status := _STATUS.fullmatch(text):
            return cls.http(int(status[1]), kind=status[2])
        if text == "timeout":
            return cls("stall")
        if text in ("cut", "garbage"):
            return cls(text)
        if counted := _COUNTED.fullmatch(text):
            kind, count = counted[1], int(counted[2])
            if kind == "cut":
                return cls("cut", after_bytes=count)
            if kind == "slow":
                return cls("slow", bytes_per_s=float(count))
            return cls(kind.removesuffix("-events"), after_events=count)
        raise ValueError(f"unknown fault {text!r}")
