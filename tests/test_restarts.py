"""When a worker is started again: back-off and budget, exactly."""

from __future__ import annotations

from typing import Any

import pytest

from mycelium_fast.bridge.config import WorkerConfig
from mycelium_fast.bridge.restarts import RestartPolicy


def policy(**options: Any) -> RestartPolicy:
    return RestartPolicy(WorkerConfig("crasher", ("false",), **options))


def crash(policy: RestartPolicy, lives: list[float], *, failed: bool = True) -> list[float | None]:
    """The delays of a worker that lives so long each time."""
    now, delays = 1000.0, []
    for life in lives:
        policy.started(now)
        now += life
        delay = policy.ended(now, failed=failed)
        delays.append(delay)
        now += delay or 0.0
    return delays


def test_delays_double_up_to_the_longest() -> None:
    one = policy(backoff=0.5, max_backoff=5.0, max_restarts=None)
    assert crash(one, [0.0] * 7) == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0, 5.0]


def test_a_first_delay_over_the_longest_is_the_longest() -> None:
    assert crash(policy(backoff=60.0, max_backoff=30.0), [0.0] * 2) == [30.0, 30.0]


def test_a_worker_that_ran_long_enough_begins_anew() -> None:
    one = policy(backoff=1.0, max_backoff=30.0, healthy_after=10.0, max_restarts=None)
    assert crash(one, [0.0, 0.0, 9.9, 10.0, 0.0]) == [1.0, 2.0, 4.0, 1.0, 2.0]


def test_the_budget_is_exact() -> None:
    one = policy(backoff=0.0, max_restarts=3, restart_window=60.0)
    assert crash(one, [1.0] * 3) == [0.0] * 3
    assert not one.exhausted
    assert crash(one, [1.0]) == [None]
    assert one.exhausted


def test_no_budget_at_all_is_no_restart() -> None:
    one = policy(max_restarts=0)
    assert crash(one, [100.0]) == [None]
    assert one.exhausted


def test_restarts_leave_the_window_one_by_one() -> None:
    one = policy(backoff=0.0, max_restarts=2, restart_window=10.0)
    # It ends at 1004, 1008, and 1014: just when the first restart is 10 s ago, while the second still counts.
    assert crash(one, [4.0, 4.0, 6.0]) == [0.0, 0.0, 0.0]
    assert crash(policy(backoff=0.0, max_restarts=2, restart_window=10.0), [4.0, 4.0, 5.9]) == [
        0.0,
        0.0,
        None,
    ]


@pytest.mark.parametrize(
    ("restart", "failed", "again"),
    [
        ("never", True, False),
        ("never", False, False),
        ("on-failure", True, True),
        ("on-failure", False, False),
        ("always", True, True),
        ("always", False, True),
    ],
)
def test_who_is_started_again(restart: str, failed: bool, again: bool) -> None:
    one = policy(restart=restart)
    assert (crash(one, [1.0], failed=failed) != [None]) is again
    assert not one.exhausted


def test_ends_without_failure_count_as_well_where_they_lead_to_a_restart() -> None:
    one = policy(restart="always", backoff=0.0, max_restarts=2)
    assert crash(one, [0.0] * 3, failed=False) == [0.0, 0.0, None]
