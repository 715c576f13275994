"""Agreement of decorrelation analysis with a table of reference values.

Run: python benchmarks/agreement.py FOLDER

FOLDER holds reference.json (image name to kc and A0 in "double" and "double_fast") and images/.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import tifffile

from cellqa import decorrelation


def main() -> None:
    folder = Path(sys.argv[1])
    images = json.loads((folder / "reference.json").read_text())["images"]
    for key, fast in (("double", False), ("double_fast", True)):
        agree = 0
        for name, entry in images.items():
            analysis = decorrelation(tifffile.imread(folder / "images" / f"{name}.tif"), fast=fast)
            kc, a0 = entry[key]["kc"], entry[key]["A0"]
            same = abs(analysis.kc - kc) < 1e-9 and abs(analysis.amplitude - a0) < 1e-9
            agree += same
            if not same:
                ours = f"kc {analysis.kc:.6f} A0 {analysis.amplitude:.3f}"
                print(f"  {name}: {ours}, theirs {kc:.6f} {a0}")
        print(f"{key}: {agree} of {len(images)} agree in kc and A0")


if __name__ == "__main__":
    main()
