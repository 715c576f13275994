"""A new user's desk: a folder, a shell, and the pages to type from."""

from __future__ import annotations

import os
import re
import subprocess
import sysconfig
from pathlib import Path

PROJECT = Path(__file__).parents[2]
# the commands of this environment, or of the one that `make journeys` made from a clone
BIN = Path(os.environ.get("CELLQA_BIN") or sysconfig.get_path("scripts"))


class Desk:
    """A folder in which somebody types."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def types(self, text: str, status: int = 0) -> str:
        """Run lines in bash; what they print."""
        done = subprocess.run(
            ["bash", "-ec", text],
            cwd=self.folder,
            env={**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=900,
        )
        assert done.returncode == status, f"{text}\nended with {done.returncode}:\n{done.stdout}"
        assert "Traceback" not in done.stdout
        return done.stdout

    def runs(self, code: str) -> str:
        """Run Python code; what it prints."""
        (self.folder / "script.py").write_text(code, encoding="utf-8")
        return self.types("python script.py")


def blocks(page: str, language: str = "") -> list[str]:
    """What a page shows to type, in a language or without one."""
    text = (PROJECT / page).read_text(encoding="utf-8")
    return re.findall(rf"(?ms)^```{language}(?: [^\n]*)?\n(.*?)^```", text)


def line(page: str, begins: str) -> str:
    """The line of a page that begins so, without its remark."""
    for block in blocks(page):
        if found := re.search(rf"(?m)^{re.escape(begins)}.*$", block):
            return found[0].partition("  #")[0].rstrip()
    raise AssertionError(f"{page} shows no line that begins with {begins!r}")
