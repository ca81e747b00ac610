"""Several runs as one, with all their sweeps.

A shared machine may be slow for a run's whole twenty minutes. How much quicker it is in the evening, no
number of rounds can tell; other runs can.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from .compare import unlike
from .measure import Series
from .results import Result, Results

#: What is of a run and not of the machine, in the environment.
_OF_A_RUN = ("began", "seconds", "sweeps", "load_before", "stolen", "others")


def together(runs: Sequence[Results]) -> Results:
    """The runs as one; its environment has `runs`, what differs between theirs.

    Raises:
        ValueError: they are of different machines or programs, or do not have the same figures.
    """
    first, *others = runs
    if not others:
        return first
    whole = copy.deepcopy(first)
    for run in others:
        if differences := list(unlike(first, run)):
            raise ValueError(f"these runs cannot be taken together: {'; '.join(differences)}")
        whole.missing |= run.missing
        whole.failed |= run.failed
        for name, result in run.results.items():
            _append(whole.results[name], result)
    whole.environment = {key: each for key, each in first.environment.items() if key not in _OF_A_RUN}
    whole.environment["quick"] = any(run.environment.get("quick") for run in runs)
    whole.environment["runs"] = [told for run in runs for told in each_run(run.environment)]
    return whole


def each_run(environment: dict[str, Any]) -> list[dict[str, Any]]:
    """What is told of each run that the results are of."""
    alone = {key: environment[key] for key in _OF_A_RUN if key in environment}
    return environment.get("runs", [alone])


def _append(whole: Result, result: Result) -> None:
    for number in range(max((len(each.sweeps) for each in result.series), default=0)):
        whole.add([Series(each.contender, each.role, each.x, each.sweeps[number]) for each in result.series])
