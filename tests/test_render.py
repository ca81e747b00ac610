"""What every rendering promises: no text of a contract becomes code, the same input gives the same output,
formatters and linters have nothing to say, and the pytest file passes.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import types
from pathlib import Path

import golden
import pytest
import random_contracts

from mycelium_fast import contracts
from mycelium_fast.codegen.python_source import literal
from mycelium_fast.codegen.render import TEMPLATES, Language, render
from mycelium_fast.contracts import Contracts

ROOT = Path(__file__).resolve().parent.parent
LANGUAGES: tuple[Language, ...] = ("python", "stub", "test", "cython")
OTHERS: tuple[Language, ...] = ("rust", "c", "ocaml")
PYTHON: dict[Language, str] = {"python": "messages.py", "stub": "messages.pyi", "test": "test_messages.py"}

HOSTILE = (
    "plain",
    "double \" single ' both",
    'ends in a quote "',
    '"begins with one',
    '"""',
    "'''",
    '"""; raise SystemExit(3); """',
    "'''; raise SystemExit(3); '''",
    '"); raise SystemExit(3); ("',
    "back\\slash \\n \\x41 \\N{BULLET}",
    "ends in a backslash \\",
    "\\",
    '\\"',
    "\\'",
    "line\nraise SystemExit(3)\nline",
    "carriage\rraise SystemExit(3)",
    "# comment\n#",
    "*/ } raise SystemExit(3) /*",
    "{{ 7 * 7 }} {% for x in y %} {# gone #} {% endraw %} {{ cycler.__init__.__globals__ }}",
    "nul \0 bell \x07 escape \x1b delete \x7f",
    "separators \x85 \u2028 \u2029 \x0b \x0c \x1c",
    "accents \xe9 and \U0001d11e and bidi \u202e",
    "lone surrogate \ud800",
    "%s %(x)s {0} {x!r} f'{1}'",
    "??/ trigraph",
    "long " * 60,
    "w" * 300,
    '"' * 150,
    "",
    " ",
    "\t",
)


#: What a contracts file can hold: surrogates are no characters.
HOSTILE_TEXTS = tuple(text for text in HOSTILE if "\ud800" not in text)


def hostile_contracts() -> Contracts:
    """Every hostile text in every place of a contracts file that takes free text."""
    messages = {}
    for number, text in enumerate(HOSTILE_TEXTS):
        messages[f"Hostile{number}"] = {
            "tlv_type": 1000 + number,
            "domain": text if text.strip() else "empty",
            "description": text,
            "sensitivity": text or "x",
            text or "key": text,
            "fields": {
                "value": {
                    "type": "String",
                    "description": text,
                    "validation": [{"max_length": 9}, {"known_thing": text}, {"other_thing": {text: [text]}}],
                    text or "key": text,
                }
            },
        }
    data = json.dumps({"schema": {"id": 1, "version": 1, "min_compatible": 1}, "messages": messages})
    # JSON escapes characters above U+FFFF as a pair of surrogates, YAML as one number.
    data = re.sub(r"\\ud834\\udd1e", r"\\U0001d11e", data)
    return contracts.parse(data.encode(), 'dir/odd "name"\n{{ 7 }}.yaml')


@pytest.fixture(scope="module")
def hostile() -> Contracts:
    return hostile_contracts()


@pytest.mark.parametrize("text", HOSTILE)
def test_a_literal_is_the_text_in_ascii_on_one_line(text: str) -> None:
    source = literal(text)
    assert source.isascii()
    assert source.isprintable()
    assert ast.literal_eval(source) == text


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        -5,
        2**300,
        1.5,
        -0.0,
        b"",
        bytes(range(256)),
        (),
        (1,),
        ("a", (2, "b")),
        [1, ["x"]],
        {"a": [1]},
    ],
    ids=repr,
)
def test_a_literal_of_plain_data_is_the_data(value: object) -> None:
    assert ast.literal_eval(literal(value)) == value


def test_a_literal_of_anything_else_is_an_error() -> None:
    with pytest.raises(TypeError, match="object has no literal"):
        literal(object())


