"""Cameras: from expected electrons to noisy grey values and back.

Convention (everywhere): e = (ADU - offset_adu) * gain_e_per_adu / em_gain, photons = e / qe.

Forward, by camera type:

- ideal: Poisson only.
- cmos: Poisson, then Gaussian read noise; offset, gain and read noise may differ from pixel to pixel.
- emccd: Poisson, then the multiplication register (gamma distribution of shape n and scale `em_gain` for n electrons
  in), then Gaussian read noise. The gamma step doubles the shot-noise variance: excess noise factor F^2 = 2.

Last, grey values are rounded and clipped to the bit depth. Rounding adds 1/12 ADU^2, that is
`Camera.quantization_variance_e2` in input electrons, wherever the noise spreads over more than half a grey value.

References
----------
.. [1] Basden, Haniff, Mackay, "Photon counting strategies with low-light-level CCDs", MNRAS 345, 985 (2003),
   doi:10.1046/j.1365-8711.2003.07020.x (the gamma model of the multiplication register).
.. [2] Huang et al., "Video-rate nanoscopy using sCMOS camera-specific single-molecule localization algorithms",
   Nature Methods 10, 653 (2013), doi:10.1038/nmeth.2488 (per-pixel maps).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from stormcell.errors import InputError, MissingQuantityError, SettingsError
from stormcell.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

CameraType = Literal["ideal", "cmos", "emccd"]

_DEFAULT_BIT_DEPTH = 16


class CameraSettings(Settings):
    """What is known about a camera; the content of camera.yaml."""

    camera_type: CameraType
    """Kind of sensor: emccd (noise of electron multiplication), cmos (read noise, per-pixel maps; also a plain CCD)
    or ideal (shot noise only)."""

    offset_adu: Annotated[float, Field(ge=-1e6, le=1e6)] | None = None
    """Grey value of a pixel that received no light [ADU]; left out, it must be read from the file or estimated."""

    gain_e_per_adu: Annotated[float, Field(ge=1e-4, le=1e4)] | None = None
    """Electrons per grey value at the converter, before division by em_gain [e/ADU]; some data sheets call the
    inverse, ADU per electron, gain."""

    em_gain: Annotated[float, Field(ge=1, le=10_000)] = 1.0
    """Electron-multiplication gain of an emccd; 1 where gain_e_per_adu already contains it."""

    qe: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Quantum efficiency at the wavelength of the emission, 0 to 1; photons = electrons / qe."""

    read_noise_e: Annotated[float, Field(ge=0, le=10_000)] = 0.0
    """Standard deviation of the read noise at the converter [e]; an emccd divides it by em_gain."""

    bit_depth: Annotated[int, Field(ge=1, le=32)] | None = None
    """Bits of the converter; grey values end at 2^bits - 1. Left out: 16."""

    offset_map: str | None = None
    """File with the offset of every pixel [ADU], in place of offset_adu."""

    gain_map: str | None = None
    """File with the gain of every pixel [e/ADU], in place of gain_e_per_adu."""

    read_noise_map: str | None = None
    """File with the read noise of every pixel [e, standard deviation], in place of read_noise_e."""

    map_origin_px: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]] = (0, 0)
    """Row and column on the maps at which the movie's first pixel lies (the origin of the recorded region)."""

    detail: str = ""
    """Where the values come from, in words."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _check_type(self.camera_type, self.em_gain, self.read_noise_e, self.read_noise_map is not None)
        return self

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the quantities that are needed for electrons and not known."""
        known = {
            "offset_adu": self.offset_adu is not None or self.offset_map is not None,
            "gain_e_per_adu": self.gain_e_per_adu is not None or self.gain_map is not None,
        }
        return tuple(name for name, is_known in known.items() if not is_known)

    def camera(self, read_map: Callable[[str], ArrayLike] | None = None) -> Camera:
        """Build the camera.

        Parameters
        ----------
        read_map : callable, optional
            Reads a map file, path to array of shape (Y, X); needed where the settings name one.

        Returns
        -------
        Camera
            Ready to convert.

        Raises
        ------
        MissingQuantityError
            Offset or gain are not known.
        SettingsError
            A map is named and no reader is given.
        """
        if self.missing:
            flags = " and ".join("--" + name.replace("_", "-") for name in self.missing)
            msg = f"{' and '.join(self.missing)} of the camera unknown; pass {flags}, or let it be estimated"
            raise MissingQuantityError(msg)
        return Camera(
            camera_type=self.camera_type,
            offset_adu=_map_or_scalar(self.offset_map, self.offset_adu, read_map),
            gain_e_per_adu=_map_or_scalar(self.gain_map, self.gain_e_per_adu, read_map),
            read_noise_e=_map_or_scalar(self.read_noise_map, self.read_noise_e, read_map),
            em_gain=self.em_gain,
            qe=self.qe,
            bit_depth=self.bit_depth,
            map_origin_px=(self.map_origin_px[0], self.map_origin_px[1]),
        )


