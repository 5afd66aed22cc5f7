"""Simulated acquisitions by name, from easy to brutal."""

from __future__ import annotations

import difflib

from stormcell.errors import SettingsError
from stormcell.physics.cameras import CameraSettings
from stormcell.physics.psf.settings import PSFS, GaussianPSFSettings
from stormcell.simulation.backgrounds import BackgroundSettings
from stormcell.simulation.blinking_settings import DNA_PAINT, DSTORM, PALM
from stormcell.simulation.labelling import LabellingSettings
from stormcell.simulation.settings import MotionSettings, SimulationSettings
from stormcell.simulation.structures.actin import Actin
from stormcell.simulation.structures.clathrin_pits import ClathrinPits
from stormcell.simulation.structures.endoplasmic_reticulum import EndoplasmicReticulum
from stormcell.simulation.structures.microtubules import Microtubules
from stormcell.simulation.structures.mitochondria import Mitochondria
from stormcell.simulation.structures.nuclear_pores import NuclearPores
from stormcell.simulation.structures.parallel_lines import ParallelLines
from stormcell.simulation.structures.point_pairs import PointPairs
from stormcell.simulation.structures.siemens_star import SiemensStar
from stormcell.simulation.structures.uniform import Uniform
from stormcell.simulation.structures.whole_cell import WholeCell

_EMCCD = CameraSettings(
    camera_type="emccd",
    offset_adu=200,
    gain_e_per_adu=12.0,
    em_gain=200,
    qe=0.92,
    read_noise_e=60,
    bit_depth=16,
    detail="an EMCCD of 512 x 512 px at gain 200",
)
_STRUCTURED = BackgroundSettings(photons=60, structure=0.4, out_of_focus=0.3, blobs=0.5)
_SITES_ON_TAGS = LabellingSettings(efficiency=0.6, linkage_nm=3.0)

