"""The router without Python: a C program of random peers (`router/fuzz.c`) under the compiler's sanitizers.

What the router promises is tested through its Cython face, in `test_data_plane.py`.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest
from environments import ROOT

HERE = Path(__file__).parent / "router"
ROUTER = ROOT / "mycelium_fast" / "bridge" / "router"
COMPILER = shlex.split(os.environ.get("CC", "cc"))
FLAGS = ["-std=gnu11", "-O1", "-g", "-pthread", "-fno-omit-frame-pointer", "-fno-sanitize-recover=all"]
WARNINGS = ["-Wall", "-Wextra", "-Wshadow", "-Werror"]
ENVIRONMENT = {
    **os.environ,
    "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1",
}


def compiled(sanitizers: str, output: Path, *sources: Path) -> subprocess.CompletedProcess[str]:
    command = [*COMPILER, *FLAGS, *WARNINGS, f"-fsanitize={sanitizers}", f"-I{ROUTER}"]
    return subprocess.run(
        [*command, "-o", output, *sources], capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture(scope="module", params=["address,undefined", "thread"])
def fuzzer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, compiled with sanitizers that work here."""
    directory = tmp_path_factory.mktemp("router")
    trial = directory / "trial.c"
    trial.write_text("int main(void) { return 0; }\n")
    try:
        made = compiled(request.param, directory / "trial", trial)
    except FileNotFoundError:
        pytest.skip(f"no C compiler {COMPILER[0]!r}")
    if made.returncode:
        pytest.skip(f"the compiler has no -fsanitize={request.param}: {made.stderr.strip()[-200:]}")
    ran = subprocess.run([directory / "trial"], capture_output=True, text=True, timeout=60, check=False)
    if ran.returncode:
        pytest.skip(f"-fsanitize={request.param} does not run here: {ran.stderr.strip()[-200:]}")
    made = compiled(request.param, directory / "fuzz", HERE / "fuzz.c", ROUTER / "router.c")
    assert made.returncode == 0, made.stderr
    return directory / "fuzz"


def run(fuzzer: Path, *arguments: int, timeout: float) -> None:
    ran = subprocess.run(
        [fuzzer, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        env=ENVIRONMENT,
        check=False,
    )
    assert ran.returncode == 0, f"{arguments}: {ran.stderr[-5000:]}"
    assert ran.stdout.startswith(f"{arguments[1]} rounds: ")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_random_peers_harm_neither_the_router_nor_the_honest_ones(fuzzer: Path, seed: int) -> None:
    run(fuzzer, seed, 4, 400, timeout=100)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1000, 1010))
def test_random_peers_for_longer(fuzzer: Path, seed: int) -> None:
    run(fuzzer, seed, 30, 3000, timeout=1800)
