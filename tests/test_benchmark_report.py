"""The report of the benchmarks: what is in a results file is on the pages, and is said as it is.

Results are made up here, with a value for each that can be found again; nothing is measured.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from environments import ROOT
from harness.figures import SUBJECTS
from harness.measure import Role, Wanted
from harness.results import Result, Results, Values

pytest.importorskip("matplotlib", reason="it draws the charts")
from report import charts, pages, tables

REPORT = ROOT / "benchmarks" / "report"
README = "# Something\n\n<!-- benchmarks -->\nold\n<!-- /benchmarks -->\n\nThe rest.\n"
SVG = "{http://www.w3.org/2000/svg}"
LINK = re.compile(r"\]\(([^)#]*)(?:#([^)]+))?\)")


def values(name: str, role: Role, value: float, x: float | None = None) -> Values:
    """Two sweeps of three rounds, in which everybody is 10 % slower or quicker at the same time."""
    return Values(name, role, x, [[value, value * 1.1, value * 0.9]] * 2)


def result(figure: str, variant: str, series: Sequence[Values], **more: Any) -> Result:
    given = {"unit": "ns", "of": "a message", "axis": "", "text": "What is timed.", "limit_explained": ""}
    return Result(figure=figure, variant=variant, series=list(series), **{**given, "wanted": [], **more})


def everything() -> Results:
    """All shapes that there are: columns, curves, percentiles, bytes, what is missing, and what failed."""
    decode = [values("ours", "ours", 20), values("msgspec", "peer", 80), values("C", "limit", 10)]
    wanted = [
        Wanted("ours", "msgspec", times=3),
        Wanted("ours", "C", times=1 / 1.15, explained="Reading a field"),
        Wanted("ours", "C", beyond=12),
        Wanted("ours", at_most=15),
        Wanted("ours", "nobody", times=2),
    ]
    sizes = (0, 64, 1024, 65_536)
    curve = [
        values(name, role, 40 if x == 0 else factor * x**power, x)
        for x in sizes
        for name, role, factor, power in (("ours", "ours", 10, 0.5), ("memcpy", "limit", 5, 1.0))
    ]
    latency = [
        values(name, role, factor * 10**index, x)
        for index, x in enumerate((50, 99, 99.99))
        for name, role, factor in (("ours, balanced", "ours", 11_000), ("C", "limit", 9_000))
    ]
    found = [
        result("codec/decode", "tick", decode, wanted=wanted, limit_explained="Reading a field"),
        result("codec/decode", "text", decode[::2], text="Second."),
        result("codec/append", "", decode),
        result(
            "transport/one way",
            "Unix, TradeTick",
            [values("ours, balanced", "ours", 70), decode[2]],
            wanted=[Wanted("ours, balanced", at_most=80, explained="Wake-ups")],
            limit_explained="One call a message",
        ),
        result("growth/size", "decode", curve, axis="bytes of payload"),
        result("growth/size", "frame out", curve[:2], axis="bytes of payload"),
        result("growth/connections", "", [*curve[2:], values("C", "limit", 9)], axis="connections"),
        result("growth/memory", "", [values("ours", "ours", 9100), values("C", "limit", 0)], unit="B"),
        result("latency/direct", "1,000 a second", latency, axis="percentile"),
    ]
    environment = {"cpu": "A processor", "cores": 2, "virtual": True, "seconds": 754, "stolen": 0.013}
    environment |= {"python": "CPython 3.11", "versions": {"msgspec": "0.22"}, "sweeps": 2, "quick": False}
    return Results(
        environment=environment,
        missing={"eclipse-zenoh": "make bench-peers"},
        failed={"bridge/fan-out/to 4": "Traceback\n  line\nTimeoutError: nothing came"},
        results={each.name: each for each in found},
    )


@pytest.fixture(scope="module")
def text() -> str:
    return pages.page(everything())


def section(text: str, heading: str) -> str:
    """What stands below a heading, to the next one."""
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, heading
    return found[1]


def rows(text: str, name: str) -> list[list[str]]:
    """The cells of the rows whose first cell is this."""
    found = [[cell.strip() for cell in line.strip("|").split(" |")] for line in text.splitlines()]
    return [cells[1:] for cells in found if cells[0] == name]


def write(folder: Path, results: Results) -> subprocess.CompletedProcess[str]:
    results.save(folder / "results.json")
    (folder / "README.md").write_text(README)
    return report(folder)


def report(folder: Path, *files: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(REPORT), *(str(folder / each) for each in files or ["results.json"])]
    command += ["--docs", str(folder / "docs"), "--readme", str(folder / "README.md")]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


# --- the page -----------------------------------------------------------------------------------------------


def test_every_figure_is_on_the_page(text: str) -> None:
    for group in tables.grouped(everything()):
        below = section(text, tables.heading(group))
        assert 'make bench ARGS="' in below
        assert group.first.text in below
        assert f"[{group.name}](#{tables.slug(tables.heading(group))})" in text


def test_a_cell_has_the_median_the_multiple_of_the_limit_and_the_range(text: str) -> None:
    below = section(text, "Codec: decode")
    assert rows(below, "**ours**") == [["20 ns, 2.0×<br><small>18–22 ns</small>"] * 2]  # noqa: RUF001
    assert rows(below, "*C* (limit)") == [["10 ns<br><small>9–11 ns</small>"] * 2]  # noqa: RUF001


def test_who_takes_no_part_in_a_variant_has_a_dash_there(text: str) -> None:
    [[tick, absent]] = rows(section(text, "Codec: decode"), "msgspec")
    assert tick.startswith("80 ns")
    assert absent == tables.DASH


def test_ours_come_first_and_limits_last(text: str) -> None:
    names = re.findall(r"^\| (\S.*?) \|", section(text, "Codec: decode"), re.MULTILINE)
    assert names[1:4] == ["**ours**", "msgspec", "*C* (limit)"]


def test_what_was_wanted_is_shown_as_met_or_missed_with_the_reason(text: str) -> None:
    below = section(text, "Codec: decode")
    assert rows(below, "msgspec / ours") == [["4.00 (≥ 3) met", ""]]
    missed = "**missed** ([why](performance.md#reading-a-field))"
    assert rows(below, "ours / C") == [[f"2.00 (≤ 1.15) {missed}", ""]]
    assert rows(below, f"ours {tables.MINUS} C") == [["10 ns (≤ 12 ns) met", ""]]
    assert rows(below, "ours") == [["20 ns (≤ 15 ns) **missed**", ""]]
    assert rows(below, "nobody / ours") == [["(≥ 2) not measured", ""]]
    last = section(text, "What was wanted")
    assert "3 met, 2 missed, 1 not measured." in last
    assert len(rows(last, "[codec/decode](#codec-decode)")) == 5


def test_thresholds_of_one_comparison_are_quotients_the_same_way_round() -> None:
    series = [values("ours", "ours", 20), values("msgspec", "peer", 30)]
    variants = [
        result("codec/build", f"{times}", series, wanted=[Wanted("ours", "msgspec", times=times)])
        for times in (1.4, 0.9)
    ]
    found = tables.verdicts(tables.Group("codec/build", variants))
    assert [(each.what, each.value, each.bound, each.met) for each in found] == [
        ("msgspec / ours", "1.50", "≥ 1.4", True),
        ("msgspec / ours", "1.50", "≥ 0.9", True),
    ]


def test_ours_that_are_far_from_the_limit_are_listed_with_the_reason(text: str) -> None:
    below = section(text, "Far from the limit")
    [cells] = rows(below, "[codec/decode](#codec-decode)")
    reason = "[Reading a field](performance.md#reading-a-field)"
    assert cells == ["ours", "tick 2.0×; text 2.0×", reason]  # noqa: RUF001
    [cells] = rows(below, "[codec/append](#codec-append)")
    assert cells[-1] == tables.DASH
    [cells] = rows(below, "[transport/one way](#transport-one-way)")
    assert cells[-1] == "[Wake-ups](performance.md#wake-ups)"
    assert "latency/direct" not in below  # 1.2 times
    assert "growth/memory" not in below  # its limit is 0


def test_curves_have_their_x_as_columns_and_a_fitted_exponent(text: str) -> None:
    below = section(text, "Growth: size")
    assert "| decode; bytes of payload: | 0 B | 64 B | 1 KiB | 64 KiB | exponent |" in below
    decode, frame_out = rows(below, "**ours**")
    assert decode[-1] == "0.50"
    assert len(frame_out) == 1  # one point, through which there is no curve
    assert rows(below, "*memcpy* (limit)")[0][-1] == "1.00"
    below = section(text, "Latency: direct")
    assert "| 1,000 a second; percentile: | 50 | 99 | 99.99 |" in below
    assert "exponent" not in below


def test_a_limit_without_x_stands_for_every_x(text: str) -> None:
    [cells] = rows(section(text, "Growth: connections"), "*C* (limit)")
    assert [cell.partition("<")[0] for cell in cells] == ["9 ns", "9 ns", "9 ns", tables.DASH]


def test_exponents_are_the_median_least_and_most_of_the_rounds() -> None:
    powers = (0.4, 0.5, 0.7)
    series = [Values("ours", "ours", x, [[x**power for power in powers]]) for x in (10.0, 100.0, 1000.0)]
    curve = result("growth/x", "", series, axis="connections")
    assert tables.fit(curve, "ours") == pytest.approx((0.5, 0.4, 0.7))
    assert tables.fit_text(curve, "ours") == ("0.50", "0.40 to 0.70")
    assert tables.fit(curve, "nobody") is None


def test_missing_peers_and_failures_are_named(text: str) -> None:
    below = section(text, pages.LAST)
    assert "- eclipse-zenoh: make bench-peers" in below
    assert "- bridge/fan-out/to 4: `TimeoutError: nothing came`" in below
    assert "`bridge/fan-out/to 4`" in section(text, "Bridge")


def test_the_machine_is_described(text: str) -> None:
    below = section(text, "The machine")
    assert "| processor | A processor |" in below
    assert "| duration | 12 min 34 s |" in below
    assert "msgspec 0.22" in below
    assert "1.3 %" in below


def test_peers_that_are_quicker_are_listed_with_how_much_and_where() -> None:
    def of(variant: str, theirs: float, x: float | None = None) -> Result:
        series = [
            values("ours", "ours", 30, x),
            values("them", "peer", theirs, x),
            values("C", "limit", 10, x),
        ]
        return result("codec/decode", variant, series)

    found = {each.name: each for each in (of("tick", 10), of("text", 29), of("pool", 40))}
    text = section(pages.page(Results(results=found)), "Where others are quicker")
    assert rows(text, "[codec/decode](#codec-decode)") == [["them", "ours: tick 3.0×"]]  # noqa: RUF001
    curve = result(
        "growth/size",
        "decode",
        [values(*who, x) for x in (1, 8) for who in (("ours", "ours", 30), ("them", "peer", 20 + x))],
        axis="connections",
    )
    text = pages.page(Results(results={curve.name: curve}))
    assert rows(section(text, "Where others are quicker"), "[growth/size](#growth-size)") == [
        ["them", "ours: decode 1.4× at 1"]  # noqa: RUF001
    ]
    quick = pages.page(Results(results={"codec/decode/pool": found["codec/decode/pool"]}))
    assert "Nobody is." in section(quick, "Where others are quicker")


def test_links_lead_somewhere(text: str, tmp_path: Path) -> None:
    assert write(tmp_path, everything()).returncode == 0
    docs = tmp_path / "docs"
    shutil.copy(ROOT / "docs" / "performance.md", docs)
    shutil.copy(ROOT / "docs" / "benchmarks-explained.md", docs)
    for page in (docs / "benchmarks.md", tmp_path / "README.md"):
        for target, anchor in LINK.findall(page.read_text()):
            path = page.parent / target if target else page
            assert path.exists(), target
            headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE) if anchor else []
            assert not anchor or anchor in map(tables.slug, headings), anchor


@pytest.mark.parametrize(
    ("results", "said"),
    [
        (Results(), "- Codec: not measured"),
        (Results(environment={"quick": True}), pages.QUICK),
        (Results(failed={"startup": "its process ended with -9"}), "- startup: `its process ended with -9`"),
    ],
    ids=["nothing", "quick", "failed"],
)
def test_pages_are_made_of_partial_results(results: Results, said: str) -> None:
    assert said in pages.page(results)
    assert tables.DASH in pages.summary(results)


def test_every_subject_has_a_title() -> None:
    assert list(pages.TITLES) == list(SUBJECTS)


# --- charts -------------------------------------------------------------------------------------------------


def drawings() -> dict[str, str]:
    return {group.key: charts.draw(group) for group in tables.grouped(everything()) if charts.is_drawn(group)}


def test_charts_are_small_xml_in_both_colour_schemes_that_refers_to_nothing_else() -> None:
    found = drawings()
    assert set(found) == {
        "codec/decode",
        "transport/one way",
        "growth/size",
        "growth/connections",
        "latency/direct",
    }
    for key, text in found.items():
        root = ET.fromstring(text)
        assert root.tag == f"{SVG}svg"
        assert key in (root.findtext(f"{SVG}title") or "")
        assert root.findtext(f"{SVG}desc")
        assert "prefers-color-scheme:dark" in text
        addresses = set(re.findall(r"https?://[^\s\"'<>]+", text))
        assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
        assert not re.findall(r"#0000[ab]\d", text), "a colour that was not replaced"
        assert len(text) < 40_000


def test_charts_name_contenders_values_and_exponents() -> None:
    found = {key: "\n".join(ET.fromstring(text).itertext()) for key, text in drawings().items()}
    assert {"msgspec", "20 ns", "80 ns"} <= set(found["codec/decode"].splitlines())
    assert "ours: 0.50" in found["growth/size"]
    assert "99.99" in found["latency/direct"]


def test_the_same_results_give_the_same_bytes() -> None:
    assert drawings() == drawings()


def test_names_beside_curves_do_not_touch() -> None:
    wanted = [0.1, 0.11, 0.5, 0.98, 0.99, 1.0]
    found = charts._apart(wanted, 0.08)
    assert all(after - before >= 0.0799 for before, after in pairwise(found))
    assert found[-1] == 1.0


# --- the command --------------------------------------------------------------------------------------------


def test_the_command_writes_pages_charts_and_the_results_as_they_are(tmp_path: Path) -> None:
    stale = tmp_path / "docs" / charts.FOLDER / "no-more.svg"
    stale.parent.mkdir(parents=True)
    stale.touch()
    ran = write(tmp_path, everything())
    assert ran.returncode == 0, ran.stderr
    docs = tmp_path / "docs"
    assert (docs / "benchmarks.json").read_bytes() == (tmp_path / "results.json").read_bytes()
    assert (docs / "benchmarks.md").read_text() == pages.page(everything())
    assert not stale.exists()
    readme = (tmp_path / "README.md").read_text()
    assert readme.startswith("# Something\n")
    assert readme.endswith("The rest.\n")
    assert "old" not in readme
    assert "| decode | msgspec | 20 ns / 80 ns | 20 ns / – | – |" in readme  # noqa: RUF001


def test_several_runs_make_one_page(tmp_path: Path) -> None:
    assert write(tmp_path, everything()).returncode == 0
    ran = report(tmp_path, "results.json", "results.json")
    assert ran.returncode == 0, ran.stderr
    text = (tmp_path / "docs" / "benchmarks.md").read_text()
    assert "| duration | 12 min 34 s / 12 min 34 s |" in text
    twice = Results.load(tmp_path / "docs" / "benchmarks.json")
    assert pages.page(twice) == text
    once = Results.load(tmp_path / "results.json")
    for name, result in once.results.items():
        for before, after in zip(result.series, twice.results[name].series, strict=True):
            assert after.all == pytest.approx(before.all * 2, rel=1e-4)  # rounded once more


def test_pages_can_be_made_again_from_the_results_that_were_kept(tmp_path: Path) -> None:
    assert write(tmp_path, everything()).returncode == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    (tmp_path / "results.json").write_bytes((tmp_path / "docs" / "benchmarks.json").read_bytes())
    assert report(tmp_path).returncode == 0
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_readme_without_markers_is_an_error_that_says_so(tmp_path: Path) -> None:
    everything().save(tmp_path / "results.json")
    (tmp_path / "README.md").write_text("# Something\n")
    ran = report(tmp_path)
    assert ran.returncode == 2
    assert "has no <!-- benchmarks --> and <!-- /benchmarks -->" in ran.stderr
    assert not (tmp_path / "docs").exists()


@pytest.mark.parametrize("content", ["{}", "no JSON", '{"format": 99}', '["format"]'])
def test_what_is_no_results_file_is_an_error_that_says_so(tmp_path: Path, content: str) -> None:
    (tmp_path / "results.json").write_text(content)
    (tmp_path / "README.md").write_text(README)
    ran = report(tmp_path)
    assert ran.returncode == 2
    assert "results.json is no file of results" in ran.stderr
    assert "Traceback" not in ran.stderr


# --- what is committed --------------------------------------------------------------------------------------


def test_the_committed_page_is_what_the_report_makes_of_the_committed_results() -> None:
    kept = ROOT / "docs" / "benchmarks.json"
    if not kept.exists():
        pytest.skip("no results are committed yet")
    results = Results.load(kept)
    assert (ROOT / "docs" / "benchmarks.md").read_text() == pages.page(results)
    readme = ROOT / "README.md"
    assert pages.with_section(readme, pages.summary(results)) == readme.read_text()
    # The README's table and the charts name figures and contenders, which may have been renamed since.
    known = {group.key for group in tables.grouped(results)}
    assert set(charts.DRAWN) <= known
    for row in pages.SUMMARY:
        for name in row.variants:
            assert results.results[name].find(row.ours), f"{name}: {row.ours}"


def test_reasons_that_are_linked_are_headings_of_the_page_on_performance() -> None:
    kept = ROOT / "docs" / "benchmarks.json"
    if not kept.exists():
        pytest.skip("no results are committed yet")
    results = Results.load(kept).results.values()
    named = {each.limit_explained for each in results}
    named |= {wanted.explained for each in results for wanted in each.wanted}
    headings = re.findall(r"^#+ (.*)$", (ROOT / "docs" / "performance.md").read_text(), re.MULTILINE)
    assert named - {""} <= set(headings)
