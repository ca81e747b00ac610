"""Compares conformance runners with the plain Python reference, on one machine and one set of cases.

    python tests/conformance/driver.py                            every language that this machine has
    python tests/conformance/driver.py --language rust contracts.yaml
    python tests/conformance/driver.py --template messages.jl.j2 --runner 'julia runner.jl {directory}'

What the cases are is in `cases.py`, how the runners of the languages that the project ships are made in
`languages.py`, and the protocol in docs/porting.md. The exit code is 0 if every answer agrees, 1 if one does
not or a runner failed, 2 if nothing could be compared.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import hostile
import random_contracts
from conformance.cases import Case, golden_cases, golden_files, malformed_cases, random_cases
from conformance.languages import LANGUAGES, BuildFailedError, render_files, stem_of
from conformance.reference import Schema

__all__ = ["Comparison", "answers_of", "compare", "expected_answers", "main", "random_files"]


@dataclass
class Comparison:
    """What came of one runner.

    Attributes:
        differences: cases with the reference's answer and the runner's.
        failure: why the runner did not answer everything; None if it did.
    """

    runner: str
    cases: int = 0
    differences: list[tuple[Case, str, str]] = field(default_factory=list)
    failure: str | None = None

    @property
    def agrees(self) -> bool:
        return self.cases > 0 and self.failure is None and not self.differences

    def report(self, limit: int = 5) -> str:
        """The outcome for people: a line, and the first differences."""
        if self.agrees:
            return f"{self.runner}: {self.cases} cases, all agree"
        lines = [f"{self.runner}: {len(self.differences)} of {self.cases} cases differ"]
        for case, expected, found in self.differences[:limit]:
            lines += [
                f"  {case.schema}: {case.about}",
                f"    case      {_short(case.line)}",
                *_beside(expected, found),
            ]
        if len(self.differences) > limit:
            lines.append(f"  ... and {len(self.differences) - limit} more")
        if self.failure:
            lines.append(f"  {self.failure}")
        return "\n".join(lines)


def expected_answers(files: Iterable[Path], cases: Sequence[Case]) -> list[str]:
    """What plain Python answers.

    Raises:
        AssertionError: plain Python itself is not what the golden vectors say.
    """
    schemas = {stem_of(file): Schema(file, "plain") for file in files}
    answers = []
    for case in cases:
        command, *arguments = case.text.split()
        answer = schemas[case.schema].answer(command, arguments)
        if case.expected is not None and not answer.startswith(case.expected):
            raise AssertionError(
                f"the reference itself is wrong: {case.about}\n  case {_short(case.line)}\n"
                + "\n".join(_beside(case.expected, answer))
            )
        answers.append(answer)
    return answers


def answers_of(
    command: Sequence[str], cases: Sequence[Case], timeout_s: float = 600
) -> tuple[list[str], str | None]:
    """What a runner answers, and what went wrong with it as a whole; None if nothing did."""
    given = "".join(f"{case.line}\n" for case in cases).encode()
    try:
        done = subprocess.run(command, input=given, capture_output=True, timeout=timeout_s, check=False)
        output, errors, code = done.stdout, done.stderr, done.returncode
        how = f"died of signal {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        failure = None if code == 0 else how
    except subprocess.TimeoutExpired as late:
        output, errors = late.stdout or b"", late.stderr or b""
        failure = f"did not end within {timeout_s:.0f} s"
    except OSError as error:
        return [], f"the runner cannot be started: {error}"
    answers = output.decode("utf-8", "backslashreplace").split("\n")[:-1]
    if failure is None and len(answers) != len(cases):
        failure = f"ended with {len(answers)} answers for {len(cases)} cases"
    if failure is None:
        return answers, None
    text = f"the runner {failure}"
    if len(answers) < len(cases):
        next_one = cases[len(answers)]
        text += f"; the first case without an answer: {next_one.about}\n    {_short(next_one.line)}"
    if shown := errors.decode("utf-8", "backslashreplace").strip():
        text += "\n    its stderr ends: " + "\n      ".join(shown.splitlines()[-12:])
    return answers, text


def compare(
    name: str, command: Sequence[str], cases: Sequence[Case], expected: Sequence[str], timeout_s: float = 600
) -> Comparison:
    """Ask a runner, and compare its answers with those expected."""
    answers, failure = answers_of(command, cases, timeout_s)
    result = Comparison(name, len(cases), failure=failure)
    for case, right, answer in zip(cases, expected, answers, strict=False):
        if answer.rstrip("\r") != right:
            result.differences.append((case, right, answer))
    return result


def random_files(directory: Path, count: int, seed: int) -> list[Path]:
    """Write so many random contracts files."""
    files = []
    for number in range(seed, seed + count):
        file = directory / f"random_{number}.yaml"
        file.write_text(random_contracts.small_contracts_yaml(number))
        files.append(file)
    return files


def hostile_files(directory: Path, parts: int = 4) -> list[Path]:
    """Write the hostile contracts files: of texts, of fields' names, and of messages' names."""
    texts = {"hostile_texts": hostile.hostile_texts(), "hostile_fields": hostile.hostile_fields()}
    texts |= {"hostile_python": hostile.hostile_python(), "hostile_pairs": hostile.hostile_pairs()}
    texts["hostile_empty"] = '{"schema": {"id": 1, "version": 1}, "messages": {}}'
    texts |= {f"hostile_{part}": hostile.hostile_messages(part, parts) for part in range(parts)}
    files = []
    for name, text in texts.items():
        files.append(directory / f"{name}.yaml")
        files[-1].write_text(text)
    return files


def _short(text: str, limit: int = 300) -> str:
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"


def _beside(expected: str, found: str) -> list[str]:
    """Both answers, from where they begin to differ if that is far in."""
    same = next((at for at, (a, b) in enumerate(zip(expected, found, strict=False)) if a != b), None)
    if same is None:
        same = min(len(expected), len(found))
    start = same - 40 if same > 200 else 0
    before = f"(after {start} equal characters) ..." if start else ""
    return [
        f"    expected  {before}{_short(expected[start:])}",
        f"    answered  {before}{_short(found[start:])}",
    ]


# --- The command line ---------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        description="Compare conformance runners with the plain Python reference.",
        epilog="The protocol, and how to write a runner, is in docs/porting.md.",
    )
    parser.add_argument(
        "contracts", nargs="*", type=Path,
        help="compare on these alone, with random payloads (default: golden, hostile and random ones)",
    )  # fmt: skip
    parser.add_argument(
        "--language", action="append", default=[], choices=sorted(LANGUAGES), metavar="NAME",
        help=f"a language that the project ships: {', '.join(sorted(LANGUAGES))}; may be given again "
        "(default: all that are here but compiled Python, unless --runner is given)",
    )  # fmt: skip
    parser.add_argument(
        "--runner", action="append", default=[], metavar="COMMAND",
        help="a runner of your own; {directory} in it is the directory of what --template makes",
    )  # fmt: skip
    parser.add_argument(
        "--template", action="append", default=[], type=Path, metavar="FILE",
        help="render this for every schema, as {directory}/SCHEMA/NAME for a template NAME.j2",
    )  # fmt: skip
    parser.add_argument(
        "--build", action="append", default=[], metavar="COMMAND", help="run this before the runners"
    )  # fmt: skip
    parser.add_argument("--random", type=int, default=20, metavar="N", help="random contracts files (20)")
    parser.add_argument("--seed", type=int, metavar="S", help="of the first random file (default: a new one)")
    parser.add_argument("--rounds", type=int, default=3, help="random payloads of each kind per message (3)")
    parser.add_argument("--timeout", type=float, default=600, metavar="S", help="seconds for a runner (600)")
    parser.add_argument("--show", type=int, default=5, metavar="N", help="differences to show (5)")
    parser.add_argument("--keep", type=Path, metavar="DIRECTORY", help="leave what was generated there")
    given = parser.parse_args(arguments)

    for file in [*given.contracts, *given.template]:
        if not file.is_file():
            parser.error(f"there is no file {file}")
    seed = random.randrange(1_000_000) if given.seed is None else given.seed
    with _directory(given.keep) as directory:
        contracts = directory / "contracts"
        contracts.mkdir(exist_ok=True)
        files: list[Path] = list(given.contracts)
        cases: list[Case] = []
        if not files:
            cases += golden_cases() + malformed_cases()
            files = golden_files() + hostile_files(contracts) + random_files(contracts, given.random, seed)
        stems = [stem_of(file) for file in files]
        for stem in stems:
            if not stem.isidentifier():
                parser.error(
                    f"a runner calls a schema by its file's name, and {stem!r} is no identifier; copy it"
                )
        if twice := {stem for stem in stems if stems.count(stem) > 1}:
            parser.error(
                f"two contracts files are called {', '.join(sorted(twice))}; a runner tells them by name"
            )
        for file in files:
            cases += random_cases(file, seed, given.rounds)
        print(f"{len(files)} contracts files, {len(cases)} cases, --seed {seed}", flush=True)
        expected = expected_answers(files, cases)
        results = []
        for name, command in _runners(given, files, directory):
            started = time.monotonic()
            if isinstance(command, str):
                result = Comparison(name, failure=command)
            else:
                result = compare(name, command, cases, expected, given.timeout)
            print(f"{result.report(given.show)} ({time.monotonic() - started:.1f} s)", flush=True)
            results.append(result)
    if not results:
        print("nothing was compared: no language is there, and no --runner was given", file=sys.stderr)
        return 2
    return 0 if all(result.agrees for result in results) else 1


def _runners(
    given: argparse.Namespace, files: list[Path], directory: Path
) -> Iterator[tuple[str, list[str] | str]]:
    """Name and command of every runner, built; a text instead says why there is none."""
    # Compiled Python takes minutes for as many schemas: for those who ask for it.
    others = [name for name in LANGUAGES if name != "compiled"]
    wanted = given.language or ([] if given.runner else others)
    for name in wanted:
        language = LANGUAGES[name]
        if (tool := language.missing()) is not None:
            if given.language:
                yield name, f"{tool} is not on this machine"
            else:
                print(f"{name}: left out, {tool} is not on this machine", flush=True)
            continue
        here = directory / name.replace("+", "x")
        here.mkdir(exist_ok=True)
        started = time.monotonic()
        try:
            command = language.build(files, here)
        except BuildFailedError as error:
            yield name, f"did not compile {error}"
            continue
        print(f"{name}: built in {time.monotonic() - started:.1f} s", flush=True)
        yield name, command
    if not given.runner:
        return
    here = directory / "templates"
    render_files(files, given.template, here)
    for text in given.build:
        command = [word.replace("{directory}", str(here)) for word in shlex.split(text)]
        done = subprocess.run(command, check=False)
        if done.returncode:
            yield text, f"--build ended with exit code {done.returncode}"
            return
    for text in given.runner:
        yield text, [word.replace("{directory}", str(here)) for word in shlex.split(text)]


@contextlib.contextmanager
def _directory(kept: Path | None) -> Iterator[Path]:
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="conformance-") as directory:
        yield Path(directory)


if __name__ == "__main__":
    sys.exit(main())
