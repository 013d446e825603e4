"""Omega inside an asyncio program: Lisp tasks and asyncio tasks share one thread and one loop.

Run it with

    python examples/embedding.py
"""

from __future__ import annotations

import asyncio

from omega import Interpreter, LispError, TaskCancelled

PROGRAM = """
(define (enrich name)
  "(enrich name) -> what is known about a customer"
  (string-append name ": " (lookup name)))  ; `lookup` is the host's, below

(define (enrich-all names) (par-map enrich names))
"""


async def lookup(name: str) -> str:
    """A slow host function: any coroutine will do (a database driver, an HTTP client)."""
    if name == "nobody":
        raise KeyError(name)
    await asyncio.sleep(0.05)
    return f"{len(name)} orders"


async def heartbeat() -> None:
    """The host's own work goes on while Lisp waits."""
    while True:
        await asyncio.sleep(0.02)
        beats.append("beat")


beats: list[str] = []


async def main() -> None:
    beating = asyncio.create_task(heartbeat())
    with Interpreter() as omega:
        omega.define("lookup", lookup)
        await omega.eval_async(PROGRAM)

        # Three lookups overlap: 50 ms, not 150, and the loop beats on meanwhile.
        enrich_all = omega.get("enrich-all")
        for line in await enrich_all.call_async(["Ada", "Grace", "Barbara"]):
            print(line)
        print("the host's loop went on meanwhile:", len(beats) >= 2)

        # What the host raises is a condition for Lisp ...
        print(await omega.eval_async('(guard (e (#t (condition-kind e))) (lookup "nobody"))'))
        # ... and what Lisp raises is an exception for the host, with a stable code.
        try:
            await omega.eval_async("(car 5)")
        except LispError as error:
            print(error.code, error.message)

        # A task can be cancelled from outside; it stops at its next wait or step.
        task = omega.submit("(sleep 60000)", name="nap")
        omega.manager.cancel(task, "no time")
        try:
            await omega.manager.wait_async(task)
        except TaskCancelled as error:
            print(error.message)
    beating.cancel()


asyncio.run(main())
