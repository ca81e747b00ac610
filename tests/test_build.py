"""`build_module` and the build switches: contracts to an extension module, or an error that helps."""

from __future__ import annotations

import re
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from environments import checked, pip_install, run

from mycelium_fast.codegen import render
from mycelium_fast.codegen.compile import build_module
from mycelium_fast.codegen.switches import Switches
from mycelium_fast.errors import BuildError, ContractError

CONTRACTS = """\
schema: {id: 1, version: 1, min_compatible: 1}
messages:
  Tick:
    tlv_type: 1200
    domain: MarketData
    description: "A trade"
    fields:
      price: {type: "u64", description: "Price"}
      note: {type: "String", description: "Note"}
"""

SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")


@pytest.fixture
def contracts(tmp_path: Path) -> Path:
    path = tmp_path / "contracts.yaml"
    path.write_text(CONTRACTS)
    return path


def test_a_module_is_built_with_its_stub_below_the_given_directory(contracts: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    built = build_module(contracts, "trading.messages", out)
    assert built == out / "trading" / f"messages{SUFFIX}"
    assert sorted(path.name for path in built.parent.iterdir()) == [built.name, "messages.pyi", "py.typed"]
    code = "from trading.messages import Tick; print(Tick.__module__, Tick(price=7, note='x'))"
    assert checked(sys.executable, "-c", code, cwd=out) == "trading.messages Tick(price=7, note='x')\n"


def test_a_package_that_has_types_keeps_its_marker_and_a_lone_module_gets_none(
    contracts: Path, tmp_path: Path
) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "py.typed").write_text("partial\n")
    build_module(contracts, "shop.deep.messages", tmp_path)
    assert (tmp_path / "shop" / "py.typed").read_text() == "partial\n"
    assert not (tmp_path / "shop" / "deep" / "py.typed").exists()
    built = build_module(contracts, "messages", tmp_path / "out")
    assert sorted(path.name for path in built.parent.iterdir()) == [built.name, "messages.pyi"]


