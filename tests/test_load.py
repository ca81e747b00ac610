"""`mycelium_fast.load`: a contracts file to a module at run time, and the cache behind it."""

from __future__ import annotations

import copy
import json
import os
import pickle
import stat
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest
from environments import checked, run

import mycelium_fast
from mycelium_fast.codegen import cache

CONTRACTS = """\
messages:
  Tick:
    tlv_type: 1200
    domain: MarketData
    description: "A trade"
    fields:
      price: {type: "u64", description: "Price"}
"""
CONTEXT_RULE = """\
messages:
  A:
    tlv_type: 1
    domain: X
    fields:
      a: {type: u8, validation: [{monotonic: true}]}
"""

LOAD = """
import sys, mycelium_fast
steps = []
module = mycelium_fast.load(sys.argv[1], progress=lambda *step: steps.append(step))
print("compiled" if steps else "cached", module.Tick(price=3))
"""


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that is empty, for tests of the cache itself."""
    monkeypatch.setenv("MYCELIUM_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def contracts(directory: Path, mark: str) -> Path:
    """A contracts file that no other test has: the mark is in its digest."""
    path = directory / "contracts.yaml"
    path.write_text(f"# {mark}\n{CONTRACTS}")
    return path


def entries(root: Path) -> list[Path]:
    return sorted(path for path in root.glob("mycelium-fast/*/*") if path.is_dir())


def test_a_loaded_module_is_compiled_and_works(tmp_path: Path) -> None:
    module = mycelium_fast.load(contracts(tmp_path, "works"))
    assert module.Tick(price=5).to_bytes() == (5).to_bytes(8, "little")
    assert type(module.__loader__).__name__ == "ExtensionFileLoader"
    assert module.MESSAGES[1200] is module.Tick


def test_compiled_once_then_cached(tmp_path: Path, own_cache: Path) -> None:
    path = contracts(tmp_path, "once")
    assert checked(sys.executable, "-c", LOAD, path) == "compiled Tick(price=3)\n"
    assert checked(sys.executable, "-c", LOAD, path) == "cached Tick(price=3)\n"
    assert len(entries(own_cache)) == 1


def test_a_cached_module_needs_no_compiler_and_no_parser(tmp_path: Path, own_cache: Path) -> None:
    path = contracts(tmp_path, "no tools")
    checked(sys.executable, "-c", LOAD, path)
    without = "import sys; sys.modules.update(yaml=None, jinja2=None, Cython=None)\n" + LOAD
    assert checked(sys.executable, "-c", without, path, PATH="") == "cached Tick(price=3)\n"


def test_the_same_contents_give_the_same_module(tmp_path: Path) -> None:
    first = contracts(tmp_path, "same")
    second = tmp_path / "copy.yaml"
    second.write_bytes(first.read_bytes())
    assert mycelium_fast.load(first) is mycelium_fast.load(str(second))
    assert mycelium_fast.load(first, compiled=False) is mycelium_fast.load(second, compiled=False)


def test_other_contents_and_plain_python_give_other_modules(tmp_path: Path) -> None:
    path = contracts(tmp_path, "same")
    first = mycelium_fast.load(path)
    plain = mycelium_fast.load(path, compiled=False)
    second = mycelium_fast.load(contracts(tmp_path, "other"))
    assert len({first, plain, second}) == 3
    assert first.Tick(price=1).to_bytes() == plain.Tick(price=1).to_bytes() == second.Tick(price=1).to_bytes()


@pytest.mark.parametrize("compiled", [True, False])
def test_messages_of_a_loaded_module_can_be_pickled_and_copied(tmp_path: Path, compiled: bool) -> None:
    module = mycelium_fast.load(contracts(tmp_path, "pickle"), compiled=compiled)
    tick = module.Tick(price=9)
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(tick, protocol)) == tick
    assert copy.deepcopy(tick) == tick
    assert sys.modules[module.__name__] is module


def test_threads_that_load_at_once_get_one_module(tmp_path: Path, own_cache: Path) -> None:
    path = contracts(tmp_path, "threads")
    barrier, found = threading.Barrier(4), []

    def load() -> None:
        barrier.wait()
        found.append(mycelium_fast.load(path, compiled=False))

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1


def test_processes_that_fill_the_cache_at_once_compile_once(tmp_path: Path, own_cache: Path) -> None:
    path = contracts(tmp_path, "processes")
    command = [sys.executable, "-c", LOAD, str(path)]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path) for _ in range(4)]
    outputs = [child.communicate(timeout=300)[0] for child in children]
    assert [child.returncode for child in children] == [0] * 4
    assert sorted(outputs) == ["cached Tick(price=3)\n"] * 3 + ["compiled Tick(price=3)\n"]
    assert len(entries(own_cache)) == 1


def test_where_locks_do_not_work_the_quicker_process_wins(tmp_path: Path, own_cache: Path) -> None:
    path = contracts(tmp_path, "no locks")
    code = """
