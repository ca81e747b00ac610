"""The porting guide and its language: what it shows is there, runs, and answers as plain Python does."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import hostile
import pytest
from conformance import driver
from conformance.cases import golden_cases, golden_files, malformed_cases, random_cases
from conformance.languages import render_files
from conformance.reference import Schema
from environments import ROOT

from mycelium_fast import contracts
from mycelium_fast.codegen import render

GUIDE = (ROOT / "docs" / "porting.md").read_text()
EXAMPLE = ROOT / "examples" / "julia"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def julia() -> str:
    """The command of Julia; `.ci/julia FOLDER` unpacks one."""
    command = shutil.which("julia")
    if command is None:
        pytest.skip("julia is not installed")
    return command


def blocks(language: str) -> list[str]:
    return [code for name, code in BLOCK.findall(GUIDE) if name == language]


def test_guide_names_everything_that_a_template_may_use() -> None:
    model = contracts.load(ROOT / "contracts.yaml")
    words = set(re.findall(r"\w+", " ".join(re.findall(r"`[^`\n]+`", GUIDE))))
    of_any = set(render._context(model, None, None))
    layout = render._context(model, None, None)["layouts"][0]
    message = layout.message
    for each in (layout, layout.fields[0], message, message.fields[0]):
        of_any |= {name for name in dir(each) if not name.startswith("_")}
    assert not of_any - words - {"position"}


def test_guide_names_every_test_of_a_type() -> None:
    tests = render._environment().tests
    own = {name for name, test in tests.items() if test.__module__ == render.__name__}
    assert {f"is {name}" for name in own} == set(re.findall(r"`(is \w+)`", GUIDE))


def test_excerpts_in_the_guide_stand_in_the_example() -> None:
    template = (EXAMPLE / "messages.jl.j2").read_text()
    excerpts = [*blocks("jinja"), *blocks("julia")]
    assert len(excerpts) > 3
    for excerpt in excerpts:
        assert excerpt in template


def test_cases_in_the_guide_have_the_answers_shown() -> None:
    schema = Schema(ROOT / "contracts.yaml", "plain")
    shown = re.findall(r"^    contracts (\w+) (.*?) {3,}(.*)$", GUIDE, re.MULTILINE)
    assert len(shown) == 3
    for command, arguments, answer in shown:
        assert schema.answer(command, arguments.split()) == answer


def test_every_command_and_answer_of_the_protocol_is_in_the_guide() -> None:
    source = "".join(
        (ROOT / "tests" / "conformance" / name).read_text() for name in ("reference.py", "cases.py")
    )
    for kind in set(re.findall(r'"error (unknown|size|handshake|length|capacity)', source)):
        assert f"`error {kind}" in GUIDE
    for command in ("digest", "describe", "decode", "validate", "encode", "frames", "handshake"):
        assert f"`SCHEMA {command}" in GUIDE


def test_commands_of_the_guide_run_and_print_what_it_shows(julia: str, tmp_path: Path) -> None:
    shutil.copy(ROOT / "contracts.yaml", tmp_path)
    shutil.copytree(EXAMPLE, tmp_path / "examples" / "julia")
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    path = os.pathsep.join([str(Path(sys.executable).parent), str(Path(julia).parent), os.environ["PATH"]])
    output = ""
    for script in blocks("sh"):
        done = subprocess.run(
            ["sh", "-e", "-c", script],
            cwd=tmp_path,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        output += done.stdout
    shown = blocks("text")
    assert shown
    for text in shown:
        assert text in output
    assert "all agree" in output


def test_julia_answers_as_plain_python_does(julia: str, tmp_path: Path) -> None:
    files = golden_files() + driver.random_files(tmp_path, 10, 1000)
    for name in ("hostile_texts", "hostile_fields"):
        files.append(tmp_path / f"{name}.yaml")
        files[-1].write_text(getattr(hostile, name)())
    cases = golden_cases() + malformed_cases()
    for file in files:
        cases += random_cases(file, seed=7, rounds=1)
    generated = tmp_path / "generated"
    render_files(files, [EXAMPLE / "messages.jl.j2"], generated)
    command = [julia, "-O0", "--compile=min", str(EXAMPLE / "runner.jl"), str(generated)]
    result = driver.compare("julia", command, cases, driver.expected_answers(files, cases))
    assert result.agrees, result.report()
    assert not Path(hostile.CANARY).exists()


def test_drift_of_the_example_is_found(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("mycelium")
    file, template = tmp_path / "messages.jl", EXAMPLE / "messages.jl.j2"
    model = contracts.load(ROOT / "contracts.yaml")
    file.write_text(render.render_template(model, template))
    command = [script, "check", ROOT / "contracts.yaml", file, "--template", template]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    file.write_text(file.read_text().replace("price::UInt64", "price::UInt32"))
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "price::UInt32" in done.stderr
