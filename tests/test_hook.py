"""The setuptools hook, with real builds and installs: a table in pyproject.toml, and nothing else."""

from __future__ import annotations

import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from environments import checked, pip_install, run

SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")
PYPROJECT = """\
[build-system]
requires = ["setuptools>=77", "mycelium-fast[build]"]
build-backend = "setuptools.build_meta"

[project]
name = "trading"
version = "1.0"
dependencies = ["mycelium-fast"]

[[tool.mycelium.modules]]
name = "trading.messages"
contracts = "contracts.yaml"
"""
CONTRACTS = """\
messages:
  Tick:
    tlv_type: 1200
    domain: MarketData
    description: "A trade"
    fields:
      price: {type: "u64", description: "Price"}
"""
USE = """
from trading.messages import MESSAGES, Tick
tick = Tick.from_bytes(Tick(price=41).to_bytes())
tick.price += 1
print(tick, MESSAGES[1200] is Tick)
"""
USED = "Tick(price=42) True\n"
MODULE = f"trading/messages{SUFFIX}"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A user's project: two files."""
    root = tmp_path / "project"
    root.mkdir()
    (root / "pyproject.toml").write_text(PYPROJECT)
    (root / "contracts.yaml").write_text(CONTRACTS)
    return root


def build_wheel(source: Path, out: Path) -> tuple[Path, str]:
    """Build a wheel with the tools of this environment; returns it and what the build printed."""
    output = checked(
        *(sys.executable, "-m", "pip", "wheel", "-v", "--no-build-isolation", "--no-deps", "--no-index"),
        *("-w", out, source),
        logged=True,
    )
    (wheel,) = out.glob("trading-*.whl")
    return wheel, output


def build_sdist(source: Path, out: Path) -> Path:
    code = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
    checked(sys.executable, "-W", "ignore", "-c", code, out, cwd=source)
    (sdist,) = out.glob("trading-*.tar.gz")
    return sdist


def contents(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def check_types(python: Path, directory: Path) -> str:
    """What a strict type checker says of a program that uses the module installed for `python`."""
    program = directory / "program.py"
    program.write_text(
        "from trading.messages import Tick\n\n"
        "tick = Tick(price=1)\nreveal_type(tick.price)\nTick(cost=1)\nprint(tick)\n"
    )
    cache = f"--cache-dir={directory / 'mypy'}"
    return run(
        sys.executable, "-m", "mypy", "--strict", cache, "--python-executable", python, program, cwd=directory
    ).stdout


def assert_typed(report: str) -> None:
    assert 'Revealed type is "builtins.int"' in report or 'Revealed type is "int"' in report, report
    assert 'Unexpected keyword argument "cost"' in report, report
    assert "Found 1 error" in report or "Found 2 errors" in report, report
    assert "import-untyped" not in report


def test_a_wheel_from_two_files_works_in_a_new_environment(
    project: Path, tmp_path: Path, wheel: Path, new_venv: Callable[..., Path]
) -> None:
    built, _ = build_wheel(project, tmp_path / "dist")
    assert contents(built) == {MODULE, "trading/messages.pyi", "trading/py.typed"}
    assert "any" not in built.name.rpartition("-")[2]
    python = new_venv()
    pip_install(python, wheel, built)
    assert checked(python, "-c", USE, cwd=tmp_path) == USED
    assert_typed(check_types(python, tmp_path))


def test_a_wheel_from_the_sdist_works_in_a_new_environment(
    project: Path, tmp_path: Path, wheel: Path, new_venv: Callable[..., Path]
) -> None:
    build_wheel(project, tmp_path / "first")  # leaves a build directory, which an sdist must not have
    sdist = build_sdist(project, tmp_path / "dist")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"contracts.yaml", "pyproject.toml"} <= names
    assert not [name for name in names if name.endswith((".c", ".pyx", ".so", ".pyi"))]
    built, _ = build_wheel(sdist, tmp_path / "wheel")
    assert contents(built) == {MODULE, "trading/messages.pyi", "trading/py.typed"}
    python = new_venv()
    pip_install(python, wheel, built)
    assert checked(python, "-c", USE, cwd=tmp_path) == USED


def test_an_editable_install_of_two_files_works_in_a_new_environment(
    project: Path, tmp_path: Path, new_venv: Callable[..., Path]
) -> None:
    python = new_venv(build_tools=True)
    pip_install(python, "-e", project)
    assert checked(python, "-c", USE, cwd=tmp_path) == USED
    assert_typed(check_types(python, tmp_path))
    # Nothing but setuptools' own directories appears beside the two files.
    assert {path.name for path in project.iterdir()} <= {
        *("pyproject.toml", "contracts.yaml", "build", "trading.egg-info")
    }


