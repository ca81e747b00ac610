"""What the setuptools hook adds to a build: extensions from contracts (or Cython), and their `build_ext`.

Rendering and translating are `compile.py`'s; setuptools compiles. A module is compiled again when its
source, this package or a switch changed, by content and not by time stamp, and is otherwise taken from the
project's build directory, in an editable install too.
"""

from __future__ import annotations

import difflib
import logging
import re
import shutil
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from setuptools import Distribution, Extension
from setuptools.errors import CompileError

from mycelium_fast.codegen import compile as steps
from mycelium_fast.codegen.switches import Switches
from mycelium_fast.errors import BuildError, ContractError

if TYPE_CHECKING:
    from setuptools.command.build_ext import build_ext as _BuildExt
else:
    # The real base is whatever the project's build_ext is; see `use_build_command`.
    _BuildExt = object

__all__ = ["ContractsExtension", "CythonExtension", "use_build_command"]


class CythonExtension(Extension):
    """An extension from one Cython file of the project, with the flags of generated modules.

    Args:
        depends: files that it includes or cimports; a change of one compiles it again.
    """

    def __init__(self, name: str, source: str, depends: list[str] | None = None) -> None:
        arguments = steps.extension_arguments(Switches.from_environment())
        super().__init__(name, [source], depends=depends or [], **arguments)
        self.source = source

    def generate(self, work: Path) -> tuple[Path, bytes]:
        """Provide the Cython file; returns its path and all the text that it depends on."""
        parts = [Path(self.source).read_bytes(), *(Path(file).read_bytes() for file in sorted(self.depends))]
        return Path(self.source), b"\0".join(parts)

    def companions(self) -> dict[str, bytes]:
        """Files that belong beside the module, relative to the directory that is on `sys.path`."""
        return {}


class ContractsExtension(CythonExtension):
    """An extension generated from a contracts file, which stands as its source: an sdist has that alone."""

    _stub: bytes | None = None

    def generate(self, work: Path) -> tuple[Path, bytes]:
        from mycelium_fast.codegen.render import render
        from mycelium_fast.contracts import load

        contracts = load(self.source)
        for line, column, text in contracts.warnings:
            print(f"warning: {self.source}:{line}:{column}: {text}")
        self._stub = render(contracts, "stub").encode()
        source = render(contracts, "cython").encode()
        pyx = work / Path(*self.name.split(".")).with_suffix(".pyx")
        pyx.parent.mkdir(parents=True, exist_ok=True)
        pyx.write_bytes(source)
        return pyx, source

    def companions(self) -> dict[str, bytes]:
        if self._stub is None:
            return {}
        parts = self.name.split(".")
        files = {f"{'/'.join(parts)}.pyi": self._stub}
        if len(parts) > 1:
            files[f"{parts[0]}/{steps.MARKER}"] = b""
        return files


def use_build_command(distribution: Distribution) -> None:
    """Let the distribution's `build_ext`, whichever that is, build our extensions as well.

    The class is looked up late and not set in `cmdclass`, because a pyproject.toml may set that after us.
    """
    original = distribution.get_command_class

    def get_command_class(command: str) -> Any:
        base = original(command)
        if command != "build_ext" or issubclass(base, _BuildContracts):
            return base
        built = type("build_ext", (_BuildContracts, base), {})
        distribution.cmdclass[command] = built
        return built

    distribution.get_command_class = get_command_class  # type: ignore[method-assign]


