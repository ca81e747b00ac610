"""What runs is what users get: the installed package, and its compiled modules."""

from __future__ import annotations

import importlib
import importlib.metadata
import re
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest
from environments import ROOT

import mycelium_fast

COMPILED = [
    *(
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in sorted((ROOT / "mycelium_fast").rglob("*.pyx"))
    ),
    "mycelium_fast.session.core",
    "mycelium_fast.example_messages",
]


@pytest.mark.parametrize("name", COMPILED)
def test_the_compiled_module_is_the_one_in_use(name: str) -> None:
    module = importlib.import_module(name)
    file = Path(module.__file__ or "")
    assert file.name.endswith(tuple(EXTENSION_SUFFIXES))
    assert type(module.__loader__).__name__ == "ExtensionFileLoader"


def test_tests_run_against_the_installed_package() -> None:
    file = Path(mycelium_fast.__file__).resolve()
    assert file.parent.parent.name == "site-packages"
    assert not file.is_relative_to(ROOT / "mycelium_fast")


def test_message_classes_are_the_compiled_ones() -> None:
    from mycelium_fast.codec.message import Message
    from mycelium_fast.example_messages import MESSAGES, TradeTick

    assert issubclass(TradeTick, Message)
    # A class made by Python code would have a dictionary in its instances.
    assert not hasattr(TradeTick(price=1, size=2), "__dict__")
    assert all(cls.__module__ == "mycelium_fast.example_messages" for cls in MESSAGES.values())


def test_the_package_carries_all_that_users_builds_need() -> None:
    package = Path(mycelium_fast.__file__).parent
    assert Path(mycelium_fast.get_include(), "message.h").is_file()
    for header in sorted((ROOT / "mycelium_fast").rglob("*.px[di]")):
        assert (package / header.relative_to(ROOT / "mycelium_fast")).is_file()
    assert (package / "py.typed").is_file()
    assert (package / "example_messages.pyi").is_file()
    assert (package / "session" / "core.pyi").is_file()
    assert (package / "contracts.yaml").read_bytes() == (ROOT / "contracts.yaml").read_bytes()
    templates = {path.name: path.read_bytes() for path in (ROOT / "codegen_templates").glob("*.j2")}
    assert templates
    assert {path.name: path.read_bytes() for path in (package / "codegen_templates").iterdir()} == templates


def test_no_generated_c_and_no_source_of_it_is_installed() -> None:
    package = Path(mycelium_fast.__file__).parent
    assert [path.name for path in package.rglob("*") if path.suffix in {".c", ".pyx", ".o"}] == []


def test_the_version_is_the_same_everywhere() -> None:
    assert mycelium_fast.__version__ == importlib.metadata.version("mycelium-fast")


def test_nothing_is_required_to_import_the_package() -> None:
    requirements = importlib.metadata.requires("mycelium-fast") or []
    required = [text for text in requirements if not re.search(r"extra\s*==", text)]
    # (For topology files where the standard library reads no TOML; imported with the first of them.)
    assert [text for text in required if not re.match(r"tomli.*python_version < .3\.11.", text)] == []
