"""A file as it is at a revision of the git repository that it lies in.

Nothing is checked out or changed; git itself is asked, by its own command.
"""

from __future__ import annotations

import os
import subprocess

__all__ = ["GitError", "version_at"]

#: Seconds that git may take; it may have to fetch what a partial clone left out.
_TIMEOUT_S = 60.0
#: What a hook of git has in its environment: it speaks of the place where git was called, not of the file.
_OF_A_HOOK = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")


class GitError(Exception):
    """Git cannot say; the message has the reason and what to do."""


def version_at(revision: str, file: str) -> bytes | None:
    """The bytes of a file at a revision; None where that does not have it, or nothing is committed yet.

    Args:
        revision: as git takes it: `"HEAD"`, a branch, a tag, a commit.
        file: a path in a work tree.

    Raises:
        GitError: there is no git, no repository, no such revision, or the path was no file there.
    """
    path = os.path.realpath(file)
    directory, name = os.path.split(path)
    if not revision or revision.startswith("-") or ":" in revision:
        raise GitError(f"{revision!r} is no revision of git; name a commit, a branch or a tag")
    inside = _git(directory, "rev-parse", "--is-inside-work-tree")
    if inside.returncode != 0 or inside.stdout.strip() != b"true":
        raise GitError(f"{file} lies in no work tree of git; name two files instead of --base{_said(inside)}")
    commit = _git(directory, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    if commit.returncode != 0:
        if revision == "HEAD" and _git(directory, "rev-parse", "--verify", "--quiet", "HEAD").returncode != 0:
            return None
        raise GitError(
            f"the repository of {file} has no revision {revision!r}; in a shallow clone, fetch it first"
        )
    entry = _git(directory, "ls-tree", "-z", commit.stdout.decode().strip(), "--", name)
    if entry.returncode != 0:
        raise GitError(f"git cannot list {file} at {revision}{_said(entry)}")
    if not entry.stdout:
        return None
    mode, _, rest = entry.stdout.partition(b" ")
    if mode not in (b"100644", b"100755"):
        raise GitError(f"{file} was no regular file at {revision}; name two files instead of --base")
    blob = _git(directory, "cat-file", "blob", rest.split()[1].decode())
    if blob.returncode != 0:
        raise GitError(f"git cannot read {file} at {revision}{_said(blob)}")
    return blob.stdout


def _git(directory: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    environment = {name: value for name, value in os.environ.items() if name not in _OF_A_HOOK}
    command = ["git", "-C", directory, "--literal-pathspecs", *arguments]
    try:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, env=environment, timeout=_TIMEOUT_S
        )
    except FileNotFoundError:
        raise GitError("--base needs git, which is not installed or not on PATH; name two files") from None
    except OSError as error:
        raise GitError(f"git cannot be run: {error.strerror or error}") from None
    except subprocess.TimeoutExpired:
        raise GitError(f"git did not answer within {_TIMEOUT_S:.0f} s") from None


def _said(answer: subprocess.CompletedProcess[bytes]) -> str:
    lines = answer.stderr.decode(errors="replace").strip().splitlines()
    return f" (git: {lines[0]})" if lines else ""
