"""`version` and `min_compatible` of the `schema` section, measured against what changed.

`version` counts the editions of a file; `min_compatible` is the lowest version whose programs get on with
this one. What gets on with what is found by `compare.py`.
"""

from __future__ import annotations

from .changes import Finding
from .model import Contracts

__all__ = ["check_versions"]


def check_versions(old: Contracts, new: Contracts, *, changed: bool, breaking: bool) -> tuple[Finding, ...]:
    """Everything that the two `schema` sections get wrong, in the order in which to put it right.

    Args:
        changed: whether anything but comments, white space and these numbers themselves changed.
        breaking: whether programs of the old file do not get on with those of the new one.
    """
    found: list[Finding] = []
    if old.schema_id != new.schema_id:
        was, now = _number(old.schema_id), _number(new.schema_id)
        found.append(
            Finding(
                "warning", f"schema.id is {now} where it was {was}: are these two versions of one schema?"
            )
        )
    found += _check_version(old.version, new.version, changed, breaking)
    found += _check_min_compatible(old, new, breaking)
    if new.version is not None and new.min_compatible is not None and new.min_compatible > new.version:
        found.append(
            Finding(
                "error",
                f"schema.min_compatible {new.min_compatible} is above schema.version {new.version}: a "
                "version is compatible with itself at least",
            )
        )
    return tuple(found)


def _check_version(was: int | None, now: int | None, changed: bool, breaking: bool) -> list[Finding]:
    if was is None and now is None:
        if not breaking:
            return []
        return [Finding("warning", "the file has no schema.version; with one, a breaking change would show")]
    if was is None:
        return []
    if now is None:
        return [Finding("error", f"schema.version is gone; it was {was}: write version: {was + 1}")]
    if now < was:
        text = (
            f"schema.version {now} is lower than before ({was}): versions only rise; write version: {was + 1}"
        )
        return [Finding("error", f"{text} (or are the two files in the wrong order?)")]
    if now == was and breaking:
        text = f"peers break, and schema.version is still {was}: write version: {was + 1}"
        return [Finding("error", text)]
    if now == was and changed:
        return [Finding("warning", f"schema.version is still {was}: write version: {was + 1}")]
    return []


def _check_min_compatible(old: Contracts, new: Contracts, breaking: bool) -> list[Finding]:
    was, now = old.min_compatible, new.min_compatible
    if was is not None and now is None:
        return [Finding("error", f"schema.min_compatible is gone; it was {was}")]
    if old.version is None:
        return []
    if breaking and (now is None or now <= old.version):
        wanted = max(new.version or 0, old.version + 1)
        claim = "is not given" if now is None else f"{now} says that version {old.version} gets on with this"
        return [
            Finding(
                "error", f"peers break, and schema.min_compatible {claim}: write min_compatible: {wanted}"
            )
        ]
    found: list[Finding] = []
    if not breaking and now is not None and now > old.version:
        found.append(
            Finding(
                "note",
                f"schema.min_compatible {now} shuts out version {old.version} without need: nothing here "
                "breaks its peers",
            )
        )
    if was is not None and now is not None and now < was:
        text = (
            f"schema.min_compatible {now} is lower than before ({was}): what broke then is not mended by it"
        )
        found.append(Finding("warning", text))
    return found


def _number(value: int | None) -> str:
    return "not given" if value is None else str(value)
