"""The commands `mycelium codegen`, `build` and `check`, and what they say when something is wrong."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from environments import ROOT, checked, pip_install, run

import mycelium_fast
from mycelium_fast.cli.main import COMMANDS, main

SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")
SCRIPTS = Path(sys.executable).parent
CONTRACTS = """\
messages:
  Tick:
    tlv_type: 1200
    domain: MarketData
    description: "A trade"
    fields:
      price: {type: "u64", description: "Price", validation: [{monotonic: true}]}
"""
WARNING = "contracts.yaml:7:"
OUTPUTS = {
    "--cython-out": "m.pyx",
    "--stub-out": "m.pyi",
    "--python-out": "m.py",
    "--rust-out": "m.rs",
    "--c-out": "m.h",
    "--ocaml-out": "m.ml",
    "--test-out": "test_m.py",
}
TEMPLATE = """\
{{ header("-- ") }}
{% for item in layouts %}
{{ item.message.name }} {{ item.message.type_id }} {{ item.size }}
{% endfor %}
"""


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current directory with a contracts file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "contracts.yaml").write_text(CONTRACTS)
    return tmp_path


def mycelium(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def every_output() -> list[str]:
    return [part for pair in OUTPUTS.items() for part in pair]


def test_codegen_writes_any_number_of_languages_at_once_and_says_so(directory: Path) -> None:
    result = mycelium("codegen", "contracts.yaml", *every_output())
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [f"wrote {name}" for name in OUTPUTS.values()]
    assert result.stderr.startswith(WARNING)
    for name in OUTPUTS.values():
        first = (directory / name).read_text().splitlines()[0]
        assert "Generated from contracts.yaml by mycelium-fast" in first


def test_codegen_renders_a_template_of_ones_own(directory: Path) -> None:
    (directory / "m.txt.j2").write_text(TEMPLATE)
    result = mycelium(
        "codegen", "contracts.yaml", "--template", "m.txt.j2", "out/m.txt", "--stub-out", "m.pyi"
    )
    assert result.exit_code == 0, result.output
    assert result.stdout == "wrote m.pyi\nwrote out/m.txt\n"
    first, second, rest = (directory / "out" / "m.txt").read_text().split("\n", 2)
    assert first == "-- Generated from contracts.yaml by mycelium-fast, do not edit."
    assert second.startswith("-- sha256 ")
    assert rest == "Tick 1200 8\n"
    assert mycelium("check", "contracts.yaml", "out/m.txt", "--template", "m.txt.j2").exit_code == 0
    (directory / "m.txt.j2").write_text(TEMPLATE + "more\n")
    result = mycelium("check", "contracts.yaml", "out/m.txt", "--template", "m.txt.j2")
    assert result.exit_code == 1
    assert "out/m.txt:4: ends where 'more' is expected" in result.stderr


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("{{ layouts", "m.j2:1:", "expected"),
        ("\n{% for x in layouts %}", "m.j2:2:", "endfor"),
        ("{{ nonsense }}", "m.j2:1:", "'nonsense' is undefined"),
        ("\n{{ layouts[0].nonsense }}", "m.j2:2:", "no attribute 'nonsense'"),
        ("{{ digest | nonsense }}", "m.j2:1:", "nonsense"),
        ("{{ 1 / 0 }}", "m.j2:1:", "division by zero"),
        ("{{ layouts[0].message.fields | rust.type }}", "m.j2:1:", ""),
    ],
)
def test_a_fault_in_a_template_is_told_with_its_line(
    directory: Path, text: str, place: str, said: str
) -> None:
    (directory / "m.j2").write_text(text)
    result = mycelium("codegen", "contracts.yaml", "--template", "m.j2", "m.txt")
    assert result.exit_code == 1
    assert f"error: {place}" in result.stderr
    assert said in result.stderr
    assert not (directory / "m.txt").exists()


def test_a_template_that_is_not_there_is_told(directory: Path) -> None:
    result = mycelium("codegen", "contracts.yaml", "--template", "m.j2", "m.txt")
    assert result.exit_code == 1
    assert "the template m.j2 cannot be read: No such file or directory" in result.stderr
    (directory / "m.j2").write_bytes(b"\xff")
    assert "is not UTF-8" in mycelium("codegen", "contracts.yaml", "--template", "m.j2", "m.txt").stderr


def test_the_generated_test_file_passes_for_the_generated_module(directory: Path) -> None:
    assert mycelium("codegen", "contracts.yaml", *every_output()).exit_code == 0
    output = checked(sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "test_m.py", cwd=directory)
    assert " passed" in output
    assert "failed" not in output


def test_a_file_that_is_up_to_date_keeps_its_time(directory: Path) -> None:
    mycelium("codegen", "contracts.yaml", "--python-out", "m.py")
    os.utime("m.py", ns=(1, 1))
    result = mycelium("codegen", "contracts.yaml", "--python-out", "m.py")
    assert result.stdout == "up to date: m.py\n"
    assert (directory / "m.py").stat().st_mtime_ns == 1
    (directory / "contracts.yaml").write_text(CONTRACTS.replace("price", "cost"))
    assert mycelium("codegen", "contracts.yaml", "--python-out", "m.py").stdout == "wrote m.py\n"
    assert "cost" in (directory / "m.py").read_text()


def test_a_dash_is_standard_output(directory: Path) -> None:
    mycelium("codegen", "contracts.yaml", "--stub-out", "m.pyi")
    result = mycelium("codegen", "contracts.yaml", "--stub-out", "-", "--python-out", "m.py")
    assert result.stdout == (directory / "m.pyi").read_text()
    assert "wrote m.py" in result.stderr


def test_the_contracts_file_is_no_output_under_a_link_either(directory: Path) -> None:
    (directory / "messages.py").symlink_to("contracts.yaml")
    result = mycelium("codegen", "contracts.yaml", "--python-out", "messages.py", "--force")
    assert result.exit_code == 2
    assert (directory / "contracts.yaml").read_text() == CONTRACTS


def test_a_file_that_was_not_generated_is_overwritten_by_force_alone(directory: Path) -> None:
    (directory / "m.py").write_text("print('mine')\n")
    arguments = ("codegen", "contracts.yaml", "--stub-out", "m.pyi", "--python-out", "m.py")
    result = mycelium(*arguments)
    assert result.exit_code == 1
    assert "m.py was not generated" in result.stderr
    assert "--force" in result.stderr
    assert (directory / "m.py").read_text() == "print('mine')\n"
    assert not (directory / "m.pyi").exists()
    assert mycelium(*arguments, "--force").exit_code == 0
    assert "class Tick" in (directory / "m.py").read_text()


def test_an_empty_file_and_one_of_another_version_are_overwritten(directory: Path) -> None:
    (directory / "m.py").touch()
    first = "# Generated from old.yaml by mycelium-fast, do not edit.\r\n# sha256 00\r\n"
    (directory / "m.pyi").write_bytes(first.encode())
    result = mycelium("codegen", "contracts.yaml", "--stub-out", "m.pyi", "--python-out", "m.py")
    assert result.stdout == "wrote m.pyi\nwrote m.py\n"


def test_an_output_that_is_no_file_or_a_link_is_written_and_not_replaced(directory: Path) -> None:
    (directory / "link.py").symlink_to("real.py")
    os.mkfifo("pipe")
    # Open at both ends, so that neither waits for the other.
    descriptor = os.open("pipe", os.O_RDWR | os.O_NONBLOCK)
    try:
        result = mycelium("codegen", "contracts.yaml", "--python-out", "link.py", "--stub-out", "pipe")
        assert result.exit_code == 0, result.output
        assert os.read(descriptor, 65536).startswith(b"# Generated from contracts.yaml")
    finally:
        os.close(descriptor)
    assert (directory / "link.py").is_symlink()
    assert "class Tick" in (directory / "real.py").read_text()
    assert (directory / "pipe").is_fifo()


@pytest.mark.parametrize(
    "arguments",
    [["codegen", "contracts.yaml", "--python-out", "m.py"], ["build", "contracts.yaml", "--module", "m"]],
    ids=lambda arguments: arguments[0],
)
def test_quiet_prints_nothing_where_all_goes_well(arguments: list[str]) -> None:
    assert mycelium(*arguments, "-q").output == ""
    assert mycelium(*arguments, "--quiet").exit_code == 0
    assert WARNING in mycelium(*arguments).stderr


def test_directories_of_outputs_are_made(directory: Path) -> None:
    assert mycelium("codegen", "contracts.yaml", "--python-out", "a/b/m.py").exit_code == 0
    assert (directory / "a" / "b" / "m.py").is_file()


def test_the_alias_is_the_same_command(directory: Path) -> None:
    output = checked(
        SCRIPTS / "mycelium-codegen", "--contracts", "contracts.yaml", "--python-out", "a.py", cwd=directory
    )
    assert output == "wrote a.py\n"
    mycelium("codegen", "--contracts", "contracts.yaml", "--python-out", "b.py")
    assert (directory / "a.py").read_bytes() == (directory / "b.py").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["codegen"], "Missing the contracts file"),
        (["codegen", "a.yaml", "--contracts", "b.yaml"], "given twice"),
        (
            ["codegen", "contracts.yaml"],
            "give one or more of --cython-out, --stub-out, --python-out, --rust-out",
        ),
        (["codegen", "contracts.yaml", "--python-out", "x", "--stub-out", "x"], "Two outputs are to go to x"),
        (["codegen", "contracts.yaml", "--python-out", "-", "--stub-out", "-"], "to go to standard output"),
        (
            ["codegen", "contracts.yaml", "--python-out", "./a/../x", "--stub-out", "x"],
            "Two outputs are to go to ./a/../x (x is the same file)",
        ),
        (["codegen", "contracts.yaml", "--python-out", "./contracts.yaml"], "is the contracts file itself"),
        (
            ["codegen", "contracts.yaml", "--force", "--python-out", "contracts.yaml"],
            "is the contracts file itself",
        ),
        (["codegen", "contracts.yaml", "--test-out", "x", "--module", "a b"], "is no dotted Python name"),
        (["build", "contracts.yaml"], "--module"),
        (["build", "contracts.yaml", "--module", "a-b"], "is no module name"),
        (["check", "contracts.yaml"], "FILE"),
        (["chekc"], "No such command 'chekc'. Did you mean 'check'?"),
        (["bridg"], "No such command 'bridg'. Did you mean 'bridge'?"),
        (["xyzzy"], "No such command 'xyzzy'. There are bridge, build,"),
    ],
)
def test_a_command_line_that_makes_no_sense_exits_with_2(arguments: list[str], text: str) -> None:
    result = mycelium(*arguments)
    assert result.exit_code == 2
    assert text in result.stderr
    assert sorted(os.listdir()) == ["contracts.yaml"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["codegen", "bad.yaml", "--python-out", "m.py"],
        ["build", "bad.yaml", "--module", "m"],
        ["check", "bad.yaml", "m.py"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_every_mistake_in_the_contracts_is_printed_with_its_place(
    directory: Path, arguments: list[str]
) -> None:
    text = CONTRACTS.replace("u64", "u46").replace("tlv_type: 1200", "tlv_type: 70000")
    (directory / "bad.yaml").write_text(text)
    result = mycelium(*arguments)
    assert result.exit_code == 1
    places = [line.split(": ")[0] for line in result.stderr.splitlines()]
    assert [place.split(":")[:2] for place in places] == [["bad.yaml", "3"], ["bad.yaml", "7"]]
    assert "\x1b" not in result.stderr
    assert sorted(os.listdir()) == ["bad.yaml", "contracts.yaml"]


def test_a_contracts_file_that_is_not_there_is_an_error_without_a_traceback() -> None:
    result = mycelium("codegen", "missing.yaml", "--python-out", "m.py")
    assert result.exit_code == 1
    assert result.stderr.startswith("missing.yaml: cannot read the contracts file: ")
    assert "Traceback" not in result.stderr


def test_an_output_that_cannot_be_written_is_an_error_without_a_traceback(directory: Path) -> None:
    (directory / "m.py").mkdir()
    result = mycelium("codegen", "contracts.yaml", "--python-out", "m.py")
    assert result.exit_code == 1
    assert "m.py" in result.stderr
    assert "Traceback" not in result.stderr


def test_build_compiles_a_module_with_its_stub(directory: Path) -> None:
    result = mycelium("build", "contracts.yaml", "--module", "trading.messages", "--out", ".")
    assert result.exit_code == 0, result.output
    assert result.stdout == f"built trading/messages{SUFFIX} and trading/messages.pyi\n"
    steps = [line for line in result.stderr.splitlines() if line.startswith("[")]
    assert steps == ["[1/3] rendering", "[2/3] translating to C", "[3/3] compiling"]
    code = "from trading.messages import Tick; print(Tick(price=1))"
    assert checked(sys.executable, "-c", code, cwd=directory) == "Tick(price=1)\n"


def test_build_without_a_compiler_names_the_plain_python_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "/no/such/cc")
    result = mycelium("build", "contracts.yaml", "--module", "m")
    assert result.exit_code == 1
    assert "error: no C compiler: `/no/such/cc`" in result.stderr
    assert "`mycelium codegen contracts.yaml --python-out messages.py`" in result.stderr


def on_a_terminal(*command: str | Path) -> tuple[int, str]:
    """Run a program with a terminal for its outputs; returns its exit status and what it showed."""
    leader, follower = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    for name in ("NO_COLOR", "CI", "FORCE_COLOR"):
        environment.pop(name, None)
    child = subprocess.Popen(
        [str(part) for part in command], stdin=follower, stdout=follower, stderr=follower, env=environment
    )
    os.close(follower)
    shown = b""
    while True:
        try:
            data = os.read(leader, 65536)
        except OSError:  # Linux: the other end is closed
            break
        if not data:
            break
        shown += data
    os.close(leader)
    return child.wait(60), shown.decode()


def test_build_shows_live_progress_on_a_terminal(directory: Path) -> None:
    status, shown = on_a_terminal(SCRIPTS / "mycelium", "build", "contracts.yaml", "--module", "m")
    assert status == 0
    assert "contracts.yaml -> m: compiling" in shown
    assert "[3/3]" not in shown
    assert f"built m{SUFFIX} and m.pyi" in shown


def test_mistakes_are_coloured_on_a_terminal(directory: Path) -> None:
    (directory / "contracts.yaml").write_text(CONTRACTS.replace("u64", "u46"))
    status, shown = on_a_terminal(SCRIPTS / "mycelium", "codegen", "contracts.yaml", "--python-out", "m.py")
    assert status == 1
    assert "\x1b[1mcontracts.yaml:7:" in shown


def test_check_accepts_what_codegen_and_build_made(directory: Path) -> None:
    mycelium("codegen", "contracts.yaml", *every_output())
    mycelium("build", "contracts.yaml", "--module", "m")
    result = mycelium("check", "contracts.yaml", *OUTPUTS.values(), f"m{SUFFIX}")
    assert result.exit_code == 0, result.output
    assert result.stdout == "8 files up to date with contracts.yaml\n"
    assert result.stderr == ""


def test_check_exits_with_1_on_drift_and_says_where(directory: Path) -> None:
    mycelium("codegen", "contracts.yaml", *every_output())
    text = (directory / "m.py").read_text().splitlines()
    number = next(number for number, line in enumerate(text, 1) if "price" in line)
    text[number - 1] += "  # edited"
    (directory / "m.py").write_text("\n".join(text) + "\n")
    result = mycelium("check", "contracts.yaml", "m.py", "m.pyi")
    assert result.exit_code == 1
    assert f"m.py:{number}:" in result.stderr
    assert WARNING in result.stderr
    assert "m.pyi" not in result.stderr


def test_check_sees_changed_contracts_in_every_kind_of_file(directory: Path) -> None:
    mycelium("codegen", "contracts.yaml", *every_output())
    mycelium("build", "contracts.yaml", "--module", "m")
    (directory / "contracts.yaml").write_text(CONTRACTS + "# another comment\n")
    files = [*OUTPUTS.values(), f"m{SUFFIX}"]
    result = mycelium("check", "contracts.yaml", *files)
    assert result.exit_code == 1
    for name in files:
        assert any(line.startswith(name) for line in result.stderr.splitlines()), name


def test_a_codec_that_is_not_compiled_is_an_error_without_a_traceback() -> None:
    code = """
