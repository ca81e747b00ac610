"""Every snippet of the documentation runs: Python, commands, and YAML files that later snippets use.

A document's snippets run in order in one folder, which has the example `contracts.yaml` and, compiled from
it, `trading.messages`. A document that says so has a bridge at `bus.sock`.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest
from bridges import Bridge
from environments import ROOT, checked

DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")
BRIDGE = "<!-- with a bridge at bus.sock -->"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_snippets_run(document: Path, tmp_path: Path) -> None:
    text = document.read_text()
    shutil.copy(ROOT / "contracts.yaml", tmp_path)
    blocks = BLOCK.findall(text)
    for language, code in blocks:
        if language == "yaml" and (name := re.match(r"# (\w+\.yaml)\n", code)):
            (tmp_path / name[1]).write_text(code)
    program = "\n".join(code for language, code in blocks if language == "python")
    if "trading.messages" in program:
        run_command("mycelium build contracts.yaml --module trading.messages --out .", tmp_path)
    for language, code in blocks:
        if language == "console":
            for line in code.splitlines():
                if line.startswith("$ ") and "pip install" not in line:
                    run_command(line.removeprefix("$ "), tmp_path)
    if not program:
        return
    (tmp_path / "snippets.py").write_text(program)
    bridge = Bridge(tmp_path / "bus.sock", contracts=tmp_path / "contracts.yaml") if BRIDGE in text else None
    try:
        checked(sys.executable, "snippets.py", cwd=tmp_path)
    finally:
        if bridge is not None:
            bridge.close()


def run_command(line: str, directory: Path) -> None:
    scripts = Path(sys.executable).parent
    checked(*shlex.split(line), cwd=directory, PATH=f"{scripts}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_within_the_documentation_lead_somewhere(document: Path) -> None:
    for target in LINK.findall(document.read_text()):
        assert (document.parent / target).exists(), target


def test_files_named_in_the_map_of_the_tree_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    names = re.findall(r"^\s+([\w./]+\.(?:py|pyx|h|j2|yaml|toml)|[\w.]+/)\s", text, re.MULTILINE)
    tree = {path.name for path in ROOT.rglob("*") if ".venv" not in path.parts}
    missing = [name for name in names if name.rstrip("/").rsplit("/", 1)[-1] not in tree]
    assert not missing
    assert len(names) > 30


def test_every_module_is_on_the_map_of_the_tree() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    modules = [
        path.name
        for pattern in ("*.py", "*.pyx")
        for path in (ROOT / "mycelium_fast").rglob(pattern)
        if path.name != "__init__.py"
    ]
    assert not [name for name in modules if name not in text]