@dataclass(frozen=True)
class Camera:
    """A camera that converts expected electrons to grey values and grey values to electrons.

    Parameters
    ----------
    camera_type : {"ideal", "cmos", "emccd"}
        Noise model.
    offset_adu : float or ndarray
        Grey value without light; a map has shape (Y, X).
    gain_e_per_adu : float or ndarray
        Electrons per grey value at the converter, > 0; scalar or map.
    read_noise_e : float or ndarray
        Standard deviation of the read noise at the converter, before division by `em_gain`; scalar or map.
    em_gain : float
        Electron-multiplication gain, >= 1; 1 unless `camera_type` is "emccd".
    qe : float
        Quantum efficiency, 0 to 1.
    bit_depth : int or None
        Bits of the converter, 1 to 32; None means 16.
    map_origin_px : tuple of int
        (row, column) on the maps at which the first pixel of the whole movie lies.

    Raises
    ------
    SettingsError
        A value is impossible or contradicts the camera type.
    """

    camera_type: CameraType
    offset_adu: float | NDArray[np.float32]
    gain_e_per_adu: float | NDArray[np.float32]
    read_noise_e: float | NDArray[np.float32] = 0.0
    em_gain: float = 1.0
    qe: float = 1.0
    bit_depth: int | None = None
    map_origin_px: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        for name in ("offset_adu", "gain_e_per_adu", "read_noise_e"):
            value = np.asarray(getattr(self, name), dtype=np.float64)
            if value.ndim not in (0, 2) or not np.isfinite(value).all():
                msg = f"expected {name} as one finite number or a map of shape (Y, X), got shape {value.shape}"
                raise SettingsError(msg)
        if np.min(self.gain_e_per_adu) <= 0:
            msg = f"expected gain_e_per_adu above 0, got {np.min(self.gain_e_per_adu)}"
            raise SettingsError(msg)
        if np.min(self.read_noise_e) < 0:
            msg = f"expected read_noise_e of at least 0, got {np.min(self.read_noise_e)}"
            raise SettingsError(msg)
        if not (self.em_gain >= 1 and 0 < self.qe <= 1):
            msg = f"expected em_gain of at least 1 and qe above 0 up to 1, got {self.em_gain} and {self.qe}"
            raise SettingsError(msg)
        if self.bit_depth is not None and not 1 <= self.bit_depth <= 32:
            msg = f"expected bit_depth from 1 to 32, got {self.bit_depth}"
            raise SettingsError(msg)
        try:
            _check_type(self.camera_type, self.em_gain, float(np.max(self.read_noise_e)), has_map=False)
        except ValueError as error:
            raise SettingsError(str(error)) from None

    @property
    def excess_noise_factor(self) -> float:
        """F^2, the factor on the shot-noise variance: 2 for an emccd, else 1."""
        return 2.0 if self.camera_type == "emccd" else 1.0

    @property
    def saturation_adu(self) -> int:
        """Largest grey value, 2^bit_depth - 1."""
        return int(2 ** (self.bit_depth or _DEFAULT_BIT_DEPTH) - 1)

    @property
    def quantization_variance_e2(self) -> float:
        """Variance that rounding to whole grey values adds, in input electrons squared (mean over a gain map)."""
        return float(np.mean(np.square(self.gain_e_per_adu))) / 12.0 / self.em_gain**2

    def electrons(self, adu: ArrayLike, origin_px: tuple[int, int] = (0, 0)) -> NDArray[np.float32]:
        """Convert grey values to electrons at the input: (ADU - offset) * gain / em_gain.

        Parameters
        ----------
        adu : array_like
            Shape (..., Y, X), grey values.
        origin_px : tuple of int
            (row, column) of the first pixel within the whole movie (`FrameStack.origin_px`).

        Returns
        -------
        ndarray
            The same shape, electrons; noise makes values below 0 possible.

        Raises
        ------
        InputError
            A map does not cover the pixels.
        """
        frames = np.asarray(adu)
        offset = self._cropped("offset_adu", frames.shape[-2:], origin_px)
        scale = self._cropped("gain_e_per_adu", frames.shape[-2:], origin_px) / np.float32(self.em_gain)
        # 32-bit grey values do not fit a float32: subtract before narrowing
        wide = frames.dtype.itemsize > 2
        electrons = frames.astype(np.float64 if wide else np.float32) - offset
        electrons *= scale
        narrow: NDArray[np.float32] = electrons.astype(np.float32, copy=False)
        return narrow

    def to_adu(
        self, expected_electrons: ArrayLike, rng: np.random.Generator, origin_px: tuple[int, int] = (0, 0)
    ) -> NDArray[np.uint16] | NDArray[np.uint32]:
        """Draw noisy grey values.

        Parameters
        ----------
        expected_electrons : array_like
            Shape (..., Y, X), expected photo-electrons in each pixel, >= 0 (photons times qe).
        rng : numpy.random.Generator
            Source of all randomness.
        origin_px : tuple of int
            (row, column) of the first pixel within the whole movie.

        Returns
        -------
        ndarray
            The same shape, uint16, or uint32 above 16 bits.

        Raises
        ------
        InputError
            A map does not cover the pixels, or an expectation is negative or not finite.
        """
        expected = np.asarray(expected_electrons, dtype=np.float64)
        if expected.size and not (np.isfinite(expected).all() and expected.min() >= 0):
            msg = f"expected finite electrons of at least 0, got values down to {np.min(expected)}"
            raise InputError(msg)
        shape = expected.shape[-2:]
        electrons = rng.poisson(expected).astype(np.float64)
        if self.camera_type == "emccd":
            electrons = rng.standard_gamma(electrons) * self.em_gain
        read_noise = self._cropped("read_noise_e", shape, origin_px)
        if np.any(read_noise):
            electrons += rng.standard_normal(expected.shape) * read_noise
        adu: NDArray[np.float64] = electrons / self._cropped("gain_e_per_adu", shape, origin_px)
        adu += self._cropped("offset_adu", shape, origin_px)
        np.clip(np.rint(adu, out=adu), 0, self.saturation_adu, out=adu)
        return adu.astype(np.uint16) if self.saturation_adu <= 65535 else adu.astype(np.uint32)

    def read_variance_e2(self, shape: tuple[int, int], origin_px: tuple[int, int] = (0, 0)) -> NDArray[np.float32]:
        """Compute the variance of the read noise, referred to the input: (read_noise_e / em_gain)^2.

        Parameters
        ----------
        shape : tuple of int
            (rows, columns) of the pixels asked for.
        origin_px : tuple of int
            (row, column) of the first of them within the whole movie.

        Returns
        -------
        ndarray
            Shape `shape`, electrons squared; rounding (`quantization_variance_e2`) is not in it.

        Raises
        ------
        InputError
            The map does not cover the pixels.
        """
        variance = np.square(self._cropped("read_noise_e", shape, origin_px) / self.em_gain)
        return np.broadcast_to(variance, shape).astype(np.float32)

    def _cropped(self, name: str, shape: tuple[int, ...], origin_px: tuple[int, int]) -> NDArray[Any]:
        value = np.asarray(getattr(self, name), dtype=np.float32)
        if value.ndim == 0:
            return value
        y0, x0 = (self.map_origin_px[axis] + origin_px[axis] for axis in (0, 1))
        cut = value[y0 : y0 + shape[0], x0 : x0 + shape[1]]
        if cut.shape != tuple(shape) or min(y0, x0) < 0:
            msg = (
                f"the {name} map of {value.shape[0]} x {value.shape[1]} px does not cover frames of "
                f"{shape[0]} x {shape[1]} px that start at its row {y0}, column {x0}; "
                "set map_origin_px to where the recorded region begins on the maps"
            )
            raise InputError(msg)
        return cut