import importlib, sys
def import_module(name):
    raise ImportError("the codec is not compiled: run make", name="mycelium_fast.codec")
from mycelium_fast.cli.main import main
importlib.import_module = import_module
main(["bridge"])
"""
    result = run(sys.executable, "-c", code)
    assert result.returncode == 1
    assert result.stderr == "error: the codec is not compiled: run make\n"


def test_help_names_every_command_and_imports_none() -> None:
    result = mycelium("--help")
    assert result.exit_code == 0
    for name, line in COMMANDS.items():
        assert f"  {name} " in result.stdout
        assert line in result.stdout
    code = """
import sys
from mycelium_fast.cli.main import main
main(["--help"], standalone_mode=False)
heavy = {"yaml", "jinja2", "rich", "asyncio", "numpy", "mycelium_fast.codec.message"}
commands = [name for name in sys.modules if name.startswith("mycelium_fast.cli.")]
print(sorted(heavy & set(sys.modules)), commands)
"""
    output = checked(sys.executable, "-c", code)
    assert output.splitlines()[-1] == "[] ['mycelium_fast.cli.main']"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_of_its_own(name: str) -> None:
    result = mycelium(name, "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith("Usage: ")


def test_the_version_is_the_packages() -> None:
    result = mycelium("--version")
    assert result.stdout.strip().endswith(mycelium_fast.__version__)


def test_python_m_is_the_same_program(directory: Path) -> None:
    assert checked(sys.executable, "-m", "mycelium_fast", "--help") == checked(SCRIPTS / "mycelium", "--help")


def test_without_click_one_line_says_what_to_install(wheel: Path, new_venv: Callable[..., Path]) -> None:
    python = new_venv()
    pip_install(python, wheel)
    for program in ("mycelium", "mycelium-codegen"):
        result = run(python.parent / program, "--help")
        assert result.returncode == 2
        assert result.stdout == ""
        assert result.stderr == f'{program} needs the package click: run `pip install "mycelium-fast[cli]"`\n'


def test_without_the_build_extra_codegen_says_what_to_install() -> None:
    code = """
import sys
sys.modules["jinja2"] = None
from mycelium_fast.cli.main import main
main(["codegen", sys.argv[1], "--python-out", "-"])
"""
    result = run(sys.executable, "-c", code, ROOT / "contracts.yaml")
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith("error: ")
    assert "mycelium-fast[build]" in result.stderr
    assert "Traceback" not in result.stderr


def test_in_a_checkout_that_is_not_compiled_the_error_says_to_install_it() -> None:
    code = "from mycelium_fast import UnixTransport"
    result = run(sys.executable, "-c", code, cwd=ROOT)
    assert result.returncode == 1
    assert "ImportError: the codec of mycelium-fast is not compiled" in result.stderr
    result = run(
        sys.executable, "-m", "mycelium_fast", "bridge", "--no-handshake", "--tcp", "127.0.0.1:0", cwd=ROOT
    )
    assert result.returncode == 1
    assert "the codec of mycelium-fast is not compiled" in result.stderr
    assert "Traceback" not in result.stderr
