"""What densify invents, and what a wrong label makes of it: simulated scenes with a known truth.

    python -m benchmarks.annapalm_inventions [--model annapalm] [--scenes 50] [--only lengths gaps phantoms pores
        uniform false leakage] [--seed 9101] [--json FILE]

Fields are 6.4 um wide; filaments hold 80 to 240 events per um in the whole acquisition (200 to 600 localizations in
bursts of 2.5 frames, linked), each emitter 1.5 events on average, 10 nm error, linkage 8 nm; the input holds 3 % of
the frames (pores 10 %) where nothing else is said, with 1.5 % false localizations. `both` shows the wide-field too.

lengths   invented skeleton over true skeleton (100 nm away from true structure), microtubules and actin
gaps      two collinear ends 500 nm apart, events 20 to 100 nm apart: bridged if half as bright as its flanks at its
          darkest place; the same without a gap beside it
phantoms  a filament in the events that the wide-field does not know: gone (under a quarter as bright), or
          at least half of its intensity classed contradicted
pores     centres found within 60 nm; intensity more than 60 nm from true structure, of picture and input;
          three neighbouring corners of eight erased: gap kept (under half as bright) or classed inferred
uniform   points strewn evenly, as many as microtubules give: skeleton above the level at which those are drawn
false     8 % false localizations against 1.5 %: difference of invented skeleton over true skeleton
leakage   every structure under every label: out of range by the held-out events (or drawn flat), or invented skeleton
          at most 2 %; flagged under the right label ('unknown' for structures without one) is a false alarm
"""

import argparse
import json
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

import stormcell as sc
from stormcell.assessment.artefacts import ArtefactClass
from stormcell.data import Localizations, PixelGrid, SRImage
from stormcell.learning.annapalm_fields import FieldSettings, simulate_field
from stormcell.learning.annapalm_inference import DensifyInferenceSettings, densify_image
from stormcell.learning.annapalm_model import DensifyModel, load_densify_model
from stormcell.learning.annapalm_widefield import normalise_widefield, resample_by_edges
from stormcell.metrics.densification import (
    bridge_level,
    centre_precision_recall,
    compact_centres,
    invented_length,
    share_outside,
    skeleton_length_um,
    structure_of,
)
from stormcell.networks.annapalm import STRUCTURE_LABELS
from stormcell.rendering.contact_sheets import contact_sheet
from stormcell.rendering.pictures import to_png_bytes, to_rgb
from stormcell.simulation.structures.scene import Scene as StructureScene
from stormcell.simulation.structures.scene import wormlike_chain
from stormcell.simulation.structures.siemens_star import SiemensStar
from stormcell.workflows.densify import Densified

PX, SIDE = 20.0, 320
FIELD = PX * SIDE
ERROR_NM = 10.0
EVENTS_EACH = 1.5
STRUCTURES = (
    "microtubules",
    "nuclear_pores",
    "actin",
    "endoplasmic_reticulum",
    "clusters",
    "uniform",
    "siemens_star",
)


@dataclass(frozen=True)
class Scene:
    """Emitters (x, y in nm) of events and of the wide-field, and the label."""

    emitters: np.ndarray
    optical: np.ndarray
    label: str
    share: float = 0.03

    def truth(self) -> np.ndarray:
        return gaussian_filter(histogram(self.emitters), ERROR_NM / PX) * EVENTS_EACH

    def table(self, rng: np.random.Generator, false_share: float = 0.015) -> Localizations:
        n = rng.poisson(EVENTS_EACH * self.share * rng.gamma(2, 0.5, len(self.emitters)))
        places = np.repeat(self.emitters, n, axis=0)
        places = places + rng.normal(0, ERROR_NM, places.shape)
        strewn = rng.uniform(0, FIELD, (rng.poisson(false_share * len(places)), 2))
        places = np.concatenate([places, strewn])
        places = places[np.all((places >= 0) & (places < FIELD), axis=1)]
        sigma, ones = np.full(len(places), ERROR_NM), np.ones(len(places), np.int64)
        return Localizations(
            {
                "frame": np.sort(rng.integers(0, 1000, len(places))),
                "x_nm": places[:, 0],
                "y_nm": places[:, 1],
                "uncertainty_x_nm": sigma,
                "uncertainty_y_nm": sigma,
                "n_detections": ones,
            },
            grid=PixelGrid(100.0, (64, 64), (0.0, 0.0)),
        )

    def widefield(self, rng: np.random.Generator) -> SRImage:
        """Blur of 130 nm, pixels of 100 nm, 300 electrons at the bright places, read noise 1.5."""
        fine = gaussian_filter(histogram(self.optical), 130 / PX)
        coarse = fine.reshape(64, 5, 64, 5).sum(axis=(1, 3))
        electrons = 20 + 300 * coarse / max(float(np.percentile(coarse, 99)), 1e-9)
        noisy = rng.poisson(electrons) + rng.normal(0, 1.5, coarse.shape)
        return SRImage(noisy.astype(np.float32), PixelGrid(100.0, (64, 64), (0.0, 0.0)), "e")


