"""The generated C header: its accessors in C and C++ programs, its names, its bytes on hosts of either byte
order, and a fuzzer over it, under the compilers' strictest warnings and their sanitizers.

That it agrees with the other languages on every vector and on random contracts is `test_conformance.py`'s.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import textwrap
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from bridges import CONTRACTS, Bridge
from environments import ROOT, checked, run
from golden import DATA, golden, malformed
from random_contracts import contracts_yaml

import mycelium_fast
from mycelium_fast.codegen import header_source
from mycelium_fast.codegen.render import render, render_template
from mycelium_fast.contracts import Contracts, load
from mycelium_fast.contracts.layout import layout

HERE = Path(__file__).parent
WARNINGS = (
    *(
        "-Wall",
        "-Wextra",
        "-Wpedantic",
        "-Wconversion",
        "-Wshadow",
        "-Wcast-align",
        "-Wundef",
        "-Wsign-conversion",
    ),
    "-Werror",
)
SANITIZERS = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
CLANG = next((name for name in ("clang", "clang-14", "clang-15", "clang-16") if shutil.which(name)), None)
COMPILERS = {
    "gcc": ("gcc", "-std=c11"),
    "g++": ("g++", "-std=c++17", "-xc++"),
    **({"clang": (CLANG, "-std=c11"), "clang++": (CLANG, "-std=c++17", "-xc++")} if CLANG else {}),
}
every_compiler = pytest.mark.parametrize("compiler", COMPILERS)
both_languages = pytest.mark.parametrize("compiler", ["gcc", "g++"])


def contracts(file: Path) -> Contracts:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mycelium_fast.ContractWarning)
        return load(file)


def header(file: Path, directory: Path, name: str = "messages.h") -> Contracts:
    """Write the header of a contracts file."""
    model = contracts(file)
    (directory / name).write_text(render(model, "c"), encoding="utf-8")
    return model


def compiled(compiler: str, directory: Path, source: str, *more: str, output: str = "program") -> Path:
    """Compile a source file of the directory; any warning fails the test."""
    checked(*COMPILERS[compiler], *WARNINGS, *more, "-o", output, source, "-lm", cwd=directory)
    return directory / output


def yaml(messages: dict[str, Any]) -> str:
    """A contracts file of messages given as {name: {field: type}}."""
    body = {
        name: {
            "tlv_type": 1000 + number,
            "domain": "Lab",
            "description": name,
            "fields": {field: {"type": type_, "description": ""} for field, type_ in fields.items()},
        }
        for number, (name, fields) in enumerate(messages.items())
    }
    return json.dumps({"schema": {"id": 1, "version": 1, "min_compatible": 1}, "messages": body})


def names_of(text: str, directory: Path) -> header_source.HeaderNames:
    file = directory / "lab.yaml"
    file.write_text(text)
    return header_source.header_names([layout(message) for message in contracts(file).messages], "lab")


# --- Programs -----------------------------------------------------------------------------------------------


def everything() -> Any:
    """The message that api.c builds, as plain Python has it."""
    messages = mycelium_fast.load(HERE / "c" / "api.yaml", compiled=False)
    return messages.Everything(
        *(200, 0xABCD, 0xDEADBEEF, 0x0123456789ABCDEF, (1 << 64) + 2),
        *(-100, -30000, -2_000_000_000, -(2**63), -(1 << 64) + 5, 0.1, -1e300, True),
        *(b"\1\2\3", 9, "été", b"\1\2\3", (-1, 2, -32768), [(1 << 64) + 2]),
        *((b"\1\2", b"\2\3"), [b"\x0b\x0c", b"\x0d\x0e"], [True, False], (1.5, -0.0)),
    )


def expected_of_api() -> list[str]:
    """What api.c prints: the payload twice, then what is wrong with five others."""
    message = everything()
    payload = message.to_bytes()
    lines = [payload.hex()] * 2
    places = {field.name: field.offset for field in message.__definition__.fields}
    faults = [("a_bool", 0, 2), ("a_string", 0, 6), ("a_string", 9, 65), ("wide", 0, 3), ("flags", 9, 7)]
    for field, offset, byte in faults:
        wrong = bytearray(payload)
        wrong[places[field] + offset] = byte
        with pytest.raises(mycelium_fast.DecodeError) as caught:
            type(message).from_bytes(wrong)
        lines.append(str(caught.value))
    return lines


@pytest.mark.parametrize("byte_order", ["native", "bytewise"])
@both_languages
def test_accessors_give_the_bytes_and_the_errors_that_plain_python_gives(
    compiler: str, byte_order: str, tmp_path: Path
) -> None:
    # MYC_BYTEWISE is the path that big-endian hosts take.
    header(HERE / "c" / "api.yaml", tmp_path)
    shutil.copy(HERE / "c" / "api.c", tmp_path)
    more = ["-DMYC_BYTEWISE"] if byte_order == "bytewise" else []
    program = compiled(compiler, tmp_path, "api.c", "-O1", *SANITIZERS, *more)
    assert checked(program).splitlines() == expected_of_api()


@pytest.mark.long
def test_a_big_endian_host_has_the_same_bytes(tmp_path: Path) -> None:
    if not (shutil.which("s390x-linux-gnu-gcc") and shutil.which("qemu-s390x")):
        pytest.skip("needs s390x-linux-gnu-gcc and qemu-s390x (gcc-s390x-linux-gnu, qemu-user)")
    header(HERE / "c" / "api.yaml", tmp_path)
    shutil.copy(HERE / "c" / "api.c", tmp_path)
    checked(
        *("s390x-linux-gnu-gcc", "-std=c11", *WARNINGS, "-O2", "-static", "-o", "program", "api.c"),
        cwd=tmp_path,
    )
    assert checked("qemu-s390x", tmp_path / "program").splitlines() == expected_of_api()


@every_compiler
def test_two_schemas_compile_in_one_program_without_a_warning(compiler: str, tmp_path: Path) -> None:
    random_file = tmp_path / "random.yaml"
    random_file.write_text(contracts_yaml(11, 6))
    header(DATA / "torture.yaml", tmp_path, "torture.h")
    header(random_file, tmp_path, "random.h")
    (tmp_path / "main.c").write_text(
        '#include "torture.h"\n#include "random.h"\n#include "torture.h"\n'
        "int main(void) { return torture_find(2000) && random_find(1000) ? 0 : 1; }\n"
    )
    checked(compiled(compiler, tmp_path, "main.c", "-O2"))


def test_headers_of_different_versions_do_not_mix(tmp_path: Path) -> None:
    header(CONTRACTS, tmp_path, "new.h")
    header(HERE / "c" / "api.yaml", tmp_path, "old.h")
    old = (tmp_path / "old.h").read_text()
    (number,) = set(re.findall(r"MYC_SHARED_CHECKSUM != (0x[0-9a-f]{8})", old))
    (tmp_path / "old.h").write_text(old.replace(number, "0x00000001"))
    for first, second in (("new.h", "old.h"), ("old.h", "new.h")):
        source = f'#include "{first}"\n#include "{second}"\nint main(void) {{ return 0; }}\n'
        (tmp_path / "main.c").write_text(source)
        refused = run("gcc", "-std=c11", "-fsyntax-only", "main.c", cwd=tmp_path)
        assert refused.returncode != 0
        assert "two headers in one program are from different versions of mycelium-fast" in refused.stderr


# --- Names and texts ----------------------------------------------------------------------------------------


def test_names_are_in_small_letters_and_words(tmp_path: Path) -> None:
    names = names_of(yaml({"PoolStateUpdate": {"venueId": "u8", "sqrtPriceX96": "Vec<u16>"}}), tmp_path)
    (message,) = names.messages
    assert (names.prefix, message.prefix, message.constant) == (
        "lab",
        "pool_state_update",
        "POOL_STATE_UPDATE",
    )
    assert message.fields[0].get == "pool_state_update_venue_id"
    assert message.fields[1].append == "pool_state_update_append_sqrt_price_x96"


def test_a_name_that_c_would_spell_so_comes_before_one_that_had_to_be_changed(tmp_path: Path) -> None:
    names = names_of(yaml({"FOO": {"Bar": "u8", "bar": "u8"}, "Foo": {}, "foo": {}}), tmp_path)
    assert [message.prefix for message in names.messages] == ["foo_", "foo__", "foo"]
    assert [field.get for field in names.messages[0].fields] == ["foo__bar_", "foo__bar"]


def test_what_two_things_would_share_gets_an_underscore(tmp_path: Path) -> None:
    text = yaml(
        {
            "X": {"decode": "u8", "init": "u8", "set_a": "u8", "a": "u8", "b_at": "u8", "b": "[u16; 2]"},
            "XSet": {"a": "u8"},
            "Lab": {"find": "u8"},
        }
    )
    names = names_of(text, tmp_path)
    taken: list[str] = []
    for message, model in zip(names.messages, contracts(tmp_path / "lab.yaml").messages, strict=True):
        for function in header_source._MESSAGE_FUNCTIONS:
            taken.append(f"{message.prefix}_{function}")
        for field, names_of_field in zip(model.fields, message.fields, strict=True):
            taken += names_of_field.used(field)
    taken += [f"{names.prefix}_{function}" for function in header_source._SCHEMA_FUNCTIONS]
    assert len(taken) == len(set(taken))


ALONE = (
    *("class", "Int", "NULL", "Errno", "Unix", "Linux", "Stat", "Div", "_", "__x", "Bool", "true", "Assert"),
    *(
        "Uint",
        "Signal",
        "Read",
        "Time",
        "Minor",
        "std",
        "INT64_MIN",
        "EOF",
        "M_PI",
        "I",
        "Tm",
        "FILE",
        "main",
    ),
)
HOSTILE: dict[str, dict[str, str]] = {
    **{name: {"value": "u8"} for name in ALONE},
    "Size": {"t": "u8", "max": "u8"},
    "Pthread": {"create": "u8", "t": "u8"},
    "AtomicInt": {"load": "u8"},
    "Atomic": {"load": "u8", "store": "u16"},
    "Clock": {"gettime": "u8", "t": "u8"},
    "St": {"atime": "u8"},
    "Myc": {"fault": "u8", "load_u16": "u8"},
    "__builtin": {"memcpy": "u8"},
    "Page": {"size": "u8"},
    "Toupper": {"l": "u8"},
    "Getlogin": {"r": "u8"},
    "Statx": {"value": "u8"},
    "Optional": {"argument": "u8"},
    "Inet6": {"opt_init": "u8"},
    "Thrd": {"error": "u8"},
    "Fields": {
        "self": "u8",
        "class": "i128",
        "int": "String",
        "template": "Vec<u8>",
        "errno": "[u8; 3]",
        "bool": "bool",
        "true": "U256",
        "_": "f32",
        "__init__": "Vec<bool>",
        "message": "u16",
        "f": "u32",
    },
    "Types": {
        "index": "Vec<u16>",
        "value": "[f64; 2]",
        "bytes": "Vec<[u8; 2]>",
        "size": "String",
        "text": "u8",
        "count": "Vec<u128>",
        "values": "[bool; 2]",
        "frame": "[[u8; 2]; 2]",
        "status": "Vec<U256>",
    },
}
SYSTEM = (
    *("assert", "complex", "ctype", "errno", "fenv", "float", "inttypes", "limits", "locale", "math"),
    *("setjmp", "signal", "stdarg", "stddef", "stdint", "stdio", "stdlib", "string", "time", "wchar"),
    *("wctype", "pthread", "unistd", "sys/types", "sys/socket", "sys/stat", "sys/un", "sys/time"),
    *("sys/mman", "sys/wait", "sys/sysmacros", "netinet/in", "arpa/inet", "netdb", "poll", "fcntl"),
    *("dirent", "semaphore", "sched", "sys/user", "dlfcn", "getopt"),
)


@pytest.mark.parametrize("order", ["before", "after"])
@both_languages
def test_names_of_the_languages_and_their_libraries_are_no_obstacle(
    compiler: str, order: str, tmp_path: Path
) -> None:
    (tmp_path / "lab.yaml").write_text(yaml(HOSTILE))
    header(tmp_path / "lab.yaml", tmp_path)
    system = "".join(
        f"#include <{name}.h>\n" for name in SYSTEM if not (compiler == "g++" and name == "complex")
    )
    if compiler == "gcc":
        system += "#include <stdatomic.h>\n#include <tgmath.h>\n#include <threads.h>\n"
    parts = [system, '#include "messages.h"\n']
    includes = "".join(parts if order == "before" else reversed(parts))
    (tmp_path / "main.c").write_text(f"{includes}int main(void) {{ return lab_find(1000) ? 0 : 1; }}\n")
    checked(compiled(compiler, tmp_path, "main.c", "-D_GNU_SOURCE", "-O1", "-Wno-psabi"))


TEXT = (
    "ends */ int injected = 1; /* begins // \\\n#error injected\n ??/ ??' @file messages.h \\file x "
    "<b>bold</b> `code` {{ 7 * 7 }} %s \u202eright to left\u202c \u200b \U0001f980 \\"
)


@every_compiler
def test_no_text_of_a_contract_becomes_code(compiler: str, tmp_path: Path) -> None:
    document = json.loads(yaml({"Shape": {"x": "u8"}}))
    shape = document["messages"]["Shape"]
    shape.update(description=TEXT, domain='*/ "dom\\ain" ??/')
    shape["fields"]["x"] = {"type": "u8", "description": TEXT, "validation": [{"min": 1}, {"*/ note": TEXT}]}
    (tmp_path / "lab.yaml").write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
    header(tmp_path / "lab.yaml", tmp_path)
    text = (tmp_path / "messages.h").read_text(encoding="utf-8")
    code = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    assert "injected" not in code
    assert code.isascii()
    assert "\u202e" not in text
    assert "{{ 7 * 7 }}" in text
    source = """
        #include <stdio.h>
        #include "messages.h"
        int main(void) { printf("%s", lab_find(1000)->topic); return 0; }
    """
    (tmp_path / "main.c").write_text(textwrap.dedent(source))
    assert checked(compiled(compiler, tmp_path, "main.c")) == '*/ "dom\\ain" ??/'


# --- Fuzzing ------------------------------------------------------------------------------------------------


def fuzz_inputs(file: Path, model: Contracts, directory: Path) -> list[Path]:
    """Inputs of the fuzz target: of golden and malformed payloads; zeros for a schema that has none."""
    index = {message.name: number for number, message in enumerate(model.messages)}
    inputs = []
    for entry in golden()["messages"]:
        if entry["schema_file"] == file.name:
            for sample in entry["samples"]:
                inputs += [
                    (index[entry["name"]], sample[key])
                    for key in ("payload_hex", "dirty_payload_hex")
                    if key in sample
                ]
    for entry in malformed()["payloads"]:
        if entry["schema_file"] == file.name:
            inputs.append((index[entry["message"]], entry["payload_hex"]))
    if not inputs:
        inputs = [(index[message.name], bytes(layout(message).size).hex()) for message in model.messages]
    directory.mkdir()
    files = []
    for number, (message, payload) in enumerate(inputs):
        files.append(directory / f"{number:04}")
        files[-1].write_bytes(bytes([message, number & 1]) + bytes.fromhex(payload))
    return files


def fuzz_sources(file: Path, directory: Path) -> list[Path]:
    """Header, target and inputs of a contracts file."""
    model = header(file, directory)
    target = render_template(model, HERE / "fuzz" / "fuzz.c.j2")
    (directory / "fuzz.c").write_text(target, encoding="utf-8")
    return fuzz_inputs(file, model, directory / "inputs")


def schemas(directory: Path, seeds: Sequence[int]) -> list[Path]:
    files = [DATA / "torture.yaml"]
    for seed in seeds:
        files.append(directory / f"random_{seed}.yaml")
        files[-1].write_text(contracts_yaml(seed, 8))
    return files


@pytest.mark.parametrize("number", [0, 1])
def test_mutated_payloads_are_decoded_or_refused_and_nothing_else(number: int, tmp_path: Path) -> None:
    file = schemas(tmp_path, [21])[number]
    inputs = fuzz_sources(file, tmp_path)
    program = compiled("gcc", tmp_path, "fuzz.c", "-O1", "-DOWN_MAIN", *SANITIZERS)
    rounds = 600_000 // len(inputs)
    assert (
        checked(program, str(rounds), "7", *inputs) == f"{len(inputs)} inputs, {rounds} mutations of each\n"
    )


@pytest.mark.long
@pytest.mark.parametrize("number", range(4))
def test_libfuzzer_finds_nothing_in_ten_million_executions(number: int, tmp_path: Path) -> None:
    if CLANG is None:
        pytest.skip("needs clang with libFuzzer (clang, libclang-rt-dev)")
    file = schemas(tmp_path, [31, 32, 33])[number]
    fuzz_sources(file, tmp_path)
    checked(
        *(CLANG, "-std=c11", "-O1", "-g", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all"),
        *("-o", "fuzz", "fuzz.c", "-lm"),
        cwd=tmp_path,
    )
    (tmp_path / "corpus").mkdir()
    runs = 10_000_000 if number == 0 else 2_000_000
    done = subprocess.run(
        ["./fuzz", f"-runs={runs}", "-max_len=8200", "-seed=1", "-print_final_stats=1", "corpus", "inputs"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=3600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-5000:]
    executed = re.search(r"stat::number_of_executed_units: (\d+)", done.stderr)
    assert executed is not None
    assert int(executed[1]) >= runs


# --- Documentation and example ------------------------------------------------------------------------------


@both_languages
def test_the_documentation_compiles_and_runs(compiler: str, tmp_path: Path) -> None:
    header(CONTRACTS, tmp_path)
    blocks = re.findall(r"^```c\n(.*?)^```$", (ROOT / "docs" / "c.md").read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / "main.c").write_text("\n".join(blocks))
    program = compiled(compiler, tmp_path, "main.c", "-O1", *SANITIZERS)
    assert checked(program) == "WETH buy\n"


def test_the_text_of_a_fault_in_the_documentation_is_what_is_said(tmp_path: Path) -> None:
    header(CONTRACTS, tmp_path)
    source = """
        #include <stdio.h>
        #include "messages.h"
        int main(void) {
            struct trade_signal signal;
            myc_fault fault;
            char text[200];
            trade_signal_init(&signal);
            trade_signal_set_signal_id(&signal, 1);
            trade_signal_set_confidence(&signal, 2);
            if (trade_signal_set_symbol(&signal, "WETH", 4)) return 1;
            if (!trade_signal_validate(&signal, &fault)) return 1;
            myc_fault_text(trade_signal_info(), &fault, text, sizeof text);
            puts(text);
            return 0;
        }
    """
    (tmp_path / "main.c").write_text(textwrap.dedent(source))
    text = checked(compiled("gcc", tmp_path, "main.c")).strip()
    assert text in (ROOT / "docs" / "c.md").read_text()


def test_the_example_publishes_on_a_bridge_and_prints_what_comes(tmp_path: Path) -> None:
    header(CONTRACTS, tmp_path)
    shutil.copy(ROOT / "examples" / "c" / "ticker.c", tmp_path)
    program = compiled("gcc", tmp_path, "ticker.c", "-O1", *SANITIZERS)
    bridge = Bridge(tmp_path / "bus.sock", contracts=CONTRACTS)
    try:
        printed = checked(program, tmp_path / "bus.sock", "3")
    finally:
        bridge.close()
    assert printed.splitlines() == [f"price {price} size 2500" for price in (101500, 101501, 101502)]
