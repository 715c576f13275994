"""What is built: its version, and a wheel that works with nothing but what it asks for."""

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Callable
from email.parser import HeaderParser
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement

from cellqa.io import write_tiff

PROJECT = Path(__file__).parent.parent
GIT = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]


@pytest.fixture(scope="module")
def version() -> Callable[[Path], str]:
    spec = importlib.util.spec_from_file_location("version", PROJECT / "version.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Callable[[Path], str] = module.version
    return found


@pytest.mark.skipif(not shutil.which("git"), reason="needs git")
def test_the_version_is_of_the_commit(tmp_path: Path, version: Callable[[Path], str]) -> None:
    def git(*arguments: str) -> str:
        command = [*GIT, "-C", str(tmp_path), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    release = version(tmp_path)
    assert release.count(".") == 2
    git("init", "--quiet")
    assert version(tmp_path) == release  # nothing is committed
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "--quiet", "-m", "one")
    commit = git("rev-parse", "--short=9", "HEAD")
    assert version(tmp_path) == f"{release}+g{commit}"
    git("tag", f"v{release}")
    assert version(tmp_path) == release
    (tmp_path / "a").write_text("2")
    assert version(tmp_path) == f"{release}+g{commit}.dirty"
    (tmp_path / "inside").mkdir()
    assert version(tmp_path / "inside") == release  # somebody else's repository


def test_an_archive_has_the_version_it_was_given(
    tmp_path: Path, version: Callable[[Path], str]
) -> None:
    (tmp_path / "PKG-INFO").write_text("Metadata-Version: 2.4\nName: cellqa\nVersion: 9.8+g1\n")
    assert version(tmp_path) == "9.8+g1"


def needed(wheel: Path) -> set[str]:
    """All packages that a wheel asks for without extras, and what those ask for."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        metadata = HeaderParser().parsestr(archive.read(name).decode())
    names: set[str] = set()
    left = metadata.get_all("Requires-Dist", [])
    while left:
        wanted = Requirement(left.pop())
        plain = wanted.marker is None or wanted.marker.evaluate({"extra": ""})
        if plain and wanted.name not in names:
            names.add(wanted.name)
            left += distribution(wanted.name).requires or []
    return names


def test_the_wheel_scores_a_folder(tmp_path: Path) -> None:
    """In an environment with what it asks for, without extras, and nothing else."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-build-isolation"]
    command += ["--no-deps", "--no-index", "--wheel-dir", str(tmp_path), str(PROJECT)]
    subprocess.run(command, check=True)
    (wheel,) = tmp_path.glob("cellqa-*.whl")
    venv.create(tmp_path / "fresh", symlinks=True)
    scheme = sysconfig.get_preferred_scheme("prefix")
    places = sysconfig.get_paths(scheme, vars={"base": str(tmp_path / "fresh")})
    site, here = Path(places["purelib"]), Path(sysconfig.get_paths()["purelib"])
    for name in needed(wheel):
        for top in {file.parts[0] for file in distribution(name).files or ()} - {"..", "."}:
            if top != "__pycache__" and not (site / top).exists():
                (site / top).symlink_to(here / top)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*command, "--target", str(site), str(wheel)], check=True)
    rng = np.random.default_rng(0)
    for name in "ab":
        image = rng.integers(0, 200, (64, 64), np.uint8)
        write_tiff(tmp_path / "gt" / f"{name}.tif", image, 0.2)
        write_tiff(tmp_path / "out" / f"{name}.tif", image + np.uint8(5), 0.2)
    python = Path(places["scripts"]) / Path(sys.executable).name
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}

    def run(*arguments: str, status: int = 0) -> tuple[str, str]:
        found = subprocess.run(
            [str(python), *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert found.returncode == status, found.stderr[-3000:]
        return found.stdout, found.stderr

    compiling = "from cellqa.scoring.compiling import compile_kernels; compile_kernels(print)"
    told, _ = run("-c", compiling)
    assert told.startswith("compiling for this machine, once")
    assert str(site) in told
    assert run("-c", compiling) == ("", "")
    said, _ = run("-m", "cellqa", "score", "--pred", "out", "--gt", "gt", "--jobs", "1")
    assert "psnr" in said
    assert (tmp_path / "cellqa-results" / "report.html").is_file()
    assert "--preset" in run("-m", "ciegan", "train", "--help")[0]
    _, refused = run("-m", "ciegan", "train", "data", "run", status=1)
    assert "pip install -c" in refused
    assert "[gan]'" in refused
