"""What the documents say of the tree is so."""

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent
PACKAGES = ["cellqa", "ciegan"]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_room_stands_in_the_architecture(package: str) -> None:
    text = (PROJECT / "docs/explanation/architecture.md").read_text(encoding="utf-8")
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
    folders = [*PACKAGES, "benchmarks", "examples", "plugins"]
    for folder in folders:
        for path in (PROJECT / folder).rglob("*.py"):
            assert len(path.read_text(encoding="utf-8").splitlines()) <= 400, path


DOCUMENTS = [*sorted(PROJECT.glob("docs/**/*.md")), *PROJECT.glob("*.md")]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(PROJECT)))
def test_links_lead_somewhere(document: Path) -> None:
    text = re.sub(r"(?ms)^```.*?^```$", "", document.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        if ":" not in target:  # addresses, and what tutorials make
            assert (document.parent / target).exists(), target


def test_every_page_is_in_the_menu() -> None:
    menu = (PROJECT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[2]
    for page in (PROJECT / "docs").rglob("*.md"):
        assert f" {page.relative_to(PROJECT / 'docs').as_posix()}\n" in menu


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_in_the_reference(package: str) -> None:
    stub = (PROJECT / package / "__init__.pyi").read_text(encoding="utf-8")
    public = re.findall(r"(\w+) as \1", stub)
    page = (PROJECT / f"docs/reference/{package}-python.md").read_text(encoding="utf-8")
    shown = re.findall(rf"^::: {package}\.(\w+)$", page, re.MULTILINE)
    assert sorted(public) == sorted(shown)


def test_examples_of_tutorials_run_when_the_site_is_built() -> None:
    """A block that is shown and never run is an example that may be wrong."""
    for page in (PROJECT / "docs/tutorials").glob("*.md"):
        opened = re.findall(r"^```(\w+)(.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert opened
        assert all('exec="1"' in options for _, options in opened), page
