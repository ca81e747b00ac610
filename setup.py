"""What pyproject.toml cannot say: extensions written by hand, and files that move into the package.

The modules generated from contracts come from the package's own setuptools hook, as in a user's project;
here it is called from the source tree, because the package is not installed yet.
"""

from __future__ import annotations

import os
import sys
from glob import glob
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.build_py import build_py

sys.path.insert(0, str(Path(__file__).resolve().parent))

from mycelium_fast.codegen.build_command import CythonExtension
from mycelium_fast.codegen.hook import finalize_distribution


class OwnDistribution(Distribution):
    def finalize_options(self) -> None:
        finalize_distribution(self)
        super().finalize_options()


class BuildPy(build_py):
    """Installs what stands beside the package in a checkout; there the package finds it as it is."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        for source in ("contracts.yaml", *sorted(glob("codegen_templates/*.j2"))):
            target = Path(self.build_lib, "mycelium_fast", source)
            target.parent.mkdir(parents=True, exist_ok=True)
            self.copy_file(source, str(target))


included = sorted(
    str(path) for path in Path("mycelium_fast").rglob("*") if path.suffix in {".c", ".h", ".pxd", ".pxi"}
)
extensions = [
    CythonExtension(".".join(source.with_suffix("").parts), str(source), depends=included)
    for source in sorted(Path("mycelium_fast").rglob("*.pyx"))
]
for extension in extensions:
    extension.include_dirs.append(str(Path(extension.source).parent))
setup(
    distclass=OwnDistribution,
    cmdclass={"build_py": BuildPy},
    options={"build_ext": {"parallel": str(os.cpu_count() or 1)}},
    ext_modules=extensions,
)
