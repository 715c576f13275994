"""Tiles of a scan assembled into one image: found by name or stage, placed, fused."""

from ciegan.mosaic.fusing import assemble
from ciegan.mosaic.pairs import Overlap, Placing
from ciegan.mosaic.placing import Placement, place
from ciegan.mosaic.run import Assembled, assemble_scans, tell_placement
from ciegan.mosaic.scans import Scan, Tile, find_scans, left_out

__all__ = [
    "Assembled",
    "Overlap",
    "Placement",
    "Placing",
    "Scan",
    "Tile",
    "assemble",
    "assemble_scans",
    "find_scans",
    "left_out",
    "place",
    "tell_placement",
]
