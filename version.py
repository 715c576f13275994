"""The version of a build: that of the release, and of which commit where it is another one.

Hatchling asks for it (`tool.hatch.version` in pyproject.toml). A release is the commit with the tag
v0.2.0; what is built from another one is called 0.2.0+gCOMMIT, with .dirty after it where files
were changed.
"""

from __future__ import annotations

import subprocess
from email.parser import HeaderParser
from pathlib import Path

RELEASE = "0.2.0"  # the one that was made last, or is being made


def version(folder: Path = Path(__file__).parent) -> str:
    """The version of what is in a folder."""
    of_archive = folder / "PKG-INFO"  # a source distribution was told when it was made
    if of_archive.is_file():
        return HeaderParser().parsestr(of_archive.read_text(encoding="utf-8"))["Version"]
    if _git(folder, "rev-parse", "--show-prefix") != "":  # no repository, or somebody else's
        return RELEASE
    commit = _git(folder, "rev-parse", "--short=9", "HEAD")
    if not commit:
        return RELEASE
    dirty = ".dirty" if _git(folder, "status", "--porcelain", "--untracked-files=no") else ""
    tags = (_git(folder, "tag", "--points-at", "HEAD") or "").split()
    return RELEASE if f"v{RELEASE}" in tags and not dirty else f"{RELEASE}+g{commit}{dirty}"


def _git(folder: Path, *arguments: str) -> str | None:
    """What git says; None where there is no git, or no repository."""
    try:
        found = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()


__version__ = version()
