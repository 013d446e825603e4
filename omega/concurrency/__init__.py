"""The scheduler: cooperative tasks on stacks of their own, deterministic. No Lisp inside.

Read `scheduler.py` first (how tasks take turns), then `events.py` (what a wait is) and `scopes.py`
(who owns whom). `ConcurrencyManager` is the interface for hosts, `Scheduler` the one for the layers
above.
"""

from __future__ import annotations

from omega.concurrency.asyncio_driver import AsyncioDriver
from omega.concurrency.channels import Channel
from omega.concurrency.config import FINAL_STATES, TRANSITIONS, SchedulerConfig, State, Stats
from omega.concurrency.driver import Driver, VirtualDriver
from omega.concurrency.events import (
    Cell,
    Event,
    always,
    choose,
    end_event,
    guard_event,
    never,
    task_event,
    timer_event,
    with_nack,
    wrap,
)
from omega.concurrency.interface import Scheduler
from omega.concurrency.listing import EventWriter, TaskLine
from omega.concurrency.manager import ConcurrencyManager
from omega.concurrency.outside import External, OutsideHold
from omega.concurrency.parts import Parts
from omega.concurrency.scopes import CancelRequest, Scope
from omega.concurrency.sync import Barrier, IVar, Mutex, Semaphore, Serializer
from omega.concurrency.task import Task
from omega.concurrency.timers import TimerHandle
from omega.concurrency.tokens import CancellationToken

__all__ = [
    "FINAL_STATES",
    "TRANSITIONS",
    "AsyncioDriver",
    "Barrier",
    "CancelRequest",
    "CancellationToken",
    "Cell",
    "Channel",
    "ConcurrencyManager",
    "Driver",
    "Event",
    "EventWriter",
    "External",
    "IVar",
    "Mutex",
    "OutsideHold",
    "Parts",
    "Scheduler",
    "SchedulerConfig",
    "Scope",
    "Semaphore",
    "Serializer",
    "State",
    "Stats",
    "Task",
    "TaskLine",
    "TimerHandle",
    "VirtualDriver",
    "always",
    "choose",
    "end_event",
    "guard_event",
    "never",
    "task_event",
    "timer_event",
    "with_nack",
    "wrap",
]
