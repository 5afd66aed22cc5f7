"""Sphinx settings; the reference pages are made from the code before each build."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from reference import write_reference

import stormcell

project = "stormcell"
author = "The stormcell developers"
release = version = stormcell.__version__
extensions = ["myst_parser"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = f"stormcell {release}"
exclude_patterns = ["_build", "decisions/README.md"]
suppress_warnings = ["myst.xref_missing"]

write_reference(Path(__file__).parent / "reference")
