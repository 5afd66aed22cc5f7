"""OME-XML: what a movie's description says, and the description we write."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from stormcell.data import Quantity
from stormcell.io.movies.quantities import CAMERA_UNITS, PixelSizeClaim, as_number, believable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from xml.etree.ElementTree import Element

PIXEL_TYPES = {
    "uint8": "uint8",
    "uint16": "uint16",
    "uint32": "uint32",
    "int8": "int8",
    "int16": "int16",
    "int32": "int32",
    "float32": "float",
    "float64": "double",
}
"""The pixel types of OME-XML by NumPy name."""

ANNOTATION_NAMESPACE = "stormcell/movie"
"""Marks the map annotation in which we keep the camera and the provenance."""

_SCHEMA = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
_NM_PER_UNIT = {
    "nm": 1.0,
    "µm": 1e3,  # the micro sign
    "μm": 1e3,  # the Greek letter
    "um": 1e3,
    "micron": 1e3,
    "pm": 1e-3,
    "Å": 0.1,
    "mm": 1e6,
    "cm": 1e7,
    "m": 1e9,
    "in": 2.54e7,
}
_SECONDS_PER_UNIT = {"s": 1.0, "ms": 1e-3, "µs": 1e-6, "μs": 1e-6, "us": 1e-6, "min": 60.0}


def parse_ome(text: str | None) -> Element | None:
    """Parse OME-XML.

    Parameters
    ----------
    text : str or None
        The description of a file's first page.

    Returns
    -------
    Element or None
        The root; None where there is no readable OME-XML.
    """
    if not text:
        return None
    try:
        root = ElementTree.fromstring(text)  # noqa: S314 - see the import
    except (ElementTree.ParseError, ValueError):
        return None
    return root if _tag(root) == "OME" else None


def pixel_size_claims(root: Element) -> list[PixelSizeClaim]:
    """Find the pixel size of the first image.

    Parameters
    ----------
    root : Element
        From `parse_ome`.

    Returns
    -------
    list of PixelSizeClaim
        Zero or one. Units that are no length ("pixel", "reference frame") count as nothing said.
    """
    pixels = next(_all(root, "Pixels"), None)
    if pixels is None:
        return []
    x_nm, y_nm = (_length_nm(pixels, side) for side in ("PhysicalSizeX", "PhysicalSizeY"))
    return [] if x_nm is None else [PixelSizeClaim("OME PhysicalSizeX", x_nm, y_nm)]


def camera_values(root: Element) -> dict[str, Quantity]:
    """Find what is said about the camera.

    Parameters
    ----------
    root : Element
        From `parse_ome`.

    Returns
    -------
    dict of str to Quantity
        Values written by us, the detector's model, the exposure of the first plane.
    """
    said: dict[str, Quantity] = {}
    for detector in _all(root, "Detector"):
        name = " ".join(filter(None, (detector.get("Manufacturer"), detector.get("Model"))))
        said |= believable("camera_name", name, "OME Detector")
        break
    for plane in _all(root, "Plane"):
        exposure = as_number(plane.get("ExposureTime"))
        factor = _SECONDS_PER_UNIT.get(plane.get("ExposureTimeUnit", "s"))
        if exposure is not None and factor is not None:
            said |= believable("exposure_s", exposure * factor, "OME ExposureTime")
        break
    for key, value in _own_annotations(root).items():
        if key in CAMERA_UNITS and key != "camera_pixel_size_nm":
            said |= believable(key, value, f"OME annotation {key}")
    return said


def file_names(root: Element) -> list[str]:
    """List the files over which a movie is spread.

    Parameters
    ----------
    root : Element
        From `parse_ome`.

    Returns
    -------
    list of str
        Names as the planes give them, each once.
    """
    names = (item.get("FileName") for item in _all(root, "UUID"))
    return list(dict.fromkeys(name for name in names if name))


def master_file(root: Element) -> str | None:
    """Find the file that describes the whole movie, when this one holds only a part of its pixels.

    Parameters
    ----------
    root : Element
        From `parse_ome`.

    Returns
    -------
    str or None
        A file name; None where this file describes itself.
    """
    part = next(_all(root, "BinaryOnly"), None)
    return None if part is None else part.get("MetadataFile")


def movie_xml(
    shape: tuple[int, int, int],
    pixel_type: str,
    camera_pixel_size_nm: float | None,
    annotations: Mapping[str, str],
    name: str = "movie",
) -> bytes:
    """Describe a movie; equal movies get equal text, as it holds no date and no random identifier.

    Parameters
    ----------
    shape : tuple of int
        (T, Y, X).
    pixel_type : str
        One of the values of `PIXEL_TYPES`.
    camera_pixel_size_nm : float or None
        Camera pixel in the sample plane; None writes none.
    annotations : mapping of str to str
        Kept as a map annotation.
    name : str
        The image's title in viewers.

    Returns
    -------
    bytes
        OME-XML 2016-06 in ASCII.
    """
    ome = ElementTree.Element("OME", {"xmlns": _SCHEMA, "Creator": "stormcell"})
    image = ElementTree.SubElement(ome, "Image", {"ID": "Image:0", "Name": name})
    size = {}
    if camera_pixel_size_nm is not None:
        for side in ("X", "Y"):
            size[f"PhysicalSize{side}"] = repr(float(camera_pixel_size_nm))
            size[f"PhysicalSize{side}Unit"] = "nm"
    sizes = {"SizeX": shape[2], "SizeY": shape[1], "SizeZ": 1, "SizeC": 1, "SizeT": shape[0]}
    described = {
        "ID": "Pixels:0",
        "DimensionOrder": "XYZCT",
        "Type": pixel_type,
        "BigEndian": "false",
        **{key: str(value) for key, value in sizes.items()},
        **size,
    }
    pixels = ElementTree.SubElement(image, "Pixels", described)
    ElementTree.SubElement(pixels, "Channel", {"ID": "Channel:0:0", "SamplesPerPixel": "1"})
    ElementTree.SubElement(pixels, "TiffData", {"IFD": "0", "PlaneCount": str(shape[0])})
    if annotations:
        ElementTree.SubElement(image, "AnnotationRef", {"ID": "Annotation:0"})
        structured = ElementTree.SubElement(ome, "StructuredAnnotations")
        described = {"ID": "Annotation:0", "Namespace": ANNOTATION_NAMESPACE}
        value = ElementTree.SubElement(ElementTree.SubElement(structured, "MapAnnotation", described), "Value")
        for key in sorted(annotations):
            ElementTree.SubElement(value, "M", {"K": key}).text = annotations[key]
    text = str(ElementTree.tostring(ome, encoding="us-ascii"), "ascii")
    return f'<?xml version="1.0" encoding="UTF-8"?>{text[text.index("<OME") :]}'.encode("ascii")


def annotation_text(value: Any) -> str:
    """Turn a value into the text of an annotation.

    Parameters
    ----------
    value : Any
        A Quantity (its value is kept), text, a number, or a structure for JSON.

    Returns
    -------
    str
        Numbers with all their digits; control characters, which XML cannot hold, left out.
    """
    value = value.value if isinstance(value, Quantity) else value
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return "".join(character for character in text if character >= " " or character in "\t\n")


def _own_annotations(root: Element) -> dict[str, str]:
    return {
        item.get("K", ""): item.text or ""
        for annotation in _all(root, "MapAnnotation")
        if annotation.get("Namespace") == ANNOTATION_NAMESPACE
        for item in _all(annotation, "M")
    }


def _length_nm(pixels: Element, side: str) -> float | None:
    number = as_number(pixels.get(side))
    factor = _NM_PER_UNIT.get(pixels.get(f"{side}Unit", "µm"))
    return None if number is None or factor is None else number * factor


def _all(root: Element, name: str) -> Iterator[Element]:
    # schema versions differ only in the namespace
    return (element for element in root.iter() if _tag(element) == name)


def _tag(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]
