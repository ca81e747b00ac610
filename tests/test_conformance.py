"""Every language's generated code against plain Python: golden vectors, hostile contracts, 200 random ones.

The languages are compiled with warnings as errors, many schemas to a program, two compilers at a time, and
the programs compared by `tests/conformance/driver.py`. What is peculiar to one language is in its own tests.
"""

from __future__ import annotations

import keyword
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import hostile
import pytest
import random_contracts
from conformance import driver
from conformance.cases import Case, golden_cases, golden_files, malformed_cases, random_cases
from conformance.languages import LANGUAGES, checked, model_of
from conformance.reference import Schema

from mycelium_fast.codegen.render import render
from mycelium_fast.contracts.model import CHECKED_RULES

RANDOM_FILES = 200
FILES_EACH = 50
GROUPS = ("golden", "hostile", *(f"random{start}" for start in range(0, RANDOM_FILES, FILES_EACH)))
COMPILERS = ("rust", "c", "c++", "ocaml")

Cases = tuple[list[Path], list[Case], list[str]]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("conformance")


@pytest.fixture(scope="module")
def group(work: Path) -> Callable[[str], Cases]:
    """Contracts files of a group, the cases for them, and what plain Python answers."""
    made: dict[str, Cases] = {}

    def make(name: str) -> Cases:
        if name not in made:
            directory = work / name
            directory.mkdir()
            cases: list[Case] = []
            if name == "golden":
                files = golden_files()
                cases += golden_cases() + malformed_cases()
            elif name == "hostile":
                files = driver.hostile_files(directory)
            else:
                files = driver.random_files(directory, FILES_EACH, int(name.removeprefix("random")))
            for file in files:
                cases += random_cases(file, seed=5, rounds=2)
            made[name] = files, cases, driver.expected_answers(files, cases)
        return made[name]

    return make


@pytest.fixture(scope="module")
def built(work: Path, group: Callable[[str], Cases]) -> Iterator[Callable[[str, str], list[str]]]:
    """The command of a language's runner for a group; asking for one builds all of the language's."""
    running: dict[tuple[str, str], Future[list[str]]] = {}

    def build(language: str, name: str) -> list[str]:
        directory = work / f"{name}-{language.replace('+', 'x')}"
        directory.mkdir()
        return LANGUAGES[language].build(group(name)[0], directory)

    with ThreadPoolExecutor(2) as pool:

        def command(language: str, name: str) -> list[str]:
            if (tool := LANGUAGES[language].missing()) is not None:
                pytest.skip(f"{tool} is not installed")
            if (language, name) not in running:
                for each in GROUPS:
                    group(each)
                    running[language, each] = pool.submit(build, language, each)
            return running[language, name].result(timeout=900)

        yield command
        for future in running.values():
            future.cancel()


@pytest.mark.parametrize("name", GROUPS)
@pytest.mark.parametrize("language", COMPILERS)
def test_answers_are_those_of_plain_python(
    language: str,
    name: str,
    group: Callable[[str], Cases],
    built: Callable[[str, str], list[str]],
) -> None:
    command = built(language, name)
    _, cases, expected = group(name)
    result = driver.compare(f"{language}, {name}", command, cases, expected)
    assert result.agrees, result.report()


def test_compiled_python_answers_as_plain_python_does(group: Callable[[str], Cases], work: Path) -> None:
    files, cases, expected = group("golden")
    result = driver.compare("compiled", LANGUAGES["compiled"].build(files, work), cases, expected)
    assert result.agrees, result.report()


@pytest.mark.parametrize("seed", [1, 2])
def test_compiled_python_answers_as_plain_python_does_on_random_shapes(seed: int, tmp_path: Path) -> None:
    # The files of tests/test_random_schemas.py, so that they are compiled once for both.
    file = tmp_path / f"shapes{seed}.yaml"
    file.write_text(random_contracts.contracts_yaml(seed, 50))
    cases = list(random_cases(file, seed))
    expected = driver.expected_answers([file], cases)
    result = driver.compare("compiled", LANGUAGES["compiled"].build([file], tmp_path), cases, expected)
    assert result.agrees, result.report()


