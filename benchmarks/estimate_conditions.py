"""How well `estimate` reads the conditions of a movie: random conditions, known truth.

The movies are drawn by the small simulator below, which shares no code with the package's own simulator or estimator.

    python benchmarks/estimate_conditions.py                    # 120 conditions, printed as a table; resumes
    python benchmarks/estimate_conditions.py --n 20             # a quick look
    python benchmarks/estimate_conditions.py --scene filaments  # emitters on curves, sloping background
    python benchmarks/estimate_conditions.py --real ../shared/data

Conditions, log-uniform: sigma 0.7-1.8 px, 300-5,000 photons, background 2-200, density 0.1-5 per um^2 (100 nm px),
gain 0.1-10 e/ADU. Half Gaussian, half diffraction (Airy) spots; half CMOS (1.6 e read noise), half EMCCD (0.1 e). The
spread of the photons is lognormal, sigma 0-0.6. A third has emitters that stay on for exponential times (0.5-4
frames), the others show new emitters in every frame. In half of the movies offset and read noise are given, in the
others only the camera type. Truth: photons are the mean over emitters and frames of what falls within 10 px, density
counts every emitter that is on during any part of a frame; the sigma of an Airy pattern is that of the Gaussian which
fits 7 x 7 px of it best, with a constant beside it.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numba import njit
from scipy import ndimage, optimize, special

from stormcell.calibration.acquisition import AcquisitionEstimate, estimate_acquisition
from stormcell.data import FrameStack
from stormcell.physics.cameras import CameraSettings

FINE, REACH = 10, 14
GOALS = {  # median, 90th percentile
    "psf_sigma_px": (0.03, 0.09),
    "photons_mean": (0.10, 0.30),
    "background_photons": (0.10, 0.30),
    "density_per_um2": (0.20, 0.60),
    "gain_e_per_adu": (0.10, 0.30),
}


@dataclass(frozen=True)
class Condition:
    index: int
    scene: str
    n_frames: int
    side: int
    psf: str
    emccd: bool
    sigma: float
    photons: float
    background: float
    density: float
    gain: float
    log_spread: float
    on_time: float
    offset_given: bool
    offset: float = 100.0

    @property
    def read_noise(self) -> float:
        return 0.1 if self.emccd else 1.6

    @property
    def factor(self) -> float:
        return 2.0 if self.emccd else 1.0

    @property
    def peak_snr(self) -> float:
        """Of the median spot, in the pixel it is centred on."""
        median = self.photons * np.exp(-(self.log_spread**2) / 2)
        peak = median * special.erf(0.5 / self.sigma / np.sqrt(2)) ** 2
        return float(peak / np.sqrt(self.factor * (peak + self.background) + self.read_noise**2))


def draw(index: int, scene: str, n_frames: int, side: int) -> Condition:
    rng = np.random.default_rng([2024, index])

    def log_uniform(low: float, high: float) -> float:
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    values = {
        "sigma": log_uniform(0.7, 1.8),
        "photons": log_uniform(300, 5000),
        "background": log_uniform(2, 200),
        "density": log_uniform(0.1, 5),
        "gain": log_uniform(0.1, 10),
        "log_spread": float(rng.uniform(0, 0.6)),
    }
    on_time = log_uniform(0.5, 4.0) if rng.uniform() < 1 / 3 else 0.0
    psf, emccd, given = ("gaussian", "airy")[index % 2], bool(index // 2 % 2), bool(index // 4 % 2)
    return Condition(index, scene, n_frames, side, psf, emccd, on_time=on_time, offset_given=given, **values)


def gaussian_table(sigma: float) -> np.ndarray:
    x = np.arange(-REACH * FINE, REACH * FINE + 1) / FINE
    share = 0.5 * (special.erf((x + 0.5) / sigma / 2**0.5) - special.erf((x - 0.5) / sigma / 2**0.5))
    return np.outer(share, share)


def airy_table(scale: float) -> np.ndarray:
    x = np.arange(-(REACH + 1) * FINE, (REACH + 1) * FINE + 1) / FINE
    v = np.hypot(x[:, None], x) / scale
    image = np.where(v > 1e-9, (2 * special.j1(np.maximum(v, 1e-9)) / np.maximum(v, 1e-9)) ** 2, 1.0)
    box = np.ones(FINE + 1)
    box[[0, -1]] = 0.5
    for axis in (0, 1):
        image = ndimage.convolve1d(image, box / FINE, axis=axis)
    return image[FINE:-FINE, FINE:-FINE]


def gaussian_sigma(table: np.ndarray) -> float:
    """Least squares over 7 x 7 pixels, Gaussian and constant."""
    x = np.arange(-3, 4)
    rows = REACH * FINE + x * FINE
    image = table[np.ix_(rows, rows)]

    def misfit(p: np.ndarray) -> np.ndarray:
        share = 0.5 * (special.erf((x + 0.5) / p[1] / 2**0.5) - special.erf((x - 0.5) / p[1] / 2**0.5))
        return (p[0] * np.outer(share, share) + p[2] - image).ravel() / image.max()

    return float(optimize.least_squares(misfit, [image.max() * 6, 1.0, 0.0]).x[1])


@lru_cache(maxsize=4)
def spot_table(psf: str, sigma: float) -> np.ndarray:
    """Pixel-integrated spot of total 1 within 10 px, at steps of 1/10 px."""
    if psf == "gaussian":
        table = gaussian_table(sigma)
    else:
        wanted = optimize.brentq(
            lambda s: gaussian_sigma(airy_table(s)) - sigma, 0.55 * sigma, 1.0 * sigma, xtol=1e-3
        )
        table = airy_table(wanted)
    x = np.arange(-REACH * FINE, REACH * FINE + 1) / FINE
    return table / (table[np.hypot(x[:, None], x) <= 10].sum() / FINE**2)


@njit(cache=True)
def add_spots(movie, frame, y, x, photons, table, fine, reach, radius):
    height, width = movie.shape[1:]
    for i in range(len(frame)):
        row, column = int(np.floor(y[i])), int(np.floor(x[i]))
        for r in range(max(0, row - radius), min(height, row + radius + 1)):
            fy = (r + 0.5 - y[i] + reach) * fine
            a = int(fy)
            u = fy - a
            for c in range(max(0, column - radius), min(width, column + radius + 1)):
                fx = (c + 0.5 - x[i] + reach) * fine
                b = int(fx)
                v = fx - b
                top = (1 - v) * table[a, b] + v * table[a, b + 1]
                bottom = (1 - v) * table[a + 1, b] + v * table[a + 1, b + 1]
                movie[frame[i], r, c] += photons[i] * ((1 - u) * top + u * bottom)


def places(rng: np.random.Generator, n: int, side: int, rim: int, scene: str) -> tuple[np.ndarray, np.ndarray]:
    span = side + 2 * rim
    if scene == "uniform":
        return rng.uniform(-rim, side + rim, n), rng.uniform(-rim, side + rim, n)
    # a dozen gently bent filaments across the field, 0.3 px wide
    which, along = rng.integers(0, 12, n), rng.uniform(-0.7, 0.7, n) * span
    angle, bend, away = rng.uniform(0, np.pi, 12), rng.normal(0, 0.3 / span, 12), rng.uniform(-0.5, 0.5, 12) * span
    across = away[which] + bend[which] * along**2 + rng.normal(0, 0.3, n)
    cos, sin = np.cos(angle)[which], np.sin(angle)[which]
    middle = side / 2
    return middle + along * sin + across * cos, middle + along * cos - across * sin


def emitters(condition: Condition, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    n_frames, side, rim, tau = condition.n_frames, condition.side, 12, condition.on_time
    per_frame = condition.density * 0.01 * (side + 2 * rim) ** 2
    if tau == 0:
        n = rng.poisson(per_frame * n_frames)
        frame, share, owner = rng.integers(0, n_frames, n), np.ones(n), np.arange(n)
    else:
        lead = 25 * tau
        n = rng.poisson(per_frame / (1 + tau) * (n_frames + lead))
        start = rng.uniform(-lead, n_frames, n)
        stop = start + rng.exponential(tau, n)
        pieces = []
        for back in range(int(np.ceil((stop - start).max())) + 2):
            k = np.floor(start).astype(int) + back
            light = np.minimum(stop, k + 1) - np.maximum(start, k)
            on = (light > 0) & (k >= 0) & (k < n_frames)
            pieces.append((k[on], light[on], np.flatnonzero(on)))
        frame, share, owner = (np.concatenate(part) for part in zip(*pieces, strict=True))
    y, x = places(rng, n, side, rim, condition.scene)
    photons = np.exp(condition.log_spread * rng.standard_normal(n))[owner] * share
    return frame, y[owner], x[owner], photons * condition.photons / photons.mean()


def simulate(condition: Condition) -> tuple[np.ndarray, dict[str, float]]:
    rng = np.random.default_rng([7, condition.index])
    side = condition.side
    frame, y, x, photons = emitters(condition, rng)
    movie = np.zeros((condition.n_frames, side, side))
    radius = 10 if condition.psf == "airy" else int(np.ceil(5 * condition.sigma)) + 1
    add_spots(movie, frame, y, x, photons, spot_table(condition.psf, condition.sigma), FINE, REACH, radius)
    slope = np.linspace(0.5, 1.5, side) if condition.scene == "filaments" else np.ones(side)
    movie += condition.background * slope[:, None]
    electrons = rng.poisson(movie).astype(float)
    if condition.emccd:
        electrons = rng.standard_gamma(electrons)
    electrons += condition.read_noise * rng.standard_normal(movie.shape)
    adu = np.rint(electrons / condition.gain + condition.offset).clip(0, 65535).astype(np.uint16)
    inside = (y >= 0) & (y < side) & (x >= 0) & (x < side)
    read = 0 if condition.offset_given else condition.read_noise**2 / condition.factor
    truth = {
        "psf_sigma_px": condition.sigma,
        "photons_mean": float(photons[inside].mean()),
        "background_photons": condition.background + read,
        "density_per_um2": float(inside.sum()) / condition.n_frames / (side * 0.1) ** 2,
        "gain_e_per_adu": condition.gain,
        "photons_sd": float(photons[inside].std()),
        "on_time_frames": condition.on_time,
    }
    return adu, truth


def measure(condition: Condition) -> dict[str, object]:
    adu, truth = simulate(condition)
    kind = "emccd" if condition.emccd else "cmos"
    known = CameraSettings(camera_type=kind)
    if condition.offset_given:
        known = known.replace(offset_adu=condition.offset, read_noise_e=condition.read_noise)
    begin = time.perf_counter()
    found = estimate_acquisition(FrameStack.from_array(adu), known, 100.0)
    seconds = time.perf_counter() - begin
    values = {name: (found[name].value, found[name].interval) for name in truth}
    return {
        "condition": asdict(condition) | {"peak_snr": condition.peak_snr},
        "truth": truth,
        "found": values,
        "warnings": list(found.warnings),
        "seconds": seconds,
    }


def table(rows: list[dict]) -> None:
    clear = [r for r in rows if r["condition"]["peak_snr"] >= 5 and r["condition"]["density"] <= 2]
    print(f"\n{len(rows)} conditions, {len(clear)} of them with peak SNR >= 5 and density <= 2 per um^2")
    columns = ("median error", "goal", "90th pct.", "goal", "covered")
    print(
        f"{'quantity':20s}"
        + "".join(f"{text:>{width}s}" for text, width in zip(columns, (13, 7, 11, 7, 9), strict=True))
        + "   of"
    )
    for name in (*GOALS, "photons_sd", "on_time_frames"):
        errors = [relative(r, name) for r in clear if r["truth"][name] and r["found"][name][0] is not None]
        stated = [r for r in rows if r["truth"][name] and r["found"][name][1] is not None]
        inside = [r["found"][name][1][0] <= r["truth"][name] <= r["found"][name][1][1] for r in stated]
        goal = GOALS.get(name, (float("nan"),) * 2)
        lost = sum(1 for r in clear if r["truth"][name] and r["found"][name][0] is None)
        note = f"  ({lost} not identified)" if lost else ""
        print(
            f"{name:20s} {np.median(errors):12.1%} {goal[0]:6.0%} {np.quantile(errors, 0.9):10.1%} {goal[1]:6.0%} "
            f"{np.mean(inside):8.0%} {len(inside):4d}{note}"
        )
    print(f"seconds per condition: median {np.median([r['seconds'] for r in rows]):.1f}")


def relative(row: dict, name: str) -> float:
    return abs(row["found"][name][0] / row["truth"][name] - 1)


def line(row: dict) -> str:
    c, t = row["condition"], row["truth"]
    kind = f"{c['psf']:8s} {'emccd' if c['emccd'] else 'cmos':5s} {'o' if c['offset_given'] else '-'}"
    light = f"s{c['sigma']:.2f} N{c['photons']:5.0f} b{c['background']:5.1f} d{c['density']:.2f} g{c['gain']:5.2f}"
    head = f"{c['index']:4d} {kind} {light} on{c['on_time']:.1f} snr{c['peak_snr']:5.1f} |"
    for name in GOALS:
        value, interval = row["found"][name]
        if value is None or not t[name]:
            head += "     none "
            continue
        mark = " " if interval and interval[0] <= t[name] <= interval[1] else "!"
        head += f" {value / t[name] - 1:+8.1%}{mark}"
    return head + f" {row['seconds']:.1f} s {'W' if row['warnings'] else ''}"


def describe(name: str, found: AcquisitionEstimate, seconds: float) -> None:
    print(f"\n{name} ({seconds:.1f} s)")
    for q in found.quantities:
        value = "-" if q.value is None else f"{q.value:.4g}" if isinstance(q.value, float) else q.value
        interval = "" if q.interval is None else f"[{q.interval[0]:.4g}, {q.interval[1]:.4g}]"
        print(f"  {q.name:22s} {value:>10s} {q.unit:7s} {interval:24s} {q.source:9s} {q.detail}")
    for warning in found.warnings:
        print("  !", warning)


def real(folder: Path) -> None:
    import tifffile

    emccd = CameraSettings(camera_type="emccd")
    movies = (
        ("deepstorm_training", "camera type only", emccd),
        ("deepstorm_training", "offset 100 ADU given", emccd.replace(offset_adu=100.0, read_noise_e=0.0)),
        ("podosomes_3b", "camera type only", emccd),
    )
    for name, how, known in movies:
        stack = FrameStack.from_array(tifffile.imread(folder / name / "stack.tif"))
        begin = time.perf_counter()
        found = estimate_acquisition(stack, known, 100.0)
        describe(f"{name}, {how}", found, time.perf_counter() - begin)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=120)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--only", type=int, nargs="*")
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--scene", choices=("uniform", "filaments"), default="uniform")
    parser.add_argument("--out", type=Path, default=Path("estimate_conditions.jsonl"))
    parser.add_argument("--fresh", action="store_true", help="forget earlier results in --out")
    parser.add_argument("--real", type=Path, help="folder of real movies to look at instead")
    options = parser.parse_args()
    if options.real:
        real(options.real)
        return
    if options.fresh:
        options.out.unlink(missing_ok=True)
    done = [json.loads(text) for text in options.out.read_text().splitlines()] if options.out.exists() else []
    keys = ("scene", "n_frames", "side")
    here = (options.scene, options.frames, options.side)
    rows = {r["condition"]["index"]: r for r in done if tuple(r["condition"][k] for k in keys) == here}
    wanted = options.only or range(options.first, options.first + options.n)
    for index in wanted:
        if index not in rows or options.only:
            row = json.loads(json.dumps(measure(draw(index, *(options.scene, options.frames, options.side)))))
            rows[index] = row
            with options.out.open("a") as file:
                file.write(json.dumps(row) + "\n")
        print(line(rows[index]), flush=True)
    table([rows[index] for index in wanted])


if __name__ == "__main__":
    main()
