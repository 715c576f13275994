"""What the documents say of the tree is so."""

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent
PACKAGES = ["cellqa", "ciegan"]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_room_stands_in_the_architecture(package: str) -> None:
    text = (PROJECT / "docs" / "architecture.md").read_text(encoding="utf-8")
    drawn = text.partition(f"```\n{package}/\n")[2].partition("```")[0]
    named = {line.split()[0] for line in drawn.splitlines() if re.match(r"  \S", line)}
    folder = PROJECT / package
    rooms = {f"{p.name}/" for p in folder.iterdir() if (p / "__init__.py").is_file()}
    files = {p.name for p in folder.glob("*.py") if not p.name.startswith("__")}
    assert named == rooms | files


@pytest.mark.parametrize("package", PACKAGES)
def test_the_tests_have_the_same_rooms(package: str) -> None:
    def rooms(folder: Path) -> set[str]:
        return {p.name for p in folder.iterdir() if any(p.glob("*.py"))}

    assert rooms(PROJECT / "tests" / package) <= rooms(PROJECT / package)


def test_no_file_is_too_long_to_read() -> None:
    """Beyond 400 lines, a module has more than one task."""
    folders = [*PACKAGES, "benchmarks", "examples"]
    for folder in folders:
        for path in (PROJECT / folder).rglob("*.py"):
            assert len(path.read_text(encoding="utf-8").splitlines()) <= 400, path


@pytest.mark.parametrize("document", [*sorted(PROJECT.glob("docs/*.md")), PROJECT / "README.md"])
def test_links_lead_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        if "://" not in target:
            assert (document.parent / target).exists(), target
