"""The registry of table columns: name, dtype, unit and meaning, told once for code, files and documentation."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """One column a localization table may hold."""

    name: str
    dtype: str
    unit: str
    meaning: str


_ALL = (
    Column("frame", "int64", "", "frame index, 0-based"),
    Column(
        "x_nm",
        "float64",
        "nm",
        "position along the image row from the outer corner of the first camera pixel",
    ),
    Column(
        "y_nm",
        "float64",
        "nm",
        "position down the image columns from the outer corner of the first camera pixel",
    ),
    Column("z_nm", "float64", "nm", "axial position, 0 in focus"),
    Column("photons", "float64", "photon", "detected photons of the emitter in this frame, (electrons / qe)"),
    Column("background_photons", "float64", "photon", "background per camera pixel under the emitter"),
    Column("psf_sigma_nm", "float64", "nm", "PSF standard deviation before integration over the pixel"),
    Column("psf_sigma_x_nm", "float64", "nm", "PSF standard deviation along x"),
    Column("psf_sigma_y_nm", "float64", "nm", "PSF standard deviation along y"),
    Column("psf_angle_rad", "float64", "rad", "rotation of the elliptical PSF, from x towards y"),
    Column("uncertainty_x_nm", "float64", "nm", "standard deviation of x_nm"),
    Column("uncertainty_y_nm", "float64", "nm", "standard deviation of y_nm"),
    Column("uncertainty_z_nm", "float64", "nm", "standard deviation of z_nm"),
    Column("uncertainty_photons", "float64", "photon", "standard deviation of photons"),
    Column("uncertainty_background_photons", "float64", "photon", "standard deviation of background_photons"),
    Column("uncertainty_psf_sigma_nm", "float64", "nm", "standard deviation of psf_sigma_nm"),
    Column("background_std_photons", "float64", "photon", "standard deviation of the fit residual per pixel"),
    Column("crlb_x_nm", "float64", "nm", "Cramer-Rao lower bound of x_nm, as a standard deviation"),
    Column("crlb_y_nm", "float64", "nm", "Cramer-Rao lower bound of y_nm, as a standard deviation"),
    Column("crlb_z_nm", "float64", "nm", "Cramer-Rao lower bound of z_nm, as a standard deviation"),
    Column("crlb_photons", "float64", "photon", "Cramer-Rao lower bound of photons, as a standard deviation"),
    Column(
        "log_likelihood",
        "float64",
        "",
        "log-likelihood of the fit, up to terms that depend on the data alone",
    ),
    Column("chi2", "float64", "", "reduced chi-square of the fit residual; near 1 when the model holds"),
    Column("iterations", "int32", "", "iterations the fit took"),
    Column("flags", "int32", "", "bit field of what was unusual about the fit; 0 is a clean fit"),
    Column("probability", "float64", "", "detection probability, 0 to 1"),
    Column("detection_snr", "float64", "", "detection filter response in units of its noise"),
    Column("n_detections", "int32", "", "frames merged into this row by linking"),
    Column("track_id", "int64", "", "rows with the same id belong to one burst or track"),
    Column("group_id", "int64", "", "user-assigned group or pick"),
    Column("cluster_id", "int64", "", "cluster label, -1 for none"),
    Column("channel", "int32", "", "colour channel"),
    Column("id", "int64", "", "row number in the source file"),
    Column("emitter_id", "int64", "", "identity of the fluorophore, in simulated truth"),
    Column("on_fraction", "float64", "", "share of the frame during which the emitter was on, in simulated truth"),
    Column("net_gradient", "float64", "", "Picasso's detection score"),
    Column("ellipticity", "float64", "", "PSF ellipticity as given by the source program"),
    Column("z_rel_nm", "float64", "nm", "axial position relative to the plane, biplane imaging"),
    Column("intensity_adu", "float64", "ADU", "emitter intensity in camera units, where no gain is known"),
    Column("background_adu", "float64", "ADU", "background per pixel in camera units, where no gain is known"),
)

COLUMNS: dict[str, Column] = {column.name: column for column in _ALL}
"""All known columns by name, in the order in which tables and files list them."""