class _BuildContracts(_BuildExt):
    """Mixed into the project's `build_ext`."""

    def run(self) -> None:
        for text in _doubts(self.distribution):
            print(f"warning: pyproject.toml: {text}")
        super().run()

    def build_extension(self, ext: Extension) -> None:
        if not isinstance(ext, CythonExtension):
            super().build_extension(ext)
            return
        try:
            self._build(ext)
        except (BuildError, ContractError) as error:
            raise CompileError(str(error)) from None

    def _build(self, ext: CythonExtension) -> None:
        steps.check_tools(ext.source)
        switches = Switches.from_environment()
        # `build_base` and not `build_temp`: the latter is a new directory in each editable install.
        work = Path(_option(self, "build", "build_base"), "mycelium", _tag(switches), ext.name)
        work.mkdir(parents=True, exist_ok=True)
        pyx, state = ext.generate(work)
        target = Path(self.get_ext_fullpath(ext.name))
        kept, stamp = work / target.name, work / "stamp"
        key = steps.fingerprint(switches, ext.name.encode(), state)
        if self.force or not kept.is_file() or not stamp.is_file() or stamp.read_text() != key:
            stamp.unlink(missing_ok=True)
            c = work / f"{ext.name.rpartition('.')[2]}.c"
            self.announce(f"translating {pyx} to C", level=logging.INFO)
            steps.cythonize(pyx, ext.name, switches=switches, cwd=Path(), output=c, contracts=ext.source)
            ext.sources, depends, ext.depends = [str(c)], ext.depends, []
            target.unlink(missing_ok=True)
            try:
                super().build_extension(ext)
            finally:
                ext.sources, ext.depends = [ext.source], depends
            shutil.copyfile(target, kept)
            stamp.write_text(key)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            steps.replace_file(target, kept.read_bytes(), executable=True)
        for name, data in ext.companions().items():
            path = Path(self.build_lib, name)
            if path.name != steps.MARKER or not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                steps.replace_file(path, data)

    def copy_extensions_to_source(self) -> None:
        everything, self.extensions = self.extensions, self._others()
        try:
            super().copy_extensions_to_source()
        finally:
            self.extensions = everything
        for built, destination in self._copies():
            if destination.name == steps.MARKER and destination.exists():
                continue
            destination.parent.mkdir(parents=True, exist_ok=True)
            steps.replace_file(destination, built.read_bytes(), executable=destination.suffix == ".so")

    def get_outputs(self) -> list[str]:
        everything, self.extensions = self.extensions, self._others()
        try:
            outputs = super().get_outputs()
        finally:
            self.extensions = everything
        return [*outputs, *(str(built) for built, _ in self._copies())]

    def get_output_mapping(self) -> dict[str, str]:
        everything, self.extensions = self.extensions, self._others()
        try:
            mapping = super().get_output_mapping()
        finally:
            self.extensions = everything
        if self.inplace:
            unpacked = self._unpacked_wheel()
            for built, destination in self._copies():
                if unpacked is None or unpacked not in destination.parents:
                    mapping[str(built)] = str(destination)
        return mapping

    def _others(self) -> list[Extension]:
        return [ext for ext in self.extensions if not isinstance(ext, CythonExtension)]

    def _copies(self) -> Iterator[tuple[Path, Path]]:
        """Every file of our extensions: where it was built, and where an editable install has it."""
        for ext in self.extensions:
            if isinstance(ext, CythonExtension):
                module = Path(self.get_ext_fullpath(ext.name)).name
                for name in (str(Path(*ext.name.split(".")[:-1], module)), *ext.companions()):
                    yield Path(self.build_lib, name), self._destination(name)

    def _destination(self, name: str) -> Path:
        """Where an editable install finds a file, given as relative to `build_lib`.

        That is in the project where the project has the package. Where it has not, as with nothing but a
        pyproject.toml and a contracts file, it is the wheel, which is otherwise empty then: no directory
        appears among the user's sources, and type checkers find the stub.
        """
        ancestors = Path(name).parent.parts
        packages = self.distribution.packages or []
        unpacked = self._unpacked_wheel()
        if unpacked is not None and not any(
            ".".join(ancestors[:depth]) in packages for depth in range(1, len(ancestors) + 1)
        ):
            return unpacked / name
        build_py: Any = self.get_finalized_command("build_py")
        return Path(build_py.get_package_dir(".".join(ancestors)), Path(name).name)

    def _unpacked_wheel(self) -> Path | None:
        if not self.editable_mode:
            return None
        directory = Path(_option(self, "install", "install_lib"))
        return directory if directory.is_dir() else None


def _doubts(distribution: Distribution) -> Iterator[str]:
    """What the project probably did not mean.

    Asked for when the build runs, not in the hook: dependencies and packages may come from setup.cfg, from
    setup.py, from a file that pyproject.toml calls dynamic, or be found by setuptools, all after the hook.
    """
    modules = [ext.name for ext in distribution.ext_modules or [] if isinstance(ext, ContractsExtension)]
    required = {_project_name(each) for each in getattr(distribution, "install_requires", None) or []}
    own = "mycelium-fast"
    if modules and own not in required and _project_name(distribution.get_name()) != own:
        yield (
            f"the project's dependencies do not name {own}, which {modules[0]} needs to be imported: "
            f'add dependencies = ["{own}"] to [project]'
        )
    packages = sorted({name.partition(".")[0] for name in distribution.packages or []})
    for name in modules:
        package, dot, _ = name.partition(".")
        if dot and packages and package not in packages:
            close = difflib.get_close_matches(package, packages, n=1)
            hint = f"did you mean {close[0] + name[len(package) :]!r}?" if close else "it will be a new one"
            yield f"tool.mycelium.modules names {name!r}, but the project has no package {package!r}; {hint}"


def _project_name(requirement: str) -> str:
    """The name of a requirement, normalised."""
    match = re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)", requirement)
    return re.sub(r"[-_.]+", "-", match[1]).lower() if match else ""


def _option(command: _BuildExt, other: str, name: str) -> str:
    """A directory that another command of the same build has settled on."""
    return str(getattr(command.get_finalized_command(other), name))


def _tag(switches: Switches) -> str:
    suffix = sysconfig.get_config_var("EXT_SUFFIX").strip(".").partition(".")[0]
    return f"{suffix}-{switches.tag}" if switches.tag else suffix
