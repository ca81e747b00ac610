"""A conformance runner in Python: reads cases on stdin, prints an answer a line.

    python runner.py [--compiled | --plain] contracts.yaml ...

The simplest example of one: the protocol is in docs/porting.md, the answers are in `reference.py`.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from conformance.reference import Implementation, Schema


def main(arguments: list[str]) -> None:
    implementation: Implementation = "compiled" if "--compiled" in arguments else "plain"
    files = [Path(each) for each in arguments if not each.startswith("--")]
    schemas = {file.stem: Schema(file, implementation) for file in files}
    for line in sys.stdin:
        schema, command, *rest = line.split()
        found = schemas.get(schema)
        print("error schema" if found is None else found.answer(command, rest), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
