"""Contracts of any number of messages, and what is done with them: read, rendered, compiled.

The limit of compiling is the C compiler alone, given the C that Cython made of the same contracts.
"""

from __future__ import annotations

import hashlib
import shlex
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from contenders.brokers import CONTRACTS
from harness.processes import TIMEOUT_S

from mycelium_fast.codegen import compile as steps
from mycelium_fast.codegen.render import Language, render
from mycelium_fast.codegen.switches import Switches
from mycelium_fast.contracts import load

#: Of the example contracts, these three in turn: 16, 312 and 168 bytes.
KINDS = ("TradeTick", "TextMessage", "PoolStateUpdate")
MODULE = "messages"


def contracts(directory: Path, messages: int) -> Path:
    """A contracts file of so many messages."""
    example = yaml.safe_load(CONTRACTS.read_text())
    named: dict[str, Any] = {}
    for number in range(messages):
        kind = KINDS[number % len(KINDS)]
        message = {**example["messages"][kind], "tlv_type": 1000 + number}
        message.pop("required_prior_messages", None)
        named[f"{kind}{number}"] = message
    file = directory / f"contracts-{messages}.yaml"
    file.write_text(yaml.safe_dump({"schema": example["schema"], "messages": named}, sort_keys=False))
    return file


def generated(file: Path, language: Language) -> Callable[[], str]:
    """Reads a contracts file, checks it and renders it, as `mycelium codegen` does once it is started."""
    return lambda: render(load(file), language)


def checked(file: Path, messages: int, language: Language) -> None:
    """See that every message is in what is rendered."""
    text = generated(file, language)()
    for number in range(messages):
        if f"{KINDS[number % len(KINDS)]}{number}" not in text.replace("_", ""):
            raise RuntimeError(f"message {number} is not in the {language} source")


def parsed(file: Path) -> Callable[[], Any]:
    """libyaml, through PyYAML: the file as dicts and lists, nothing checked."""
    if not hasattr(yaml, "CSafeLoader"):
        raise RuntimeError("this PyYAML has no libyaml, which is the limit here")
    return lambda: yaml.load(file.read_bytes(), yaml.CSafeLoader)


def build_command(file: Path, out: Path) -> list[str]:
    """`mycelium build`."""
    command = [sys.executable, "-m", "mycelium_fast", "build", str(file), "--module", MODULE]
    return [*command, "--out", str(out), "--quiet"]


def compile_command(file: Path, work: Path) -> list[str]:
    """The C compiler's call for the same module, with the flags of `mycelium build`; makes its C file."""
    switches = Switches.from_environment()
    text = render(load(file), "cython")
    source = work / hashlib.sha256(f"{steps.fingerprint(switches)}{text}".encode()).hexdigest()[:12]
    source.mkdir(exist_ok=True)
    c = source / f"{MODULE}.c"
    if not c.exists():
        pyx = Path(f"{MODULE}.pyx")
        (source / pyx).write_text(text)
        unfinished = Path(f"{MODULE}.unfinished.c")
        steps.cythonize(pyx, MODULE, switches=switches, cwd=source, output=unfinished)
        (source / unfinished).replace(c)
    settings = sysconfig.get_config_vars()
    flags = [f"-I{steps.codec_include()}", f"-I{sysconfig.get_paths()['include']}"]
    flags += [f"-D{name}" if value is None else f"-D{name}={value}" for name, value in switches.macros]
    flags += [f"-U{name}" for name in switches.undefined_macros] + switches.compile_args
    command = [part for name in ("CC", "CFLAGS", "CCSHARED") for part in shlex.split(settings[name])]
    linking = shlex.split(settings["LDSHARED"])[1:] + switches.link_args
    return [*command, *flags, str(c), *linking, "-o", str(source / "out.so")]


def import_built(out: Path, messages: int) -> None:
    """See that a module that was built has every message, in a new interpreter."""
    program = f"import {MODULE}; assert len({MODULE}.MESSAGES) == {messages}"
    subprocess.run([sys.executable, "-c", program], cwd=out, check=True, timeout=TIMEOUT_S)
