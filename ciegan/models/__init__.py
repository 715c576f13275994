"""Networks.

A new generator is a module with one class, and a line in `GENERATORS`; or it comes from another
package through the entry point `ciegan.generators`, whose name is then the network's.

A generator takes and returns images (B, C, Y, X) scaled to -1 to 1, is made with the number of
channels and its own options, and says in `stride` of what the sides must be a multiple, and in
`radius` how many pixels around a pixel it depends on.
"""

from collections.abc import Mapping
from typing import Any

from cellqa.plugins import Registry
from ciegan.models.base import Discriminator, Generator
from ciegan.models.nafnet import NAFNet
from ciegan.models.paper import PaperDiscriminator, PaperGenerator
from ciegan.models.patchgan import PatchGAN
from ciegan.models.pix2pix import Pix2PixGenerator
from ciegan.models.resunet import ResidualUNet
from ciegan.models.unet import UNet


def _wrong(entry: Any) -> str:
    right = isinstance(entry, type) and issubclass(entry, Generator)
    return "" if right else f"{entry!r} is no subclass of Generator"


GENERATORS: Registry[type[Generator]] = Registry(
    "ciegan.generators",
    {
        "paper": PaperGenerator,
        "resunet": ResidualUNet,
        "nafnet": NAFNet,
        "unet": UNet,
        "pix2pix": Pix2PixGenerator,
    },
    wrong=_wrong,
)
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