def check_gain_direction(mean_adu: ArrayLike, variance_adu2: ArrayLike, camera: Camera) -> str | None:
    """Notice a gain given as ADU per electron in place of electrons per ADU.

    Shot noise ties the variance to the mean: var = F^2 * em_gain / gain_e_per_adu * (mean - offset) + read noise.
    Blinking only adds variance, so the lower envelope of var / (mean - offset) over pixels is compared.

    Parameters
    ----------
    mean_adu : array_like
        Shape (N,), mean grey value of N pixels or blocks.
    variance_adu2 : array_like
        Shape (N,), variance of each in time (half the variance of frame differences).
    camera : Camera
        The camera as given, with scalar offset and gain or the means of its maps.

    Returns
    -------
    str or None
        A plain sentence where the inverse of the given gain explains the noise much better; None where the gain
        looks right, lies too near 1 to tell, or the data do not decide.

    References
    ----------
    .. [1] Janesick, "Photon Transfer", SPIE Press (2007), doi:10.1117/3.725073.
    """
    gain = float(np.mean(camera.gain_e_per_adu))
    read_adu2 = (float(np.mean(camera.read_noise_e)) / gain) ** 2
    signal = np.asarray(mean_adu, dtype=np.float64) - float(np.mean(camera.offset_adu))
    usable = signal > max(3.0 * math.sqrt(read_adu2), 1e-9)
    if usable.sum() < 10 or abs(math.log(gain)) < math.log(1.3):
        return None
    ratio = (np.asarray(variance_adu2, dtype=np.float64)[usable] - 1 / 12) / signal[usable]
    observed = float(np.quantile(ratio, 0.2))
    if observed <= 0:
        return None
    multiplied = camera.excess_noise_factor * camera.em_gain
    as_given, as_inverse = multiplied / gain, multiplied * gain
    # blinking can only raise the ratio: far below the expectation is proof, far above is none unless it hits 1 / gain
    off_given, off_inverse = abs(math.log(observed / as_given)), abs(math.log(observed / as_inverse))
    if off_inverse > 0.5 * off_given or off_inverse > math.log(1.5):
        return None
    return (
        f"the noise of the movie fits a gain of {1 / gain:.3g} e/ADU, the inverse of the {gain:.3g} e/ADU given: "
        f"the value may be in ADU per electron; pass --gain-e-per-adu {1 / gain:.3g} if so"
    )


def _check_type(camera_type: str, em_gain: float, read_noise_e: float, has_map: bool) -> None:
    """Refuse values that contradict the camera type (ValueError: pydantic turns it into a field message)."""
    if camera_type not in ("ideal", "cmos", "emccd"):
        msg = f"expected camera_type ideal, cmos or emccd, got {camera_type!r}"
        raise ValueError(msg)
    if camera_type != "emccd" and em_gain != 1:
        msg = f"em_gain {em_gain:g} contradicts camera_type {camera_type}: only an emccd multiplies electrons"
        raise ValueError(msg)
    if camera_type == "ideal" and (read_noise_e > 0 or has_map):
        msg = "read_noise_e contradicts camera_type ideal, which has shot noise only; use camera_type cmos"
        raise ValueError(msg)


def _map_or_scalar(
    path: str | None, scalar: float | None, read_map: Callable[[str], ArrayLike] | None
) -> float | NDArray[np.float32]:
    if path is None:
        return float(scalar or 0.0)
    if read_map is None:
        msg = f"the camera names the map {path}, which needs a reader of map files"
        raise SettingsError(msg)
    return np.asarray(read_map(path), dtype=np.float32)
