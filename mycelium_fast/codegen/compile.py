"""Compiling: contracts to an extension module and its stub, in three steps that each run on their own.

Rendering happens here; Cython and the C compiler run in child processes, so that nothing of them stays in
the caller's and their output can be quoted when they fail. The setuptools build (`build_command.py`) shares
the steps but the last, which is its own business; what flags are used is the subject of `switches.py`.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import keyword
import os
import re
import secrets
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from mycelium_fast._version import __version__
from mycelium_fast.codegen.switches import Switches
from mycelium_fast.errors import BuildError

if TYPE_CHECKING:
    from mycelium_fast.contracts import Contracts

__all__ = [
    "MARKER",
    "Progress",
    "abi_version",
    "build_module",
    "check_module_name",
    "check_tools",
    "codec_include",
    "cythonize",
    "extension_arguments",
    "fingerprint",
    "replace_file",
]

#: Called with the step that begins, the number of steps done, and their total; at the end with `"done"`.
Progress = Callable[[str, int, int], object]

#: Beside the package of a generated module: it has types.
MARKER: Final = "py.typed"
_PACKAGE: Final = Path(__file__).resolve().parent.parent
_MODULE_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
_STEPS: Final = ("rendering", "translating to C", "compiling")
_COMPILER_VARIABLES: Final = ("CC", "CFLAGS", "CPPFLAGS", "LDFLAGS", "LDSHARED", "ARCHFLAGS")
_QUOTED_LINES: Final = 20
_WITHOUT_COMPILER: Final = (
    "Plain Python needs no compiler: `mycelium codegen {contracts} --python-out messages.py`, or at run time "
    "`mycelium_fast.load({path!r}, compiled=False)`."
)
# Not -m, which would import from the current directory: a project may have a string.py there.
_CYTHON: Final = (
    "import sys; sys.path[:] = filter(None, sys.path); "
    "from Cython.Compiler.Main import main; main(command_line=1)"
)
# The package may have been imported from a directory that a new interpreter does not search.
_CHILD: Final = (
    "import sys; sys.path[:] = [*filter(None, sys.path), sys.argv[1]]; "
    "from mycelium_fast.codegen.compile import _compile_here; _compile_here(sys.argv[2])"
)


def build_module(
    contracts: str | os.PathLike[str] | Contracts,
    module_name: str,
    out_dir: str | os.PathLike[str],
    *,
    progress: Progress | None = None,
    switches: Switches | None = None,
) -> Path:
    """Compile a contracts file into one extension module, with its stub beside it.

    Both files appear whole or not at all, and replace older ones of their name. A package gets a `py.typed`,
    without which type checkers would not read the stub.

    Args:
        contracts: path of the contracts file, or what `contracts.load` made of it.
        module_name: dotted name, for example `"trading.messages"`.
        out_dir: the directory that will be on `sys.path`; packages are made below it as needed.
        progress: called as each step begins.
        switches: how to compile; None asks the environment.

    Returns:
        Path of the extension module.

    Raises:
        ContractError: the contracts file cannot be used.
        BuildError: something needed is missing, or a step failed.
        ValueError: `module_name` is no dotted name.
    """
    from mycelium_fast.codegen.render import render
    from mycelium_fast.contracts import Contracts, load

    check_module_name(module_name)
    switches = Switches.from_environment() if switches is None else switches
    model = contracts if isinstance(contracts, Contracts) else load(contracts)
    check_tools(model.file)
    report = progress or (lambda _step, _done, _total: None)
    relative = Path(*module_name.split("."))
    with tempfile.TemporaryDirectory(prefix="mycelium-") as directory:
        work = Path(directory)
        report(_STEPS[0], 0, len(_STEPS))
        pyx = relative.with_suffix(".pyx")
        (work / pyx).parent.mkdir(parents=True, exist_ok=True)
        (work / pyx).write_text(render(model, "cython"), encoding="utf-8")
        stub = render(model, "stub")
        report(_STEPS[1], 1, len(_STEPS))
        cythonize(pyx, module_name, switches=switches, cwd=work, contracts=model.file)
        report(_STEPS[2], 2, len(_STEPS))
        built = _compile(pyx.with_suffix(".c"), module_name, switches, work, model.file)
        target = Path(out_dir) / relative.parent / built.name
        target.parent.mkdir(parents=True, exist_ok=True)
        if relative.parent.parts and not (marker := Path(out_dir, relative.parts[0], MARKER)).exists():
            replace_file(marker, b"")
        # The stub first: a module is never there without it.
        replace_file(target.parent / f"{relative.name}.pyi", stub.encode())
        replace_file(target, built.read_bytes(), executable=True)
    report("done", len(_STEPS), len(_STEPS))
    return target


def check_module_name(name: str) -> None:
    """Refuse what cannot be imported.

    Raises:
        ValueError: `name` is no dotted name of identifiers.
    """
    if not _MODULE_NAME.fullmatch(name) or any(map(keyword.iskeyword, name.split("."))):
        raise ValueError(f"{name!r} is no module name; a dotted name such as 'trading.messages' is meant")


def check_tools(contracts: str = "contracts.yaml") -> None:
    """See that Cython, setuptools, a C compiler and Python's headers are there.

    Raises:
        BuildError: says what is missing, how to get it, and how to do without.
    """
    missing = [name for name in ("Cython", "setuptools") if not _installed(name)]
    if missing:
        _fail(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed for "
            f'{sys.executable}: run `pip install "mycelium-fast[build]"`.',
            contracts,
        )
    command = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    if not command or shutil.which(command[0]) is None:
        origin = "CC in the environment" if os.environ.get("CC") else "the compiler Python was built with"
        _fail(
            f"no C compiler: `{shlex.join(command)}` ({origin}) is not on PATH. Install one (Debian and "
            "Ubuntu: `apt install gcc python3-dev`; macOS: `xcode-select --install`) or name yours in CC.",
            contracts,
        )
    include = sysconfig.get_paths()["include"]
    if not Path(include, "Python.h").is_file():
        _fail(
            f"Python's headers are missing: there is no {Path(include, 'Python.h')}. Install them (Debian "
            "and Ubuntu: `apt install python3-dev`; Fedora: `dnf install python3-devel`).",
            contracts,
        )


def cythonize(
    pyx: Path,
    module_name: str,
    *,
    switches: Switches,
    cwd: Path,
    output: Path | None = None,
    contracts: str = "contracts.yaml",
) -> None:
    """Translate one Cython file to C.

    Args:
        pyx: relative to `cwd`, so that no path of this machine gets into the C file.
        output: the C file, relative to `cwd` or absolute; None puts it beside `pyx`.
        contracts: for the error's text.

    Raises:
        BuildError: with the end of Cython's output.
    """
    output = pyx.with_suffix(".c") if output is None else output
    command = [sys.executable, "-c", _CYTHON, "-I", str(_PACKAGE.parent), "--module-name", module_name]
    for name, value in switches.directives.items():
        command += ["-X", f"{name}={value}"]
    command += ["-o", str(output), str(pyx)]
    result = subprocess.run(
        command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    if result.returncode:
        # Cython leaves a C file that does not compile.
        Path(cwd, output).unlink(missing_ok=True)
        _fail(f"Cython could not translate {pyx}:\n{_tail(result.stdout)}\n", contracts)


def extension_arguments(switches: Switches) -> dict[str, Any]:
    """The keyword arguments of a setuptools `Extension` that the codec and generated modules share."""
    return {
        "include_dirs": [codec_include()],
        "define_macros": switches.macros,
        "undef_macros": switches.undefined_macros,
        "extra_compile_args": switches.compile_args,
        "extra_link_args": switches.link_args,
    }


def codec_include() -> str:
    """The directory of the codec's C headers."""
    return str(_PACKAGE / "codec")