@pytest.mark.parametrize("language", LANGUAGES)
def test_hostile_texts_stay_text(hostile: Contracts, language: Language) -> None:
    source = render(hostile, language)
    assert source.isascii()
    assert all(char.isprintable() or char == "\n" for char in source)
    assert "49" not in [line.strip(' ",') for line in source.splitlines()]
    first, second = source.splitlines()[:2]
    assert first == "# Generated from odd 'name'\\n{{ 7 }}.yaml by mycelium-fast, do not edit."
    assert second == f"# sha256 {hostile.digest.hex()}"


def test_hostile_texts_come_back_from_the_plain_module(
    hostile: Contracts, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = types.ModuleType("hostile")
    monkeypatch.setitem(sys.modules, "hostile", module)
    exec(compile(render(hostile, "python"), "hostile.py", "exec"), module.__dict__)
    for message in hostile.messages:
        cls = module.MESSAGES[message.type_id]
        definition = cls.__definition__
        assert (definition.description, definition.domain) == (message.description, message.domain)
        assert definition.sensitivity == message.sensitivity
        assert definition.fields[0].description == message.fields[0].description
        assert definition.fields[0].context_rules[0] == ("known_thing", message.description)
        assert definition.fields[0].context_rules[1][1] == {message.description: [message.description]}


def test_statements_of_the_hostile_modules_are_those_of_a_harmless_one(hostile: Contracts) -> None:
    for language in ("python", "stub", "test"):
        tree = ast.parse(render(hostile, language))
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Raise)]
        assert not any("SystemExit" in ast.dump(call) for call in calls)
        classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and "Hostile" in node.name]
        assert len(classes) in (0, len(HOSTILE_TEXTS))
        kinds = {type(node) for each in classes for node in each.body}
        assert kinds <= {ast.Expr, ast.Assign, ast.FunctionDef}


def test_the_output_depends_on_the_contracts_alone(tmp_path: Path) -> None:
    expected = [
        render(contracts.load(golden.DATA / schema), language)
        for schema in golden.SCHEMAS
        for language in LANGUAGES
    ]
    # Another directory, process, hash seed and time zone.
    for schema in golden.SCHEMAS:
        shutil.copy(golden.DATA / schema, tmp_path)
    program = (
        "import json, sys; from mycelium_fast import contracts; "
        "from mycelium_fast.codegen.render import render; "
        "schemas, languages = map(json.loads, sys.argv[1:]); "
        "print(json.dumps([render(contracts.load(s), l) for s in schemas for l in languages]))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "77", "TZ": "Asia/Kolkata"}
    environment["PYTHONPATH"] = os.pathsep.join(os.path.abspath(path) for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps(golden.SCHEMAS), json.dumps(LANGUAGES)],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
    )
    assert json.loads(done.stdout or "null") == expected, done.stderr


def test_names_that_python_or_the_module_needs_are_kept_free(tmp_path: Path) -> None:
    names = (
        "_Int",
        "_struct",
        "__file_",
        "__name__",
        "DecodeError",
        "Message",
        "property",
        "Any",
        "annotations",
    )
    fields = {name: {"type": "u8"} for name in random_contracts.AWKWARD_NAMES}
    messages = {
        name: {"tlv_type": 1000 + number, "domain": "x", "fields": fields}
        for number, name in enumerate(names)
    }
    path = tmp_path / "names.yaml"
    path.write_text(json.dumps({"messages": messages}))
    loaded = golden.module(path, "python")
    values = [number % 256 for number in range(len(fields))]
    for name, cls in zip(names, loaded.MESSAGES.values(), strict=True):
        assert cls.__definition__.name == name
        message = cls(**dict(zip(cls.__match_args__, values, strict=True)))
        assert message.to_bytes() == bytes(values)
        assert list(message.to_dict()) == list(fields)
        assert [getattr(message, each) for each in cls.__match_args__] == values


def test_an_unknown_language_and_a_bad_module_name_are_errors(hostile: Contracts) -> None:
    with pytest.raises(ValueError, match="the languages are cython, stub"):
        render(hostile, "cobol")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no dotted Python name"):
        render(hostile, "test", module='x"; import os')


# --- Formatters, linters, and the tests that are generated --------------------------------------------------


def write_all(model: Contracts, directory: Path) -> list[Path]:
    paths = []
    for language, name in PYTHON.items():
        path = directory / name
        path.write_text(render(model, language, module="messages"))
        paths.append(path)
    return paths


