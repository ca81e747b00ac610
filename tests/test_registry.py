"""Which generated modules a program has imported, and what is asked of them.

Each test is a program of its own: what is imported is the whole process's affair.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from bridges import CONTRACTS
from environments import checked

import mycelium_fast
from mycelium_fast.bus import registry
from mycelium_fast.codegen.render import render
from mycelium_fast.contracts import parse
from mycelium_fast.example_messages import SCHEMA_DIGEST

TEXT = CONTRACTS.read_text()
OTHER = TEXT.replace("price", "cost")


def python_module(directory: Path, name: str, contracts: str = TEXT) -> None:
    """Write a generated module in plain Python."""
    path = directory.joinpath(*name.split(".")).with_suffix(".py")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(parse(contracts.encode(), "contracts.yaml"), "python"))


def program(directory: Path, code: str) -> str:
    """What a program prints that finds modules in a directory."""
    start = f"import sys\nsys.path.insert(0, {str(directory)!r})\nfrom mycelium_fast.bus import registry\n"
    return checked(sys.executable, "-W", "ignore", "-c", start + code)


def test_compiled_plain_and_loaded_modules_count_and_the_core_messages_do_not(tmp_path: Path) -> None:
    python_module(tmp_path, "plain")
    (tmp_path / "contracts.yaml").write_text(TEXT)
    output = program(
        tmp_path,
        f"""
import mycelium_fast, mycelium_fast.session.core
print(registry.modules())
import mycelium_fast.example_messages, plain
loaded = mycelium_fast.load({str(tmp_path / "contracts.yaml")!r}, compiled=False)
print([module.__name__ for module in registry.modules()] ==
      ["mycelium_fast.example_messages", "plain", loaded.__name__])
print(registry.only_digest() == loaded.SCHEMA_DIGEST)
""",
    )
    assert output == "[]\nTrue\nTrue\n"


def test_a_module_counts_once_whoever_has_its_names(tmp_path: Path) -> None:
    python_module(tmp_path, "trading.messages")
    (tmp_path / "trading" / "__init__.py").write_text("from .messages import *\n")
    (tmp_path / "user.py").write_text("from trading.messages import *\n")
    output = program(
        tmp_path,
        """
import user, trading
sys.modules["another.name"] = trading.messages
print([module.__name__ for module in registry.modules()])
print(registry.module_of(user.TradeTick).__name__)
""",
    )
    assert output == "['trading.messages']\ntrading.messages\n"


def test_a_module_imported_twice_under_one_digest_is_one_schema(tmp_path: Path) -> None:
    python_module(tmp_path, "first")
    python_module(tmp_path, "second")
    output = program(
        tmp_path,
        """
import first, second
print(len(registry.modules()), registry.only_digest() == first.SCHEMA_DIGEST)
print(registry.get_message_definition(1200) is first.TradeTick.__definition__)
""",
    )
    assert output == "2 True\nTrue\n"


def test_none_or_several_schemas_are_an_error_that_lists_them(tmp_path: Path) -> None:
    python_module(tmp_path, "first")
    python_module(tmp_path, "second", OTHER)
    output = program(
        tmp_path,
        """
from mycelium_fast import MyceliumError
def attempt():
    try:
        registry.only_digest()
    except MyceliumError as error:
        print(error)
attempt()
import first, second
attempt()
assert first.SCHEMA_DIGEST.hex() != second.SCHEMA_DIGEST.hex()
print(first.SCHEMA_DIGEST.hex(), second.SCHEMA_DIGEST.hex())
""",
    )
    none, several, *lines, digests = output.splitlines()
    assert "no generated module is imported" in none
    assert "modules of several contracts files" in several
    assert lines == [
        f"  {name}: {each}" for name, each in zip(("first", "second"), digests.split(), strict=True)
    ]


def test_a_definition_is_found_by_type_id_unless_two_differ(tmp_path: Path) -> None:
    python_module(tmp_path, "first")
    python_module(tmp_path, "second", OTHER)
    output = program(
        tmp_path,
        """
from mycelium_fast import get_message_definition
def attempt(type_id):
    try:
        print(get_message_definition(type_id).name)
    except LookupError as error:
        print(error)
attempt(1200)
import first
attempt(1200)
attempt(7)
import second
attempt(1200)
attempt(1002)
""",
    )
    assert output.splitlines() == [
        "no message has the type id 1200 in the generated modules imported: none is. Import the module that "
        "has it",
        "TradeTick",
        "no message has the type id 7 in the generated modules imported: first. Import the module that "
        "has it",
        "the type id 1200 means different messages: first.TradeTick and second.TradeTick. Use the "
        "__definition__ of the class that is meant",
        "Ping",
    ]


def test_modules_that_load_themselves_when_looked_at_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "lazy.py").write_text("raise RuntimeError('it was loaded')\n")
    (tmp_path / "eager.py").write_text(
        "def __getattr__(name):\n    raise RuntimeError(f'it was asked for {name}')\n"
    )
    output = program(
        tmp_path,
        """
import importlib.util, eager
spec = importlib.util.find_spec("lazy")
spec.loader = importlib.util.LazyLoader(spec.loader)
module = importlib.util.module_from_spec(spec)
sys.modules["lazy"] = module
spec.loader.exec_module(module)
sys.modules["nothing"] = None
print(registry.modules())
""",
    )
    assert output == "[]\n"


def test_classes_are_found_by_topic() -> None:
    from mycelium_fast import example_messages as messages

    assert registry.classes_of_topic("market-data", SCHEMA_DIGEST) == messages.TOPICS["market-data"]
    with pytest.raises(
        LookupError, match=r"no message has the topic 'nothing'; there are examples, market-data"
    ):
        registry.classes_of_topic("nothing", SCHEMA_DIGEST)
    with pytest.raises(
        LookupError, match=f"no generated module with the schema digest {'00' * 32} is imported"
    ):
        registry.classes_of_topic("market-data", bytes(32))


def test_the_module_of_a_class_is_the_one_that_lists_it() -> None:
    from mycelium_fast import example_messages as messages

    assert registry.module_of(messages.TradeTick) is messages
    assert registry.module_of(int) is None
    assert mycelium_fast.get_message_definition is registry.get_message_definition
