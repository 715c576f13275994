"""Sharp simulated fields for the tests of preparation and training."""

from pathlib import Path

import numpy as np

from cellqa.io import write_tiff
from cellqa.simulate import filaments, nuclei


def write_fields(folder: Path, number: int, side: int = 64) -> Path:
    """Sharp simulated fields, as 8-bit images."""
    for k in range(number):
        scene = (filaments, nuclei)[k % 2]((side, side), cutoff=0.6, photons=500, seed=k)
        grey = scene.image.astype(float)
        grey = 255 * (grey - grey.min()) / np.ptp(grey)
        write_tiff(folder / f"field{k}.tif", np.rint(grey).astype(np.uint8), 0.2)
    return folder
