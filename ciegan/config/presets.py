"""What a training run starts from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ciegan.config.sections import Config, Data, Losses, Monitor, Network, Optimizer, Schedule

# Faithful to Sun et al. 2022 and their program; docs/explanation/ciegan.md has what differs between
# the two.
PAPER = Config(
    preset="paper",
    data=Data(crop=256, batch_size=20, normalize="range", augment=False),
    generator=Network("paper"),
    discriminator=Network("paper"),
    losses=Losses(
        {"l2": 1.0, "perceptual": 0.05, "style": 50.0, "tv": 0.1, "adversarial": 0.02},
        imagenet=False,
    ),
    optimizer=Optimizer(beta1=0.5),
    schedule=Schedule(steps=800_000, generator=6000, discriminator=1500),
    monitor=Monitor(every=1000, min_adversarial_steps=1000),
    channels_last=True,
)

# Isola et al. 2017 (arXiv 1611.07004). They take 1 to 10 images at once; with one, running averages
# describe poorly what the networks were trained with, each image's own statistics.
PIX2PIX = Config(
    preset="pix2pix",
    data=Data(crop=256, batch_size=4, normalize="range"),
    generator=Network("pix2pix"),
    discriminator=Network("patchgan", {"width": 64, "norm": "batch"}),
    losses=Losses({"l1": 100.0, "adversarial": 1.0}),
    optimizer=Optimizer(rate=2e-4, discriminator_rate=2e-4, beta1=0.5),
    schedule=Schedule(steps=100_000, generator=0, discriminator=0),
)

# One term: whatever is added to it learns more slowly, and none of what was tried is better in any
# measure of fidelity (benchmarks/networks.md).
DEFAULT = Config(
    losses=Losses({"charbonnier": 1.0}, gan="relativistic"),
    optimizer=Optimizer(
        name="auto",
        rate=1e-3,
        discriminator_rate=2e-4,
        warmup=100,
        decay="cosine",
        clip=1.0,
        average=0.999,
    ),
)

# The default with a judge: crisper, and closer to invention.
ADVERSARIAL = replace(
    DEFAULT,
    preset="adversarial",
    losses=Losses(
        {"charbonnier": 1.0, "ms_ssim": 0.1, "adversarial": 0.001, "feature_matching": 0.01},
        gan="relativistic",
    ),
)

PRESETS: Mapping[str, Config] = {
    "default": DEFAULT,
    "adversarial": ADVERSARIAL,
    "paper": PAPER,
    "pix2pix": PIX2PIX,
}


def preset_on(device: str, name: str) -> Config:
    """What a training run starts from on a kind of device, as `cpu` or `cuda`.

    On CUDA a step of 32 crops takes less than twice as long as one of 4 (3.7 and 2.0 ms on an
    H100), and teaches more in the same time; on a CPU it takes eight times as long.

    Examples
    --------
    >>> [preset_on(device, "default").data.batch_size for device in ("cpu", "cuda")]
    [4, 32]
    """
    config = PRESETS[name]
    if name != DEFAULT.preset or device != "cuda":
        return config
    return replace(
        config,
        data=replace(config.data, batch_size=32),
        optimizer=replace(config.optimizer, rate=2e-3),
    )