def test_random_contracts_have_every_type_rule_and_padding(work: Path) -> None:
    directory = work / "survey"
    directory.mkdir()
    types: set[str] = set()
    rules: set[str] = set()
    messages = 0
    for file in driver.random_files(directory, RANDOM_FILES, 0):
        for message in model_of(file).messages:
            messages += 1
            types |= {re.sub(r"\d+\]", "N]", str(field.type)) for field in message.fields}
            rules |= {rule.name for field in message.fields for rule in field.rules}
    scalars = set(random_contracts.SCALARS)
    assert scalars | {"U256", "String", "[u8; N]"} <= types
    elements = {*scalars, "U256", "[u8; N]"}
    assert {f"Vec<{element}>" for element in elements} <= types
    assert {f"[{element}; N]" for element in elements - {"u8"}} <= types
    # Of max_length, only the capacity that it gives is left.
    assert rules == set(CHECKED_RULES) - {"max_length"}
    assert messages >= 2 * RANDOM_FILES


def test_random_cases_meet_every_fault_and_every_broken_rule(group: Callable[[str], Cases]) -> None:
    _, cases, expected = group("random0")
    faults = {" ".join(answer.split()[:2]) for answer in expected if answer.startswith("error ")}
    kinds = ("size", "count", "bool", "utf8", "capacity", "length", "handshake", "unknown")
    assert faults == {f"error {kind}" for kind in kinds}
    rules = {answer.split()[2] for answer in expected if answer.startswith("rule ")}
    assert rules == set(CHECKED_RULES) - {"max_length"}
    kept = sum(
        case.text.startswith("validate")
        for case, answer in zip(cases, expected, strict=True)
        if answer == "ok"
    )
    assert kept > 100


# --- Hostile contracts --------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", COMPILERS)
def test_no_text_of_a_hostile_contract_runs(
    language: str, group: Callable[[str], Cases], built: Callable[[str, str], list[str]], work: Path
) -> None:
    command = built(language, "hostile")
    _, cases, _ = group("hostile")
    answers, failure = driver.answers_of(command, cases)
    assert (len(answers), failure) == (len(cases), None)
    # Compilers ran in `work`, the program here.
    assert not list(work.rglob(hostile.CANARY))
    assert not Path(hostile.CANARY).exists()


@pytest.mark.parametrize("language", ["rust", "c", "ocaml", "python", "stub", "cython"])
def test_texts_of_a_hostile_contract_come_out_as_text(language: str, tmp_path: Path) -> None:
    file = tmp_path / "texts.yaml"
    file.write_text(hostile.hostile_texts())
    text = render(model_of(file), language)  # type: ignore[arg-type]
    assert hostile.JINJA_RESULT not in text
    if language != "stub":  # which has no field's description
        assert "5003 * 6002 + 2015" in text
    invisible = {char for char in text if not char.isprintable() and char != "\n"}
    assert not invisible


