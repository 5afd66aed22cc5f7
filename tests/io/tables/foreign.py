"""One small file in each format that is read and not written: how to make it, and what it must be read as."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Made = tuple[str, Callable[[Path], None], dict[str, Any]]

FIELD = '<field identifier="{}" syntax="floating point" semantic="x" unit="{}" />'


def _text(content: str) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(content.encode("latin-1")) and None


def rapidstorm_header(*fields: tuple[str, str], nested: str = "") -> str:
    inner = "".join(FIELD.format(*field) for field in fields)
    return f'<localizations insequence="true" repetitions="variable">{inner}{nested}</localizations>'


def smlm(path: Path, **changes: Any) -> None:
    """Write an .smlm file of two rows as its specification says; `changes` replace parts of the manifest."""
    headers = ["x", "y", "z", "frame", "intensity", "background", "x_precision"]
    kinds = ["float32", "float64", "float32", "uint32", "float32", "uint8", "float32"]
    rows = np.zeros(
        2, dtype=[(name, np.dtype(kind).newbyteorder("<")) for name, kind in zip(headers, kinds, strict=True)]
    )
    rows["x"], rows["y"], rows["z"] = [0.5, 1.5], [2500.0, 3500.0], [-10, 20]
    rows["frame"], rows["intensity"], rows["background"], rows["x_precision"] = [0, 7], [100, 200], [3, 4], [12, 13]
    layout = {
        "name": "t", "type": "table", "mode": "binary", "extension": ".bin", "columns": len(headers),
        "headers": headers, "dtype": kinds, "shape": [1] * len(headers),
        "units": ["um", "nm", "nm", "", "photon", "photon", "nm"],
    }  # fmt: skip
    entry = {"name": "a.bin", "type": "table", "format": "t", "channel": "default", "rows": 2, "offset": {"z": -30}}
    layout |= changes.pop("layout", {})
    entry |= changes.pop("entry", {})
    manifest = {"format_version": "0.2", "formats": {"t": layout}, "files": [entry], **changes}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", json.dumps(manifest))
        archive.writestr("a.bin", rows.tobytes())


def decode(path: Path, unit: str = "px", px_size: Any = (127.0, 117.0), n: int = 2) -> None:
    """Write emitters as DECODE does; absent values are HDF5's empty ones."""
    size = np.array([127.0, 117.0]) if unit == "nm" else np.ones(2)
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        xyz = np.array([[0.0, 2.0, 50.0], [9.5, 10.25, -60.0]], np.float32)[:n]
        spread = np.array([[0.1, 0.2, 30.0], [0.3, 0.4, 40.0]], np.float32)[:n]
        xyz[:, :2] *= size
        spread[:, :2] *= size
        data["xyz"], data["xyz_sig"], data["xyz_cr"] = xyz, spread, spread**2
        data["phot"], data["bg"] = np.float32([1000, 2000])[:n], np.float32([20, 30])[:n]
        data["phot_sig"], data["phot_cr"] = np.float32([50, 60])[:n], np.float32([900, 1600])[:n]
        data["bg_sig"], data["bg_cr"] = h5py.Empty("f"), h5py.Empty("f")
        data["frame_ix"], data["id"] = np.array([0, 4])[:n], np.array([-1, -1])[:n]
        data["prob"] = np.float32([0.5, 1.0])[:n]
        meta = file.create_group("meta")
        meta.attrs["xy_unit"] = unit
        meta.attrs["px_size"] = h5py.Empty("f") if px_size is None else np.float32(px_size)
        file.create_group("decode").attrs["version"] = "0.10.0"


def smap(path: Path) -> None:
    """Write a MATLAB 7.3 file as SMAP does: HDF5 behind 512 bytes of text."""
    with h5py.File(path, "w", userblock_size=512) as file:
        loc = file.create_group("saveloc/loc")
        values = {
            "xnm": [150.0, 250.0], "ynm": [350.0, 450.0], "znm": [5.0, -5.0], "frame": [1.0, 12.0],
            "phot": [100.0, 200.0], "bg": [3.0, 4.0], "xnmerr": [9.0, 8.0], "locprecnm": [10.0, 11.0],
            "PSFxnm": [120.0, 130.0], "channel": [0.0, 1.0], "LLrel": [-0.5, -0.6],
        }  # fmt: skip
        for name, column in values.items():
            loc[name] = np.array([column], np.float32)
        info = file.create_group("saveloc/file/info")
        info["cam_pixelsize_um"] = np.array([[0.1], [0.1]])
        info["Width"], info["Height"], info["numberOfFrames"] = ([[v]] for v in (64.0, 32.0, 20.0))
    with path.open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512))


RAPIDSTORM = rapidstorm_header(
    ("Position-0-0", "nanometer"), ("Position-1-0", "nanometer"), ("Position-2-0", "nanometer"),
    ("ImageNumber-0-0", "frame"), ("Amplitude-0-0", "A/D count"), ("PSFWidth-0-0", "nanometer"),
    ("FitResidues-0-0", "dimensionless"), ("LocalBackground-0-0", "A/D count"),
    ("TwoKernelImprovement-0-0", "dimensionless"),
)  # fmt: skip

