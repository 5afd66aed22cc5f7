from .data import FrameStack as FrameStack
from .data import Localizations as Localizations
from .data import PixelGrid as PixelGrid
from .data import SRImage as SRImage
from .workflows.batch import batch as batch
from .workflows.check import check as check
from .workflows.convert import convert as convert
from .workflows.demo import demo as demo
from .workflows.densify import densify as densify
from .workflows.densify_folder import densify_folder as densify_folder
from .workflows.doctor import doctor as doctor
from .workflows.drift import drift as drift
from .workflows.estimate import estimate as estimate
from .workflows.evaluate import evaluate as evaluate
from .workflows.filter import filter as filter  # noqa: A004 - the verb
from .workflows.info import info as info
from .workflows.link import link as link
from .workflows.localize import localize as localize
from .workflows.models import models as models
from .workflows.psf import psf as psf
from .workflows.read import read as read
from .workflows.reconstruct import reconstruct as reconstruct
from .workflows.render import render as render
from .workflows.rerun import rerun as rerun
from .workflows.resolution import resolution as resolution
from .workflows.run import run as run
from .workflows.simulate import simulate as simulate
from .workflows.train import train as train
from .workflows.write import write as write

__version__: str