def test_the_steps_are_reported_in_order(contracts: Path, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    build_module(contracts, "messages", tmp_path / "out", progress=lambda *step: seen.append(step))
    assert seen == [("rendering", 0, 3), ("translating to C", 1, 3), ("compiling", 2, 3), ("done", 3, 3)]


def test_a_module_built_in_debug_mode_works(
    contracts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MYCELIUM_DEBUG", "1")
    build_module(contracts, "messages", tmp_path)
    code = "import messages; print(messages.Tick(1, 'x').to_bytes()[0])"
    assert checked(sys.executable, "-c", code, cwd=tmp_path) == "1\n"


def test_line_tracing_can_be_compiled_in(
    contracts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MYCELIUM_LINETRACE", "1")
    build_module(contracts, "messages", tmp_path)
    code = "import messages; print(messages.Tick(1, 'x').price)"
    assert checked(sys.executable, "-c", code, cwd=tmp_path) == "1\n"


def test_without_a_compiler_the_error_names_what_to_install_and_the_plain_python_way(
    contracts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(BuildError, match="no C compiler") as caught:
        build_module(contracts, "messages", tmp_path / "out")
    assert "apt install gcc python3-dev" in str(caught.value)
    assert f"mycelium codegen {contracts} --python-out messages.py" in str(caught.value)
    assert f"mycelium_fast.load({str(contracts)!r}, compiled=False)" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_compiler_that_the_environment_names_and_that_is_not_there_is_named(
    contracts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", "no-such-cc -O2")
    with pytest.raises(BuildError, match=r"`no-such-cc -O2` \(CC in the environment\)"):
        build_module(contracts, "messages", tmp_path / "out")


def test_the_end_of_a_failing_compilers_output_is_quoted_and_older_files_stay(
    contracts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = tmp_path / "cc"
    compiler.write_text("#!/bin/sh\ni=0; while [ $i -lt 99 ]; do echo line $i; i=$((i+1)); done\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    out = tmp_path / "out"
    out.mkdir()
    (out / f"messages{SUFFIX}").write_text("older")
    with pytest.raises(BuildError, match="the C compiler failed") as caught:
        build_module(contracts, "messages", out)
    text = str(caught.value)
    assert "line 98" in text
    assert "line 3\n" not in text
    assert "--python-out" in text
    assert [path.read_text() for path in out.iterdir()] == ["older"]


def test_missing_python_headers_are_named_with_their_package(
    contracts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = {**sysconfig.get_paths(), "include": str(tmp_path / "include")}
    monkeypatch.setattr(sysconfig, "get_paths", lambda: paths)
    with pytest.raises(BuildError, match=r"there is no .*include/Python\.h.*apt install python3-dev"):
        build_module(contracts, "messages", tmp_path / "out")


def test_without_the_build_extra_the_error_names_it(wheel: Path, new_venv: Callable[..., Path]) -> None:
    python = new_venv()
    pip_install(python, wheel)
    code = "from mycelium_fast.codegen.compile import check_tools; check_tools()"
    result = run(python, "-c", code)
    assert result.returncode == 1
    error = result.stderr.splitlines()[-1]
    assert "BuildError: Cython and setuptools are not installed for " in error
    assert 'pip install "mycelium-fast[build]"' in error


def test_a_contracts_file_with_mistakes_raises_before_anything_is_compiled(tmp_path: Path) -> None:
    path = tmp_path / "contracts.yaml"
    path.write_text(CONTRACTS.replace("u64", "u46"))
    with pytest.raises(ContractError) as caught:
        build_module(path, "messages", tmp_path / "out")
    assert (caught.value.file, caught.value.line) == (str(path), 8)


@pytest.mark.parametrize(
    "name", ["", "trading..messages", "trading-messages", "class", "a.import", "1x", "é"]
)
def test_a_name_that_cannot_be_imported_is_refused(contracts: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="is no module name"):
        build_module(contracts, name, tmp_path)


def test_switches_come_from_the_environment() -> None:
    assert Switches.from_environment({}) == Switches()
    assert Switches.from_environment({"MYCELIUM_DEBUG": "1"}) == Switches(debug=True)
    assert Switches.from_environment({"MYCELIUM_DEBUG": "0", "MYCELIUM_SANITIZE": ""}) == Switches()
    given = Switches.from_environment({"MYCELIUM_SANITIZE": "undefined, address", "MYCELIUM_LINETRACE": "on"})
    assert given == Switches(linetrace=True, sanitize=("address", "undefined"))
    assert given.tag == "linetrace-address-undefined"
    assert "-fsanitize=address,undefined" in given.compile_args
    assert given.link_args == ["-fsanitize=address,undefined"]
    assert ("MYCELIUM_NO_FREELIST", "1") in given.macros


@pytest.mark.parametrize(
    ("environment", "text"),
    [
        ({"MYCELIUM_DEBUG": "perhaps"}, "MYCELIUM_DEBUG=perhaps: neither on"),
        ({"MYCELIUM_SANITIZE": "adress"}, "no sanitizer 'adress'; there are address, undefined"),
    ],
)
def test_a_switch_that_means_nothing_is_an_error(environment: dict[str, str], text: str) -> None:
    with pytest.raises(BuildError, match=text):
        Switches.from_environment(environment)


def test_ordinary_builds_are_portable_and_optimised() -> None:
    arguments = Switches().compile_args
    assert "-O3" in arguments
    assert not any(argument.startswith(("-march", "-mcpu", "-mtune")) for argument in arguments)


def test_a_module_built_for_another_codec_says_how_to_build_it_again(
    contracts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = render.render

    def for_the_next_codec(*arguments: Any, **keywords: Any) -> str:
        return real(*arguments, **keywords).replace("require_abi(MYC_ABI,", "require_abi(MYC_ABI + 1,")

    monkeypatch.setattr(render, "render", for_the_next_codec)
    build_module(contracts, "trading.messages", tmp_path)
    result = run(sys.executable, "-c", "import trading.messages", cwd=tmp_path)
    assert result.returncode == 1
    error = result.stderr.splitlines()[-1]
    assert re.search(r"ImportError: trading.messages was built .* \(codec ABI \d+\); installed is ", error)
    assert "mycelium build CONTRACTS --module trading.messages" in error
