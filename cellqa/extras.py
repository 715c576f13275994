"""What is installed, what is missing, and the line that installs it."""

from __future__ import annotations

import importlib.metadata
import json
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlparse
from urllib.request import url2pathname

_NAME = re.compile(r"^[A-Za-z0-9_.-]+")
_EXTRA = re.compile(r"""extra\s*==\s*['"]([^'"]+)['"]""")


class Package(NamedTuple):
    """A package that is asked for.

    Attributes
    ----------
    name : str
    extra : str
        That asks for it; empty for one that is always needed.
    version : str
        Installed; empty where it is missing.
    """

    name: str
    extra: str
    version: str


def packages() -> Iterator[Package]:
    """All that cellqa and its extras ask for, but what only its tests and documents need."""
    for line in importlib.metadata.requires("cellqa") or ():
        name, extra = _NAME.match(line), _EXTRA.search(line)
        if name is None or name[0] == "cellqa" or (extra and extra[1] in ("test", "docs")):
            continue
        try:
            version = importlib.metadata.version(name[0])
        except importlib.metadata.PackageNotFoundError:
            version = ""
        yield Package(name[0], extra[1] if extra else "", version)


def install_line(extra: str) -> str:
    """The command that adds an extra to what runs now.

    From the clone that cellqa was installed from, if it is still there; else it says that a clone
    is needed. The constraints keep torch from bringing gigabytes of CUDA.

    Examples
    --------
    >>> install_line("gan").endswith("[gan]'")
    True
    """
    clone, editable = _clone()
    if clone is None:
        return f"in a clone of cellqa: pip install -c constraints.txt '.[{extra}]'"
    flag = "-e " * editable
    limits = shlex.quote(str(clone / "constraints.txt"))
    python = shlex.quote(sys.executable)
    return f"{python} -m pip install -c {limits} {flag}'{clone}[{extra}]'"


def _clone() -> tuple[Path | None, bool]:
    """The folder that cellqa was installed from, and whether it runs from there."""
    try:
        text = importlib.metadata.distribution("cellqa").read_text("direct_url.json")
        facts = json.loads(text or "{}")
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return None, False
    url = urlparse(facts.get("url", ""))
    folder = Path(url2pathname(url.path))
    if url.scheme != "file" or not (folder / "constraints.txt").is_file() or "'" in str(folder):
        return None, False
    return folder, bool(facts.get("dir_info", {}).get("editable"))
