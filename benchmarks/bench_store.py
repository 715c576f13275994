"""A plate in an object store: bytes and requests that scoring makes, against what it needs.

A web server on this machine stands for the store, and counts what it sends.

Run: python benchmarks/bench_store.py [--fields N]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from timing import heading, run_command

SIDE = 1024
AXES = [{"name": "c", "type": "channel"}, {"name": "y", "type": "space"}]
AXES += [{"name": "x", "type": "space"}]


class Counted(SimpleHTTPRequestHandler):
    """Serves a folder and counts."""

    sent = 0
    requests = 0

    def do_GET(self) -> None:
        """Serve a file."""
        Counted.requests += 1
        super().do_GET()

    def do_HEAD(self) -> None:
        """Serve what is known of a file."""
        Counted.requests += 1
        super().do_HEAD()

    def copyfile(self, source: Any, outputfile: Any) -> None:
        """Send a file."""
        data = source.read()
        Counted.sent += len(data)
        outputfile.write(data)

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


def make_plate(path: Path, fields: int, rng: np.random.Generator) -> int:
    """A row of wells of one field; returns the bytes of the pixels' chunks of the first level."""
    root = zarr.open_group(path, mode="w", zarr_format=2)
    wells = [{"path": f"A/{k + 1}", "rowIndex": 0, "columnIndex": k} for k in range(fields)]
    root.attrs["plate"] = {"version": "0.4", "wells": wells, "rows": [{"name": "A"}]}
    needed = 0
    for well in wells:
        group = root.create_group(str(well["path"]))
        group.attrs["well"] = {"version": "0.4", "images": [{"path": "0"}]}
        image = group.create_group("0")
        pixels = rng.poisson(300, (2, SIDE, SIDE)).astype(np.uint16)
        levels = []
        for k in range(3):
            image.create_array(str(k), data=pixels[:, :: 2**k, :: 2**k], chunks=(1, 512, 512))
            scale = [{"type": "scale", "scale": [1, 0.3 * 2**k, 0.3 * 2**k]}]
            levels.append({"path": str(k), "coordinateTransformations": scale})
        image.attrs["multiscales"] = [{"version": "0.4", "axes": AXES, "datasets": levels}]
        folder = path / str(well["path"]) / "0" / "0"
        needed += sum(f.stat().st_size for f in folder.rglob("*") if not f.name.startswith("."))
    return needed


def main() -> None:
    """Print bytes and seconds, from the store and from the disk."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fields", type=int, default=24)
    fields = parser.parse_args().fields
    heading("A plate in a store")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rng = np.random.default_rng(0)
        needed = sum(make_plate(folder / f"{role}.zarr", fields, rng) for role in ("gt", "net"))

        def handler(*args: Any) -> Counted:
            return Counted(*args, directory=str(folder))

        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        web = f"http://127.0.0.1:{server.server_port}"
        score = [sys.executable, "-m", "cellqa", "score", "--metrics", "psnr", "--no-report"]
        print(f"{fields} fields of 2 x {SIDE}² in 16 bits, ground truth and one method")
        print("| from | MB needed | MB read | ratio | requests a plane | seconds |")
        print("|---|---|---|---|---|---|")
        for place, top in (("disk", str(folder)), ("store", web)):
            Counted.sent = Counted.requests = 0
            folders = ["--gt", f"{top}/gt.zarr", "--pred", f"net={top}/net.zarr"]
            cost = run_command(*score, *folders, "--out", str(folder / f"out-{place}"))
            read = Counted.sent or needed
            asked = Counted.requests / (4 * fields)
            print(
                f"| {place} | {needed / 1e6:.1f} | {read / 1e6:.1f} | {read / needed:.3f} | "
                f"{asked:.1f} | {cost.wall:.1f} |"
            )
        server.shutdown()


if __name__ == "__main__":
    main()
