from .data import FrameStack as FrameStack
from .data import Localizations as Localizations
from .data import PixelGrid as PixelGrid
from .data import SRImage as SRImage

__version__: str
