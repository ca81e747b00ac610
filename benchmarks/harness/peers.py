"""Who else is measured, where they are installed: what is not is named, and left out."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import shutil
import subprocess

#: Peers in Python: what is installed, and what is imported.
PACKAGES = {
    "msgspec": "msgspec",
    "protobuf": "google.protobuf",
    "pyzmq": "zmq",
    "eclipse-zenoh": "zenoh",
    "nats-py": "nats",
    "uvloop": "uvloop",
}
#: Where Debian puts nats-server, which is not on everybody's path.
_SYSTEM = "/usr/sbin:/usr/local/sbin"


@functools.cache
def have(name: str) -> bool:
    """Whether this peer is installed."""
    if name == "nats-server":
        return nats_server() is not None
    module = PACKAGES[name]
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # of a package that the module would be in
        return False


@functools.cache
def nats_server() -> str | None:
    """Where the program is."""
    return shutil.which("nats-server") or shutil.which("nats-server", path=_SYSTEM)


def missing() -> dict[str, str]:
    """Peers that are not installed, and how they would be."""
    absent = {name: "make bench-peers" for name in PACKAGES if not have(name)}
    if not have("nats-server"):
        absent["nats-server"] = (
            "make bench-peers as root on Debian, or https://github.com/nats-io/nats-server"
        )
    return absent


def versions() -> dict[str, str]:
    """Versions of those that are installed."""
    found = {name: importlib.metadata.version(name) for name in PACKAGES if have(name)}
    if (program := nats_server()) is not None:
        said = subprocess.run([program, "--version"], capture_output=True, text=True).stdout.strip()
        found["nats-server"] = said.rpartition(" ")[2].removeprefix("v")
    return found
