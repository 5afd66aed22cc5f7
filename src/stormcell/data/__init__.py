"""The nouns: what passes between floors. They do not read, save or draw themselves."""

from stormcell.data.columns import COLUMNS, Column
from stormcell.data.frame_stack import FrameStack
from stormcell.data.localizations import Localizations
from stormcell.data.pixel_grid import PixelGrid
from stormcell.data.provenance import InputFile, Provenance, Quantity
from stormcell.data.sr_image import SRImage

__all__ = [
    "COLUMNS",
    "Column",
    "FrameStack",
    "InputFile",
    "Localizations",
    "PixelGrid",
    "Provenance",
    "Quantity",
    "SRImage",
]
