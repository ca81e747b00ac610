"""`mycelium diff`: what it prints, its exit codes, its JSON, and versions of a file in git."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from contract_pairs import U64_PAIR, files, message, tick
from environments import ROOT, checked, run

from mycelium_fast.cli.main import main

OLD = "schema: {version: 1, min_compatible: 1}\n" + tick(U64_PAIR)
WIDER = "schema: {version: 2, min_compatible: 2}\n" + tick("price: {type: u64}, size: {type: u128}")


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current directory with two contracts files."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.yaml").write_text(OLD)
    (tmp_path / "new.yaml").write_text(WIDER)
    return tmp_path


def diff(*arguments: str, **more: Any) -> Result:
    return CliRunner().invoke(main, ["diff", *arguments], **more)


def git(*arguments: str | Path, cwd: Path | None = None) -> None:
    name = ("-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "commit.gpgsign=false")
    checked("git", *name, *arguments, cwd=cwd or Path.cwd())


# --- What it prints -----------------------------------------------------------------------------------------


def test_text_shows_the_verdicts_and_both_layouts_side_by_side() -> None:
    result = diff("old.yaml", "new.yaml")
    assert result.exit_code == 1
    assert (
        result.stdout
        == """\
old.yaml -> new.yaml

Tick (type id 1200)
  breaks   size is u128 where it was u64  [old.yaml:6, new.yaml:6]
           old readers, new writers  refused      32 bytes come where 16 are expected
           new readers, old writers  refused      16 bytes come where 32 are expected
           stored data               refused      16 bytes are stored where 32 are expected

    before: 16 bytes    after: 32 bytes
    0 8  price  u64      0  8  price  u64
    8 8  size   u64      8  8         padding
                        16 16  size   u128
    in all: old readers refused, new readers refused, stored data refused

1 change; 1 of them breaks peers or stored data.
The digests differ, and peers compare digests: generate every program again from the new file.
A bridge cannot serve peers of both files:
  - Tick has 32 bytes where it had 16
