"""How the benchmarks take turns, keep what they measured, and judge two runs. No real time is looked at."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from environments import ROOT
from harness.compare import Verdict, compare, unlike
from harness.figures import SUBJECTS, figures
from harness.measure import Contender, Measure, Series, Wanted, limit, loop, ours, peer
from harness.results import Result, Results, Values, exponent, rounds
from harness.run import Settings, name, run
from harness.summary import lines, number
from harness.together import together

BENCHMARKS = ROOT / "benchmarks"
# --- rounds -------------------------------------------------------------------------------------------------


def measure(tmp_path: Path, *, quick: bool = False) -> Measure:
    return Measure(quick=quick, scratch=tmp_path, build=tmp_path)


def test_contenders_take_turns_in_alternating_order(tmp_path: Path) -> None:
    turns: list[str] = []

    def contender(name: str) -> Callable[[], float]:
        return lambda: turns.append(name) or 1.0  # type: ignore[func-returns-value]

    both = [ours("one", contender("one")), limit("other", contender("other"))]
    measure(tmp_path).sampled(both, rounds=3)
    assert turns == ["one", "other", "other", "one", "one", "other"]


def test_a_turn_is_the_median_of_its_bursts_for_one_operation(tmp_path: Path) -> None:
    # Every third burst is disturbed.
    bursts = iter([10.0, 10.0, 900.0] * 100)
    taken = measure(tmp_path)
    taken.timed(
        [
            ours("ours", lambda count: count * next(bursts) * 1e9, per=2),
            limit("limit", lambda count: count * 1e9),
        ],
        rounds=4,
        bursts=3,
    )
    values = {each.contender: each.values for each in taken.series}
    assert values == {"ours": [5e9] * 4, "limit": [1e9] * 4}


def test_a_turn_takes_about_as_long_as_it_should(tmp_path: Path) -> None:
    counts: list[int] = []

    def run(count: int) -> float:
        counts.append(count)
        return count * 1000.0

    measure(tmp_path).timed([ours("ours", run), limit("limit", run)], rounds=1, round_s=0.02)
    assert counts[-1] == 20_000


def test_quick_is_one_short_round(tmp_path: Path) -> None:
    counts: list[int] = []

    def run(count: int) -> float:
        counts.append(count)
        return count * 1000.0

    taken = measure(tmp_path, quick=True)
    taken.timed([ours("ours", run), limit("limit", run)], rounds=50, round_s=5.0, bursts=9)
    assert [len(each.values) for each in taken.series] == [1, 1]
    assert max(counts) <= 2_000


def test_values_for_several_x_make_a_series_each(tmp_path: Path) -> None:
    taken = measure(tmp_path)
    taken.sampled([ours("ours", lambda: {50.0: 1.0, 99.0: 2.0}), limit("limit", lambda: 0.5)], rounds=2)
    assert [(each.contender, each.x, each.values) for each in taken.series] == [
        ("ours", 50.0, [1.0, 1.0]),
        ("ours", 99.0, [2.0, 2.0]),
        ("limit", None, [0.5, 0.5]),
    ]


def test_a_wrong_result_is_found_before_anything_is_timed(tmp_path: Path) -> None:
    def wrong() -> None:
        raise RuntimeError("other bytes")

    def never(_count: int) -> float:
        raise AssertionError("timed")

    with pytest.raises(RuntimeError, match="ours: other bytes"):
        measure(tmp_path).timed([ours("ours", never, check=wrong), limit("limit", never)])


@pytest.mark.parametrize("when", ["check", "warm-up", "last round"])
def test_a_peer_that_fails_is_named_and_costs_nobody_else_anything(tmp_path: Path, when: str) -> None:
    turns = 0

    def fails(count: int) -> float:
        nonlocal turns
        turns += 1
        if when == "warm-up" or turns > 3:
            raise OSError("no route")
        return count * 1e9

    def check() -> None:
        if when == "check":
            raise ValueError("other bytes")

    taken = measure(tmp_path)
    fine = [ours("ours", lambda count: count * 1e9), limit("limit", lambda count: count * 1e9)]
    taken.timed([peer("broken", fails, check=check), *fine], rounds=3, round_s=1.0)
    assert {each.contender: len(each.values) for each in taken.series} == {"ours": 3, "limit": 3}
    assert list(taken.failed) == ["broken"]
    assert ("other bytes" if when == "check" else "no route") in taken.failed["broken"]


@pytest.mark.parametrize(
    ("contenders", "said"),
    [([ours("a", len)], "the limit"), ([limit("a", len), peer("b", len)], "is ours")],
)
def test_every_figure_has_ours_and_a_limit(tmp_path: Path, contenders: list[Contender], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        measure(tmp_path).timed(contenders)


def test_a_loop_runs_its_statement_as_often_as_it_is_told() -> None:
    seen: list[int] = []
    assert loop("add(1)", add=seen.append)(7) >= 0
    assert seen == [1] * 7


# --- results ------------------------------------------------------------------------------------------------


def result(variant: str, *series: Values, wanted: list[Wanted] | None = None) -> Result:
    return Result(
        "codec/decode", variant, "ns", "a message", "", "What is timed.", "", wanted or [], list(series)
    )


def results(*each: Result) -> Results:
    return Results({"cpu": "x"}, {}, {}, {one.name: one for one in each})


def test_results_are_the_same_after_saving_and_loading(tmp_path: Path) -> None:
    wanted = [Wanted("ours", "msgspec", times=3.0), Wanted("ours", at_most=2.0, x=1.0, explained="why")]
    one = result("tick", Values("ours", "ours", None, [[1.0, 2.5]]), wanted=wanted)
    curve = result("curve", Values("ours", "ours", 10.0, [[1.0], [2.0]]))
    saved = Results(
        {"cpu": "x"}, {"pyzmq": "install it"}, {"bridge/x": "why"}, {one.name: one, curve.name: curve}
    )
    saved.save(tmp_path / "results.json")
    assert Results.load(tmp_path / "results.json") == saved


def test_values_of_one_process_stay_side_by_side_where_somebody_was_absent() -> None:
    one = result("tick")
    one.add([Series("ours", "ours", None, [1.0]), Series("C", "limit", None, [2.0])])
    one.add([Series("ours", "ours", None, [3.0])])
    one.add(
        [
            Series("ours", "ours", None, [5.0]),
            Series("C", "limit", None, [4.0]),
            Series("b", "peer", None, [9.0]),
        ]
    )
    mine, limit_, late = one.series
    assert list(rounds(mine, limit_)) == [(1.0, 2.0), (5.0, 4.0)]
    assert list(rounds(mine, late)) == [(5.0, 9.0)]
    assert mine.median == 3.0


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 99}', '{"format": 1, "figures": {"x": 1}}'])
def test_what_is_no_file_of_results_is_refused_by_name(tmp_path: Path, content: str) -> None:
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(ValueError, match=r"results\.json is no file of results"):
        Results.load(tmp_path / "results.json")


def test_the_exponent_of_a_curve_is_its_slope_between_logarithms() -> None:
    assert exponent([(x, 3 * x**1.5) for x in (1, 10, 100)]) == pytest.approx(1.5)
    assert exponent([(0, 7.0), (1, 7.0), (100, 7.0)]) == pytest.approx(0)
    with pytest.raises(ValueError, match="two x"):
        exponent([(1, 1.0), (1, 2.0)])


def test_a_summary_says_what_was_wanted_and_whether_it_was_reached() -> None:
    wanted = [Wanted("ours", "msgspec", times=3), Wanted("ours", "C", beyond=1.0), Wanted("ours", at_most=5)]
    one = result(
        "tick",
        Values("ours", "ours", None, [[10.0, 20.0, 10.0]]),
        Values("msgspec", "peer", None, [[40.0, 80.0, 40.0]]),
        Values("C", "limit", None, [[5.0, 10.0, 5.0]]),
        wanted=wanted,
    )
    said = "\n".join(lines(results(one)))
    assert "ours: 10 ns (10 ns to 20 ns), 2.00 times the limit" in said
    assert "ours against msgspec: 4.00 times, wanted 3: reached" in said
    assert "ours beyond C: 5 ns, at most 1 ns: NOT reached" in said
    assert "ours: 10 ns, at most 5 ns: NOT reached" in said


def test_numbers_have_three_digits_and_a_unit_that_suits_them() -> None:
    assert [number(value, "ns") for value in (1.234, 12_345, 1.5e9)] == ["1.23 ns", "12.3 µs", "1.5 s"]
    assert [number(value, "B") for value in (22, 20 * 1024)] == ["22 B", "20 KiB"]
    assert number(0.5, "") == "0.5"


# --- comparing ----------------------------------------------------------------------------------------------


def noisy(seed: int, *, slower: float = 1.0, processes: int = 20, noise: float = 0.03) -> Results:
    """A run on a machine whose speed moves by a factor of two, and where one process in ten is unlucky."""
    chance = random.Random(seed)
    run = Results()
    for variant in map(str, range(40)):
        mine, others = Values("ours", "ours", None, []), Values("C", "limit", None, [])
        for _ in range(processes):
            unlucky = 1.5 if chance.random() < 0.1 else 1.0
            phases = [chance.uniform(1, 2) for _ in range(5)]
            mine.sweeps.append(
                [25 * slower * unlucky * one * chance.lognormvariate(0, noise) for one in phases]
            )
            others.sweeps.append([10 * one * chance.lognormvariate(0, noise) for one in phases])
        one = result(variant, mine, others)
        run.results[one.name] = one
    return run


def words(verdicts: list[Verdict]) -> set[str]:
    return {each.word for each in verdicts}


def test_a_run_of_the_same_code_is_neither_slower_nor_faster() -> None:
    found = Counter(each.word for seed in range(10) for each in compare(noisy(seed), noisy(seed + 100)))
    assert found.keys() <= {"same", "unclear"}
    assert found["same"] > 0.9 * found.total()


def test_what_takes_a_quarter_longer_is_found_slower_and_the_other_way_round_faster() -> None:
    for seed in range(5):
        base, slow = noisy(seed), noisy(seed + 100, slower=1.25)
        for one, other, word in [(base, slow, "slower"), (slow, base, "faster")]:
            found = Counter(each.word for each in compare(one, other))
            assert found.keys() <= {word, "same", "unclear"}
            assert found[word] > 0.8 * found.total()


def test_a_figure_shows_what_none_of_its_variants_shows_alone() -> None:
    base, same = noisy(1, processes=6, noise=0.15), noisy(2, processes=6, noise=0.15)
    slow = noisy(3, processes=6, noise=0.15, slower=1.25)
    alone = Counter(each.word for each in compare(base, slow) if each.within is not None)
    assert alone["slower"] < 0.2 * alone.total()
    for run_, expected in ((slow, "slower"), (same, "same")):
        (whole,) = (each for each in compare(base, run_) if each.within is None)
        assert (whole.figure, whole.contender, whole.word) == ("codec/decode", "ours, all 40", expected)


def test_a_wait_that_is_set_is_no_slower_where_the_others_became_quicker() -> None:
    def run_(wait: float, machine: float) -> Results:
        chance = random.Random(str((wait, machine)))
        mine = [[wait * chance.uniform(0.98, 1.02) for _ in range(3)] for _ in range(8)]
        others = [[machine * chance.uniform(0.8, 1.2) for _ in range(3)] for _ in range(8)]
        return results(result("", Values("ours", "ours", None, mine), Values("C", "limit", None, others)))

    assert words(list(compare(run_(600, 60), run_(600, 30)))) == {"unclear"}
    assert words(list(compare(run_(600, 60), run_(900, 30)))) == {"slower"}


def test_what_is_too_noisy_to_tell_is_called_unclear() -> None:
    base, slow = noisy(1, processes=5, noise=0.8), noisy(2, processes=5, noise=0.8, slower=1.25)
    found = words(list(compare(base, slow)))
    assert "unclear" in found
    assert "slower" not in found


def test_a_single_process_says_nothing_of_noise() -> None:
    assert words(list(compare(noisy(1, processes=1), noisy(2, processes=1, slower=9)))) == {"unclear"}


def test_a_change_is_how_much_longer_it_takes_beside_the_others() -> None:
    (slower,) = compare(
        results(
            result("", Values("ours", "ours", None, [[10.0]] * 3), Values("C", "limit", None, [[5.0]] * 3))
        ),
        results(
            result("", Values("ours", "ours", None, [[30.0]] * 3), Values("C", "limit", None, [[10.0]] * 3))
        ),
    )
    assert slower.word == "slower"
    assert slower.change == pytest.approx(0.5)
    assert not slower.within


def test_other_machines_versions_and_figures_are_named() -> None:
    base = Results({"cpu": "a", "versions": {"numpy": "1"}}, {}, {}, {"codec/old": result("old")})
    new = Results({"cpu": "b", "versions": {"numpy": "2"}}, {}, {}, {"codec/new": result("new")})
    assert list(unlike(base, new)) == [
        "cpu: a before, b now",
        "numpy: 1 before, 2 now",
        "not measured this time: codec/old",
        "not measured before: codec/new",
    ]


def test_several_runs_are_one_with_the_spread_of_all() -> None:
    mine, others = Values("ours", "ours", None, [[1.0], [2.0]]), Values("C", "limit", None, [[1.0], [1.0]])
    morning = results(result("tick", mine, others))
    late = Values("ours", "ours", None, [[6.0]]), Values("b", "peer", None, [[9.0]])
    evening = results(result("tick", *late))
    morning.environment |= {"began": "8:00", "sweeps": 2}
    evening.environment |= {"began": "20:00", "sweeps": 1}
    evening.failed["codec/decode/text"] = "why"
    whole = together([morning, evening])
    (one,) = whole.results.values()
    values = {each.contender: each.sweeps for each in one.series}
    assert values == {"ours": [[1.0], [2.0], [6.0]], "C": [[1.0], [1.0], []], "b": [[], [], [9.0]]}
    assert whole.failed == {"codec/decode/text": "why"}
    assert whole.environment == {
        "cpu": "x",
        "quick": False,
        "runs": [{"began": "8:00", "sweeps": 2}, {"began": "20:00", "sweeps": 1}],
    }
    assert mine.sweeps == [[1.0], [2.0]]  # the run is as it was
    assert together([whole, morning]).environment["runs"] == [
        *whole.environment["runs"],
        {"began": "8:00", "sweeps": 2},
    ]
    assert together([morning]) is morning


def test_runs_of_other_machines_or_figures_are_not_taken_together() -> None:
    here, there = results(result("tick")), results(result("text"))
    there.environment["cpu"] = "y"
    said = "cannot be taken together: cpu: x before, y now; not measured this time: codec/decode/tick; "
    with pytest.raises(ValueError, match=said):
        together([here, there])


def test_the_command_fails_only_where_something_became_slower(tmp_path: Path) -> None:
    paths = {}
    for which, run_ in {"base": noisy(1), "same": noisy(2), "slow": noisy(3, slower=1.4)}.items():
        paths[which] = tmp_path / f"{which}.json"
        run_.save(paths[which])
    program = [sys.executable, str(BENCHMARKS / "compare.py")]
    same = subprocess.run([*program, paths["base"], paths["same"]], capture_output=True, text=True)
    assert same.returncode == 0, same.stdout + same.stderr
    assert "0 slower, 0 faster, " in same.stdout
    slow = subprocess.run([*program, paths["base"], paths["slow"]], capture_output=True, text=True)
    assert slow.returncode == 1
    assert slow.stdout.count("slower   codec/decode/") > 35
    none = subprocess.run([*program, paths["base"], tmp_path / "none.json"], capture_output=True, text=True)
    assert (none.returncode, "none.json" in none.stderr) == (2, True)


# --- whole runs ---------------------------------------------------------------------------------------------


def program_with(folder: Path, codec: str) -> Path:
    """The benchmarks' program, with these figures alone."""
    program = folder / "benchmarks"
    program.mkdir()
    (program / "__main__.py").write_text((BENCHMARKS / "__main__.py").read_text())
    (program / "harness").symlink_to(BENCHMARKS / "harness")
    for subject in SUBJECTS:
        (program / f"{subject}.py").write_text(codec if subject == "codec" else "")
    return program


