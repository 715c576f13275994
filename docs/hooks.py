"""What the site has beside pages: documents from outside of docs/, and what tutorials make.

Tutorials run when the site is built, each in a folder of its own below `.docs-work`. In a page,
`made:score/results/report.html` is a file made there: it is copied into the site, and a line that
leads to nothing ends the build.
"""

import os
import posixpath
import re
import shutil
import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

PROJECT = Path(__file__).parent.parent
WORK = PROJECT / ".docs-work"
# documents that stand where programs look for them, and what they lead to
OUTSIDE = (
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "benchmarks/*.md",
    "examples/**/*",
    "plugins/*/README.md",
)


def on_pre_build(config: MkDocsConfig) -> None:
    """Empty folders for tutorials; this environment's commands; lines that fail end a block."""
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    os.environ["SHELLOPTS"] = "errexit"
    shutil.rmtree(WORK, ignore_errors=True)
    for page in (PROJECT / "docs" / "tutorials").glob("*.md"):
        (WORK / page.stem).mkdir(parents=True)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Take documents from outside of docs/ at the top of the site."""
    for pattern in OUTSIDE:
        for path in sorted(PROJECT.glob(pattern)):
            if path.is_file() and "__pycache__" not in path.parts:
                uri = path.relative_to(PROJECT).as_posix()
                files.append(File.generated(config, uri, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links between docs/ and what stands beside it lead to where that is in the site."""
    inside = (PROJECT / "docs" / page.file.src_uri).exists()
    here = posixpath.dirname(("docs/" if inside else "") + page.file.src_uri)
    site = posixpath.dirname(page.file.src_uri)

    def moved(link: re.Match[str]) -> str:
        place = posixpath.normpath(posixpath.join(here, link[1])).removeprefix("docs/")
        return f"]({posixpath.relpath(place, site or '.')}{link[2] or ''})"

    return re.sub(r"\]\(((?:\.\./|docs/)[^)#\s]+)(#[^)\s]*)?\)", moved, markdown)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Copy what a tutorial made, and lead to it."""

    def copied(found: re.Match[str]) -> str:
        name = found[2]
        if not (WORK / name).is_file():
            raise PluginError(f"{page.file.src_uri}: {name} was not made")
        place = Path(config.site_dir) / "made" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(WORK / name, place)
        return f'{found[1]}="{posixpath.relpath("made/" + name, posixpath.dirname(page.url))}"'

    return re.sub(r'(src|href)="made:([^"]+)"', copied, html)
