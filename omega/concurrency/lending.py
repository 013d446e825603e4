"""Priority lent along waits: whoever is waited for is as urgent as the most urgent who waits.

Owns: the effective priority (`level`) of tasks, and what it is made of.
Refuses: to decide who runs: the queues of ready.py order tasks by their level. There is a Lending
only while fairness_mode is "priority"; the other modes never come here.

A wait lends the waiter's level to what its event names (`lends_to`): tasks, or a *thing* that is
held (a mutex, a semaphore, a scope that must end), which lends it on to its holders. So a thing
that changes hands takes what its waiters lend along. It goes on through whatever the borrowers wait
for themselves, and ends with the wait, however that ends: `Kernel.claim` puts the woken task into
its queue, and the queue ends what it lent.

Invariant (`check`): a node's `lent` counts, by level, the nodes that name it as a target; its level
is the largest of these and of its own priority.
In a circle of waits (each of a choice, else it is a deadlock) what came from outside stays until
one of them ends: levels are lower bounds of urgency, never of anybody's share.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol

from omega.concurrency.config import SUSPENDED
from omega.concurrency.task import Task

if TYPE_CHECKING:
    from omega.concurrency.state import KernelState


class Thing(Protocol):
    """What tasks hold while others wait for it."""

    def held_by(self) -> Iterable[Task]:
        """The holders, as far as they are known."""


class Node:
    """One borrower. own: a task's own priority; None for a thing, whose level may be None."""

    __slots__ = ("lent", "level", "own", "targets")

    def __init__(self, own: int | None) -> None:
        self.own = own
        self.level = own
        self.lent: dict[int, int] = {}  # level -> how many lend it
        self.targets: dict[Any, None] = {}  # whom it lends to: what its wait names, or its holders

    def fitting(self) -> int | None:
        """The level it should have."""
        if not self.lent:
            return self.own
        most = max(self.lent)
        return most if self.own is None or most > self.own else self.own


# One change of what is lent to somebody: (to whom, the level no longer lent, the level lent now).
_Change = tuple[Any, int | None, int | None]


class Lending:
    """Who lends priority to whom, in one kernel."""

    __slots__ = ("_kernel", "nodes")

    def __init__(self, kernel: KernelState) -> None:
        self._kernel = kernel
        self.nodes: dict[Any, Node] = {}

    def level(self, task: Task) -> int:
        """The effective priority of `task`."""
        node = self.nodes.get(task)
        return task.priority if node is None or node.level is None else node.level

    # ------------------------------------------------------------------ waits

    def begin(self, task: Task, event: Any) -> None:
        """`task` waits for `event` from now on. An int is a sleep: nobody can hurry that."""
        if isinstance(event, int) or event is None:
            return
        level = self.level(task)
        if level != task.priority:
            event.urge(level)
        named = event.lends_to()
        if named:
            self._retarget(task, self._node(task), named)

    def end(self, task: Task, node: Node) -> None:
        """The wait of `task` is over."""
        self._retarget(task, node, ())

    # ------------------------------------------------------------------ things

    def moved(self, thing: Thing) -> None:
        """`thing` has other holders than before."""
        node = self.nodes.get(thing)
        if node is not None:
            self._retarget(thing, node, thing.held_by())

    def joined(self, thing: Any, task: Task) -> None:
        """`task` is one more holder of `thing`."""
        node = self.nodes.get(thing)
        if node is not None and task not in node.targets:
            node.targets[task] = None
            self._spread([(task, None, node.level)])

    # ------------------------------------------------------------------ inside

    def _node(self, key: Any) -> Node:
        node = self.nodes.get(key)
        if node is None:
            if isinstance(key, Task):
                node = Node(key.priority)
                key.watch(self, self._gone)
            else:
                node = Node(None)
                node.targets = dict.fromkeys(key.held_by())
            self.nodes[key] = node
        return node

    def _gone(self, task: Task) -> None:
        """`task` has ended."""
        self.nodes.pop(task, None)
        scope = self.nodes.get(task.scope)
        if scope is not None:
            scope.targets.pop(task, None)

    def _retarget(self, key: Any, node: Node, named: Iterable[Any]) -> None:
        targets = dict.fromkeys(named)
        changes: list[_Change] = []
        if node.level is not None:
            changes.extend((old, node.level, None) for old in node.targets if old not in targets)
            changes.extend((new, None, node.level) for new in targets if new not in node.targets)
        node.targets = targets
        self._spread(changes)
        self._drop_if_idle(key, node)

    def _spread(self, changes: list[_Change]) -> None:
        """Make `changes`, and those they lead to. Flat for chains of any length."""
        done = 0
        while changes:
            key, old, new = changes.pop()
            done += 1
            if isinstance(key, Task) and key.is_done:
                continue
            node = self.nodes.get(key)
            if node is None:
                if new is None:
                    continue
                node = self._node(key)
            if old is not None and old in node.lent:
                node.lent[old] -= 1
                if not node.lent[old]:
                    del node.lent[old]
            if new is not None:
                node.lent[new] = node.lent.get(new, 0) + 1
            before, level = node.level, node.fitting()
            if level != before:
                node.level = level
                changes.extend((target, before, level) for target in node.targets)
                if isinstance(key, Task) and level is not None:
                    self._hurry(key, level)
            self._drop_if_idle(key, node)
        self._kernel.owe(done, 2)

    def _drop_if_idle(self, key: Any, node: Node) -> None:
        is_task = isinstance(key, Task)
        if not node.lent and not (is_task and node.targets) and self.nodes.get(key) is node:
            del self.nodes[key]
            if is_task:
                key.unwatch(self)

    def _hurry(self, task: Task, level: int) -> None:
        """The level of `task` has changed: so has its place in the queue it is in, if any."""
        for queue in self._kernel.queues():
            if queue.rerank(task):
                return
        if (
            task.state is SUSPENDED
            and task.waiting is not None
            and not isinstance(task.waiting, int)
        ):
            task.waiting.urge(level)

    def check(self) -> None:
        """Raise AssertionError if the invariant does not hold. For tests."""
        lent: dict[Any, dict[int, int]] = {}
        for key, node in self.nodes.items():
            assert node.level == node.fitting(), f"{key} has a level of {node.level}"
            for target in node.targets:
                if node.level is not None and not (isinstance(target, Task) and target.is_done):
                    counts = lent.setdefault(target, {})
                    counts[node.level] = counts.get(node.level, 0) + 1
            if isinstance(key, Task):
                waits = key.state is SUSPENDED and key.waiting is not None
                assert waits or not node.targets, f"{key} lends and does not wait"
            else:
                assert set(node.targets) == set(key.held_by()), f"{key} has other holders"
        for key, node in self.nodes.items():
            assert lent.pop(key, {}) == node.lent, f"{key} borrows otherwise"
        assert not lent, f"lent to nobody: {list(lent)}"
