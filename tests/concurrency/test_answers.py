"""Where each answer of the design of concurrency is tested: a row of its table, the tests by name.

Owns: the index, and that it is true. A spec is named by its file and the title of a section.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent

ANSWERS: dict[str, tuple[str, ...]] = {
    "what is a wait": (
        "concurrency/test_waits.py::test_one_completer_wins_and_late_wake_ups_are_counted",
        "concurrency/test_waits.py::test_losing_nacks_happen_and_the_winners_do_not",
        "concurrency/test_waits.py::test_guard_event_is_made_anew_at_every_sync",
        "spec/waits.omega::events compose: guard-event, with-nack, always, never",
        "spec/waits.omega::one sync over channels, tasks, timers and models",
    ),
    "await-all": (
        "concurrency/test_waits.py::test_await_all_waits_for_the_rest_before_it_raises",
        "concurrency/test_waits.py::test_await_all_fail_fast_cancels_the_rest",
        "concurrency/test_waits.py::test_await_all_settle_never_raises",
        "spec/waits.omega::tasks-failed tells every outcome",
    ),
    "await-any": (
        "concurrency/test_waits.py::test_await_any_takes_the_first_to_complete_and_tells_which",
        "concurrency/test_waits.py::test_await_any_of_only_failures_raises_all_causes",
        "concurrency/test_waits.py::test_await_any_ties_go_to_the_lowest_index",
        "concurrency/test_waits.py::test_await_first_takes_the_first_to_end_however",
    ),
    "race": (
        "concurrency/test_waits.py::test_race_cancels_the_losers_and_waits_for_their_cleanup",
    ),
    "par-map": (
        "concurrency/test_waits.py::test_par_map_keeps_order_and_the_bound",
        "concurrency/test_waits.py::test_par_map_first_error_cancels_the_rest",
        "concurrency/test_waits.py::test_par_map_keeps_errors_when_told",
    ),
    "parents and children": (
        "concurrency/test_scopes.py::test_a_scope_ends_after_its_tasks",
        "concurrency/test_scopes.py::"
        "test_children_belong_to_the_current_scope_and_detached_ones_to_the_root",
        "concurrency/test_cancellation.py::test_cancelling_a_task_goes_down_into_its_scopes_at_once",
    ),
    "failures nobody waits for": (
        "concurrency/test_scopes.py::"
        "test_an_unobserved_failure_cancels_the_scope_body_included_and_is_raised_at_its_end",
        "concurrency/test_scopes.py::test_the_root_only_reports_failures_in_spawn_order",
        "cli/test_exit_codes.py::test_failures_nobody_observed_are_all_reported_in_spawn_order",
    ),
    "cancellation": (
        "concurrency/test_cancellation.py::test_cancel_is_level_triggered",
        "concurrency/test_cancellation.py::test_cancel_carries_who_why_when",
        "concurrency/test_cancellation.py::test_cleanup_is_shielded_with_a_deadline",
        "concurrency/test_cancellation.py::test_cancel_of_a_completed_task_is_false",
        "spec/tasks.omega::cancel",
        "spec/tasks.omega::a cancel goes on, whatever its cleanup does",
    ),
    "cancel of a pending task": (
        "concurrency/test_cancellation.py::test_cancel_of_a_pending_task_ends_it_at_once",
        "spec/waits.omega::one sync over channels, tasks, timers and models",
    ),
    "cancel of a suspended task": (
        "embedding/test_calls.py::"
        "test_cancelling_a_task_in_flight_closes_the_connection_and_frees_the_slot",
    ),
    "cancel against result": (
        "concurrency/test_channels.py::"
        "test_a_value_handed_over_before_the_cancel_is_delivered_and_the_cancel_stays_pending",
    ),
    "awaiting a cancelled task": (
        "concurrency/test_waits.py::test_awaiting_a_cancelled_task_raises_and_the_waiter_lives_on",
    ),
    "timeouts": (
        "concurrency/test_timeouts.py::test_a_deadline_given_to_a_task_bounds_its_children_as_well",
        "concurrency/test_timeouts.py::test_queue_timeout_counts_until_the_start",
        "concurrency/test_timeouts.py::test_each_limit_converts_only_its_own_cancel",
        "concurrency/test_timeouts.py::"
        "test_a_committed_result_beats_the_timeout_and_the_overrun_is_reported",
        "concurrency/test_contract.py::test_task_timeout_counts_from_the_start",
    ),
    "eager start": ("concurrency/test_contract.py::test_submit_never_starts_the_body",),
    "self-await, cycles": (
        "concurrency/test_waits.py::test_self_await_is_an_immediate_deadlock",
        "concurrency/test_waits.py::test_a_cycle_is_found_at_once_and_named",
    ),
    "deadlock": (
        "concurrency/test_deadlocks.py::"
        "test_deadlock_carries_the_whole_graph_with_holders_and_places",
        "concurrency/test_deadlocks.py::"
        "test_run_gives_the_deadlock_to_the_oldest_stuck_foreground_task",
        "concurrency/test_deadlocks.py::test_no_deadlock_while_an_outside_source_is_held",
        "concurrency/test_asyncio.py::test_a_deadlock_inside_a_host_loop_is_an_event_and_a_report",
    ),
    "(atomic body ...)": (
        "concurrency/test_cancellation.py::"
        "test_atomic_sections_are_not_sliced_not_cancelled_and_may_not_wait",
    ),
    "shielding": (
        "concurrency/test_cancellation.py::test_shield_delays_cancellation_until_it_ends",
    ),
    "channels": (
        "concurrency/test_channels.py::test_channel_capacity_0_is_a_rendezvous",
        "concurrency/test_channels.py::test_channel_is_fifo_and_bounded",
        "concurrency/test_channels.py::"
        "test_a_cancelled_receiver_consumes_nothing_and_a_cancelled_sender_delivers_nothing",
        "concurrency/test_channels.py::test_close_wakes_all_and_drains_the_buffer",
    ),
    "mutex, semaphore, serializer": (
        "concurrency/test_sync.py::test_mutex_is_fifo_hand_off_released_on_cancel",
        "concurrency/test_sync.py::test_no_barging_past_the_head_waiter",
        "concurrency/test_sync.py::test_semaphore_serializer_barrier_ivar",
    ),
    "host callbacks": (
        "concurrency/test_cancellation.py::"
        "test_no_switch_keeps_the_processor_and_names_the_host_function",
        "concurrency/test_limits.py::test_wall_deadline_reaches_into_a_barrier",
    ),
    "threads": (
        "concurrency/test_threads.py::test_foreign_threads_post_to_the_inbox",
        "concurrency/test_threads.py::test_an_abandoned_blocking_call_keeps_its_slot_until_it_ends",
        "concurrency/test_host.py::test_another_thread_is_told_so",
    ),
    "Ctrl-C": (
        "concurrency/test_interrupts.py::test_ctrl_c_sets_a_flag_and_ends_the_slice",
        "cli/test_process.py::test_ctrl_c_runs_cleanup",
        "cli/test_process.py::test_a_second_ctrl_c_does_not_wait_for_cleanup",
        "cli/test_repl.py::test_ctrl_c_cancels_the_form_and_nothing_else",
        "cli/test_repl.py::test_ctrl_c_clears_the_line",
    ),
    "ids": (
        "concurrency/test_seeing.py::test_ids_are_spawn_paths_and_effects_are_numbered_per_task",
        "concurrency/test_contract.py::test_every_operation_takes_a_task_or_its_id",
        "concurrency/test_cancellation.py::test_cancel_by_id_and_unknown_ids",
    ),
    "supervision": (
        "concurrency/test_supervision.py::test_one_for_one_restarts_only_what_failed",
        "concurrency/test_supervision.py::"
        "test_all_restarts_every_child_the_others_cancelled_newest_first",
        "concurrency/test_supervision.py::"
        "test_it_gives_up_upwards_with_the_last_errors_after_cleaning_up",
        "spec/waits.omega::supervise: children that fail are started again",
    ),
    # Fairness, of its own section.
    "three policies": (
        "concurrency/test_policies.py::test_three_policies_show_three_different_traces",
    ),
    "effective priority ages": (
        "concurrency/test_lending.py::test_a_ready_task_runs_within_the_bound_on_random_loads",
    ),
    "no priority inversion": (
        "concurrency/test_lending.py::"
        "test_a_mutex_holder_runs_at_once_when_a_more_urgent_task_waits",
        "concurrency/test_lending.py::test_it_goes_on_along_any_chain_of_waits",
        "concurrency/test_lending.py::test_it_ends_with_the_wait_however_that_ends",
        "embedding/test_calls.py::test_priority_is_lent_along_the_queue_of_calls",
    ),
    "fair by scope": (
        "concurrency/test_fair_by_scope.py::"
        "test_detached_tasks_count_to_the_group_of_their_spawner",
        "concurrency/test_fair_by_scope.py::"
        "test_by_scope_many_children_of_one_scope_cannot_drown_a_sibling",
    ),
    "an explicit yield": (
        "concurrency/test_policies.py::test_an_explicit_yield_goes_once_behind_every_ready_task",
        "concurrency/test_lending.py::"
        "test_a_yield_goes_behind_every_ready_task_also_the_less_urgent",
        "concurrency/test_fair_by_scope.py::"
        "test_a_yield_goes_behind_every_ready_task_of_other_scopes_too",
    ),
}


@pytest.mark.parametrize("row", ANSWERS)
def test_every_row_of_the_answers_has_the_tests_it_names(row: str) -> None:
    for named in ANSWERS[row]:
        file, _, name = named.partition("::")
        text = (TESTS / file).read_text("utf-8")
        if file.endswith(".py"):
            assert re.search(rf"^def {name}\(", text, re.M), f"{named} is gone"
        else:
            assert re.search(rf"^; {re.escape(name)}$", text, re.M), f"{named} is gone"