FOREIGN: dict[str, Made] = {
    "rapidstorm": (
        "a.txt",
        _text(f"# {RAPIDSTORM}\n0.5 2500 -3 0 33290.1 235.482004503095 1.1e+06 767.7 0.1\n"
              "10 20 30 7 1 2.35482004503095 1 1 1\n"),
        {"x_nm": [0.5, 10], "y_nm": [2500, 20], "z_nm": [-3, 30], "frame": [0, 7], "psf_sigma_x_nm": [100, 1],
         "intensity_adu": [33290.1, 1], "background_adu": [767.7, 1], "chi2": [1.1e6, 1]},
    ),
    "decode": (
        "a.h5",
        decode,
        {"x_nm": [2.5 * 117, 10.75 * 117], "y_nm": [0.5 * 127, 10 * 127], "z_nm": [50, -60], "frame": [0, 4],
         "uncertainty_x_nm": [0.2 * 117, 0.4 * 117], "uncertainty_y_nm": [12.7, 38.1], "uncertainty_z_nm": [30, 40],
         "crlb_x_nm": [0.2 * 117, 0.4 * 117], "crlb_y_nm": [12.7, 38.1], "crlb_z_nm": [30, 40],
         "crlb_photons": [30, 40],
         "photons": [1000, 2000], "background_photons": [20, 30], "uncertainty_photons": [50, 60],
         "probability": [0.5, 1]},
    ),
    "decode_csv": (
        "a.csv",
        _text('# DECODE EmitterSet\n# {"version": "0.10.0"}\n# {"xy_unit": "px", "px_size": [127.0, 117.0]}\n'
              "x,y,z,phot,frame_ix,id,prob,bg,xyz_cr\n0,2,50,1000,0,-1,0.5,20,\n9.5,10.25,-60,2000,4,-1,1,30,\n"),
        {"x_nm": [2.5 * 117, 10.75 * 117], "y_nm": [0.5 * 127, 10 * 127], "z_nm": [50, -60], "frame": [0, 4],
         "photons": [1000, 2000], "background_photons": [20, 30], "probability": [0.5, 1]},
    ),
    "smap": (
        "a_sml.mat",
        smap,
        {"x_nm": [150, 250], "y_nm": [350, 450], "z_nm": [5, -5], "frame": [0, 11], "photons": [100, 200],
         "background_photons": [3, 4], "uncertainty_x_nm": [9, 8], "uncertainty_y_nm": [10, 11],
         "psf_sigma_nm": [120, 130], "channel": [0, 1]},
    ),
    "smap_csv": (
        "a.csv",
        _text("xnm,ynm,znm,frame,locprecnm,phot,bg,layer\n150,350,5,1,10,100,3,1\n250,450,-5,12,11,200,4,1\n"),
        {"x_nm": [150, 250], "y_nm": [350, 450], "z_nm": [5, -5], "frame": [0, 11], "photons": [100, 200],
         "background_photons": [3, 4], "uncertainty_x_nm": [10, 11], "uncertainty_y_nm": [10, 11]},
    ),
    "smlm": (
        "a.smlm",
        smlm,
        {"x_nm": [500, 1500], "y_nm": [2500, 3500], "z_nm": [-40, -10], "frame": [0, 7], "photons": [100, 200],
         "background_photons": [3, 4], "uncertainty_x_nm": [12, 13]},
    ),
    "elyra": (
        "a.txt",
        _text("Index\tFirst Frame\tNumber Frames\tFrames Missing\tPosition X [nm]\tPosition Y [nm]\tPrecision [nm]\t"
              "Number Photons\tBackground variance\tChi square\tPSF half width [nm]\tChannel\tZ Slice\r\n"
              "1\t1\t2\t0\t15850.6\t23502.1\t8.6\t472\t5.33\t0.28\t110.0\t1\t1\r\n"
              "2\t30\t1\t0\t25617.3\t24310.2\t9.5\t529\t4.38\t0.31\t129.8\t2\t1\r\n"
              "\x00\r\r\nVoxelSizeX : 0.0970873786 \xb5m\r\r\nROI List : \r\r\n"),
        {"id": [1, 2], "frame": [0, 29], "n_detections": [2, 1], "x_nm": [15850.6, 25617.3],
         "y_nm": [23502.1, 24310.2], "uncertainty_x_nm": [8.6, 9.5], "uncertainty_y_nm": [8.6, 9.5],
         "photons": [472, 529], "chi2": [0.28, 0.31], "channel": [1, 2]},
    ),
    "nanoimager": (
        "a.csv",
        _text("Channel,Frame,X (nm),Y (nm),Z (nm),Photons,Background\n"
              "0,0,40918.9,56104.6,0,139.8,0.85\n1,1560,1,2,3,4,5\n"),
        {"channel": [0, 1], "frame": [0, 1560], "x_nm": [40918.9, 1], "y_nm": [56104.6, 2], "z_nm": [0, 3],
         "photons": [139.8, 4], "background_photons": [0.85, 5]},
    ),
    "challenge": (
        "a.csv",
        _text("Ground-truth,frame,xnano,ynano,znano,intensity \n7,20,25.5,26,-9,1655.48\n8,1,1,2,3,4\n"),
        {"id": [7, 8], "frame": [19, 0], "x_nm": [25.5, 1], "y_nm": [26, 2], "z_nm": [-9, 3],
         "photons": [1655.48, 4]},
    ),
    "named_columns": (
        "a.csv",
        _text("frame,x_nm,y_um,photons\n0,1.5,2.5,100\n9,3,4,200\n"),
        {"frame": [0, 9], "x_nm": [1.5, 3], "y_nm": [2500, 4000], "photons": [100, 200]},
    ),
    "stated_units": (
        "a.csv",
        _text("Frame Number;X Position (nm);Y_pos_um;Localization precision [nm];Intensity (photons)\n"
              "3;1.5;2.5;12;100\n9;3;4;13;200\n"),
        {"frame": [3, 9], "x_nm": [1.5, 3], "y_nm": [2500, 4000], "uncertainty_x_nm": [12, 13],
         "uncertainty_y_nm": [12, 13], "photons": [100, 200]},
    ),
}  # fmt: skip
"""By the name of the format: the file's name, a function that writes it, and the columns it must be read as."""
