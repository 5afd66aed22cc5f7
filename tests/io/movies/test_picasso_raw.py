"""What a Picasso description says about the camera."""

from pathlib import Path

import numpy as np
import yaml

from stormcell.io.movies import open_movie


def test_camera_from_the_description(tmp_path: Path) -> None:
    np.zeros((2, 3, 4), "<u2").tofile(tmp_path / "m.raw")
    info = {
        "Byte Order": "<",
        "Data Type": "uint16",
        "Frames": 2,
        "Height": 3,
        "Width": 4,
        "Baseline": 100,
        "Sensitivity": 0.47,
        "Gain": 1,
        "Qe": 0.82,
        "Micro-Manager Metadata": {"Camera": "Ham", "PixelSizeUm": 0.13, "Exposure-ms": 100.0},
    }
    (tmp_path / "m.yaml").write_text(yaml.safe_dump(info))
    metadata = open_movie(tmp_path / "m.raw").metadata
    assert {key: quantity.value for key, quantity in metadata.items() if key != "file_format"} == {
        "offset_adu": 100.0,
        "gain_e_per_adu": 0.47,
        "em_gain": 1.0,
        "qe": 0.82,
        "camera_name": "Ham",
        "exposure_s": 0.1,
        "camera_pixel_size_nm": 130.0,
    }
    assert metadata["offset_adu"].detail == "Picasso YAML Baseline"
    assert metadata["camera_pixel_size_nm"].detail == "Micro-Manager PixelSizeUm"


def test_values_out_of_range_are_left_out(tmp_path: Path) -> None:
    np.zeros((2, 3, 4), "u1").tofile(tmp_path / "m.raw")
    info = {"Data Type": "uint8", "Frames": 2, "Height": 3, "Width": 4, "Qe": 82, "Gain": 0, "Sensitivity": "none"}
    (tmp_path / "m.yaml").write_text(yaml.safe_dump({**info, "Pixelsize": 0}))
    metadata = open_movie(tmp_path / "m.raw").metadata
    assert set(metadata) == {"file_format", "camera_pixel_size_nm"}
    assert metadata["camera_pixel_size_nm"].value is None
