"""A bare machine with a CUDA device, Python and PyTorch, and no internet: what to try there.

`python benchmarks/device.py bundle`   gather here what such a machine lacks (`make device-bundle`)
`python benchmarks/device.py all`      all stages there, from the project's folder (`make device`)
`python benchmarks/device.py STAGE`    one of them: cuda, memory, speed, first, steps, tests, train

Each stage ends within nine minutes and leaves STAGE.txt in the folder of --out. One that is there
is not run again, so that the same command goes on where the last one stopped. With `--device cpu`
the stages run in a small form on a machine without CUDA.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUNDLE = ROOT / "device-bundle"
LIMIT = 540.0  # seconds of a stage
LARGEST = 60e6  # bytes of the bundle

# What a bare image with PyTorch, Lightning, NumPy, SciPy, OpenCV, numba and pytest still lacks. All
# but the first come in versions of constraints.txt where it names one.
WHEELS = (
    "donfig",
    "google-crc32c",
    "imagecodecs",
    "msgspec",
    "numcodecs",
    "pebble",
    "pytorch-msssim",
    "tomli-w",
    "watchdog",
    "zarr",
)
PLATFORMS = [f"manylinux_2_{n}_x86_64" for n in (17, 24, 27, 28, 31, 34)]

BENCH = "benchmarks/bench_device.py"
PYTEST = ["-m", "pytest", "-q", "--tb=short", "-p", "no:benchmark", "-n", "WORKERS"]
ON = ["--device", "DEVICE", "--out", "WORK"]
STAGES: dict[str, list[list[str]]] = {
    "cuda": [[*PYTEST, "-m", "cuda", "tests/ciegan"]],
    "memory": [[BENCH, "memory", *ON]],
    "speed": [[BENCH, "speed", *ON, "--presets", "default"]],
    "first": [["benchmarks/bench_inference.py", "first", *ON]],
    "steps": [[BENCH, "steps", *ON]],
    "tests": [[*PYTEST, "tests/ciegan"]],
    "train": [[BENCH, "train", "DATA", *ON]],
}
# the rest of the tests runs in `make test`; the others would take hours
WITHOUT_CUDA: dict[str, list[list[str]]] = {"tests": STAGES["cuda"], "speed": [], "train": []}


def bundle(data: Path | None) -> None:
    """Gather wheels for Python 3.12 on x86-64, the project's own among them, and data."""
    BUNDLE.mkdir(exist_ok=True)
    for old in BUNDLE.glob("*.whl"):
        old.unlink()
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    chosen = ["--python-version", "3.12", "--implementation", "cp"]
    for name in PLATFORMS:
        chosen += ["--platform", name]
    wheels = ["--no-deps", "--only-binary=:all:", "-c", str(ROOT / "constraints.txt")]
    subprocess.run(
        [*pip, "download", "--quiet", *wheels, *chosen, "-d", str(BUNDLE), *WHEELS], check=True
    )
    subprocess.run(
        [*pip, "wheel", "--quiet", "--no-deps", "-w", str(BUNDLE), str(ROOT)], check=True
    )
    if data is not None:
        subprocess.run(
            ["tar", "-czf", str(BUNDLE / "data.tar.gz"), "-C", str(data), "."], check=True
        )
    files = sorted(path for path in BUNDLE.iterdir() if path.is_file())
    for path in files:
        print(f"{path.stat().st_size / 1e6:8.2f} MB  {path.name}")
    size = sum(path.stat().st_size for path in files)
    print(f"{size / 1e6:8.2f} MB in {BUNDLE}")
    if size > LARGEST:
        raise SystemExit(f"more than {LARGEST / 1e6:.0f} MB: leave something out")


def environment(work: Path) -> dict[str, str]:
    """With what the bundle holds installed beside the machine's own Python."""
    found = dict(os.environ)
    site = work / "site"
    if BUNDLE.exists() and importlib.util.find_spec("pebble") is None and not site.exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
        wheels = sorted(map(str, BUNDLE.glob("*.whl")))
        subprocess.run([*pip, "--target", str(site), *wheels], check=True)
    if site.exists():
        found["PYTHONPATH"] = os.pathsep.join(filter(None, (str(site), found.get("PYTHONPATH"))))
    found["PYTHONUNBUFFERED"] = "1"
    return found


def data_of(work: Path) -> str:
    """The prepared images of the bundle, or an empty name: then they are simulated."""
    packed = BUNDLE / "data.tar.gz"
    folder = work / "data"
    if not packed.exists():
        return ""
    if not folder.exists():
        folder.mkdir(parents=True)
        subprocess.run(["tar", "-xzf", str(packed), "-C", str(folder)], check=True)
    return str(folder)


def run(
    stage: str, out: Path, work: Path, device: str, environment: dict[str, str], limit: float
) -> bool:
    """Run a stage unless it was done; whether all of its commands ended well."""
    report = out / f"{stage}.txt"
    if report.exists():
        print(f"{stage}: done before, {report}")
        return True
    started = time.monotonic()
    values = {
        "DEVICE": device,
        "WORK": str(work / stage),
        "DATA": data_of(work),
        "WORKERS": str(min(12, os.cpu_count() or 1)),
    }
    commands = STAGES[stage] if device == "cuda" else WITHOUT_CUDA.get(stage, STAGES[stage])
    partial = report.with_suffix(".part")
    well = True
    with partial.open("w") as file:
        file.write(f"{about(device)}\n")
        for command in commands:
            line = [values.get(word, word) for word in command]
            left = limit - (time.monotonic() - started)
            file.write(f"\n$ python {' '.join(line)}\n")
            file.flush()
            try:
                done = subprocess.run(
                    [sys.executable, *filter(None, line)],
                    cwd=ROOT,
                    env=environment,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    timeout=max(1.0, left),
                    check=False,
                )
                well &= done.returncode in (0, 5)  # 5: pytest found no test to run
                file.write(f"status {done.returncode}\n")
            except subprocess.TimeoutExpired:
                well = False
                file.write(f"cut short after {limit:.0f} s\n")
                break
    partial.replace(report)
    print(
        f"{stage}: {'well' if well else 'NOT WELL'}, {time.monotonic() - started:.0f} s, {report}"
    )
    print(report.read_text()[-3000:], flush=True)
    return well


def about(device: str) -> str:
    """Day, machine and versions."""
    import torch

    name = torch.cuda.get_device_name() if device == "cuda" else platform.processor() or "cpu"
    return (
        f"{time.strftime('%Y-%m-%d')}, {name}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, torch {torch.__version__}"
    )


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["bundle", "all", *STAGES])
    parser.add_argument("--out", type=Path, default=Path("bench-device"), help="for reports")
    parser.add_argument("--work", type=Path, default=Path("bench-device/work"), help="for the rest")
    parser.add_argument("--data", type=Path, help="a folder of `ciegan prepare` for the bundle")
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds of a stage")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    given = parser.parse_args()
    if given.what == "bundle":
        bundle(given.data)
        return
    given.out.mkdir(parents=True, exist_ok=True)
    given.work.mkdir(parents=True, exist_ok=True)
    device = given.device
    if device == "auto":
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
    work = given.work.resolve()
    found = environment(work)
    chosen = list(STAGES) if given.what == "all" else [given.what]
    well = [run(stage, given.out, work, device, found, given.limit) for stage in chosen]
    raise SystemExit(0 if all(well) else 1)


if __name__ == "__main__":
    main()