def abi_version() -> int:
    """The codec's ABI number, read from its header: nothing has to be compiled for it."""
    header = (_PACKAGE / "codec" / "message.h").read_text(encoding="utf-8")
    match = re.search(r"^#define MYC_ABI (\d+)$", header, re.MULTILINE)
    if match is None:
        raise BuildError(f"{codec_include()}/message.h names no ABI: install mycelium-fast again")
    return int(match[1])


def fingerprint(switches: Switches, *extra: bytes) -> str:
    """A digest of all that a compiled module depends on besides its contracts file; 64 hex digits.

    That is the package's version and the files that a generated module is made from or includes, the
    interpreter, the compiler's settings and the switches.
    """
    from mycelium_fast.codegen.render import template_dir

    state = [
        __version__,
        sys.implementation.cache_tag,
        sysconfig.get_config_var("EXT_SUFFIX"),
        repr(switches),
        *(os.environ.get(name, "") for name in _COMPILER_VARIABLES),
    ]
    digest = hashlib.sha256(json.dumps(state).encode())
    files = [*(_PACKAGE / "codec").glob("*.h"), *(_PACKAGE / "codec").glob("*.pxd")]
    files += [*template_dir().glob("messages.py*.j2"), *(_PACKAGE / "contracts").glob("*.py")]
    files += (_PACKAGE / "codegen").glob("*.py")
    for file in sorted(files):
        digest.update(f"\0{file.name}\0".encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    for data in extra:
        digest.update(hashlib.sha256(data).digest())
    return digest.hexdigest()


def replace_file(path: Path, data: bytes, *, executable: bool = False) -> None:
    """Write a file that appears whole or not at all, also to other processes.

    A module that a running process has mapped stays valid for it: its file is replaced, never overwritten.
    """
    name = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
    # Not mkstemp, whose files nobody else may read: here the umask decides, as for any compiler's output.
    mode = 0o777 if executable else 0o666
    descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def _compile(c: Path, module_name: str, switches: Switches, work: Path, contracts: str) -> Path:
    order = {
        "name": module_name,
        "source": str(c),
        "arguments": extension_arguments(switches),
        "build_lib": str(work / "lib"),
        "build_temp": str(work / "temp"),
    }
    command = [sys.executable, "-c", _CHILD, str(_PACKAGE.parent), json.dumps(order)]
    result = subprocess.run(
        command, cwd=work, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    built = work / "lib" / Path(*module_name.split(".")).with_suffix(suffix)
    if result.returncode or not built.is_file():
        _fail(f"the C compiler failed on the code for {module_name}:\n{_tail(result.stdout)}\n", contracts)
    return built


def _compile_here(order: str) -> None:
    """What the child process does: setuptools knows how this interpreter's extensions are compiled."""
    from setuptools import Distribution, Extension
    from setuptools.errors import BaseError, CCompilerError

    given = json.loads(order)
    arguments = given["arguments"]
    arguments["define_macros"] = [tuple(macro) for macro in arguments["define_macros"]]
    extension = Extension(given["name"], [given["source"]], **arguments)
    distribution = Distribution({"name": "mycelium-generated", "ext_modules": [extension]})
    command = distribution.get_command_obj("build_ext")
    command.build_lib, command.build_temp = given["build_lib"], given["build_temp"]
    command.ensure_finalized()
    try:
        command.run()
    except (BaseError, CCompilerError) as error:
        sys.exit(str(error))


def _installed(module: str) -> bool:
    try:
        importlib.metadata.distribution(module)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _tail(output: str) -> str:
    lines: Iterable[str] = output.rstrip().splitlines()[-_QUOTED_LINES:]
    return "\n".join(f"    {line}" for line in lines)


def _fail(text: str, contracts: str) -> NoReturn:
    separator = "" if text.endswith("\n") else " "
    advice = _WITHOUT_COMPILER.format(contracts=shlex.quote(contracts), path=contracts)
    raise BuildError(text + separator + advice)
