"""Scenes and time-lapses with known truth: structures, an optical cut-off, noise."""

from cellqa.simulate.imaging import (
    OFFSET,
    READ_NOISE,
    Scene,
    acquire,
    deconvolve,
    filtered,
    optical_blur,
    paste_texture,
)
from cellqa.simulate.scenes import cells, fibres, filaments, nuclei, spots
from cellqa.simulate.series import Timelapse, timelapse

__all__ = [
    "OFFSET",
    "READ_NOISE",
    "Scene",
    "Timelapse",
    "acquire",
    "cells",
    "deconvolve",
    "fibres",
    "filaments",
    "filtered",
    "nuclei",
    "optical_blur",
    "paste_texture",
    "spots",
    "timelapse",
]
