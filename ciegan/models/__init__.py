"""Networks. A new generator is a module with one class, and a line in `GENERATORS`.

A generator takes and returns images (B, C, Y, X) scaled to -1 to 1, is made with the number of
channels and its own options, and says in `stride` of what the sides must be a multiple, and in
`radius` how many pixels around a pixel it depends on.
"""

from collections.abc import Mapping

from ciegan.models.base import Discriminator, Generator
from ciegan.models.nafnet import NAFNet
from ciegan.models.paper import PaperDiscriminator, PaperGenerator
from ciegan.models.patchgan import PatchGAN
from ciegan.models.pix2pix import Pix2PixGenerator
from ciegan.models.resunet import ResidualUNet
from ciegan.models.unet import UNet

GENERATORS: Mapping[str, type[Generator]] = {
    "paper": PaperGenerator,
    "resunet": ResidualUNet,
    "nafnet": NAFNet,
    "unet": UNet,
    "pix2pix": Pix2PixGenerator,
}
DISCRIMINATORS: Mapping[str, type[Discriminator]] = {
    "paper": PaperDiscriminator,
    "patchgan": PatchGAN,
}

__all__ = [
    "DISCRIMINATORS",
    "GENERATORS",
    "Discriminator",
    "Generator",
    "NAFNet",
    "PaperDiscriminator",
    "PaperGenerator",
    "PatchGAN",
    "Pix2PixGenerator",
    "ResidualUNet",
    "UNet",
]