"""
    )
    assert result.stderr == ""


def test_a_comment_changes_the_digest_and_nothing_else() -> None:
    Path("new.yaml").write_text(OLD + "# a comment\n")
    result = diff("old.yaml", "new.yaml")
    assert result.exit_code == 0
    assert "comments, white space or spelling differ, and nothing else" in result.stdout
    assert "The digests differ" in result.stdout
    assert 'accept = ["old.yaml"]' in result.stdout


def test_a_file_and_itself_are_the_same() -> None:
    result = diff("old.yaml", "old.yaml")
    assert result.exit_code == 0
    assert result.stdout == "old.yaml and old.yaml are the same, byte for byte.\n"


def test_a_renamed_field_has_no_layouts_to_show() -> None:
    Path("new.yaml").write_text(OLD.replace("price", "cost").replace("version: 1", "version: 2", 1))
    result = diff("old.yaml", "new.yaml")
    assert result.exit_code == 0
    assert "cost was called price" in result.stdout
    assert "before:" not in result.stdout


def test_versions_that_say_the_wrong_thing_fail_by_themselves() -> None:
    Path("new.yaml").write_text(OLD.replace("version: 1", "version: 0", 1))
    result = diff("old.yaml", "new.yaml")
    assert result.exit_code == 1
    assert "error    schema.version 0 is lower than before (1)" in result.stdout


def test_output_is_in_colour_on_a_terminal_alone() -> None:
    assert "\x1b" not in checked(
        sys.executable, "-m", "mycelium_fast", "diff", "old.yaml", "old.yaml", cwd=Path()
    )
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "mycelium_fast", "diff", "old.yaml", "new.yaml"]
    child = subprocess.Popen(
        command, stdout=theirs, stdin=subprocess.DEVNULL, env={**os.environ, "TERM": "xterm"}
    )
    os.close(theirs)
    shown = b""
    try:
        while block := os.read(ours, 4096):
            shown += block
    except OSError:  # the terminal's end, on Linux
        pass
    finally:
        os.close(ours)
        assert child.wait(60) == 1
    assert b"\x1b[31m" in shown


def test_text_of_a_contract_cannot_speak_to_the_terminal(directory: Path) -> None:
    hostile = r'"\e[2J\u202E{{ 7*7 }}\nSignals"'
    fields = (
        f"price: {{type: u64, {hostile}: 1, validation: [{{{hostile}: {hostile}}}]}}, size: {{type: u64}}"
    )
    (directory / "new\x1b[2J.yaml").write_text(
        f"{hostile}: {hostile}\n" + tick(fields, domain=hostile, description=hostile, sensitivity=hostile)
    )
    result = diff("old.yaml", "new\x1b[2J.yaml")
    assert result.exit_code == 1  # the version is gone
    assert "\x1b" not in result.stdout
    assert "\u202e" not in result.stdout
    assert "{{ 7*7 }}" in result.stdout
    data = diff("old.yaml", "new\x1b[2J.yaml", "--json").stdout
    assert data.isascii()
    assert "\x1b" not in data


# --- JSON ---------------------------------------------------------------------------------------------------


def test_json_has_every_change_and_both_layouts() -> None:
    result = diff("old.yaml", "new.yaml", "--json")
    assert result.exit_code == 1
    assert result.stdout.count("\n") == 1
    data = json.loads(result.stdout)
    refused = {"effect": "refused", "text": "16 bytes come where 32 are expected"}
    assert data["old"]["file"] == "old.yaml"
    assert (data["new"]["version"], data["new"]["min_compatible"]) == (2, 2)
    assert len(data["new"]["digest"]) == 64
    assert {key: data[key] for key in ("identical", "failed", "breaks", "wire_compatible")} == {
        "identical": False,
        "failed": True,
        "breaks": True,
        "wire_compatible": False,
    }
    assert data["obstacles"] == ["Tick has 32 bytes where it had 16"]
    assert data["shared_type_ids"] == [1200]
    assert data["schema"] == []
    (change,) = data["changes"]
    assert change["effects"]["new_readers"] == refused
    assert {key: change[key] for key in ("kind", "level", "message", "type_id", "field", "new")} == {
        "kind": "field-type",
        "level": "breaking",
        "message": "Tick",
        "type_id": 1200,
        "field": "size",
        "new": {"line": 6, "column": 34},
    }
    (both,) = data["messages"]
    assert both["moved"] is True
    assert both["effects"] == {"old_readers": "refused", "new_readers": "refused", "stored": "refused"}
    assert both["new"]["fields"][1] == {
        "name": "size",
        "type": "u128",
        "capacity": None,
        "offset": 16,
        "size": 16,
    }


# --- Files --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments", [(), ("old.yaml",), ("a", "b", "c"), ("-", "-"), ("--base", "HEAD", "-")]
)
def test_a_wrong_call_exits_with_2(arguments: tuple[str, ...]) -> None:
    result = diff(*arguments)
    assert result.exit_code == 2
    assert "Usage:" in result.stderr


def test_a_file_that_cannot_be_read_exits_with_2() -> None:
    result = diff("old.yaml", "missing.yaml")
    assert result.exit_code == 2
    assert "missing.yaml: cannot read the contracts file: No such file" in result.stderr


def test_a_file_that_is_no_contract_exits_with_2_and_says_where() -> None:
    Path("new.yaml").write_text(tick("price: {type: u46}"))
    result = diff("old.yaml", "new.yaml")
    assert result.exit_code == 2
    assert result.stderr.startswith("new.yaml:5:28: ")
    assert result.stdout == ""


@pytest.mark.parametrize("arguments", [("-", "new.yaml"), ("new.yaml", "-")])
def test_either_file_can_be_standard_input(arguments: tuple[str, ...]) -> None:
    result = diff(*arguments, input=OLD)
    assert result.exit_code == 1
    assert "<stdin>:6" in result.stdout


def test_a_pipe_is_read_once() -> None:
    shell = shutil.which("bash")
    assert shell, "the tests need bash"
    line = f"{sys.executable} -m mycelium_fast diff <(cat old.yaml) new.yaml"
    result = run(shell, "-c", line, cwd=Path())
    assert result.returncode == 1, result.stderr
    assert "1 change; 1 of them breaks" in result.stdout


# --- Git ----------------------------------------------------------------------------------------------------


@pytest.fixture
def repository(directory: Path) -> Path:
    """A repository in `a repository`, with one commit of `schemas/my contracts.yaml`."""
    root = directory / "a repository"
    (root / "schemas").mkdir(parents=True)
    git("init", "-q", "-b", "trunk", cwd=root)
    (root / "schemas" / "my contracts.yaml").write_text(OLD)
    git("add", ".", cwd=root)
    git("commit", "-q", "-m", "first", cwd=root)
    return root


def test_a_file_is_compared_with_its_version_at_a_revision(repository: Path) -> None:
    file = repository / "schemas" / "my contracts.yaml"
    assert diff("--base", "HEAD", str(file)).exit_code == 0
    file.write_text(WIDER)
    for revision in ("HEAD", "trunk", "HEAD^{}"):
        result = diff("--base", revision, str(file))
        assert result.exit_code == 1
        assert f"{revision}:{file}:6" in result.stdout
        assert "size is u128 where it was u64" in result.stdout
    git("commit", "-q", "-a", "-m", "second", cwd=repository)
    assert diff("--base", "HEAD", str(file)).exit_code == 0
    assert diff("--base", "HEAD~", str(file)).exit_code == 1


def test_several_files_are_compared_each_with_its_own(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository / "schemas")
    Path("other.yaml").write_text(files(message("Other", 1300)))
    git("add", "other.yaml")
    git("commit", "-q", "-m", "second")
    Path("my contracts.yaml").write_text(WIDER)
    result = diff("--base", "HEAD", "--json", "other.yaml", "my contracts.yaml")
    assert result.exit_code == 1
    assert [json.loads(line)["breaks"] for line in result.stdout.splitlines()] == [False, True]


def test_a_file_that_is_new_has_nothing_to_be_compared_with(repository: Path) -> None:
    file = repository / "new file.yaml"
    file.write_text(OLD)
    result = diff("--base", "HEAD", str(file))
    assert (result.exit_code, result.stdout) == (0, "")
    assert "is not in HEAD" in result.stderr


def test_before_the_first_commit_every_file_is_new(directory: Path) -> None:
    git("init", "-q")
    result = diff("--base", "HEAD", "new.yaml")
    assert result.exit_code == 0
    assert "new.yaml is not in HEAD" in result.stderr
    assert diff("--base", "main", "new.yaml").exit_code == 2


def test_it_works_within_a_hook_of_git(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hook's environment has paths relative to where git was called, and the index of the commit."""
    file = repository / "schemas" / "my contracts.yaml"
    file.write_text(WIDER)
    monkeypatch.setenv("GIT_DIR", ".git")
    monkeypatch.setenv("GIT_INDEX_FILE", ".git/index")
    assert diff("--base", "HEAD", str(file)).exit_code == 1