def test_a_run_that_is_interrupted_leaves_whole_results_alone_and_nothing_behind(tmp_path: Path) -> None:
    program = program_with(
        tmp_path,
        "import signal\n"
        "from harness import figure, limit, ours\n"
        "from harness.processes import Process\n"
        "from harness.shared import folder\n"
        "@figure('good')\n"
        "def good(measure, variant):\n"
        "    measure.sampled([ours('ours', lambda: 2), limit('limit', lambda: 1)])\n"
        "@figure('waits')\n"
        "def waits(measure, variant):\n"
        "    (folder() / 'file').touch()\n"
        "    Process([]).start(signal.pause)\n"
        "    print('waiting', flush=True)\n"
        "    signal.pause()\n",
    )
    scratch = tmp_path / "scratch"
    whole = tmp_path / "build" / "benchmarks.json"
    for each in (scratch, whole.parent):
        each.mkdir()
    whole.write_text("all of it")
    running = subprocess.Popen(
        [sys.executable, program],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(scratch)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert running.stderr is not None
    assert any(line == "waiting\n" for line in running.stderr)
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does
    said, errors = running.communicate(timeout=30)
    assert running.returncode == 128 + signal.SIGINT, errors
    assert "interrupted" in errors
    assert "Traceback" not in errors
    assert "benchmarks-part.json" in said
    assert whole.read_text() == "all of it"
    assert list(Results.load(whole.with_name("benchmarks-part.json")).results) == ["codec/good"]
    assert list(scratch.iterdir()) == []
    with pytest.raises(ProcessLookupError):
        for _ in range(2000):  # its resource tracker ends when everybody else has
            os.killpg(running.pid, 0)
            time.sleep(0.01)


def test_a_figure_that_fails_costs_only_itself(tmp_path: Path) -> None:
    program = program_with(
        tmp_path,
        "from harness import figure, limit, ours\n"
        "@figure('good')\n"
        "def good(measure, variant):\n"
        "    print('what programs print is none of our lines')\n"
        "    measure.sampled([ours('ours', lambda: 2), limit('limit', lambda: 1)])\n"
        "@figure('bad', variants=['a', 'b'])\n"
        "def bad(measure, variant):\n"
        "    if variant == 'a':\n"
        "        raise RuntimeError('nothing came')\n"
        "    good(measure, variant)\n",
    )
    out = tmp_path / "out.json"
    command = [sys.executable, program, "--sweeps", "2", "--out", out, "--build", tmp_path / "build"]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 1, ended.stderr
    assert "FAILED codec/bad/a" in ended.stdout
    assert "nothing came" in ended.stdout
    found = Results.load(out)
    processes = 2 * SUBJECTS["codec"].processes
    counts = {each.name: len(each.find("ours").sweeps) for each in found.results.values()}  # type: ignore[union-attr]
    assert counts == {"codec/good": processes, "codec/bad/b": processes}
    assert found.failed.keys() == {"codec/bad/a"}
    assert found.environment["sweeps"] == 2


def test_a_name_that_no_figure_has_is_refused(tmp_path: Path) -> None:
    settings = Settings(("codec/nothing",), 1, True, tmp_path)
    with pytest.raises(LookupError, match="codec/nothing: --list"):
        run(settings, lambda *_: None, Results())


def test_one_figure_runs_alone_by_its_name(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    command = [
        sys.executable,
        BENCHMARKS,
        "codec/decode/tick",
        "--quick",
        "--out",
        out,
        "--build",
        tmp_path / "b",
    ]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert list(json.loads(out.read_text())["figures"]) == ["codec/decode/tick"]


@pytest.mark.parametrize("subject", SUBJECTS)
def test_every_figure_says_what_it_shows(subject: str) -> None:
    assert figures(subject)
    for each in figures(subject):
        assert len(each.text) > 80, name(each, "")
