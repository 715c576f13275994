"""Each metric against its peers: value, difference from float64, CPU time of one pair, ratio.

Run: python benchmarks/bench_metrics.py
Peers that are not installed are left out: pip install torchmetrics frame-analytics cubic sewar piq
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from timing import cpu_seconds, heading

import cellqa
from cellqa.metrics.case import Case
from cellqa.metrics.table import METRICS

NAMES = {"psnr", "nrmse", "ssim", "ms_ssim", "mi", "nmi", "entropy"}
Call = Callable[[], Any]


def pair(side: int) -> tuple[np.ndarray, np.ndarray, float]:
    """A smooth scene and a noisy copy, uint8 at 256 and uint16 above, and the data range."""
    rng = np.random.default_rng(0)
    dtype, top, noise = (np.uint8, 250, 3) if side == 256 else (np.uint16, 60000, 700)
    scene = cv2.GaussianBlur(rng.normal(0, 1, (side, side)), (0, 0), 4)
    scene = (scene - scene.min()) / (scene.max() - scene.min()) * top
    noisy = np.clip(scene + rng.normal(0, noise, scene.shape), 0, np.iinfo(dtype).max)
    gt, image = scene.astype(dtype), noisy.astype(dtype)
    return gt, image, 255.0 if dtype == np.uint8 else float(gt.max()) - float(gt.min())


def levels(gt: np.ndarray, image: np.ndarray) -> np.ndarray:
    """256 bins, as numpy would make them; the levels themselves for uint8."""
    if gt.dtype == np.uint8:
        return image.ravel()
    low, high = float(gt.min()), float(gt.max())
    return (
        np.clip((image.astype(float) - low) / (high - low) * 256, 0, 255).astype(np.uint8).ravel()
    )


def ours(gt: np.ndarray, image: np.ndarray, data_range: float, names: set[str]) -> dict:
    """As a scoring run does it: every family once."""
    case = Case.of(image, reference=gt, data_range=data_range)
    values: dict[str, float] = {}
    for measure in {METRICS[name].measure for name in names}:
        values.update(measure(case, names))
    return values


def peers(gt: np.ndarray, image: np.ndarray, data_range: float) -> list[tuple[str, str, Call]]:
    """Metric, program, call. All in their settings nearest to the definition."""
    import skimage.measure
    import skimage.metrics as sk
    import sklearn.metrics as sl
    import torch

    torch.set_num_threads(1)
    wang = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    limits = {"data_range": data_range}
    a, b = (torch.from_numpy(z.astype(np.float32))[None, None] for z in (gt, image))

    def binned() -> tuple[np.ndarray, np.ndarray]:
        return levels(gt, gt), levels(gt, image)

    listed: list[tuple[str, str, Call]] = [
        ("psnr", "scikit-image", lambda: sk.peak_signal_noise_ratio(gt, image, **limits)),
        ("nrmse", "scikit-image", lambda: sk.normalized_root_mse(gt, image)),
        ("ssim", "scikit-image", lambda: sk.structural_similarity(gt, image, **limits, **wang)),
        ("mi", "scikit-learn", lambda: sl.mutual_info_score(*binned())),
        ("nmi", "scikit-learn", lambda: sl.normalized_mutual_info_score(*binned())),
        ("entropy", "scikit-image", lambda: skimage.measure.shannon_entropy(levels(gt, image))),
    ]  # fmt: skip

    def add(module: str, calls: Callable[[Any], list[tuple[str, str, Call]]]) -> None:
        try:
            listed.extend(calls(importlib.import_module(module)))
        except Exception as error:
            print(f"  {module}: left out ({type(error).__name__}: {str(error)[:60]})")

    for name in ("ssim", "ms_ssim"):
        add(
            "pytorch_msssim",
            lambda m, n=name: [
                (n, "pytorch-msssim", lambda: float(getattr(m, n)(a, b, data_range=data_range)))
            ],
        )
        add(
            "torchmetrics.functional.image",
            lambda m, n=name: [
                (
                    n,
                    "torchmetrics",
                    lambda: float(
                        {
                            "ssim": m.structural_similarity_index_measure,
                            "ms_ssim": m.multiscale_structural_similarity_index_measure,
                        }[n](a, b, data_range=data_range)
                    ),
                )
            ],
        )
        add(
            "frame_analytics",
            lambda m, n=name: [
                (n, "frame-analytics", lambda: float(getattr(m, n)(a, b, data_range=data_range)))
            ],
        )
        add(
            "piq",
            lambda m, n=name: [
                (
                    n,
                    "piq",
                    lambda: float(
                        m.ssim(a, b, data_range=data_range, downsample=False)
                        if n == "ssim"
                        else m.multi_scale_ssim(a, b, data_range=data_range)
                    ),
                )
            ],
        )
        if gt.dtype == np.uint8:
            add(
                "sewar.full_ref",
                lambda m, n=name: [
                    (
                        n,
                        "sewar",
                        lambda: float(
                            np.real(
                                m.ssim(
                                    gt,
                                    image,
                                    fltr_specs={"fltr": m.Filter.GAUSSIAN, "sigma": 1.5, "ws": 11},
                                )[0]
                                if n == "ssim"
                                else m.msssim(gt, image)
                            )
                        ),
                    )
                ],
            )
    add("cubic.metrics", lambda m: [
        ("psnr", "cubic", lambda: float(m.psnr(gt, image, data_range=data_range))),
        ("ssim", "cubic", lambda: float(m.ssim(gt, image, data_range=data_range)))])  # fmt: skip
    return listed


def reference(gt: np.ndarray, image: np.ndarray, data_range: float) -> dict[str, float]:
    """Plain float64 evaluation of the definitions."""
    from scipy.ndimage import correlate1d

    offsets = np.arange(11) - 5
    window = np.exp(-(offsets**2) / 4.5)
    window /= window.sum()

    def mean(z: np.ndarray) -> np.ndarray:
        return correlate1d(correlate1d(z, window, 0), window, 1)[5:-5, 5:-5]

    def terms(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
        c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
        mx, my = mean(x), mean(y)
        cs = (2 * (mean(x * y) - mx * my) + c2) / (mean(x * x) + mean(y * y) - mx**2 - my**2 + c2)
        return float((cs * (2 * mx * my + c1) / (mx**2 + my**2 + c1)).mean()), float(cs.mean())

    x, y = gt.astype(float), image.astype(float)
    mse = ((x - y) ** 2).mean()
    values = {"psnr": 10 * np.log10(data_range**2 / mse), "ssim": terms(x, y)[0]}
    values["nrmse"] = float(np.sqrt(mse / (x**2).mean()))
    product = 1.0
    for scale, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
        if scale:
            x, y = ((z[::2, ::2] + z[1::2, ::2] + z[::2, 1::2] + z[1::2, 1::2]) / 4 for z in (x, y))
        whole, contrast = terms(x, y)
        product *= (whole if scale == 4 else contrast) ** weight
    values["ms_ssim"] = product
    joint = np.histogram2d(levels(gt, gt), levels(gt, image), 256, [[-0.5, 255.5]] * 2)[0]
    p = joint / joint.sum()

    def h(q: np.ndarray) -> float:
        q = q[q > 0]
        return float(-(q * np.log(q)).sum())

    ha, hb = h(p.sum(1)), h(p.sum(0))
    values.update(mi=ha + hb - h(p), nmi=2 * (ha + hb - h(p)) / (ha + hb), entropy=hb / np.log(2))
    return values


def main() -> None:
    warnings.simplefilter("ignore")
    cv2.setNumThreads(1)
    print(heading("Metrics: CPU time of one pair"))
    for side in (256, 2048):
        gt, image, data_range = pair(side)
        expected = reference(gt, image, data_range)
        values = ours(gt, image, data_range, NAMES)
        worst = max(abs(values[n] / expected[n] - 1) for n in NAMES)
        print(f"\n{side} x {side} {gt.dtype}: cellqa differs from float64 by {worst:.0e} at most")
        print("metric   program          value        difference    ms         ratio to cellqa")
        usual = 0.0
        stack = {("ssim", "scikit-image"), ("ms_ssim", "pytorch-msssim"), ("psnr", "scikit-image"),
                 ("nrmse", "scikit-image"), ("mi", "scikit-learn"), ("nmi", "scikit-learn"),
                 ("entropy", "scikit-image")}  # fmt: skip
        alone = {n: cpu_seconds(lambda n=n: ours(gt, image, data_range, {n})) for n in NAMES}
        structural = cpu_seconds(lambda: ours(gt, image, data_range, {"ssim", "ms_ssim"}))
        fastest: dict[str, float] = {}
        for name, program, call in peers(gt, image, data_range):
            try:
                seconds, value = cpu_seconds(call, repeats=3), float(call())
            except Exception as error:
                print(f"{name:8} {program:16} failed: {str(error)[:60]}")
                continue
            usual += seconds * ((name, program) in stack)
            if program == "frame-analytics":
                fastest[name] = seconds
            print(
                f"{name:8} {program:16} {value:<12.8g} {value / expected[name] - 1:+.1e}"
                f"      {seconds * 1e3:<10.3f} {seconds / alone[name]:.1f}"
            )
        for name in sorted(NAMES):
            print(
                f"{name:8} {'cellqa':16} {values[name]:<12.8g} "
                f"{values[name] / expected[name] - 1:+.1e}      {alone[name] * 1e3:<10.3f} 1"
            )
        all_seconds = cpu_seconds(lambda: ours(gt, image, data_range, NAMES))
        print(
            f"all seven: cellqa {all_seconds * 1e3:.2f} ms, scikit-image + pytorch-msssim + "
            f"scikit-learn {usual * 1e3:.1f} ms, ratio {usual / all_seconds:.1f}"
        )
        if len(fastest) == 2:
            both = sum(fastest.values())
            print(
                f"ssim + ms_ssim: cellqa {structural * 1e3:.2f} ms, frame-analytics "
                f"{both * 1e3:.2f} ms, ratio {both / structural:.2f}"
            )
    print(f"\ncellqa {cellqa.__name__} kernels: float64 inside, float32 only where it is exact")


if __name__ == "__main__":
    main()
