"""`python engine.py NAME`: one engine with its programs, by the interpreter of the peers'
environment.

Owns: how each engine is embedded. Refuses: importing Omega or the bench, neither of which is there.

Wire, a line of JSON each: first {"version"} of the engine, or {"absent"} (the package that is not
installed); then for each line of input, the name of a program, {"cpu_ms", "wall_ms", "result"}.
{"error"} instead of either. What an engine prints goes nowhere.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from importlib import import_module, metadata
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(__file__).parent
MONTY_LIMITS = {"max_memory": 1 << 30, "max_feed_duration_secs": 600.0}

Find = Callable[[str], Callable[[], Any]]


def text_of(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def load_hy(held: ExitStack) -> Find:
    hy = import_module("hy")
    module = ModuleType("bench_hy")
    sys.modules[module.__name__] = module
    hy.eval(hy.read_many(text_of("bench.hy")), module=module, globals=module.__dict__)
    return lambda name: getattr(module, f"bench_{name}")


def load_hissp(held: ExitStack) -> Find:
    reader = import_module("hissp.reader")
    names: dict[str, Any] = {"__name__": "bench_hissp"}
    lissp = reader.Lissp(qualname="bench_hissp", env=names, evaluate=True)
    lissp.compile(text_of("bench_hissp.lissp"))
    return lambda name: names[f"bench_{name}"]


def load_basilisp(held: ExitStack) -> Find:
    import_module("basilisp.main").init()
    import_module("basilisp.core")
    module = import_module("bench_lpy")  # found beside this file, by basilisp's importer
    return lambda name: getattr(module, f"bench_{name}")


class Table:
    """Calysto takes a dict in last position for keyword arguments: this is none."""

    def __init__(self) -> None:
        self.entries: dict[Any, Any] = {}


def load_calysto(held: ExitStack) -> Find:
    scheme = import_module("calysto_scheme.scheme")

    def run(text: str) -> Any:
        value = scheme.execute_string_rm(text)
        if scheme.exception_q(value):
            raise RuntimeError(str(scheme.get_exception_values(value)))
        return value

    scheme.ENVIRONMENT.update(
        py_new=Table,
        py_ref=lambda table, key, default: table.entries.get(key, default),
        py_set=lambda table, key, value: table.entries.__setitem__(key, value),
        py_count=lambda table: len(table.entries),
    )
    run("(define ht-new py_new) (define ht-ref py_ref)")
    run("(define ht-set! py_set) (define ht-count py_count)")
    run(text_of("bench.scm"))
    return lambda name: lambda: run(f"(bench-{name})")


def load_monty(held: ExitStack) -> Find:
    pool = held.enter_context(import_module("pydantic_monty").Monty())
    session = held.enter_context(pool.checkout(limits=MONTY_LIMITS))
    session.feed_run(text_of("bench_monty.py"))
    return lambda name: lambda: session.feed_run(f"bench_{name}()")


# name of the engine -> (the package it comes in, what loads it)
ENGINES: dict[str, tuple[str, Callable[[ExitStack], Find]]] = {
    "hy": ("hy", load_hy),
    "hissp": ("hissp", load_hissp),
    "basilisp": ("basilisp", load_basilisp),
    "calysto": ("calysto_scheme", load_calysto),
    "monty": ("pydantic-monty", load_monty),
}


def measured(program: Callable[[], Any]) -> dict[str, Any]:
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    result = program()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {"cpu_ms": cpu * 1e3, "wall_ms": wall * 1e3, "result": str(result)[:40]}


def failure(error: Exception) -> dict[str, Any]:
    lines = str(error).splitlines() or [""]
    return {"error": f"{type(error).__name__}: {lines[0]}"[:200]}


def serve(name: str, answer: Callable[[dict[str, Any]], None]) -> None:
    package, load = ENGINES[name]
    try:
        version = metadata.version(package)
    except metadata.PackageNotFoundError:
        answer({"absent": package})
        return
    with ExitStack() as held:
        try:
            find = load(held)
        except Exception as error:
            answer(failure(error))
            return
        answer({"version": version})
        for line in sys.stdin:
            try:
                answer(measured(find(line.strip())))
            except Exception as error:
                answer(failure(error))


def main(name: str) -> None:
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

        def answer(found: dict[str, Any]) -> None:
            print(json.dumps(found), file=answers, flush=True)

        serve(name, answer)


if __name__ == "__main__":
    main(sys.argv[1])
