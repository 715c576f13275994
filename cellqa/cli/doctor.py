"""`cellqa doctor`."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from cellqa.cli.group import main
from cellqa.extras import install_line, packages
from cellqa.terminal import align

_GIB = 2**30


@main.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON, in place of text.")
def doctor(as_json: bool) -> None:
    """Say what is installed here and what is missing, with the line that installs it.

    Versions, extras, cores and threads, memory, the cache of compiled loops, devices. Status 1 if
    something that is always needed is missing.
    """
    facts = examined()
    if as_json:
        click.echo(json.dumps(facts, indent=2))
    else:
        click.echo(align([[k, str(v)] for k, v in facts["machine"].items()], left=True))
        click.echo("\nextras")
        rows = [
            [
                f"  {extra or 'always'}",
                "missing " + ", ".join(of["missing"]) if of["missing"] else "here",
                ", ".join(f"{name} {version}" for name, version in of["here"].items()),
            ]
            for extra, of in facts["extras"].items()
        ]
        for row in rows if len(rows) else ():
            click.echo(f"{row[0]:<14}{row[1]}" + (f" ({row[2]})" if row[2] else ""))
        missing = {e: of["install"] for e, of in facts["extras"].items() if of["missing"]}
        if missing:
            click.echo("\nto get what is missing")
            for extra, line in missing.items():
                click.echo(f"  {extra or 'always'}: {line}")
    if facts["extras"][""]["missing"]:
        raise SystemExit(1)


def examined() -> dict[str, Any]:
    """What there is, as JSON can say it."""
    extras: dict[str, dict[str, Any]] = {"": {"here": {}, "missing": [], "install": ""}}
    for package in packages():
        of = extras.setdefault(
            package.extra, {"here": {}, "missing": [], "install": install_line(package.extra)}
        )
        if package.version:
            of["here"][package.name] = package.version
        elif package.name not in of["missing"]:
            of["missing"].append(package.name)
    extras[""]["install"] = install_line("").replace("[]", "")
    return {"machine": _machine(), "extras": extras}


def _machine() -> dict[str, Any]:
    from cellqa.engines.local import usable_cores

    threads = {
        n: os.environ[n] for n in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS") if n in os.environ
    }
    free = shutil.disk_usage(Path.cwd()).free / _GIB
    return {
        "cellqa": importlib.metadata.version("cellqa"),
        "python": f"{platform.python_version()} ({sys.executable})",
        "system": platform.platform(),
        "cores": usable_cores(),
        "threads": ", ".join(f"{k}={v}" for k, v in threads.items()) or "as the libraries choose",
        "memory": _memory(),
        "free disk here": f"{free:.1f} GiB",
        "compiled loops": _cache(),
        "device": _device(),
    }


def _memory() -> str:
    try:
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return "unknown"
    return f"{pages / _GIB:.1f} GiB"


def _cache() -> str:
    """Where compiled loops are kept, and whether they can be: else each start compiles, 10 s."""
    import cellqa

    chosen = os.environ.get("NUMBA_CACHE_DIR")
    folder = Path(chosen) if chosen else Path(cellqa.__file__).parent / "metrics"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        rest = "NUMBA_CACHE_DIR says where else" if not chosen else "give another NUMBA_CACHE_DIR"
        return f"{folder}: cannot be written ({error.strerror}); {rest}"
    return f"{folder} can be written"


def _device() -> str:
    """What networks compute on."""
    try:
        import torch
    except ModuleNotFoundError:
        return "no torch: networks (ciegan) cannot run; see the extra gan"
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())]
        return f"CUDA {torch.version.cuda}: {', '.join(names)}"
    if torch.backends.mps.is_available():
        return "Apple's (mps)"
    return f"processor alone (torch {torch.__version__})"
