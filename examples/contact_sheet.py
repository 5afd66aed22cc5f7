"""Put the pictures of a run side by side on one sheet: wide field, super-resolution, overlay, error map.

    python examples/contact_sheet.py cells sheet.png

The figures in the documentation were made this way.
"""

import sys
from pathlib import Path

import stormcell as sc
from stormcell.io.images import write_png
from stormcell.rendering import contact_sheet, draw_image
from stormcell.workflows.pictures import ERROR_COLOURS, SR_COLOURS, WIDEFIELD_COLOURS, on_pixels_of, overlay_picture

CELL_PX = 300


def main(folder: Path, output: Path) -> None:
    names = ("widefield", "superresolution", "error_map")
    widefield, picture, error = (sc.read(folder / f"{name}.ome.tif", kind="image") for name in names)
    longest = max(picture.pixels.shape)
    side = CELL_PX if longest > CELL_PX else longest * (CELL_PX // longest)
    sheet = contact_sheet(
        [
            ("wide field", draw_image(on_pixels_of(widefield, picture), WIDEFIELD_COLOURS, side_px=side)),
            ("super-resolution", draw_image(picture, SR_COLOURS, side_px=side)),
            ("overlay", overlay_picture(widefield, picture, side)),
            ("error map", draw_image(error, ERROR_COLOURS, side_px=side)),
        ],
        columns=4,
        cell_px=side,
    )
    write_png(output, sheet, overwrite=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