def test_a_user_needs_nothing_but_pip(project: Path, tmp_path: Path, wheel: Path) -> None:
    """As a user does it: build isolation on, and dependencies from an index."""
    checked(sys.executable, "-m", "venv", tmp_path / "venv")
    python = tmp_path / "venv" / "bin" / "python"
    checked(
        *(python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "-e", project),
        PIP_FIND_LINKS=str(wheel.parent),
    )
    assert checked(python, "-c", USE, cwd=tmp_path) == USED


@pytest.mark.parametrize("layout", ["flat", "src"])
@pytest.mark.parametrize("editable", [False, True], ids=["wheel", "editable"])
def test_the_module_joins_the_projects_own_package(
    project: Path, tmp_path: Path, new_venv: Callable[..., Path], layout: str, editable: bool
) -> None:
    package = project / ("src" if layout == "src" else "") / "trading"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text('NAME = "own"\n')
    (package / "strategy.py").write_text("from .messages import Tick\n\ntick = Tick(price=42)\n")
    python = new_venv(build_tools=True)
    if editable:
        pip_install(python, "-e", project)
        assert (package / f"messages{SUFFIX}").is_file()
        assert (package / "messages.pyi").is_file()
    else:
        built, _ = build_wheel(project, tmp_path / "dist")
        assert contents(built) == {
            *(MODULE, "trading/messages.pyi", "trading/py.typed"),
            *("trading/__init__.py", "trading/strategy.py"),
        }
        pip_install(python, built)
    assert checked(python, "-c", USE, cwd=tmp_path) == USED
    code = "import trading, trading.strategy as s; print(trading.NAME, s.tick)"
    assert checked(python, "-c", code, cwd=tmp_path) == "own Tick(price=42)\n"
    if layout == "src" or not editable:  # for a flat layout setuptools uses an import hook, opaque to mypy
        assert_typed(check_types(python, tmp_path))


def test_a_module_may_stand_alone_or_below_a_package_that_has_no_directory(
    project: Path, tmp_path: Path, new_venv: Callable[..., Path]
) -> None:
    package = project / "src" / "trading"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    more = "".join(
        f'\n[[tool.mycelium.modules]]\nname = "{name}"\ncontracts = "contracts.yaml"\n'
        for name in ("trading.generated.wire", "standalone")
    )
    (project / "pyproject.toml").write_text(PYPROJECT + more)
    code = (
        "import trading.messages, trading.generated.wire as w, standalone as s; print(w.Tick(1), s.Tick(2))"
    )
    for editable in (False, True):
        python = new_venv(f"venv-{editable}", build_tools=True)
        pip_install(python, *(["-e"] if editable else []), project)
        assert checked(python, "-c", code, cwd=tmp_path) == "Tick(price=1) Tick(price=2)\n"


def test_changed_contracts_are_compiled_at_the_next_build_and_unchanged_ones_are_not(
    project: Path, tmp_path: Path
) -> None:
    _, first = build_wheel(project, tmp_path / "1")
    (project / "contracts.yaml").touch()
    again, second = build_wheel(project, tmp_path / "2")
    assert MODULE in contents(again)
    text = CONTRACTS + '      size: {type: "u64", description: "Size"}\n'
    (project / "contracts.yaml").write_text(text)
    changed, third = build_wheel(project, tmp_path / "3")
    assert ["translating" in output for output in (first, second, third)] == [True, False, True]
    with zipfile.ZipFile(changed) as archive:
        archive.extractall(tmp_path / "unpacked")
    code = "from trading.messages import Tick; print(Tick(price=1, size=2))"
    assert checked(sys.executable, "-c", code, cwd=tmp_path / "unpacked") == "Tick(price=1, size=2)\n"


def test_an_editable_install_has_changed_contracts_after_the_next_install(
    project: Path, tmp_path: Path, new_venv: Callable[..., Path]
) -> None:
    python = new_venv(build_tools=True)
    outputs = [pip_install(python, "-v", "-e", project), pip_install(python, "-v", "-e", project)]
    (project / "contracts.yaml").write_text(CONTRACTS.replace("price", "cost"))
    outputs.append(pip_install(python, "-v", "-e", project))
    assert ["translating" in output for output in outputs] == [True, False, True]
    code = "from trading.messages import Tick; print(Tick(cost=1))"
    assert checked(python, "-c", code, cwd=tmp_path) == "Tick(cost=1)\n"