def test_a_symbolic_link_stands_for_its_target(repository: Path) -> None:
    (repository / "link.yaml").symlink_to(Path("schemas") / "my contracts.yaml")
    (repository / "schemas" / "my contracts.yaml").write_text(WIDER)
    assert diff("--base", "HEAD", str(repository / "link.yaml")).exit_code == 1


@pytest.mark.parametrize(
    ("revision", "reason"),
    [
        ("nowhere", "has no revision 'nowhere'"),
        ("--output=x", "is no revision of git"),
        ("HEAD:schemas", "is no revision of git"),
        ("", "is no revision of git"),
    ],
)
def test_a_revision_that_is_none_exits_with_2(repository: Path, revision: str, reason: str) -> None:
    result = diff(f"--base={revision}", str(repository / "schemas" / "my contracts.yaml"))
    assert result.exit_code == 2
    assert reason in result.stderr
    assert not Path("x").exists()


def test_a_place_that_is_no_repository_exits_with_2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(Path.cwd().parent))
    result = diff("--base", "HEAD", "new.yaml")
    assert result.exit_code == 2
    assert "new.yaml lies in no work tree of git" in result.stderr


def test_without_git_it_says_so(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(repository))
    result = diff("--base", "HEAD", str(repository / "schemas" / "my contracts.yaml"))
    assert result.exit_code == 2
    assert "--base needs git" in result.stderr


def test_an_old_version_that_is_no_contract_is_an_error_with_its_place(repository: Path) -> None:
    file = repository / "schemas" / "my contracts.yaml"
    file.write_text(tick("price: {type: u46}"))
    git("commit", "-q", "-a", "-m", "wrong", cwd=repository)
    file.write_text(OLD)
    result = diff("--base", "HEAD", str(file))
    assert result.exit_code == 2
    assert result.stderr.startswith(f"HEAD:{file}:5:28: ")


# --- What users copy ----------------------------------------------------------------------------------------


def test_the_hooks_run_commands_that_exist(repository: Path) -> None:
    hooks = {hook["id"]: hook for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())}
    assert set(hooks) == {"mycelium-diff", "mycelium-check"}
    file = repository / "schemas" / "my contracts.yaml"
    command = hooks["mycelium-diff"]["entry"].split()
    assert command[0] == "mycelium"
    entry = [sys.executable, "-m", "mycelium_fast", *command[1:]]
    assert run(*entry, file, cwd=repository).returncode == 0
    file.write_text(WIDER)
    assert run(*entry, file, cwd=repository).returncode == 1
    assert hooks["mycelium-check"]["entry"] == "mycelium check"


def test_the_workflow_of_the_documentation_runs_commands_that_exist(repository: Path) -> None:
    workflow = yaml.safe_load((ROOT / "docs" / "examples" / "contracts.yml").read_text())
    lines = [
        line
        for job in workflow["jobs"].values()
        for step in job["steps"]
        for line in step.get("run", "").splitlines()
        if line.startswith("mycelium ")
    ]
    assert [line.split()[1] for line in lines] == ["diff", "check"]
    compare, check = ([sys.executable, "-m", "mycelium_fast", *line.split()[1:]] for line in lines)
    git("mv", "schemas/my contracts.yaml", "contracts.yaml", cwd=repository)
    git("commit", "-q", "-m", "moved", cwd=repository)
    git("switch", "-q", "-c", "change", cwd=repository)
    (repository / "contracts.yaml").write_text(WIDER)
    git("commit", "-q", "-a", "-m", "a change", cwd=repository)
    git("switch", "-q", "trunk", cwd=repository)
    git("commit", "-q", "--allow-empty", "-m", "what others did meanwhile", cwd=repository)
    git("merge", "-q", "--no-ff", "-m", "as it is checked out", "change", cwd=repository)
    assert run(*compare, cwd=repository).returncode == 1
    (repository / "contracts.yaml").write_text(OLD)
    assert run(*compare, cwd=repository).returncode == 0
    generate = [sys.executable, "-m", "mycelium_fast", "codegen", "contracts.yaml", "--python-out"]
    checked(*generate, check[-1], cwd=repository)
    assert run(*check, cwd=repository).returncode == 0