def test_rustdoc_finds_nothing_to_run_or_to_link_in_hostile_texts(tmp_path: Path) -> None:
    if shutil.which("rustdoc") is None:
        pytest.skip("rustdoc is not installed")
    file = tmp_path / "texts.yaml"
    file.write_text(hostile.hostile_texts())
    (tmp_path / "messages.rs").write_text(render(model_of(file), "rust"), encoding="utf-8")
    switches = ["--edition", "2021", "--crate-name", "messages", "messages.rs"]
    done = subprocess.run(
        ["rustdoc", "--test", *switches],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "running 0 tests" in done.stdout
    checked(["rustdoc", "-D", "warnings", "-o", "doc", *switches], tmp_path)


@pytest.mark.parametrize("implementation", ["plain", "compiled"])
def test_python_keeps_hostile_texts_as_they_are(implementation: str, tmp_path: Path) -> None:
    file = tmp_path / "texts.yaml"
    file.write_text(hostile.hostile_texts())
    module = Schema(file, implementation).module  # type: ignore[arg-type]
    for index, text in enumerate(hostile.TEXTS):
        definition = module.MESSAGES[1000 + index].__definition__
        assert definition.description == text
        assert [field.description for field in definition.fields] == [text] * 3
    assert not Path(hostile.CANARY).exists()


def test_compiled_python_takes_hostile_names(group: Callable[[str], Cases], work: Path) -> None:
    files, cases, expected = group("hostile")
    file = next(each for each in files if each.stem == "hostile_python")
    chosen = [
        (case, answer) for case, answer in zip(cases, expected, strict=True) if case.schema == file.stem
    ]
    assert chosen
    command = LANGUAGES["compiled"].build([file], work)
    own, answers = [case for case, _ in chosen], [answer for _, answer in chosen]
    result = driver.compare("compiled", command, own, answers)
    assert result.agrees, result.report()


def test_hostile_names_are_all_words_of_python_among_others() -> None:
    words = set(hostile.WORDS)
    assert set(keyword.kwlist) | set(keyword.softkwlist) <= words
    assert len(words) > 500


# --- The driver ---------------------------------------------------------------------------------------------

RUNNER = Path(driver.__file__).with_name("runner.py")
EXAMPLES = Path(__file__).parent / "data" / "golden" / "examples.yaml"


def drive(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The driver as a command, with random payloads for one schema."""
    command = [sys.executable, driver.__file__, EXAMPLES, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_driver_says_that_a_runner_of_ones_own_agrees() -> None:
    done = drive("--runner", f"{sys.executable} {RUNNER} --plain {EXAMPLES}", "--seed", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"1 contracts files, (\d+) cases, --seed 1\n.*: \1 cases, all agree", done.stdout)


def wrong_runner(directory: Path, change: str) -> str:
    """A runner whose answers a line of Python changes."""
    script = directory / "wrong.py"
    script.write_text(
        "import subprocess, sys, time\n"
        f"done = subprocess.run([sys.executable, {str(RUNNER)!r}, '--plain', {str(EXAMPLES)!r}],\n"
        "    stdin=sys.stdin, capture_output=True, text=True, check=True)\n"
        "answers = done.stdout.splitlines()\n"
        f"{change}\n"
        "print('\\n'.join(answers))\n"
    )
    return f"{sys.executable} {script}"


def test_driver_shows_the_case_and_both_answers_where_they_differ(tmp_path: Path) -> None:
    done = drive("--runner", wrong_runner(tmp_path, "answers[1] = answers[1].replace('312', '313')"))
    assert done.returncode == 1
    assert re.search(r"1 of \d+ cases differ", done.stdout)
    assert "examples: layout of TextMessage" in done.stdout
    assert "case      examples describe 1001" in done.stdout
    assert "expected  ok TextMessage 312 8 512 6578616d706c6573 false" in done.stdout
    assert "answered  ok TextMessage 313 8 512 6578616d706c6573 false" in done.stdout


def test_driver_says_where_a_runner_died(tmp_path: Path) -> None:
    change = "print('\\n'.join(answers[:2]), flush=True); import os; os.abort()"
    done = drive("--runner", wrong_runner(tmp_path, change))
    assert done.returncode == 1
    assert "the runner died of signal SIGABRT; the first case without an answer: " in done.stdout


def test_driver_says_that_answers_are_missing(tmp_path: Path) -> None:
    done = drive("--runner", wrong_runner(tmp_path, "del answers[-1]"))
    assert done.returncode == 1
    assert re.search(r"ended with (\d+) answers for (?!\1)\d+ cases", done.stdout)


def test_driver_does_not_wait_for_ever(tmp_path: Path) -> None:
    done = drive("--timeout", "3", "--runner", wrong_runner(tmp_path, "time.sleep(600)"))
    assert done.returncode == 1
    assert "did not end within 3 s" in done.stdout


def test_driver_says_that_a_runner_cannot_be_started() -> None:
    done = drive("--runner", "/nonexistent/runner")
    assert done.returncode == 1
    assert "the runner cannot be started" in done.stdout


def test_driver_renders_templates_for_every_schema(tmp_path: Path) -> None:
    (tmp_path / "digest.txt.j2").write_text("{{ digest_hex }} {{ stem }}")
    look = f"{sys.executable} -c \"print(open(r'{{directory}}/examples/digest.txt').read())\""
    done = drive("--template", tmp_path / "digest.txt.j2", "--runner", look, "--seed", "2")
    digest = model_of(EXAMPLES).digest.hex()
    assert done.returncode == 1
    assert f"answered  {digest} examples" in done.stdout
