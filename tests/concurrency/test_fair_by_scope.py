"""Fair by scope: groups of tasks take turns, whatever they hold; who counts to which."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omega.concurrency.ready import ScopeQueue
from omega.concurrency.scopes import Scope
from omega.concurrency.task import Task
from omega.errors import HostError
from tests.concurrency.programs import steps


def shares(kit, fair_by, children, slices, **config):
    """How many slices a lone task, another scope's task, and all `children` of one scope got."""
    s = kit.scheduler(fair_by=fair_by, **config)
    got = {"lone": 0, "scoped": 0, "crowd": 0}

    def busy(name):
        def body():
            while s.turns < slices:
                got[name] += 1
                steps(s, s.config.yield_every)

        return body

    def crowd():
        def inner():
            for _ in range(children // 2):
                s.spawn(busy("crowd"))

        s.with_scope(lambda: (inner(), s.with_scope(inner)))  # nested: the outermost one counts

    s.spawn(crowd)
    s.spawn(busy("lone"))
    s.spawn(lambda: s.with_scope(lambda: s.spawn(busy("scoped"))))
    s.run()
    return got


def test_by_scope_many_children_of_one_scope_cannot_drown_a_sibling(kit):
    by_task = shares(kit, "task", 1000, 3000)
    assert by_task["lone"] < 10 and by_task["crowd"] > 2000
    by_scope = shares(kit, "scope", 1000, 3000)
    assert min(by_scope["lone"], by_scope["scoped"]) > 0.2 * sum(by_scope.values())


def test_by_scope_holds_also_where_slots_are_few(kit):
    got = shares(kit, "scope", 40, 2000, max_concurrent_tasks=3)
    assert min(got["lone"], got["scoped"]) > 0.2 * sum(got.values())


def test_by_scope_the_tasks_of_one_scope_take_turns(kit):
    s = kit.scheduler(fair_by="scope")
    log = []

    def body(name):
        for _ in range(2):
            log.append(name)
            steps(s, s.config.yield_every + 1)

    def inside():
        for name in "ab":
            s.spawn(lambda name=name: body(name))

    s.spawn(lambda: s.with_scope(inside))
    s.spawn(lambda: body("x"))
    s.spawn(lambda: body("y"))
    s.run()
    assert "".join(log) == "xyaxybab"


def test_by_scope_can_be_turned_on_and_off_while_running(kit):
    s = kit.scheduler()
    log = []

    def child(name):
        while len(log) < 300:
            log.append(name)
            steps(s, 100)

    def crowd():
        s.with_scope(lambda: [s.spawn(lambda: child("crowd")) for _ in range(9)])

    s.spawn(crowd)
    s.spawn(lambda: child("lone"))
    s.spawn(lambda: (steps(s, 1000), s.configure(fair_by="scope")))
    s.call_later(0.02, lambda: s.configure(fair_by="task"))
    s.run()
    early, middle, late = log[:80], log[120:180], log[-80:]
    assert early.count("lone") <= 12 and late.count("lone") <= 12
    assert 25 <= middle.count("lone") <= 35
    with pytest.raises(HostError, match="fair_by is one of task, scope, not 'user'"):
        s.configure(fair_by="user")


# -- what a task spawns into the root --------------------------------------------------------------


def detached_shares(kit, spawner_is_scoped, spawn_more):
    """What a lone task got, and the crowd that another detached."""
    s = kit.scheduler(fair_by="scope")
    got = {"lone": 0, "crowd": 0}

    def busy(name):
        def body():
            while s.turns < 3000:
                got[name] += 1
                steps(s, s.config.yield_every)

        return body

    def crowd():
        for _ in range(500):
            s.spawn(lambda: spawn_more(s, busy("crowd")), scope=s.root)
        steps(s, 100)

    s.spawn((lambda: s.with_scope(crowd)) if spawner_is_scoped else crowd)
    s.spawn(busy("lone"))
    s.run()
    return got


WAYS = {
    "itself": lambda s, body: body(),
    "tasks": lambda s, body: s.spawn(body),
    "detached tasks": lambda s, body: s.spawn(body, scope=s.root),
    "a scope": lambda s, body: s.with_scope(body),
    "tasks in a scope": lambda s, body: s.with_scope(lambda: s.spawn(body)),
}


@pytest.mark.parametrize("way", sorted(WAYS))
@pytest.mark.parametrize("spawner_is_scoped", [True, False])
def test_detached_tasks_count_to_the_group_of_their_spawner(kit, spawner_is_scoped, way):
    """With all that they make; else many of them would drown the others."""
    got = detached_shares(kit, spawner_is_scoped, WAYS[way])
    assert got["lone"] > 0.4 * sum(got.values())


def test_a_detached_task_lives_as_long_as_the_interpreter(kit):
    """Its share is its spawner's, its life is not."""
    s = kit.scheduler(fair_by="scope")
    log, made = [], []

    def detached():
        s.sleep(5)
        log.append("detached ends")
        raise ValueError("nobody waits for it")

    def body():
        s.with_scope(lambda: made.append(s.spawn(detached, scope=s.root)))
        log.append("scope ends")
        s.cancel(s.current)

    spawner = s.spawn(body)
    s.run()
    assert log == ["scope ends", "detached ends"]
    assert s.unobserved_failures() == made and spawner.is_done


def test_what_is_kept_for_spawners_is_bounded(kit):
    s = kit.scheduler()

    def spawner():
        s.spawn(lambda: s.sleep(1), scope=s.root)

    for _ in range(20):
        for _ in range(100):
            s.spawn(spawner)
        s.run()
    assert len(s.annexes) <= 300


def test_closing_ends_detached_tasks(kit):
    s = kit.scheduler()
    ended = []

    def detached():
        try:
            s.sleep(1000)
        finally:
            ended.append(True)

    s.spawn(lambda: s.spawn(detached, scope=s.root))
    s.run_until(lambda: s.turns > 1)
    s.close()
    assert ended == [True]


# -- yields ----------------------------------------------------------------------------------------


def test_a_yield_goes_behind_every_ready_task_of_other_scopes_too(kit):
    s = kit.scheduler(fair_by="scope")
    log = []

    def crowd():
        for i in range(50):
            s.spawn(lambda i=i: log.append(i))

    def yielder():
        s.yield_now()
        log.append("yielder")

    s.spawn(lambda: s.with_scope(crowd))
    s.spawn(lambda: s.spawn(yielder))
    s.run()
    assert log == [*range(50), "yielder"]


@given(st.lists(st.tuples(st.sampled_from(["queue", "yield", "left", "take"]), st.integers(0, 5))))
def test_whoever_yields_is_taken_behind_all_that_were_queued(ops):
    """For the queue itself: every other promise of it holds as well (nobody lost, none twice)."""
    root = Scope(None, None, "root")
    groups = [Scope(root, None, str(i)) for i in range(3)]
    queue = ScopeQueue()
    queued = []  # in order of arrival
    before = {}  # who yielded -> who was queued then, and was not taken yet
    for what, n in ops:
        if what == "take":
            if not queued:
                continue
            task = queue.popleft()
            assert not before.pop(task, None), "somebody was queued before it yielded"
            queued.remove(task)
            for others in before.values():
                others.discard(task)
        else:
            task = Task()
            task.scope = root if n > 2 else groups[n]
            if what == "yield":
                before[task] = set(queued)
                queue.append_last(task)
            else:
                (queue.append if what == "queue" else queue.appendleft)(task)
            queued.append(task)
        assert len(queue) == len(queued) and set(queue) == set(queued)
    while queued:
        queued.remove(queue.popleft())
    with pytest.raises(IndexError):
        queue.popleft()