def every_model() -> list[tuple[str, Contracts]]:
    models = [(schema, contracts.load(golden.DATA / schema)) for schema in golden.SCHEMAS]
    for seed in (1, 2, 3, 4):
        data = random_contracts.contracts_yaml(seed, 50).encode()
        models.append((f"random{seed}", contracts.parse(data, f"random{seed}.yaml")))
    return models


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with one directory of generated files for each schema."""
    directory = tmp_path_factory.mktemp("generated")
    for name, model in [
        *every_model(),
        ("hostile", hostile_contracts()),
        ("none", contracts.parse(b"messages: {}")),
    ]:
        (directory / name).mkdir()
        write_all(model, directory / name)
    return directory


def ruff(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    program = shutil.which("ruff") or shutil.which("ruff", path=os.path.dirname(sys.executable))
    if program is None:
        pytest.skip("ruff is not installed")
    return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)


def switched_on(generated: Path, directory: Path) -> Path:
    """The same files without the comment that has formatters leave them alone."""
    for path in generated.rglob("*.py*"):
        copy = directory / path.relative_to(generated)
        copy.parent.mkdir(exist_ok=True)
        text = path.read_text()
        copy.write_text(text.replace("\n# fmt: off\n", "\n", 1))
    return directory


def test_generated_files_are_formatted(generated: Path, tmp_path: Path) -> None:
    directory = switched_on(generated, tmp_path)
    done = ruff("format", "--isolated", "--diff", "--line-length", "110", directory)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_a_users_formatter_leaves_generated_modules_alone(generated: Path) -> None:
    files = [path for path in generated.rglob("*.py") if path.name in ("messages.py", "test_messages.py")]
    assert len(files) > 10
    done = ruff("format", "--isolated", "--check", "--line-length", "60", *files)
    assert done.returncode == 0, done.stdout


def test_generated_modules_pass_a_strict_type_checker(generated: Path, tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    for name in ("messages.py", "test_messages.py"):  # without the stub, which would be checked instead
        shutil.copy(generated / "torture.yaml" / name, tmp_path)
    for version in ("3.10", "3.13"):
        command = [sys.executable, "-m", "mypy", "--strict", "--python-version", version]
        done = subprocess.run(
            [*command, "messages.py", "test_messages.py"], capture_output=True, text=True, cwd=tmp_path
        )
        assert done.stdout == "Success: no issues found in 2 source files\n", done.stderr


def test_generated_files_pass_the_linter(generated: Path) -> None:
    # PYI063 wants another spelling of parameters such as `__x`, which are fields of that name.
    done = ruff(
        "check", "--isolated", "--no-cache", "--output-format", "concise", "--ignore", "PYI063", generated
    )
    assert done.returncode == 0, done.stdout


def test_generated_files_pass_the_linter_with_the_rules_of_this_project(generated: Path) -> None:
    # Line lengths apart: a word of 300 letters cannot be broken.
    ours = ("check", "--no-cache", "--config", ROOT / "pyproject.toml", "--output-format", "concise")
    done = ruff(*ours, "--ignore", "E501", generated)
    assert done.returncode == 0, done.stdout
    done = ruff(*ours, *(generated / schema for schema in golden.SCHEMAS))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", [*golden.SCHEMAS, "random1", "random2", "random3", "random4"])
def test_the_generated_tests_pass(generated: Path, name: str) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--rootdir",
            ".",
            "test_messages.py",
        ],
        capture_output=True,
        text=True,
        cwd=generated / name,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            'return number.to_bytes(self.size, "little", signed=self.signed)',
            'return number.to_bytes(self.size, "big")',
        ),
        ("payload[start:end] = data[start:end]", "payload[start:end] = bytes(end - start)"),
        ("payload = bytearray(self.definition.size)", "payload = bytearray(data)"),
    ],
)
def test_the_generated_tests_find_faults(generated: Path, tmp_path: Path, before: str, after: str) -> None:
    for name in ("messages.py", "test_messages.py"):
        shutil.copy(generated / "torture.yaml" / name, tmp_path)
    source = (tmp_path / "messages.py").read_text()
    assert before in source
    (tmp_path / "messages.py").write_text(source.replace(before, after))
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--rootdir",
            ".",
            "test_messages.py",
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 1, done.stdout[-3000:]


def test_every_language_has_its_template() -> None:
    assert set(TEMPLATES) == {*LANGUAGES, *OTHERS}
