"""What the tags of a TIFF file say about pixel size and camera."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stormcell.io.movies import micromanager, ome_xml
from stormcell.io.movies.quantities import PixelSizeClaim, choose_pixel_size

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    import tifffile

    from stormcell.data import Quantity

_MICROMANAGER_TAG = 51123
_NM_PER_IMAGEJ_UNIT = {
    "nm": 1.0,
    "um": 1e3,
    "µm": 1e3,  # the micro sign
    "μm": 1e3,  # the Greek letter
    "micron": 1e3,
    "microns": 1e3,
    "micrometer": 1e3,
    "micrometre": 1e3,
    "mm": 1e6,
    "cm": 1e7,
    "m": 1e9,
    "inch": 2.54e7,
}
_NM_PER_RESOLUTION_UNIT = {2: 2.54e7, 3: 1e7}


def read_tiff_metadata(tif: tifffile.TiffFile, ome: Element | None, name: str) -> dict[str, Quantity]:
    """Collect what a TIFF file says about its camera.

    Parameters
    ----------
    tif : TiffFile
        The open file.
    ome : Element or None
        Its OME-XML.
    name : str
        The file, for messages.

    Returns
    -------
    dict of str to Quantity
        OME-XML is believed before Micro-Manager, ImageJ and the plain resolution tags.

    Raises
    ------
    InputError
        The pixels are not square.
    """
    frame, _ = _micromanager(tif, tif.pages.first)
    said = {**micromanager.camera_values(frame), **({} if ome is None else ome_xml.camera_values(ome))}
    return {**said, **choose_pixel_size(pixel_size_claims(tif, ome), name)}


def pixel_size_claims(tif: tifffile.TiffFile, ome: Element | None) -> list[PixelSizeClaim]:
    """Collect all pixel sizes that a TIFF file gives.

    Parameters
    ----------
    tif : TiffFile
        The open file.
    ome : Element or None
        Its OME-XML.

    Returns
    -------
    list of PixelSizeClaim
        The most trustworthy first; may be empty.
    """
    page = tif.pages.first
    frame, summary = _micromanager(tif, page)
    return [
        *([] if ome is None else ome_xml.pixel_size_claims(ome)),
        *(micromanager.pixel_size_claims(frame) or micromanager.pixel_size_claims(summary)),
        *_resolution_claims(page, tif.imagej_metadata or {}),
    ]


def _micromanager(tif: tifffile.TiffFile, page: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    tag = page.tags.get(_MICROMANAGER_TAG)
    frame = tag.value if tag is not None and isinstance(tag.value, dict) else {}
    file = tif.micromanager_metadata if tif.is_micromanager else None
    summary = (file or {}).get("Summary")
    return frame, summary if isinstance(summary, dict) else {}


def _resolution_claims(page: Any, imagej: dict[str, Any]) -> list[PixelSizeClaim]:
    unit = str(imagej.get("unit", "")).replace("\\u00B5", "µ").replace("\\u00b5", "µ").strip().lower()
    factor, tag = _NM_PER_IMAGEJ_UNIT.get(unit), f"ImageJ unit {unit} and XResolution"
    if factor is None:
        resolution_unit = page.tags.get("ResolutionUnit")
        factor = _NM_PER_RESOLUTION_UNIT.get(int(resolution_unit.value)) if resolution_unit is not None else None
        tag = "TIFF XResolution"
    x, y = (_pixels_per_unit(page, side) for side in ("XResolution", "YResolution"))
    if factor is None or x is None:
        return []
    # the tags are fractions such as 9999999/1000000, good for six digits
    return [PixelSizeClaim(tag, float(f"{factor / x:.6g}"), float(f"{factor / y:.6g}") if y else None)]


def _pixels_per_unit(page: Any, name: str) -> float | None:
    tag = page.tags.get(name)
    if tag is None or not isinstance(tag.value, tuple) or len(tag.value) != 2:
        return None
    numerator, denominator = tag.value
    return numerator / denominator if numerator > 0 and denominator > 0 else None
