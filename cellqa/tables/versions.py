"""What numbers depend on beside images and options: packages, and the source that computes them."""

from __future__ import annotations

import functools
import hashlib
import inspect
import platform
from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path

from cellqa.io import FORMATS
from cellqa.metrics.metric import Metric
from cellqa.metrics.table import METRICS

_PACKAGES = (
    "cellqa",
    "numpy",
    "scipy",
    "numba",
    "scikit-image",
    "statsmodels",
    "opencv-python-headless",
    "tifffile",
    "imagecodecs",
)
_ROOMS = ("cellqa.planes", "cellqa.metrics", "cellqa.io", "cellqa.scoring")


def versions() -> dict[str, str]:
    """Version of Python and of each package that produces a number."""
    known = {"python": platform.python_version(), **{p: version(p) for p in _PACKAGES}}
    extras = [package for reader in FORMATS.values() for package in reader.packages]
    plugins = {table.package_of(name) for table in (METRICS, FORMATS) for name in table}
    for package in (*extras, *sorted(plugins)):
        with suppress(PackageNotFoundError):  # an extra
            known[package] = version(package)
    return known


def source_digest(metrics: Iterable[Metric]) -> str:
    """A digest of the source that reads images and computes these metrics.

    Versions tell installed packages apart, but not the states of a checkout that somebody works
    in: a row that was computed before a definition was changed must not be taken for one after.
    """
    digest = hashlib.sha256(_own_source())
    for path in sorted({path for metric in metrics for path in _files_of(metric)}):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@functools.cache
def _own_source() -> bytes:
    digest = hashlib.sha256()
    for room in _ROOMS:
        modules = (m for m in files(room).iterdir() if m.name.endswith(".py"))
        for module in sorted(modules, key=lambda m: m.name):
            digest.update(module.read_bytes())
    return digest.digest()


def _files_of(metric: Metric) -> list[Path]:
    """Files of other packages, or of a script, that a metric is computed by."""
    files = []
    for function in (metric.function, metric.measure):
        module = getattr(function, "__module__", "") or ""
        if function is None or module.partition(".")[0] == "cellqa":
            continue
        with suppress(TypeError, OSError):  # of no file, as typed at a prompt
            source = inspect.getsourcefile(function)
            files += [Path(source)] if source and Path(source).is_file() else []
    return files
