"""ONE table of stable codes: every kind of error, its code, and the kind it is a case of.

Owns: `CODES`, `is_kind`. Refuses: everything else.
"""

from __future__ import annotations

# kind -> (stable code, parent kind). A code is never reused or renumbered; docs/errors.md has a
# paragraph for each.
CODES: dict[str, tuple[str, str | None]] = {
    "condition": ("E000", None),
    "error": ("E401", "condition"),
    "raised": ("E402", "condition"),
    # reading and expanding
    "read-error": ("E101", "error"),
    "unclosed": ("E102", "read-error"),
    "stray-bracket": ("E103", "read-error"),
    "bad-literal": ("E104", "read-error"),
    "bad-encoding": ("E105", "read-error"),
    "syntax-error": ("E110", "error"),
    "library-error": ("E111", "syntax-error"),
    # names, types, arguments
    "unbound-variable": ("E201", "error"),
    "type-error": ("E301", "error"),
    "arity-error": ("E302", "error"),
    "index-error": ("E303", "error"),
    "key-error": ("E304", "error"),
    "division-by-zero": ("E305", "error"),
    "value-error": ("E306", "error"),
    "continuation-error": ("E307", "error"),
    "immutable": ("E308", "error"),
    "match-error": ("E309", "error"),
    "restart-error": ("E310", "error"),
    # the outside
    "file-error": ("E501", "error"),
    "json-error": ("E502", "error"),
    "permission-denied": ("E503", "error"),
    "unhandled-effect": ("E504", "error"),
    "host-error": ("E505", "error"),
    "csv-error": ("E506", "error"),
    "regex-error": ("E507", "error"),
    # tasks
    "task-error": ("E600", "error"),
    "task-cancelled": ("E601", "task-error"),
    "deadlock": ("E602", "task-error"),
    "cannot-escape-task": ("E603", "task-error"),
    "cannot-suspend-here": ("E604", "task-error"),
    "unknown-task": ("E605", "task-error"),
    "timeout-error": ("E606", "error"),
    "channel-closed": ("E607", "task-error"),
    "tasks-failed": ("E608", "task-error"),
    "schedule-failure": ("E609", "task-error"),
    # LLM calls
    "llm-error": ("E700", "error"),
    "rate-limited": ("E701", "llm-error"),
    "refused": ("E702", "llm-error"),
    "llm-timeout": ("E703", "llm-error"),
    "bad-response": ("E704", "llm-error"),
    "llm-unavailable": ("E705", "llm-error"),
    "llm-configuration": ("E706", "llm-error"),
    # limits
    "limit-exceeded": ("E801", "condition"),
    # how the host uses Omega
    "wrong-thread": ("E901", "error"),
    "replay-divergence": ("E902", "error"),
    "loop-is-running": ("E903", "error"),
    "closed": ("E904", "error"),
    "usage": ("E905", "error"),
    "tape-ended": ("E906", "error"),
    "store-error": ("E910", "error"),
    "store-full": ("E911", "store-error"),
    "store-busy": ("E912", "store-error"),
    "unknown-run": ("E913", "error"),
    "run-exists": ("E914", "error"),
    "run-owned": ("E915", "error"),
    "run-ended": ("E916", "error"),
    "fenced": ("E917", "error"),
    "run-stopped": ("E918", "error"),
    "unknown-outcome": ("E919", "error"),
    "bug": ("E999", "condition"),
    # what `omega check` finds in a text that runs all the same: never raised
    "unused-variable": ("W201", None),
    "duplicate-definition": ("W202", None),
    "unused-import": ("W203", None),
    "no-effect": ("W301", None),
    "constant-test": ("W302", None),
    "unreachable-clause": ("W303", None),
    # what a program has left behind at its end: never raised
    "left-behind": ("W401", None),
}


def is_kind(kind: str, ancestor: str) -> bool:
    """Whether `kind` is `ancestor` or lies below it in CODES."""
    at: str | None = kind
    while at is not None:
        if at == ancestor:
            return True
        at = CODES[at][1]
    return False