def histogram(places: np.ndarray) -> np.ndarray:
    image, _, _ = np.histogram2d(places[:, 1], places[:, 0], bins=SIDE, range=[[0, FIELD], [0, FIELD]])
    return image


def draw(model: DensifyModel, scene: Scene, table: Localizations, wide: SRImage | None) -> np.ndarray:
    """Rate of the whole acquisition."""
    counts = histogram(np.stack([table["x_nm"], table["y_nm"]], axis=1)).astype(np.float32)
    levels = None
    if wide is not None:
        levels, _ = resample_by_edges(normalise_widefield(wide.pixels), 100.0, (0, 0), PX, (SIDE, SIDE))
    how = DensifyInferenceSettings(structure=scene.label, share=scene.share)
    return densify_image(model, counts, levels, how).rate / scene.share


def filament(rng: np.random.Generator, events_per_um: float, path: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(np.diff(path, axis=0), axis=1).sum()
    n = rng.poisson(events_per_um / EVENTS_EACH * length / 1000)
    return path[rng.integers(0, len(path), n)] + rng.normal(0, 8, (n, 2))


def filaments(rng: np.random.Generator, n: int, events_per_um: float) -> np.ndarray:
    """Stiff filaments, as points 5 nm apart or so."""
    parts = [np.zeros((0, 2))]
    for _ in range(n):
        start = rng.uniform(0, FIELD, 2)
        path = wormlike_chain(rng, (start[0], start[1]), rng.uniform(0, 2 * np.pi), 7000.0, 20_000.0)
        parts.append(filament(rng, events_per_um, path))
    return np.concatenate(parts)


def structure_scene(name: str, seed: int, index: int, share: float = 0.03) -> Scene:
    """A field of the structure, as the simulator of trainings draws it; its seeds are no training's."""
    rng = np.random.default_rng([seed, index, 71])
    if name == "uniform":
        points = rng.uniform(0, FIELD, (rng.poisson(300 * (FIELD / 1000) ** 2), 2))
    elif name == "clusters":
        centres = rng.uniform(0, FIELD, (rng.poisson(3 * (FIELD / 1000) ** 2), 2))
        points = np.repeat(centres, 60, axis=0) + rng.normal(0, 60, (60 * len(centres), 2))
    elif name == "siemens_star":
        sites = SiemensStar().sites(StructureScene(FIELD, FIELD, 100.0), rng)[:, :2]
        points = sites[rng.integers(0, len(sites), min(len(sites), 8000))]
    elif name == "endoplasmic_reticulum":
        from stormcell.simulation.structures.endoplasmic_reticulum import EndoplasmicReticulum

        points = EndoplasmicReticulum(mesh_size_um=1.2, sites_per_um=80).sites(
            StructureScene(FIELD, FIELD, 100.0), rng
        )[:, :2]
    else:
        points = _simulated(name, seed, index)
    label = name if name in STRUCTURE_LABELS else "unknown"
    return Scene(points, points, label, share)


def _simulated(name: str, seed: int, index: int) -> np.ndarray:
    settings = FieldSettings(shares={name: 1.0}, hole_share=0.0, events_per_emitter=(EVENTS_EACH, EVENTS_EACH * 1.01))
    draws = (simulate_field(settings, seed, 1000 * index + k) for k in range(100))
    field = next(one for one in draws if one.events_per_um2 >= 30)
    middle = (field.side_nm - FIELD) / 2
    return np.stack([field.x_nm, field.y_nm], axis=1).astype(np.float64) - middle


def lengths(model: DensifyModel, options: argparse.Namespace) -> dict:
    found: dict[str, list] = {}
    for name in ("microtubules", "actin"):
        for index in range(options.scenes):
            scene, rng = structure_scene(name, options.seed, index), np.random.default_rng([options.seed, index, 1])
            table, wide, truth = scene.table(rng), scene.widefield(rng), scene.truth()
            for mode, given in (("both", wide), ("events", None)):
                image = draw(model, scene, table, given)
                found.setdefault(f"{name} {mode}", []).append(invented_length(image, truth, PX))
    return {name: share_of(rows) for name, rows in found.items()}


def share_of(rows: list) -> dict:
    invented, true = np.array(rows).sum(axis=0)
    return {"invented_um": round(invented, 2), "true_um": round(true, 1), "share": round(invented / true, 4)}


def gaps(model: DensifyModel, options: argparse.Namespace) -> dict:
    rows: dict[str, list] = {"both": [], "events": [], "unbroken both": [], "unbroken events": []}
    for index in range(options.scenes):
        rng = np.random.default_rng([options.seed, index, 2])
        spacing_nm, whole = rng.uniform(20, 100), rng.uniform(80, 240)
        along = np.array([np.cos(angle := rng.uniform(0, np.pi)), np.sin(angle)])
        middle = FIELD / 2 + rng.uniform(-600, 600, 2)
        steps = np.arange(-3500, 3500, 5.0)
        line = filament(rng, whole, middle + steps[:, None] * along)
        others = filaments(rng, 3, whole)
        others = others[np.linalg.norm(others - middle, axis=1) > 700]
        ends = tuple(tuple((middle + sign * 250 * along)[::-1]) for sign in (-1, 1))
        for name, kept in (("", np.abs((line - middle) @ along) > 250), ("unbroken ", slice(None))):
            points = np.concatenate([line[kept], others])
            scene = Scene(points, points, "microtubules", min(1.0, 1000 / spacing_nm / whole))
            table, wide = scene.table(rng), scene.widefield(rng)
            for mode, given in (("both", wide), ("events", None)):
                rows[name + mode].append(bridge_level(draw(model, scene, table, given), ends, PX, 600.0))
    return {
        mode: {"scenes": len(levels), "not_bridged": int(np.sum(np.array(levels) <= 0.5)), "median": _r(levels)}
        for mode, levels in rows.items()
    }


def _r(values: list) -> float:
    return round(float(np.nanmedian(values)), 3)


def phantoms(_: DensifyModel, options: argparse.Namespace) -> dict:
    gone, contradicted, either = 0, 0, 0
    for index in range(options.scenes):
        rng = np.random.default_rng([options.seed, index, 3])
        whole = rng.uniform(80, 240)
        real = filaments(rng, 6, whole)
        start = FIELD / 2 + rng.uniform(-800, 800, 2)
        angle = rng.uniform(0, 2 * np.pi)
        path = start + np.arange(-1000, 1000, 5.0)[:, None] * np.array([np.cos(angle), np.sin(angle)])
        phantom = filament(rng, whole, path)
        scene = Scene(np.concatenate([real, phantom]), real, "microtubules")
        done = opened(scene.table(rng), scene.widefield(rng), scene, options)
        on = structure_of(gaussian_filter(histogram(phantom), 0.5), PX, 20.0)
        on &= ~structure_of(gaussian_filter(histogram(real), 0.5), PX, 150.0)
        beside = structure_of(gaussian_filter(histogram(real), 0.5), PX, 0.0)
        if on.sum() < 30:
            continue
        bright = done.image.pixels[on].mean() / done.image.pixels[beside].mean()
        kinds, weight = done.classes.pixels[on], done.image.pixels[on]
        denied = weight[kinds == ArtefactClass.CONTRADICTED].sum() / weight.sum() > 0.5
        gone += bright < 0.25
        contradicted += denied
        either += bright < 0.25 or denied
    return {"scenes": options.scenes, "gone": int(gone), "contradicted": int(contradicted), "either": int(either)}


def opened(table: Localizations, wide: SRImage | None, scene: Scene, options: argparse.Namespace) -> Densified:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return sc.densify(
            table,
            widefield=wide,
            model=options.model,
            structure=scene.label,
            share=scene.share,
            register_widefield=False,
        )


def pores(_: DensifyModel, options: argparse.Namespace) -> dict:
    """Rings of eight corners; a third of the pores lacks three neighbouring ones."""
    angles = 2 * np.pi * (np.arange(8) + 0.5) / 8
    counts = dict.fromkeys(("pores", "kept", "inferred", "either"), 0)
    found: list = []
    for index in range(options.scenes):
        rng = np.random.default_rng([options.seed, index, 4])
        centres = np.stack(np.meshgrid(np.arange(400, 6100, 300.0), np.arange(400, 6100, 300.0)), -1).reshape(-1, 2)
        centres = centres[rng.random(len(centres)) < 0.6] + rng.uniform(-70, 70, (1, 2))
        turn = rng.uniform(0, 2 * np.pi, len(centres))
        broken = rng.random(len(centres)) < 0.33
        points = []
        for centre, phase, is_broken in zip(centres, turn, broken, strict=True):
            corners = angles[3:] if is_broken else angles
            places = centre + 54 * np.stack([np.cos(corners + phase), np.sin(corners + phase)], axis=1)
            points.append(np.repeat(places, 4, axis=0) + rng.normal(0, 5, (4 * len(places), 2)))
        emitters = np.repeat(np.concatenate(points), 3, axis=0)
        scene = Scene(emitters, emitters, "nuclear_pores", 0.10)
        table = scene.table(rng)
        done = opened(table, scene.widefield(rng), scene, options)
        smooth = gaussian_filter(done.image.pixels, 0.5)
        where = np.stack([table["x_nm"], table["y_nm"]], axis=1)
        found.append(_pores_found(done.image.pixels, table, scene, centres))
        for centre, phase in zip(centres[broken], turn[broken], strict=True):
            if np.sum(np.linalg.norm(where - centre, axis=1) < 90) < 3:
                continue
            erased, present = (_corner_pixels(centre, angles[part] + phase) for part in (slice(0, 3), slice(3, 8)))
            kept = smooth[erased].mean() < 0.5 * smooth[present].mean()
            flagged = bool(np.mean(done.classes.pixels[erased] == ArtefactClass.INFERRED) >= 0.5)
            for key, is_true in (("pores", 1), ("kept", kept), ("inferred", flagged), ("either", kept or flagged)):
                counts[key] += int(is_true)
    names = ("precision", "recall_of_3_events_or_more", "outside_60nm", "outside_60nm_input")
    means = dict(zip(names, np.nanmean(found, axis=0).round(3).tolist(), strict=True))
    return counts | {"share_kept_or_inferred": round(counts["either"] / max(counts["pores"], 1), 3)} | means


def _pores_found(
    image: np.ndarray, table: Localizations, scene: Scene, centres: np.ndarray
) -> tuple[float, float, float, float]:
    """Precision and recall of centres within 60 nm, and intensity more than 60 nm from true structure."""
    where = np.stack([table["x_nm"], table["y_nm"]], axis=1)
    near = np.array([np.sum(np.linalg.norm(where - centre, axis=1) < 90) for centre in centres])
    precision, recall = centre_precision_recall(compact_centres(image, PX), centres[:, ::-1], near >= 3)
    structure = structure_of(scene.truth(), PX, 60.0)
    return precision, recall, share_outside(image, structure), share_outside(histogram(where), structure)


def _corner_pixels(centre: np.ndarray, angles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    places = (centre + 54 * np.stack([np.cos(angles), np.sin(angles)], axis=1)) / PX
    index = np.clip(np.floor(places).astype(int), 0, SIDE - 1)
    return index[:, 1], index[:, 0]


def level_of(image: np.ndarray, truth: np.ndarray) -> float:
    near = structure_of(truth, PX, 0.0)
    return 0.25 * float(np.percentile(gaussian_filter(image, 1.0)[near], 99))


def uniform(model: DensifyModel, options: argparse.Namespace) -> dict:
    rows: dict[str, list] = {}
    for index in range(options.scenes):
        rng = np.random.default_rng([options.seed, index, 5])
        real = structure_scene("microtubules", options.seed, index)
        table = real.table(rng)
        n, area = len(table), (FIELD / 1000) ** 2
        strewn = Scene(rng.uniform(0, FIELD, (20_000, 2)), real.optical, "microtubules")
        points = rng.uniform(0, FIELD, (n, 2))
        even = table.with_columns(x_nm=points[:, 0], y_nm=points[:, 1])
        # Light from everywhere has no bright places; without it there are events alone.
        flat = strewn.__class__(strewn.emitters, strewn.emitters, "microtubules").widefield(rng)
        level = level_of(draw(model, real, table, None), real.truth())
        for label in ("microtubules", "unknown"):
            for mode, given in (("both", flat), ("events", None)):
                scene = Scene(strewn.emitters, strewn.emitters, label)
                image = gaussian_filter(opened(even, given, scene, options).image.pixels, 1.0)
                length = skeleton_length_um(image > level, PX) * 100 / area
                plain = gaussian_filter(histogram(points), 3.0) / 0.03
                rows.setdefault(f"{label} {mode}", []).append(
                    (length, skeleton_length_um(plain > level, PX) * 100 / area)
                )
    return {
        name: {
            "mean_um_per_100um2": round(float(np.mean(values, axis=0)[0]), 2),
            "median": _r([v[0] for v in values]),
            "smoothed_60nm_mean": round(float(np.mean(values, axis=0)[1]), 2),
        }
        for name, values in rows.items()
    }


def false(model: DensifyModel, options: argparse.Namespace) -> dict:
    rows: dict[str, list] = {}
    for index in range(options.scenes):
        scene = structure_scene("microtubules", options.seed, index)
        truth = scene.truth()
        for false_share in (0.015, 0.08):
            rng = np.random.default_rng([options.seed, index, 6])
            table, wide = scene.table(rng, false_share), scene.widefield(rng)
            for mode, given in (("both", wide), ("events", None)):
                image = draw(model, scene, table, given)
                rows.setdefault(f"{mode} {false_share}", []).append(invented_length(image, truth, PX))
    shares = {name: share_of(values)["share"] for name, values in rows.items()}
    return shares | {f"{m} rise": round(shares[f"{m} 0.08"] - shares[f"{m} 0.015"], 4) for m in ("both", "events")}


def leakage(_: DensifyModel, options: argparse.Namespace) -> dict:
    n = max(1, options.scenes // 10)
    report: dict[str, dict] = {}
    for name in STRUCTURES:
        invented, flags = [], {"right": [], "wrong": [], "events": [], "both": []}
        for index in range(n):
            for label in STRUCTURE_LABELS:
                rng = np.random.default_rng([options.seed, index, 7])
                base = structure_scene(name, options.seed, index, 0.1 if name == "nuclear_pores" else 0.03)
                scene = Scene(base.emitters, base.optical, label, base.share)
                for mode in ("both", "events"):
                    table, wide = scene.table(rng), scene.widefield(rng)
                    done = opened(table, wide if mode == "both" else None, scene, options)
                    length, true = invented_length(done.image.pixels, scene.truth(), PX)
                    known = done.judged.held_out
                    is_flagged = known is None or bool(known.doubts)
                    flags["right" if label == base.label else "wrong"].append(is_flagged)
                    flags[mode].append(is_flagged)
                    invented.append((length / max(true, 1e-9), is_flagged))
        shares = np.array(invented)
        fine = (shares[:, 0] <= 0.02) | (shares[:, 1] > 0)
        report[name] = {
            "runs": len(invented),
            "flagged_or_at_most_2_percent": round(float(fine.mean()), 3),
            "flagged": {key: f"{sum(values)} of {len(values)}" for key, values in flags.items()},
            "invented_mean": round(float(shares[:, 0].mean()), 4),
            "invented_at_most_2_percent": round(float(np.mean(shares[:, 0] <= 0.02)), 3),
        }
    return report


def sheet(model: DensifyModel, seed: int) -> np.ndarray:
    """Input, wide-field, what is drawn from the events and from both, and the truth, for every structure."""
    pictures = []
    for name in (*STRUCTURES, "mitochondria"):
        scene = structure_scene(name, seed, 1, 0.1 if name == "nuclear_pores" else 0.03)
        rng = np.random.default_rng([seed, 1, 8])
        table, wide, truth = scene.table(rng), scene.widefield(rng), gaussian_filter(scene.truth(), 0.7)
        top = float(np.percentile(truth, 99.5))
        counts = histogram(np.stack([table["x_nm"], table["y_nm"]], axis=1)) / scene.share
        images = {
            f"{name}: {100 * scene.share:g} % of the frames": (gaussian_filter(counts, 1.0), top),
            "wide-field": (np.kron(wide.pixels, np.ones((5, 5))), float(np.percentile(wide.pixels, 99.5))),
            "from the events": (draw(model, scene, table, None), top),
            "from both": (draw(model, scene, table, wide), top),
            "truth": (truth, top),
        }
        cut = np.s_[60:260, 60:260]
        pictures += [
            (title, to_rgb(image[cut], "inferno", limits=(0.0, high))) for title, (image, high) in images.items()
        ]
    return contact_sheet(pictures, columns=5, cell_px=260)


PARTS = {one.__name__: one for one in (lengths, gaps, phantoms, pores, uniform, false, leakage)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="annapalm")
    parser.add_argument("--scenes", type=int, default=50)
    parser.add_argument("--seed", type=int, default=9101)
    parser.add_argument("--only", nargs="*", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--sheet", type=Path, help="draw every structure and write no figures")
    options = parser.parse_args()
    model, report = load_densify_model(options.model), {}
    if options.sheet is not None:
        options.sheet.write_bytes(to_png_bytes(sheet(model, options.seed)))
        return
    for name in options.only:
        report[name] = PARTS[name](model, options)
        print(name, json.dumps(report[name], indent=1), flush=True)
        if options.json is not None:
            options.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
