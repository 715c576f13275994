"""Scenes with known truth: structures, a microscope's optical cut-off, its noise."""

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

__all__ = [
    "OFFSET",
    "READ_NOISE",
    "Scene",
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
]