SIMULATION_PRESETS: dict[str, SimulationSettings] = {
    "uniform-easy": SimulationSettings(
        structure=Uniform(),
        blinking=DSTORM.replace(density_per_um2=0.1, photons=4000, photon_spread=0.3),
        background=BackgroundSettings(photons=10),
    ),
    "microtubules-sparse": SimulationSettings(
        blinking=DSTORM.replace(density_per_um2=0.2), psf=PSFS["oil-1.49"], background=BackgroundSettings(photons=15)
    ),
    "microtubules-dense": SimulationSettings(
        blinking=DSTORM.replace(density_per_um2=2.0, bleach_probability=0.01),
        psf=PSFS["oil-1.4"],
        background=BackgroundSettings(photons=30, structure=0.2),
        z_range_nm=200,
    ),
    "microtubules-brutal": SimulationSettings(
        structure=Microtubules(length_per_um2=2.0, bundle_share=0.4),
        blinking=DSTORM.replace(density_per_um2=6.0, photons=900, photon_spread=0.8, bleach_probability=0.01),
        psf=PSFS["oil-aberrated"],
        background=_STRUCTURED.replace(photons=120),
        motion=MotionSettings(drift_nm=150, wander_nm=30),
        z_range_nm=300,
    ),
    "deepstorm-2018": SimulationSettings(
        n_frames=20,
        structure=Uniform(sites_per_um2=2000),
        blinking=DSTORM.replace(density_per_um2=3.6, photons=2250, photon_spread=0.07, bleach_probability=0.0),
        psf=GaussianPSFSettings(sigma_nm=110.0),
        background=BackgroundSettings(photons=0),
        camera=CameraSettings(camera_type="cmos", offset_adu=50, gain_e_per_adu=1.0, read_noise_e=4.47, bit_depth=16),
    ),
    "nuclear-pores-dstorm": SimulationSettings(
        structure=NuclearPores(),
        labelling=_SITES_ON_TAGS,
        blinking=DSTORM.replace(density_per_um2=0.3),
        psf=PSFS["oil-1.49"],
    ),
    "nuclear-pores-paint": SimulationSettings(
        structure=NuclearPores(),
        labelling=_SITES_ON_TAGS,
        blinking=DNA_PAINT.replace(density_per_um2=1.0),
        psf=PSFS["oil-1.49"],
        background=BackgroundSettings(photons=15, photons_per_density=30),
    ),
    "mitochondria-palm": SimulationSettings(
        structure=Mitochondria(),
        labelling=_SITES_ON_TAGS,
        blinking=PALM.replace(density_per_um2=0.5),
        psf=PSFS["water-1.2"],
        background=_STRUCTURED.replace(photons=25),
        z_range_nm=300,
    ),
    "mitochondria-dense": SimulationSettings(
        structure=Mitochondria(length_per_um2=0.6),
        blinking=DSTORM.replace(density_per_um2=3.0),
        psf=PSFS["oil-1.4"],
        background=_STRUCTURED,
        z_range_nm=300,
    ),
    "actin-dense": SimulationSettings(
        structure=Actin(),
        labelling=LabellingSettings(efficiency=0.4, linkage_nm=2.0),
        blinking=DSTORM.replace(density_per_um2=3.0, photons=1200),
        psf=PSFS["oil-1.49"],
        background=BackgroundSettings(photons=40, structure=0.3),
        z_range_nm=150,
    ),
    "er-palm": SimulationSettings(
        structure=EndoplasmicReticulum(),
        labelling=_SITES_ON_TAGS,
        blinking=PALM.replace(density_per_um2=0.8),
        psf=PSFS["oil-deep"],
        background=_STRUCTURED.replace(photons=20),
        z_range_nm=250,
    ),
    "clathrin-dstorm": SimulationSettings(
        structure=ClathrinPits(), blinking=DSTORM.replace(density_per_um2=0.5), psf=PSFS["oil-1.49"]
    ),
    "point-pairs-50nm": SimulationSettings(
        structure=PointPairs(distance_nm=50),
        labelling=LabellingSettings(efficiency=0.8, linkage_nm=0.0),
        blinking=DNA_PAINT.replace(density_per_um2=0.05),
        psf=PSFS["oil-1.49"],
    ),
    "parallel-lines-60nm": SimulationSettings(
        structure=ParallelLines(distance_nm=60),
        labelling=LabellingSettings(efficiency=0.8, linkage_nm=0.0),
        blinking=DNA_PAINT.replace(density_per_um2=0.1),
        psf=PSFS["oil-1.49"],
    ),
    "siemens-star-dense": SimulationSettings(
        structure=SiemensStar(), blinking=DSTORM.replace(density_per_um2=2.0), psf=PSFS["oil-1.4"]
    ),
    "emccd-dense": SimulationSettings(
        structure=Microtubules(length_per_um2=1.5),
        camera_pixel_size_nm=130,
        blinking=DSTORM.replace(density_per_um2=2.5),
        psf=PSFS["oil-halo"],
        background=BackgroundSettings(photons=40, structure=0.2, decay_frames=5000),
        camera=_EMCCD,
        z_range_nm=200,
    ),
    "cell-microtubules": SimulationSettings(
        n_frames=5000,
        field_px=(256, 256),
        structure=WholeCell(),
        labelling=LabellingSettings(efficiency=0.15, linkage_nm=12.0, false_per_um2=2.0),
        blinking=DSTORM.replace(density_per_um2=0.5),
        psf=PSFS["oil-1.49"],
        background=_STRUCTURED.replace(photons=40),
        motion=MotionSettings(drift_nm=200, wander_nm=40),
        z_range_nm=300,
    ),
    "drifting": SimulationSettings(
        n_frames=4000,
        blinking=DSTORM.replace(density_per_um2=0.3),
        psf=PSFS["oil-1.4"],
        motion=MotionSettings(drift_nm=600, wander_nm=60),
    ),
}
"""Settings by preset name."""


def simulation_preset(name: str) -> SimulationSettings:
    """Look a preset up.

    Parameters
    ----------
    name : str
        Name in `SIMULATION_PRESETS`.

    Returns
    -------
    SimulationSettings
        Ready to run, or to change with `replace`.

    Raises
    ------
    SettingsError
        There is no such preset.
    """
    if name not in SIMULATION_PRESETS:
        near = difflib.get_close_matches(name, SIMULATION_PRESETS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known presets: {', '.join(SIMULATION_PRESETS)}"
        msg = f"preset: {name} is not a simulation preset; {hint}"
        raise SettingsError(msg)
    return SIMULATION_PRESETS[name]
