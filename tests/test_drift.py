"""`mycelium check`: whether generated files are what the contracts file gives, and where they are not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import golden
import pytest

from mycelium_fast import contracts
from mycelium_fast.codegen.drift import check
from mycelium_fast.codegen.render import Language, render, render_template
from mycelium_fast.contracts import Contracts

FILES: dict[str, Language] = {
    "messages.py": "python",
    "messages.pyi": "stub",
    "messages.pyx": "cython",
    "test_messages.py": "test",
    "messages.rs": "rust",
    "messages.h": "c",
    "messages.ml": "ocaml",
}


@pytest.fixture(scope="module")
def market() -> Contracts:
    return contracts.load(golden.DATA / "market.yaml")


def write(directory: Path, name: str, model: Contracts) -> Path:
    path = directory / name
    path.write_text(render(model, FILES[name], module="trading.messages"))
    return path


def test_fresh_files_have_not_drifted(market: Contracts, tmp_path: Path) -> None:
    paths = [write(tmp_path, name, market) for name in FILES]
    assert check(market, paths) == []
    assert check(market, []) == []


@pytest.mark.parametrize("name", FILES)
def test_an_edited_line_is_found(market: Contracts, tmp_path: Path, name: str) -> None:
    path = write(tmp_path, name, market)
    lines = path.read_text().splitlines(keepends=True)
    number = len(lines) // 2
    while not lines[number].strip():
        number += 1
    lines[number] = "edited by hand\n"
    path.write_text("".join(lines))
    (drift,) = check(market, [path])
    assert (drift.path, drift.line) == (str(path), number + 1)
    assert "'edited by hand'" in drift.reason
    assert "generate it again" in drift.reason
    assert str(drift).startswith(f"{path}:{number + 1}: expected ")


def test_lines_at_the_end_are_found(market: Contracts, tmp_path: Path) -> None:
    longer, shorter = write(tmp_path, "messages.py", market), write(tmp_path, "messages.pyi", market)
    lines = len(longer.read_text().splitlines())
    longer.write_text(longer.read_text() + "x = 1\n")
    text = shorter.read_text().splitlines(keepends=True)
    shorter.write_text("".join(text[:-1]))
    one, other = check(market, [longer, shorter])
    assert one.line == lines + 1
    assert "goes on with 'x = 1'" in one.reason
    assert other.line == len(text)
    assert other.reason.startswith("ends where ")


@pytest.mark.parametrize(
    ("change", "line", "reason"),
    [
        (lambda text: text + "x = 1", 1, "goes on with 'x = 1' where it should end"),
        (lambda text: text + "\n", 1, "goes on with '' where it should end"),
        (lambda text: text.removesuffix("\n"), 0, "has no line feed after "),
        (lambda text: text.removesuffix("\n") + "  # mine", 0, "expected "),
    ],
    ids=["unterminated line", "empty line", "no line feed", "unterminated comment"],
)
def test_a_last_line_that_nothing_ends_counts_too(
    market: Contracts, tmp_path: Path, change: Callable[[str], str], line: int, reason: str
) -> None:
    path = write(tmp_path, "messages.py", market)
    text = path.read_text()
    path.write_text(change(text))
    (drift,) = check(market, [path])
    assert drift.line == text.count("\n") + line
    assert drift.reason.startswith(reason)


def test_another_version_of_the_contracts_is_named_by_both_digests(market: Contracts, tmp_path: Path) -> None:
    changed = contracts.parse(
        (golden.DATA / "market.yaml").read_bytes() + b"\n# one more line\n", "market.yaml"
    )
    path = write(tmp_path, "messages.py", changed)
    (drift,) = check(market, [path])
    assert drift.line == 2
    assert market.digest.hex() in drift.reason
    assert changed.digest.hex() in drift.reason


def test_a_file_that_was_not_generated_is_said_to_be_none(market: Contracts, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("x = 1\n")
    (drift,) = check(market, [path])
    assert drift.line == 1
    assert "does not begin with the two lines" in drift.reason


def test_files_that_are_missing_or_no_text_are_reported_with_the_rest(
    market: Contracts, tmp_path: Path
) -> None:
    (tmp_path / "binary.py").write_bytes(b"\xff\xfe\0")
    paths = [tmp_path / "missing.py", tmp_path / "binary.py", tmp_path]
    reasons = [drift.reason for drift in check(market, paths)]
    assert [reason.split(":")[0] for reason in reasons] == [
        "cannot be read",
        "is neither a text file nor a compiled module (.so, .pyd)",
        "cannot be read",
    ]


def test_a_compiled_module_is_checked_by_the_digest_that_it_carries(market: Contracts) -> None:
    compiled = golden.module("market.yaml", "compiled").__file__
    other = golden.module("game.yaml", "compiled").__file__
    assert compiled is not None
    assert other is not None
    assert check(market, [compiled]) == []
    (drift,) = check(market, [other])
    assert market.digest.hex() in drift.reason
    assert "mycelium build" in drift.reason


def test_a_template_of_ones_own_is_for_files_of_its_kind(market: Contracts, tmp_path: Path) -> None:
    template = tmp_path / "messages.jl.j2"
    template.write_text(
        '{{ header("# ") }}\n{% for item in layouts %}\n{{ item.message.name }}\n{% endfor %}\n'
    )
    path = tmp_path / "messages.jl"
    path.write_text(render_template(market, template))
    assert check(market, [path], [template]) == []
    (drift,) = check(market, [path])
    assert "is of no kind that is known here" in drift.reason
    path.write_text(path.read_text() + "more\n")
    (drift,) = check(market, [path, write(tmp_path, "messages.rs", market)], [template])
    assert "goes on with 'more'" in drift.reason


def test_line_ends_of_another_system_are_no_drift(market: Contracts, tmp_path: Path) -> None:
    path = write(tmp_path, "messages.py", market)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert check(market, [path]) == []
