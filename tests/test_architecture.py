"""The package's layers: imports point down, and importing it imports nobody else's code."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from environments import ROOT, checked

PACKAGE = ROOT / "mycelium_fast"

#: What each layer may import besides itself.
ALLOWED: dict[str, set[str]] = {
    "contracts": set(),
    "codegen": {"contracts", "codec"},
    "codec": set(),
    "session": {"codec"},
    "transport": {"session", "codec"},
    "bus": {"transport", "session", "codec"},
    "bridge": {"bus", "transport", "session", "codec", "contracts", "codegen", "observe"},
    "observe": {"codec"},
    "cli": {"bridge", "bus", "transport", "session", "codec", "contracts", "codegen", "observe"},
}
#: What all may import; "" is the package itself, for its version.
COMMON = {"", "errors", "_version"}
#: Top-level modules that only the outermost layers may use.
OUTER = {"cli", "example_messages"}


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything that a Python or Cython file imports of this package."""
    relative = path.relative_to(PACKAGE.parent).with_suffix("")
    package = relative.parts[:-1]
    if path.suffix == ".py":
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield node.lineno, alias.name
            elif isinstance(node, ast.ImportFrom):
                base = package[: len(package) - node.level + 1] if node.level else ()
                prefix = ".".join((*base, *((node.module,) if node.module else ())))
                for alias in node.names:
                    yield node.lineno, f"{prefix}.{alias.name}"
    else:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            words = line.split()
            if len(words) > 1 and words[0] in {"from", "import", "cimport"}:
                yield number, words[1]


def layer(name: str) -> str | None:
    """The layer of a dotted name, None if it is not this package's; "" for the package itself."""
    parts = name.split(".")
    if parts[0] != "mycelium_fast":
        return None
    return parts[1] if len(parts) > 1 else ""


SOURCES = sorted(path for path in PACKAGE.rglob("*") if path.suffix in {".py", ".pyx", ".pxd"})


@pytest.mark.parametrize("directory", sorted(ALLOWED))
def test_imports_point_down(directory: str) -> None:
    wrong = []
    for path in SOURCES:
        if path.relative_to(PACKAGE).parts[0] != directory:
            continue
        for line, name in imports(path):
            target = layer(name)
            if target is None or target in COMMON or target == directory or target in ALLOWED[directory]:
                continue
            if target in OUTER and directory == "cli":
                continue
            wrong.append(f"{path.relative_to(ROOT)}:{line} imports {name}")
    assert wrong == []


def test_every_file_belongs_to_a_layer() -> None:
    directories = {path.relative_to(PACKAGE).parts[0] for path in SOURCES if path.parent != PACKAGE}
    assert directories <= set(ALLOWED)
    assert {path.name for path in SOURCES if path.parent == PACKAGE} == {
        "__init__.py",
        "__main__.py",
        "_version.py",
        "errors.py",
    }


def test_importing_the_package_imports_no_third_party_package() -> None:
    code = """
import sys
before = set(sys.modules)
import mycelium_fast
mycelium_fast.MyceliumError, mycelium_fast.ContractError
print("\\n".join(sorted({name.partition(".")[0] for name in set(sys.modules) - before})))
"""
    loaded = set(checked(sys.executable, "-c", code).split())
    assert loaded - {"mycelium_fast"} <= sys.stdlib_module_names


def test_importing_the_compiled_messages_imports_no_third_party_package() -> None:
    code = """
import sys
before = set(sys.modules)
from mycelium_fast.example_messages import TradeTick
TradeTick.from_bytes(TradeTick(price=1, size=2).to_bytes()).validate()
print("\\n".join(sorted({name.partition(".")[0] for name in set(sys.modules) - before})))
"""
    loaded = set(checked(sys.executable, "-c", code).split())
    cython = {name for name in loaded if name.startswith(("_cython_", "cython_runtime"))}
    assert loaded - cython - {"mycelium_fast"} <= sys.stdlib_module_names


#: What takes long to import, by what is to do without it.
HEAVY = {
    "import mycelium_fast": "asyncio dataclasses inspect logging pathlib socket ssl",
    "import mycelium_fast.example_messages": "asyncio dataclasses inspect logging pathlib socket ssl",
    "from mycelium_fast import TcpTransport, UnixTransport": "asyncio pathlib ssl subprocess",
    "from mycelium_fast import MyceliumClient": "pathlib yaml",
}


@pytest.mark.parametrize("statement", HEAVY)
def test_an_import_brings_nothing_heavy_that_it_does_not_need(statement: str) -> None:
    code = f"import sys; before = set(sys.modules)\n{statement}\nprint(*set(sys.modules) - before)"
    loaded = set(checked(sys.executable, "-c", code).split())
    assert loaded & set(HEAVY[statement].split()) == set()


def test_contracts_and_codegen_work_with_nothing_compiled(tmp_path: Path) -> None:
    """The package builds itself: what its build uses has to run from the bare source tree."""
    code = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
import importlib.machinery
importlib.machinery.EXTENSION_SUFFIXES.clear()

class NoCompiledModules:
    def find_spec(self, name, path=None, target=None):
        if name.startswith(("mycelium_fast.codec.", "mycelium_fast.session")):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, NoCompiledModules())
import mycelium_fast
assert mycelium_fast.__file__.startswith({str(ROOT)!r}), mycelium_fast.__file__
from mycelium_fast import contracts
from mycelium_fast.codegen import build_command, compile, hook, load
from mycelium_fast.codegen.render import render
model = contracts.load({str(ROOT / "contracts.yaml")!r})
for language in ("cython", "stub", "python", "test"):
    assert render(model, language)
module = load.load({str(ROOT / "contracts.yaml")!r}, compiled=False)
print(module.TradeTick(price=1, size=2))
"""
    output = checked(sys.executable, "-W", "ignore", "-c", code, cwd=tmp_path)
    assert output == "TradeTick(price=1, size=2)\n"
