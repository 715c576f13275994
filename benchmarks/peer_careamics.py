"""CAREamics, in an environment of its own: `peer_careamics.py DATA OUT --seconds S [--method n2v]`.

Trains CARE on the pairs of `ciegan prepare` (or Noise2Void 2 on their inputs alone) for so many
seconds of one core, and writes what it makes of the test tiles. `pip install careamics 'setuptools
<81'` is all it needs; nothing of cellqa is imported. Patches of 64 pixels, 16 at once, as its
documentation has them; its own normalisation, augmentation, optimiser and choice of rate.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import tifffile
import torch
from careamics import CAREamist
from careamics.config import create_care_configuration, create_n2v_configuration


class Budget(pl.Callback):
    """Ends training after so many seconds of this process's time."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.steps, self.begun = seconds, 0, 0.0

    def on_train_start(self, *_: Any) -> None:
        """Start the clock."""
        self.begun = time.process_time()

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        """Look at it."""
        self.steps += 1
        if time.process_time() - self.begun > self.seconds:
            trainer.should_stop = True


def tiles(folder: Path) -> tuple[list[str], Any]:
    """Names and pixels, as float32."""
    paths = sorted(folder.rglob("*.tif"))
    names = [path.relative_to(folder).as_posix() for path in paths]
    return names, np.stack([tifffile.imread(path).astype(np.float32) for path in paths])


def main() -> None:
    """Train, and enhance the test split."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--method", choices=("care", "n2v"), default="care")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    pl.seed_everything(chosen.seed)
    shared: dict[str, Any] = {
        "experiment_name": chosen.method,
        "data_type": "array",
        "axes": "SYX",
        "patch_size": [64, 64],
        "batch_size": 16,
        "num_epochs": 100_000,
    }
    train, val = (tiles(chosen.data / split / "input")[1] for split in ("train", "val"))
    if chosen.method == "care":
        config = create_care_configuration(**shared)
        targets = {
            f"{split}_target": tiles(chosen.data / split / "target")[1]
            for split in ("train", "val")
        }
    else:
        config, targets = create_n2v_configuration(**shared, use_n2v2=True), {}
    budget = Budget(chosen.seconds)
    careamist = CAREamist(config, work_dir=chosen.out / "work", callbacks=[budget])
    careamist.train(train_source=train, val_source=val, **targets)
    names, inputs = tiles(chosen.data / "test" / "input")
    results = careamist.predict(inputs, data_type="array", axes="SYX")
    for name, image in zip(names, np.asarray(results).reshape(inputs.shape), strict=True):
        place = chosen.out / "test" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(place, image.astype(np.float32))
    print(f"{budget.steps} steps")


if __name__ == "__main__":
    main()
