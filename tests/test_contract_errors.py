"""Mistakes in a contracts file are reported where they stand, all at once; doubtful things are warnings.

The mistakes themselves are in the table of `contract_mistakes.py`. What a right file becomes is for
`test_contracts.py`.
"""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from contract_mistakes import ERRORS, WARNINGS, Case

from mycelium_fast.contracts import load, parse
from mycelium_fast.errors import ContractError, MyceliumError


@pytest.mark.parametrize("case", ERRORS, ids=lambda case: case.kind)
def test_mistake_is_reported_where_it_stands(case: Case) -> None:
    with pytest.raises(ContractError) as caught:
        parse(case.data, "contracts.yaml")
    line, column = case.position
    assert caught.value.problems == [(line, column, case.text)]
    assert (caught.value.file, caught.value.line, caught.value.column) == ("contracts.yaml", line, column)
    assert str(caught.value) == f"contracts.yaml:{line}:{column}: {case.text}"


def test_table_names_each_kind_once() -> None:
    kinds = [case.kind for case in ERRORS + WARNINGS]
    assert len(set(kinds)) == len(kinds)


def test_several_mistakes_are_reported_at_once_in_file_order() -> None:
    file = """\
tag_ranges:
  core: 1-999
messages:
  Tick:
    tlv_type: 17
    domain: MarketData
    fields:
      price: {type: u46}
      price: {type: u64}
      size: {type: u64, validation: [{min: 2}, {max: 1}]}
  Tock:
    tlv_type: 17
    fields: {from: {type: u8}, from_: {type: u8}}
"""
    with pytest.raises(ContractError) as caught:
        parse(file.encode(), "two.yaml")
    assert [(line, column, text.split(":")[0]) for line, column, text in caught.value.problems] == [
        (5, 15, "Tick"),
        (8, 21, "Tick.price"),
        (9, 7, "Tick"),
        (10, 49, "Tick.size"),
        (11, 3, "Tock"),
        (12, 15, "Tock"),
        (12, 15, "Tock"),
        (13, 32, "Tock"),
    ]
    lines = str(caught.value).splitlines()
    assert len(lines) == 8
    assert all(line.startswith("two.yaml:") for line in lines)


def test_third_message_of_one_type_id_names_the_first() -> None:
    file = "messages:\n" + "".join(
        f"  {name}: {{tlv_type: 7, domain: D, fields: {{}}}}\n" for name in ("One", "Two", "Three")
    )
    with pytest.raises(ContractError) as caught:
        parse(file.encode())
    assert [(line, text) for line, _, text in caught.value.problems] == [
        (3, "Two: tlv_type 7 is taken by One (line 2); every message needs its own"),
        (4, "Three: tlv_type 7 is taken by One (line 2); every message needs its own"),
    ]


def test_mistake_under_an_alias_is_reported_once_where_it_is_written() -> None:
    file = """\
messages:
  One: {tlv_type: 1, domain: D, fields: {a: &bad {type: u46}, b: *bad}}
"""
    with pytest.raises(ContractError) as caught:
        parse(file.encode())
    assert [(line, column) for line, column, _ in caught.value.problems] == [(2, 57), (2, 57)]
    assert [text.split(":")[0] for _, _, text in caught.value.problems] == ["One.a", "One.b"]


def test_column_counts_characters_not_bytes() -> None:
    file = "messages:\n  Tick: {description: 'größer als 日本語', tlv_type: none, domain: D, fields: {}}\n"
    with pytest.raises(ContractError) as caught:
        parse(file.encode())
    assert caught.value.column == file.splitlines()[1].index("none") + 1


def test_byte_that_is_not_utf8_is_reported_where_it_stands() -> None:
    with pytest.raises(ContractError) as caught:
        parse("messages: {}\n# für ".encode() + b"f\xfcr\n", "latin.yaml")
    assert str(caught.value) == (
        "latin.yaml:2:8: byte 0xfc (byte 21 of the file) is not UTF-8; save the file as UTF-8"
    )


def test_file_that_does_not_exist(tmp_path: Path) -> None:
    path = tmp_path / "none.yaml"
    with pytest.raises(ContractError) as caught:
        load(path)
    assert str(caught.value) == (
        f"{path}: cannot read the contracts file: No such file or directory; check its path and permissions"
    )
    assert (caught.value.file, caught.value.line, caught.value.column) == (str(path), 0, 0)
    assert isinstance(caught.value.__cause__, FileNotFoundError)


def test_directory_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="cannot read the contracts file: Is a directory"):
        load(tmp_path)


def test_path_with_a_nul_is_no_file() -> None:
    with pytest.raises(ContractError, match="cannot read the contracts file"):
        load("a\0b")


def test_load_names_the_file_in_errors(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("messages: []\n")
    with pytest.raises(ContractError) as caught:
        load(path)
    assert caught.value.file == str(path)
    assert str(caught.value).startswith(f"{path}:1:11: ")


def test_text_in_place_of_bytes_is_a_type_error() -> None:
    with pytest.raises(TypeError, match=r"not str; to read a file by its path, use load\(\)"):
        parse("contracts.yaml")  # type: ignore[arg-type]


def test_contract_error_is_a_value_error_and_survives_pickling() -> None:
    with pytest.raises(ContractError) as caught:
        parse(b"")
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, MyceliumError)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (type(copy), str(copy), copy.problems) == (ContractError, str(caught.value), caught.value.problems)


@pytest.mark.parametrize("case", WARNINGS, ids=lambda case: case.kind)
def test_doubtful_file_is_loaded_with_a_warning(case: Case) -> None:
    contracts = parse(case.data)
    assert contracts.warnings == ((*case.position, case.text),)


def test_warnings_come_in_file_order() -> None:
    contracts = parse(
        b"messages:\n  Tick:\n    fields: {a: {type: u8, validation: [{known: 1}, {min: -1}]}}\n"
        b"    domain: D\n    tlv_type: 5\n    log_payloads: true\ntag_range: {}\n"
    )
    assert [(line, column) for line, column, _ in contracts.warnings] == [(3, 42), (3, 54), (6, 5), (7, 1)]


def test_unknown_keys_that_resemble_nothing_are_silent() -> None:
    contracts = parse(
        b"domains: [a]\ninvariants: []\nmessages:\n"
        b"  Tick: {tlv_type: 1, domain: D, domains: x, rust_type: T, fields: {a: {type: u8, rust: u8}}}\n"
    )
    assert contracts.warnings == ()
