"""Other programs' values beside ours, in one table; docs/reference/metrics.md says why."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from images import blurred

from cellqa import entropy, mi, ms_ssim, nmi, nrmse, psnr, ssim


def pytorch_ms_ssim(x: np.ndarray, y: np.ndarray) -> float:
    import torch
    from pytorch_msssim import ms_ssim as peer

    a, b = (torch.from_numpy(z.astype(np.float64))[None, None] for z in (x, y))
    return float(peer(a, b, data_range=255))


def pytorch_ssim(x: np.ndarray, y: np.ndarray) -> float:
    import torch
    from pytorch_msssim import ssim as peer

    a, b = (torch.from_numpy(z.astype(np.float64))[None, None] for z in (x, y))
    return float(peer(a, b, data_range=255))


def sklearn(name: str, x: np.ndarray, y: np.ndarray) -> float:
    import sklearn.metrics

    return float(getattr(sklearn.metrics, name)(x.ravel(), y.ravel()))


def skimage(name: str, x: np.ndarray, y: np.ndarray, **options: object) -> float:
    import skimage.metrics

    return float(getattr(skimage.metrics, name)(x, y, **options))


def skimage_entropy(x: np.ndarray, y: np.ndarray) -> float:
    from skimage.measure import shannon_entropy

    return float(shannon_entropy(y))


GAUSSIAN = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
WANG = partial(skimage, "structural_similarity", data_range=255, **GAUSSIAN)
DEFAULT = partial(skimage, "structural_similarity", data_range=255)

# metric, ours, the program, its function, relative difference allowed
TABLE: list[tuple[str, Callable[..., float], str, Callable[..., float], float]] = [
    ("psnr", partial(psnr, data_range=255), "scikit-image",
     partial(skimage, "peak_signal_noise_ratio", data_range=255), 1e-13),
    ("nrmse", nrmse, "scikit-image", partial(skimage, "normalized_root_mse"), 1e-13),
    ("ssim", partial(ssim, data_range=255), "scikit-image, Gaussian", WANG, 1e-11),
    # its window is float32 and broadcast: 5e-6 to 2e-5 on these values
    ("ssim", partial(ssim, data_range=255), "pytorch-msssim", pytorch_ssim, 5e-5),
    ("ssim, ciegan", partial(ssim, data_range=255, compat=True), "scikit-image", DEFAULT, 1e-13),
    # even sizes only: it pads odd ones with zeros
    ("ms_ssim", partial(ms_ssim, data_range=255), "pytorch-msssim", pytorch_ms_ssim, 5e-5),
    ("mi", mi, "scikit-learn", partial(sklearn, "mutual_info_score"), 1e-9),
    ("nmi", nmi, "scikit-learn", partial(sklearn, "normalized_mutual_info_score"), 1e-9),
    ("entropy", lambda x, y: entropy(y), "scikit-image", skimage_entropy, 1e-12),
]  # fmt: skip


def pairs() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    from skimage.data import camera, moon

    rng = np.random.default_rng(0)
    noisy = np.clip(camera() + rng.normal(0, 10, (512, 512)), 0, 255).astype(np.uint8)
    dim = np.clip(rng.poisson(0.8 * moon() + 12), 0, 255).astype(np.uint8)
    return {
        "noise": (camera(), noisy),
        "blur": (camera(), blurred(camera(), 1.5)),
        "gain, Poisson": (moon(), dim),
    }


def test_agreement_with_other_programs(capsys: pytest.CaptureFixture[str]) -> None:
    lines, off = [], []
    for pair_name, (x, y) in pairs().items():
        for name, ours, program, theirs, allowed in TABLE:
            value, peer = ours(x, y), theirs(x, y)
            difference = abs(value / peer - 1)
            lines.append(f"{pair_name:14} {name:13} {program:23} {value:.9f} {difference:.1e}")
            if difference > allowed:
                off.append(lines[-1] + f" (allowed {allowed:.0e})")
    with capsys.disabled():
        print("\n" + "\n".join(lines))
    assert not off
