"""The same seven pieces of work on each runtime, one class each.

Owns: what a task of a row does on Omega's scheduler, in Lisp, on asyncio, uvloop, trio and gevent.
Refuses: comparing them (schedulers.py). A runtime whose library is missing raises ImportError when
made.

Every method answers one figure: microseconds of CPU, of the clock for `wake` and `timer`, or wall
over ideal for `bounded`. Sizes are arguments.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any

LIMIT, JOB_S = 64, 0.005
GAP_S = 0.004  # between two bytes of a wake-up test
QUANTUM = 400  # turns of the busy task between two looks
clock = time.perf_counter
cpu = time.process_time


def quantum() -> int:
    x = 1
    for _ in range(QUANTUM):
        x = (x * 1103515245 + 12345) & 0x7FFFFFFF
    return x


def nop() -> None:
    pass


WRITER = """
import sys, time, os, struct
fd, n, gap = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
time.sleep(0.15)
for i in range(n):
    time.sleep(gap * (0.75 + 0.5 * ((i * 7919) % 100) / 100))
    os.write(fd, struct.pack("d", time.perf_counter()))
"""


class Writer:
    """Another process that writes the time into a socket at intervals. late: seconds until read."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.late: list[float] = []
        self.ours, theirs = socket.socketpair()
        self.ours.setblocking(False)
        command = [sys.executable, "-c", WRITER, str(theirs.fileno()), str(n), str(GAP_S)]
        self._child = subprocess.Popen(command, pass_fds=[theirs.fileno()])
        theirs.close()

    @property
    def is_done(self) -> bool:
        return len(self.late) >= self.n

    def came(self, data: bytes) -> None:
        self.late.append(clock() - struct.unpack("d", data[:8])[0])

    def p50_us(self) -> float:
        self._child.wait()
        self.ours.close()
        return sorted(self.late)[len(self.late) // 2] * 1e6


class Asyncio:
    def run(self, main: Coroutine[Any, Any, float]) -> float:
        return asyncio.run(main)

    def spawn(self, n: int) -> float:
        async def nothing() -> None:
            pass

        async def main() -> float:
            began = cpu()
            async with asyncio.TaskGroup() as group:
                for _ in range(n):
                    group.create_task(nothing())
            return (cpu() - began) / n * 1e6

        return self.run(main())

    def switch(self, n: int) -> float:
        async def turns() -> None:
            sleep = asyncio.sleep
            for _ in range(n // 2):
                await sleep(0)

        async def main() -> float:
            began = cpu()
            await asyncio.gather(turns(), turns())
            return (cpu() - began) / n * 1e6

        return self.run(main())

    def sleep(self, n: int) -> float:
        async def one() -> None:
            await asyncio.sleep(0.01)

        async def main() -> float:
            began = cpu()
            async with asyncio.TaskGroup() as group:
                for _ in range(n):
                    group.create_task(one())
            return (cpu() - began) / n * 1e6

        return self.run(main())

    def bounded(self, n: int) -> float:
        async def main() -> float:
            slots = asyncio.Semaphore(LIMIT)

            async def job() -> None:
                async with slots:
                    await asyncio.sleep(JOB_S)

            began = clock()
            async with asyncio.TaskGroup() as group:
                for _ in range(n):
                    group.create_task(job())
            return (clock() - began) / (n / LIMIT * JOB_S)

        return self.run(main())

    def cancel(self, n: int) -> float:
        async def main() -> float:
            tasks = [asyncio.create_task(asyncio.sleep(1000)) for _ in range(n)]
            await asyncio.sleep(0.01)
            began = cpu()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            return (cpu() - began) / n * 1e6

        return self.run(main())

    def wake(self, n: int) -> float:
        async def main() -> float:
            writer = Writer(n)

            async def busy() -> None:
                while not writer.is_done:
                    quantum()
                    await asyncio.sleep(0)

            async def reader() -> None:
                loop = asyncio.get_running_loop()
                while not writer.is_done:
                    writer.came(await loop.sock_recv(writer.ours, 8))

            await asyncio.gather(busy(), reader())
            return writer.p50_us()

        return self.run(main())

    def timer(self, n: int) -> float:
        async def main() -> float:
            late: list[float] = []

            async def busy() -> None:
                while len(late) < n:
                    quantum()
                    await asyncio.sleep(0)

            async def sleeper() -> None:
                while len(late) < n:
                    began = clock()
                    await asyncio.sleep(0.01)
                    late.append(clock() - began - 0.01)

            await asyncio.gather(busy(), sleeper())
            return sorted(late)[n // 2] * 1e6

        return self.run(main())


class Uvloop(Asyncio):
    def __init__(self) -> None:
        self._uvloop = importlib.import_module("uvloop")

    def run(self, main: Coroutine[Any, Any, float]) -> float:
        with asyncio.Runner(loop_factory=self._uvloop.new_event_loop) as runner:
            return runner.run(main)


class Trio:
    def __init__(self) -> None:
        self._trio = importlib.import_module("trio")

    def spawn(self, n: int) -> float:
        async def nothing() -> None:
            pass

        return self._group(n, nothing, cpu) / n * 1e6

    def switch(self, n: int) -> float:
        async def turns() -> None:
            checkpoint = self._trio.lowlevel.checkpoint
            for _ in range(n // 2):
                await checkpoint()

        return self._group(2, turns, cpu) / n * 1e6

    def sleep(self, n: int) -> float:
        async def one() -> None:
            await self._trio.sleep(0.01)

        return self._group(n, one, cpu) / n * 1e6

    def bounded(self, n: int) -> float:
        slots = self._trio.Semaphore(LIMIT)

        async def job() -> None:
            async with slots:
                await self._trio.sleep(JOB_S)

        return self._group(n, job) / (n / LIMIT * JOB_S)

    def cancel(self, n: int) -> float:
        trio = self._trio

        async def main() -> float:
            async with trio.open_nursery() as nursery:
                for _ in range(n):
                    nursery.start_soon(trio.sleep, 1000)
                await trio.sleep(0.05)
                began = cpu()
                nursery.cancel_scope.cancel()
            return (cpu() - began) / n * 1e6

        return float(trio.run(main))

    def wake(self, n: int) -> float:
        trio = self._trio

        async def main() -> float:
            writer = Writer(n)
            stream = trio.socket.from_stdlib_socket(writer.ours)

            async def busy() -> None:
                while not writer.is_done:
                    quantum()
                    await trio.lowlevel.checkpoint()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(busy)
                while not writer.is_done:
                    writer.came(await stream.recv(8))
            return writer.p50_us()

        return float(trio.run(main))

    def _group(self, n: int, body: Callable[[], Any], now: Callable[[], float] = clock) -> float:
        async def main() -> float:
            began = now()
            async with self._trio.open_nursery() as nursery:
                for _ in range(n):
                    nursery.start_soon(body)
            return now() - began

        return float(self._trio.run(main))


class Gevent:
    def __init__(self) -> None:
        self._gevent = importlib.import_module("gevent")
        self._lock = importlib.import_module("gevent.lock")
        self._socket = importlib.import_module("gevent.socket")

    def spawn(self, n: int) -> float:
        return self._all(n, nop, cpu) / n * 1e6

    def switch(self, n: int) -> float:
        def turns() -> None:
            sleep = self._gevent.sleep
            for _ in range(n // 2):
                sleep(0)

        return self._all(2, turns, cpu) / n * 1e6

    def sleep(self, n: int) -> float:
        return self._all(n, lambda: self._gevent.sleep(0.01), cpu) / n * 1e6

    def bounded(self, n: int) -> float:
        slots = self._lock.BoundedSemaphore(LIMIT)

        def job() -> None:
            with slots:
                self._gevent.sleep(JOB_S)

        return self._all(n, job) / (n / LIMIT * JOB_S)

    def cancel(self, n: int) -> float:
        tasks = [self._gevent.spawn(self._gevent.sleep, 1000) for _ in range(n)]
        self._gevent.sleep(0.05)
        began = cpu()
        self._gevent.killall(tasks, block=True)
        return (cpu() - began) / n * 1e6

    def wake(self, n: int) -> float:
        writer = Writer(n)
        stream = self._socket.socket(fileno=os.dup(writer.ours.fileno()))

        def busy() -> None:
            while not writer.is_done:
                quantum()
                self._gevent.sleep(0)

        task = self._gevent.spawn(busy)
        while not writer.is_done:
            writer.came(stream.recv(8))
        task.join()
        stream.close()
        return writer.p50_us()

    def _all(self, n: int, body: Callable[[], Any], now: Callable[[], float] = clock) -> float:
        began = now()
        self._gevent.joinall([self._gevent.spawn(body) for _ in range(n)])
        return now() - began


class Omega:
    """Python callables on Omega's scheduler."""

    def run(self, main: Callable[[Any], float]) -> float:
        """The value of `main(scheduler)`, run as a task."""
        from omega.concurrency import Scheduler, SchedulerConfig

        config = SchedulerConfig(max_concurrent_tasks=1_000_000, max_started_tasks=1_000_000)
        scheduler = Scheduler(config)
        try:
            return float(scheduler.wait(scheduler.spawn(lambda: main(scheduler))))
        finally:
            scheduler.close()

    def spawn(self, n: int) -> float:
        return self.run(lambda s: self._scope(s, n, nop, cpu)) / n * 1e6

    def switch(self, n: int) -> float:
        def main(scheduler: Any) -> float:
            def turns() -> None:
                yield_now = scheduler.yield_now
                for _ in range(n // 2):
                    yield_now()

            return self._scope(scheduler, 2, turns, cpu)

        return self.run(main) / n * 1e6

    def switch_as_guest(self, n: int) -> float:
        """`switch` while the scheduler is a guest of a host's running loop."""

        async def main() -> float:
            from omega.concurrency import Scheduler

            scheduler = Scheduler()

            def turns() -> None:
                yield_now = scheduler.yield_now
                for _ in range(n // 2):
                    yield_now()

            began = cpu()
            scheduler.spawn(turns)
            scheduler.spawn(turns)
            await scheduler.run_async()
            took = cpu() - began
            scheduler.close()
            return took / n * 1e6

        return asyncio.run(main())

    def switch_at_depth(self, depth: int, n: int) -> float:
        """`switch` between two tasks that are `depth` calls deep."""

        def main(scheduler: Any) -> float:
            yield_now = scheduler.yield_now
            took: list[float] = []

            def turns() -> None:
                yield_now()  # until both are as deep
                began = cpu()
                for _ in range(n // 2):
                    yield_now()
                took.append(cpu() - began)

            def down(left: int) -> None:
                if left:
                    down(left - 1)
                else:
                    turns()

            self._scope(scheduler, 2, lambda: down(depth))
            return min(took)

        return self.run(main) / n * 1e6

    def sleep(self, n: int) -> float:
        return self.run(lambda s: self._scope(s, n, lambda: s.sleep(0.01), cpu)) / n * 1e6

    def bounded(self, n: int) -> float:
        def main(scheduler: Any) -> float:
            from omega.concurrency import Semaphore

            slots = Semaphore(scheduler, LIMIT)

            def job() -> None:
                slots.acquire()
                try:
                    scheduler.sleep(JOB_S)
                finally:
                    slots.release()

            return self._scope(scheduler, n, job)

        return self.run(main) / (n / LIMIT * JOB_S)

    def cancel(self, n: int) -> float:
        def main(scheduler: Any) -> float:
            tasks = [scheduler.spawn(lambda: scheduler.sleep(1000)) for _ in range(n)]
            scheduler.sleep(0.01)
            began = cpu()
            for task in tasks:
                scheduler.cancel(task)
            scheduler.await_all(tasks, "settle")
            return (cpu() - began) / n * 1e6

        return self.run(main)

    def wake(self, n: int) -> float:
        def main(scheduler: Any) -> float:
            writer = Writer(n)

            def busy() -> None:
                while not writer.is_done:
                    quantum()
                    scheduler.yield_now()

            def receive() -> Any:
                return asyncio.get_running_loop().sock_recv(writer.ours, 8)

            def reader() -> None:
                while not writer.is_done:
                    writer.came(scheduler.sync(scheduler.external(receive).event))

            scheduler.await_all([scheduler.spawn(busy), scheduler.spawn(reader)])
            return writer.p50_us()

        return self.run(main)

    def timer(self, n: int) -> float:
        def main(scheduler: Any) -> float:
            late: list[float] = []

            def busy() -> None:
                while len(late) < n:
                    quantum()
                    scheduler.yield_now()

            def sleeper() -> None:
                while len(late) < n:
                    began = clock()
                    scheduler.sleep(0.01)
                    late.append(clock() - began - 0.01)

            scheduler.await_all([scheduler.spawn(busy), scheduler.spawn(sleeper)])
            return sorted(late)[n // 2] * 1e6

        return self.run(main)

    def _scope(
        self, scheduler: Any, n: int, body: Callable[[], Any], now: Callable[[], float] = clock
    ) -> float:
        def all_of_them() -> None:
            for _ in range(n):
                scheduler.spawn(body)

        began = now()
        scheduler.with_scope(all_of_them)
        return now() - began


LISP = """
(define (many n body)
  (scope (let loop ((i 0)) (when (< i n) (async body) (loop (+ i 1))))))
(define (nothing) #t)
(define (run-spawn n) (many n nothing))
(define (run-switch n)
  (many 2 (lambda () (let loop ((i (quotient n 2))) (when (> i 0) (yield) (loop (- i 1)))))))
(define (run-sleep n) (many n (lambda () (sleep 10))))
(define (run-bounded n)
  (let ((slots (make-semaphore 64)))
    (many n (lambda () (with-semaphore slots (sleep 5))))))
(define (run-cancel n)
  (let ((tasks (list-tabulate n (lambda (i) (async (lambda () (sleep 1000000)))))))
    (sleep 10)
    (let ((began (cpu)))
      (for-each cancel tasks)
      (for-each (lambda (task) (await-first task)) tasks)
      (- (cpu) began))))
(define (spin x) (spin (modulo (+ (* x 1103515245) 12345) 2147483648)))
(define (beside-busy thunk)
  (let* ((busy (async-detached (lambda () (spin 1)) :daemon #t)) (value (thunk)))
    (cancel busy)
    value))
(define (run-wake n)
  (beside-busy (lambda () (let loop ((i 0)) (when (< i n) (came (take)) (loop (+ i 1)))))))
(define (run-timer n)
  (beside-busy
    (lambda ()
      (let loop ((i 0) (late '()))
        (if (= i n)
            (list-ref (sort late <) (quotient n 2))
            (let ((began (clock)))
              (sleep 10)
              (loop (+ i 1) (cons (- (clock) began 0.01) late))))))))
"""


class Lisp:
    """Lisp programs in an interpreter. The busy task is a loop that never looks up by itself."""

    def __init__(self) -> None:
        from omega.concurrency import SchedulerConfig
        from omega.interpreter import Interpreter

        config = SchedulerConfig(max_concurrent_tasks=1_000_000, max_started_tasks=1_000_000)
        self._interpreter = Interpreter(scheduler=config)
        self._interpreter.define("clock", clock)
        self._interpreter.define("cpu", cpu)
        self._writer: Writer | None = None
        self._interpreter.define("take", self._take)
        self._interpreter.define("came", self._came)
        self._interpreter.eval(LISP)

    async def _take(self) -> int:
        assert self._writer is not None
        self._data = await asyncio.get_running_loop().sock_recv(self._writer.ours, 8)
        return len(self._data)

    def _came(self, length: int) -> None:
        assert self._writer is not None and length == 8
        self._writer.came(self._data)

    def _took(self, name: str, n: int, now: Callable[[], float] = clock) -> float:
        run = self._interpreter.get(f"run-{name}")
        began = now()
        run(n)
        return now() - began

    def spawn(self, n: int) -> float:
        return self._took("spawn", n, cpu) / n * 1e6

    def switch(self, n: int) -> float:
        return self._took("switch", n, cpu) / n * 1e6

    def sleep(self, n: int) -> float:
        return self._took("sleep", n, cpu) / n * 1e6

    def bounded(self, n: int) -> float:
        return self._took("bounded", n) / (n / LIMIT * JOB_S)

    def cancel(self, n: int) -> float:
        return float(self._interpreter.get("run-cancel")(n)) / n * 1e6

    def wake(self, n: int) -> float:
        self._writer = Writer(n)
        self._interpreter.get("run-wake")(n)
        return self._writer.p50_us()

    def timer(self, n: int) -> float:
        return float(self._interpreter.get("run-timer")(n)) * 1e6
