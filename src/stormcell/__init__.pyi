from stormcell.data import FrameStack as FrameStack
from stormcell.data import Localizations as Localizations
from stormcell.data import PixelGrid as PixelGrid
from stormcell.data import SRImage as SRImage

__version__: str