def test_files_of_the_project_do_not_stand_in_for_the_tools_own(project: Path, tmp_path: Path) -> None:
    for name in ("string.py", "cython.py", "types.py"):
        (project / name).write_text("raise RuntimeError('imported by the build')\n")
    (project / "setup.py").write_text("from setuptools import setup\n\nsetup(py_modules=[])\n")
    built, _ = build_wheel(project, tmp_path / "dist")
    assert MODULE in contents(built)


def test_other_switches_are_compiled_apart(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, first = build_wheel(project, tmp_path / "1")
    monkeypatch.setenv("MYCELIUM_DEBUG", "1")
    _, second = build_wheel(project, tmp_path / "2")
    assert "-O3 -g0" in first
    assert "-O0 -g" in second


def test_a_projects_own_extensions_are_built_as_before(project: Path, tmp_path: Path) -> None:
    (project / "own.c").write_text(
        "#include <Python.h>\n"
        'static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, "own", NULL, -1};\n'
        "PyMODINIT_FUNC PyInit_own(void) { return PyModule_Create(&def); }\n"
    )
    (project / "setup.py").write_text(
        "from setuptools import Extension, setup\n"
        "from setuptools.command.build_ext import build_ext\n\n"
        "class Command(build_ext):\n"
        "    def run(self):\n"
        "        super().run()\n"
        '        print("the own command ran")\n\n'
        'setup(ext_modules=[Extension("own", ["own.c"])], cmdclass={"build_ext": Command}, py_modules=[])\n'
    )
    built, output = build_wheel(project, tmp_path / "dist")
    assert contents(built) == {f"own{SUFFIX}", MODULE, "trading/messages.pyi", "trading/py.typed"}
    assert "the own command ran" in output


def test_mistakes_in_the_contracts_fail_the_build_with_their_place(project: Path, tmp_path: Path) -> None:
    (project / "contracts.yaml").write_text(CONTRACTS.replace("u64", "u46"))
    command = (
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-build-isolation",
        "--no-deps",
        "-w",
        tmp_path,
        project,
    )
    result = run(*command)
    assert result.returncode == 1
    assert "error: contracts.yaml:7:" in result.stdout + result.stderr


def test_warnings_about_the_contracts_are_printed_in_the_build(project: Path, tmp_path: Path) -> None:
    text = CONTRACTS.replace('"Price"}', '"Price", validation: [{monotonic: true}]}')
    (project / "contracts.yaml").write_text(text)
    _, output = build_wheel(project, tmp_path / "dist")
    assert "warning: contracts.yaml:7:" in output


def warnings_of(output: str) -> list[str]:
    start = "warning: pyproject.toml: "
    lines = [line.strip().removeprefix(start) for line in output.splitlines() if start in line]
    return sorted(set(lines))


def test_a_project_that_does_not_depend_on_this_package_is_warned(project: Path, tmp_path: Path) -> None:
    text = PYPROJECT.replace('dependencies = ["mycelium-fast"]\n', "")
    (project / "pyproject.toml").write_text(text)
    _, output = build_wheel(project, tmp_path / "dist")
    assert warnings_of(output) == [
        "the project's dependencies do not name mycelium-fast, which trading.messages needs to be imported: "
        'add dependencies = ["mycelium-fast"] to [project]'
    ]


@pytest.mark.parametrize(
    ("dependencies", "files"),
    [
        ("dependencies = [\"Mycelium_Fast[numpy] >= 0; python_version > '3'\"]", {}),
        ('dynamic = ["dependencies"]', {"setup.cfg": "[options]\ninstall_requires = mycelium.fast>=0\n"}),
        (
            'dynamic = ["dependencies"]\n[tool.setuptools.dynamic]\ndependencies = {file = "needs.txt"}',
            {"needs.txt": "other\nmycelium-fast\n"},
        ),
    ],
    ids=["in pyproject.toml", "in setup.cfg", "in a file"],
)
def test_a_dependency_is_found_wherever_the_project_has_it(
    project: Path, tmp_path: Path, dependencies: str, files: dict[str, str]
) -> None:
    for name, text in files.items():
        (project / name).write_text(text)
    text = PYPROJECT.replace('dependencies = ["mycelium-fast"]', dependencies)
    (project / "pyproject.toml").write_text(text)
    _, output = build_wheel(project, tmp_path / "dist")
    assert warnings_of(output) == []


def test_a_module_outside_the_projects_packages_is_warned_of(project: Path, tmp_path: Path) -> None:
    (project / "fleet").mkdir()
    (project / "fleet" / "__init__.py").touch()
    text = PYPROJECT.replace('"trading.messages"', '"flet.messages"')
    (project / "pyproject.toml").write_text(text)
    _, output = build_wheel(project, tmp_path / "dist")
    assert warnings_of(output) == [
        "tool.mycelium.modules names 'flet.messages', but the project has no package 'flet'; "
        "did you mean 'fleet.messages'?"
    ]


TABLE = "[[tool.mycelium.modules]]\n"
MISTAKES = {
    "no name": (TABLE + 'contracts = "contracts.yaml"', "entry 1) has no 'name'"),
    "no contracts": (TABLE + 'name = "a"', "entry 1) has no 'contracts'"),
    "name no text": (TABLE + 'name = 1\ncontracts = "contracts.yaml"', "has a 'name' that is no text"),
    "unknown key": (
        TABLE + 'name = "a"\ncontract = "contracts.yaml"',
        "has an unknown key 'contract'; did you mean 'contracts'?",
    ),
    "unknown table": ("[tool.mycelium]\nmodule = []", "unknown key 'module'; did you mean 'modules'?"),
    "bad name": (TABLE + 'name = "a-b"\ncontracts = "contracts.yaml"', "'a-b' is no module name"),
    "missing file": (
        TABLE + 'name = "a"\ncontracts = "no.yaml"',
        "a contracts file that is not there: no.yaml",
    ),
    "outside": (TABLE + 'name = "a"\ncontracts = "../c.yaml"', "outside the project (../c.yaml)"),
    "twice": (
        (TABLE + 'name = "a"\ncontracts = "contracts.yaml"\n') * 2,
        "entry 2) names the module 'a' a second",
    ),
    "not an array": ("[tool.mycelium.modules]\na = 1", "is not an array of tables"),
    "not a table": ("[tool]\nmycelium = 1", "tool.mycelium is not a table"),
}


@pytest.mark.parametrize(("text", "expected"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_in_the_table_is_an_error_that_says_where(project: Path, text: str, expected: str) -> None:
    (project / "pyproject.toml").write_text(text + "\n")
    code = "import setuptools; setuptools.setup(name='x', version='1', script_args=['--name'])"
    result = run(sys.executable, "-W", "ignore", "-c", code, cwd=project)
    assert result.returncode != 0
    error = result.stderr.splitlines()[-1]
    assert "pyproject.toml: tool.mycelium" in error
    assert expected in error


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        '[project]\nname = "x"\ndependencies = ["mycelium-fast"]',
        "[tool.mycelium]",
        "mycelium = not toml",
    ],
    ids=["no file", "empty", "depends on us", "empty table", "not TOML"],
)
def test_other_projects_builds_are_left_alone(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "pyproject.toml").write_text(text)
    code = """
import importlib.metadata, sys
points = importlib.metadata.entry_points(group="setuptools.finalize_distribution_options")
assert "mycelium" in {point.name for point in points}
from setuptools import Distribution
distribution = Distribution({"name": "x", "version": "1"})
print(distribution.ext_modules, "get_command_class" in vars(distribution))
heavy = {"jinja2", "yaml", "Cython", "subprocess", "mycelium_fast.codegen.build_command"}
print(sorted(heavy & set(sys.modules)))
"""
    # setuptools loads some of these itself.
    baseline = "import sys, setuptools; print(sorted({'subprocess', 'Cython'} & set(sys.modules)))"
    alone = checked(sys.executable, "-W", "ignore", "-c", baseline, cwd=tmp_path)
    output = checked(sys.executable, "-W", "ignore", "-c", code, cwd=tmp_path)
    assert output == "None False\n" + alone


def test_the_hook_runs_once_for_a_distribution(project: Path) -> None:
    code = """
from setuptools import Distribution
from mycelium_fast.codegen.hook import finalize_distribution
distribution = Distribution({"name": "x", "version": "1"})
finalize_distribution(distribution)
print([extension.name for extension in distribution.ext_modules])
"""
    assert checked(sys.executable, "-W", "ignore", "-c", code, cwd=project) == "['trading.messages']\n"


def test_a_project_without_a_project_table_builds_too(project: Path, tmp_path: Path) -> None:
    head, _, rest = PYPROJECT.partition("[project]")
    (project / "pyproject.toml").write_text(head + rest[rest.index("[[") :])
    (project / "setup.cfg").write_text("[metadata]\nname = trading\nversion = 2.0\n")
    built, _ = build_wheel(project, tmp_path / "dist")
    assert built.name.startswith("trading-2.0-")
    assert contents(built) == {MODULE, "trading/messages.pyi", "trading/py.typed"}