import errno, fcntl
def flock(descriptor, operation):
    raise OSError(errno.ENOLCK, "no locks available")
fcntl.flock = flock
"""
    command = [sys.executable, "-c", code + LOAD, str(path)]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path) for _ in range(2)]
    outputs = [child.communicate(timeout=300)[0].split()[1:] for child in children]
    assert [child.returncode for child in children] == [0, 0]
    assert outputs == [["Tick(price=3)"]] * 2
    assert len(entries(own_cache)) == 1


@pytest.mark.parametrize("damage", ["truncated module", "no manifest", "nonsense manifest", "empty", "file"])
def test_a_damaged_entry_is_built_again(tmp_path: Path, own_cache: Path, damage: str) -> None:
    path = contracts(tmp_path, "damage")
    checked(sys.executable, "-c", LOAD, path)
    (entry,) = entries(own_cache)
    manifest = entry / "manifest.json"
    module = next(entry.glob("*.so"))
    if damage == "truncated module":
        module.write_bytes(module.read_bytes()[:-1000])
    elif damage == "no manifest":
        manifest.unlink()
    elif damage == "nonsense manifest":
        manifest.write_text("[]")
    else:
        for file in entry.iterdir():
            file.unlink()
        if damage == "file":
            entry.rmdir()
            entry.write_text("")
    assert checked(sys.executable, "-c", LOAD, path) == "compiled Tick(price=3)\n"
    assert checked(sys.executable, "-c", LOAD, path) == "cached Tick(price=3)\n"
    assert entries(own_cache) == [entry]


def test_a_failed_build_leaves_no_entry(tmp_path: Path, own_cache: Path) -> None:
    path = contracts(tmp_path, "failed")
    result = run(sys.executable, "-c", LOAD, path, CC="/no/such/cc")
    assert result.returncode == 1
    assert "BuildError: no C compiler" in result.stderr
    assert f"mycelium_fast.load({str(path)!r}, compiled=False)" in result.stderr
    assert entries(own_cache) == []


def test_nobody_else_can_look_into_the_cache(tmp_path: Path, own_cache: Path) -> None:
    checked(sys.executable, "-c", LOAD, contracts(tmp_path, "modes"))
    for directory in (own_cache / "mycelium-fast", *entries(own_cache), entries(own_cache)[0].parent):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700, directory


def test_a_cache_that_cannot_be_written_is_replaced_for_this_process_with_a_warning(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = contracts(tmp_path, "unwritable")
    result = run(sys.executable, "-W", "default", "-c", LOAD, path, MYCELIUM_CACHE_DIR=str(tmp_path / "file"))
    assert result.stdout == "compiled Tick(price=3)\n"
    assert "RuntimeWarning: compiling for this process alone" in result.stderr
    assert "set MYCELIUM_CACHE_DIR" in result.stderr


def test_a_cache_that_others_can_write_to_is_not_trusted(tmp_path: Path, own_cache: Path) -> None:
    path = contracts(tmp_path, "writable by all")
    checked(sys.executable, "-c", LOAD, path)
    entries(own_cache)[0].parent.chmod(0o777)
    result = run(sys.executable, "-W", "default", "-c", LOAD, path)
    assert result.stdout == "compiled Tick(price=3)\n"
    assert "can be written to by others (chmod go-w" in result.stderr


def test_the_cache_is_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MYCELIUM_CACHE_DIR", str(tmp_path / "one"))
    assert cache.directory().parent == tmp_path / "one" / "mycelium-fast"
    monkeypatch.delenv("MYCELIUM_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "two"))
    assert cache.directory().parent == tmp_path / "two" / "mycelium-fast"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert "relative" not in cache.directory().parts


def test_other_switches_have_another_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MYCELIUM_DEBUG", "MYCELIUM_SANITIZE", "CFLAGS"):
        monkeypatch.delenv(name, raising=False)
    found = {cache.directory()}
    for name, value in (("MYCELIUM_DEBUG", "1"), ("MYCELIUM_SANITIZE", "address"), ("CFLAGS", "-O2")):
        with monkeypatch.context() as context:
            context.setenv(name, value)
            found.add(cache.directory())
    assert len(found) == 4


def test_plain_python_needs_no_compiler_and_no_cache(tmp_path: Path) -> None:
    path = contracts(tmp_path, "plain")
    code = "import sys, mycelium_fast; print(mycelium_fast.load(sys.argv[1], compiled=False).Tick(price=3))"
    nothing = {"PATH": "", "MYCELIUM_CACHE_DIR": str(tmp_path / "cache")}
    assert checked(sys.executable, "-c", code, path, **nothing) == "Tick(price=3)\n"
    assert not (tmp_path / "cache").exists()


def test_warnings_are_shown_with_the_callers_line(tmp_path: Path) -> None:
    path = tmp_path / "contracts.yaml"
    path.write_text(CONTEXT_RULE)
    for compiled in (False, True):
        with pytest.warns(
            mycelium_fast.ContractWarning, match=r"contracts\.yaml:6:\d+: A\.a: .*monotonic"
        ) as caught:
            mycelium_fast.load(path, compiled=compiled)
        assert caught[0].filename == __file__


def test_warnings_are_shown_from_the_cache_too(tmp_path: Path, own_cache: Path) -> None:
    path = tmp_path / "contracts.yaml"
    path.write_text(CONTEXT_RULE)
    code = "import sys, mycelium_fast; mycelium_fast.load(sys.argv[1])"
    outputs = [run(sys.executable, "-W", "default", "-c", code, path).stderr for _ in range(2)]
    assert "ContractWarning" in outputs[0]
    assert outputs[0] == outputs[1]


@pytest.mark.parametrize("compiled", [True, False])
def test_mistakes_in_the_contracts_raise(tmp_path: Path, compiled: bool) -> None:
    path = tmp_path / "contracts.yaml"
    path.write_text(CONTRACTS.replace("u64", "u46"))
    with pytest.raises(mycelium_fast.ContractError) as caught:
        mycelium_fast.load(path, compiled=compiled)
    assert (caught.value.file, caught.value.line) == (str(path), 7)


def test_a_file_that_is_not_there_raises(tmp_path: Path) -> None:
    with pytest.raises(mycelium_fast.ContractError, match=r"missing\.yaml"):
        mycelium_fast.load(tmp_path / "missing.yaml")


def test_a_module_that_was_loaded_with_warnings_as_errors_can_be_loaded_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "contracts.yaml"
    path.write_text("# again\n" + CONTEXT_RULE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(mycelium_fast.ContractWarning):
            mycelium_fast.load(path, compiled=False)
    assert mycelium_fast.load(path, compiled=False).A(a=1).a == 1


def test_the_manifest_holds_the_modules_own_digest(tmp_path: Path, own_cache: Path) -> None:
    checked(sys.executable, "-c", LOAD, contracts(tmp_path, "manifest"))
    (entry,) = entries(own_cache)
    assert set(json.loads((entry / "manifest.json").read_text())) == {"sha256", "notes"}
    assert os.listdir(entry.parent).count(f"{entry.name}.lock") == 1
