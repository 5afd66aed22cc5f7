"""Delimited text of any program whose labels state the unit of the positions: `x (nm)`, `X_um`, `pos_y/px`.

What such a table leaves open is taken plainly: positions from the outer corner of the first pixel, and frames as
counted from 0, which a note says.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stormcell.io.tables.labelled import read_labelled
from stormcell.io.tables.labels import Meaning, length_meaning
from stormcell.io.tables.table_format import TableFile, TableFormat

if TYPE_CHECKING:
    from stormcell.data import Localizations

_LABEL = re.compile(
    r"(?P<name>.*?)[\s_/,:;.-]*[\s_/,:(\[{<](?P<unit>nm|um|\u00b5m|\u03bcm|mm|m|px|pixels?|photons?|adu|counts?)[)\]}>]?",
    re.IGNORECASE,
)
_LENGTHS = {
    **dict.fromkeys(("x", "xposition", "positionx", "posx", "xpos", "xcoordinate", "xc", "xcenter"), ("x_nm",)),
    **dict.fromkeys(("y", "yposition", "positiony", "posy", "ypos", "ycoordinate", "yc", "ycenter"), ("y_nm",)),
    **dict.fromkeys(("z", "zposition", "positionz", "posz", "zpos", "zcoordinate", "zc", "zcenter"), ("z_nm",)),
    **dict.fromkeys(("sigma", "psfsigma"), ("psf_sigma_nm",)),
    **dict.fromkeys(("sigmax", "psfsigmax", "xsigma"), ("psf_sigma_x_nm",)),
    **dict.fromkeys(("sigmay", "psfsigmay", "ysigma"), ("psf_sigma_y_nm",)),
    **dict.fromkeys(
        ("uncertainty", "uncertaintyxy", "precision", "precisionxy", "localizationprecision", "locprec"),
        ("uncertainty_x_nm", "uncertainty_y_nm"),
    ),
    **dict.fromkeys(("uncertaintyx", "precisionx", "xprecision", "xuncertainty"), ("uncertainty_x_nm",)),
    **dict.fromkeys(("uncertaintyy", "precisiony", "yprecision", "yuncertainty"), ("uncertainty_y_nm",)),
    **dict.fromkeys(("uncertaintyz", "precisionz", "zprecision", "zuncertainty"), ("uncertainty_z_nm",)),
}
_INTENSITY = ("intensity", "signal", "amplitude")
_BACKGROUND = ("background", "localbackground", "bg", "offset")
_PLAIN = {
    **dict.fromkeys(("frame", "framenumber", "frameindex", "t", "imagenumber"), "frame"),
    **dict.fromkeys(("photons", "nphotons", "numberphotons", "photoncount"), "photons"),
    **dict.fromkeys(("backgroundphotons", "bgphotons"), "background_photons"),
    **dict.fromkeys(("channel",), "channel"),
    **dict.fromkeys(("chi2", "chisquare"), "chi2"),
    **dict.fromkeys(("id", "index"), "id"),
    **dict.fromkeys(("trackid", "track"), "track_id"),
    **dict.fromkeys(("cluster", "clusterid"), "cluster_id"),
    **dict.fromkeys(("detections", "ndetections"), "n_detections"),
}
_FRAME_NOTE = "the labels do not say how frames are counted; they were taken as counted from 0"


def interpret_label(label: str) -> Meaning | None:
    """Understand a label by its words and the unit it states.

    Parameters
    ----------
    label : str
        For example "X (nm)", "pos_y_um" or "frame".

    Returns
    -------
    Meaning or None
        None where the name is not known, or a length states no unit.
    """
    match = _LABEL.fullmatch(label.strip())
    if match is not None:
        name, unit = _bare(match["name"]), match["unit"].lower()
        if name in _LENGTHS:
            return length_meaning(_LENGTHS[name], unit)
        for names, photons, adu in (
            (_INTENSITY, "photons", "intensity_adu"),
            (_BACKGROUND, "background_photons", "background_adu"),
        ):
            if name in names and unit.startswith(("photon", "adu", "count")):
                return Meaning((photons if unit.startswith("photon") else adu,))
    column = _PLAIN.get(_bare(label))
    return Meaning((column,)) if column else None


def looks_like(file: TableFile) -> bool:
    """Recognise a header with x and y in stated units.

    Parameters
    ----------
    file : TableFile
        The file.

    Returns
    -------
    bool
        True when labels mean x_nm and y_nm.
    """
    meanings = [interpret_label(label) for label in file.labels]
    filled = {column for meaning in meanings if meaning for column in meaning.columns}
    return {"x_nm", "y_nm"} <= filled


def read(file: TableFile) -> Localizations:
    """Read a table whose labels state units.

    Parameters
    ----------
    file : TableFile
        The file.

    Returns
    -------
    Localizations
        The table.

    Raises
    ------
    FormatError
        Cells are not numbers.
    MissingQuantityError
        Positions are in pixels and their size is not known.
    """
    has_frames = any(meaning == Meaning(("frame",)) for meaning in map(interpret_label, file.labels))
    return read_labelled(file, interpret_label, frame_base=0, notes=(_FRAME_NOTE,) if has_frames else ())


def _bare(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


FORMAT = TableFormat("stated_units", "text whose labels state units", looks_like, read)
