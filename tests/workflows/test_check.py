"""check and resolution end to end: numbers against truth, files, refusals, planted inventions on the command line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import ndimage

import stormcell as sc
from stormcell.assessment.artefacts import ArtefactClass
from stormcell.cli.main import main
from stormcell.data import Localizations, PixelGrid, SRImage
from stormcell.errors import DataQualityWarning, InputError, MissingQuantityError, OutputError
from stormcell.io.images import read_image, write_image
from stormcell.workflows.check_outputs import check_files

if TYPE_CHECKING:
    from pathlib import Path

SIZE, RATIO, SIDE = 20.0, 5, 200
ALPHA, BETA, RSF_NM = 3.0, 40.0, 130.0


def lines(seed: int = 0, n: int = 5) -> np.ndarray:
    """Points along straight lines, in nm."""
    rng = np.random.default_rng(seed)
    t = np.linspace(-6000, 6000, 12000)
    parts = []
    for _ in range(n):
        angle, y, x = rng.uniform(0, np.pi), rng.uniform(500, 3500), rng.uniform(500, 3500)
        parts.append(np.stack([x + t * np.cos(angle), y + t * np.sin(angle)], axis=1))
    points = np.concatenate(parts)
    return points[((points > 0) & (points < SIDE * SIZE)).all(axis=1)]


def draw(points: np.ndarray) -> np.ndarray:
    edges = np.arange(SIDE + 1) * SIZE
    counts, _, _ = np.histogram2d(points[:, 1], points[:, 0], bins=(edges, edges))
    return ndimage.gaussian_filter(counts, 1.0).astype(np.float32)


def coarse(fine: np.ndarray) -> np.ndarray:
    blurred = ndimage.gaussian_filter(ALPHA * fine.astype(np.float64), RSF_NM / SIZE, mode="reflect", truncate=6)
    wide = blurred.reshape(SIDE // RATIO, RATIO, SIDE // RATIO, RATIO).mean(axis=(1, 3))
    return (wide + BETA).astype(np.float32)


def image_of(pixels: np.ndarray, size: float = SIZE) -> SRImage:
    return SRImage(pixels.astype(np.float32), PixelGrid(size, pixels.shape))


def table_of(points: np.ndarray, n: int, seed: int = 3) -> Localizations:
    rng = np.random.default_rng(seed)
    places = points[rng.integers(0, len(points), n)] + rng.normal(0, 12, (n, 2))
    columns = {"frame": rng.permutation(n), "x_nm": places[:, 0], "y_nm": places[:, 1]}
    spread = np.full(n, 12.0)
    columns |= {"uncertainty_x_nm": spread, "uncertainty_y_nm": spread, "n_detections": np.ones(n, int)}
    return Localizations(columns)


@pytest.fixture(scope="module")
def pair() -> tuple[SRImage, SRImage]:
    fine = draw(lines())
    return image_of(fine), image_of(coarse(fine), SIZE * RATIO)


@pytest.fixture
def files(pair, tmp_path: Path) -> tuple[Path, Path]:
    paths = (tmp_path / "sr.ome.tif", tmp_path / "wide.ome.tif")
    for image, path in zip(pair, paths, strict=True):
        write_image(image, path)
    return paths


def test_the_numbers_are_those_of_the_truth(pair) -> None:
    found = sc.check(*pair, max_shift_px=0).numbers
    assert found["rsf_sigma_nm"] == pytest.approx(RSF_NM, rel=0.02)
    assert found["alpha"] == pytest.approx(ALPHA, rel=0.02)
    assert found["beta"] == pytest.approx(BETA, rel=0.02)
    assert found["rsp"] > 0.999
    assert found["shares"]["measured"] == 0  # no events, nothing measured
    assert sum(found["shares"].values()) == pytest.approx(1)


def test_an_invention_is_contradicted_and_taken_out_and_events_make_measured(pair) -> None:
    image, wide = pair
    invented = np.zeros(image.pixels.shape, bool)
    invented[100:103, 30:75] = True  # 900 nm of filament that nobody saw
    invented &= ndimage.gaussian_filter(image.pixels, 8) < 0.1 * image.pixels.max()
    planted = image.pixels + invented * np.float32(np.percentile(image.pixels[image.pixels > 0], 90))
    done = sc.check(image_of(planted), wide, known={"table": table_of(lines(), 6000)}, suppress=True).checked[0]
    classes = done.artefacts.classes.pixels
    assert (classes[invented] == ArtefactClass.CONTRADICTED).mean() > 0.5
    assert not (classes[invented] == ArtefactClass.MEASURED).mean() > 0.2
    assert done.artefacts.shares["measured"] > 0.5
    left = done.corrected.pixels[invented].sum() / planted[invented].sum()
    assert left < 0.5
    true = (image.pixels > 0.3 * image.pixels.max()) & ~ndimage.binary_dilation(invented, iterations=5)
    assert done.corrected.pixels[true].sum() > 0.98 * planted[true].sum()


def test_what_is_less_certain_than_bright_is_not_measured(pair) -> None:
    image, wide = pair
    known = {"table": table_of(lines(), 6000)}
    sure = sc.check(image, wide, known=known).checked[0].artefacts.shares["measured"]
    unsure = image_of(2 * image.pixels)
    assert sure > 0.5
    assert sc.check(image, wide, known={**known, "uncertainty": unsure}).checked[0].artefacts.shares["measured"] == 0
    owed = image_of(np.ones_like(image.pixels))
    assert sc.check(image, wide, known={**known, "prior_share": owed}).checked[0].artefacts.shares["measured"] == 0


def test_a_table_is_drawn_and_tested_by_what_was_held_out(pair) -> None:
    table = table_of(lines(), 6000)
    done = sc.check(table, pair[1], held_out_share=0.2)
    assert done.checked[0].image.pixels.sum() == pytest.approx(0.8 * table.n_rows, rel=0.06)
    assert done.numbers["rsp"] > 0.97
    assert done.numbers["shares"]["measured"] > 0.5
    assert done.numbers["shares"]["contradicted"] < 0.05


def test_files_and_json_of_the_command(files, tmp_path: Path, capsys) -> None:
    folder = tmp_path / "out"
    command = [
        "check",
        files[0],
        "--widefield",
        files[1],
        "-o",
        folder,
        "--suppress",
        "--illumination",
        "tirf",
        "--json",
    ]
    assert main([str(word) for word in command]) == 0
    said = json.loads(capsys.readouterr().out)["result"]
    written = json.loads((folder / "check.json").read_text())
    for name in ("rsp", "rse", "rsf_sigma_nm", "alpha", "beta", "shift_x_nm", "shift_y_nm"):
        assert said[name] == pytest.approx(written[name])
    assert written["illumination"] == "tirf"
    assert written["intervals"]["rsp"][0] <= written["rsp"] <= written["intervals"]["rsp"][1]
    # NanoPyx lays coarse pixels half a pixel off, so that even a perfect pair falls short of 1.
    assert 0.9 < written["nanopyx"]["rsp"] < written["rsp"]
    assert {path.name for path in folder.iterdir()} == set(check_files(1, suppress=True, fuse=False))
    error = read_image(folder / "error_map.ome.tif").pixels
    signed = read_image(folder / "error_signed.ome.tif").pixels
    np.testing.assert_allclose(error, np.abs(signed))
    page = (folder / "report.html").read_text()
    assert page.count("data:image/png") >= 5
    assert "http" not in page.split("<body>")[1]
    assert "artificial sharpening" in page
    assert main([str(word) for word in command]) == 2  # exists
    with pytest.raises(OutputError):
        sc.check(*files, output=folder)


def test_several_images_are_ranked_and_fused(pair) -> None:
    image, wide = pair
    half = image.pixels.copy()
    half[:, :100] *= 0.1
    other = image.pixels.copy()
    other[:, 100:] *= 0.1
    done = sc.check([image_of(half), image_of(other)], wide, fuse=True, n_bootstrap=0)
    rsp = [one["rsp"] for one in done.numbers["images"]]
    assert done.numbers["fused"]["rsp"] > max(rsp) + 0.02


@pytest.mark.parametrize(
    ("sr", "wide", "words"),
    [
        (np.zeros((SIDE, SIDE)), None, "only zeros"),
        (np.full((SIDE, SIDE), 7.0), None, "every pixel"),
        (np.full((SIDE, SIDE), np.nan), None, "finite"),
        (None, np.full((40, 40), 3.0), "every pixel"),
        (None, np.random.default_rng(1).random((400, 400)), "same field"),
        (None, np.random.default_rng(1).random((20, 20)), "same field"),
        (None, np.random.default_rng(1).random((40, 40)), "same field"),
    ],
    ids=["zero", "constant", "NaN", "constant wide field", "larger field", "smaller field", "unrelated"],
)
def test_no_number_for_what_cannot_be_compared(pair, sr, wide, words) -> None:
    first = pair[0] if sr is None else image_of(sr)
    second = pair[1] if wide is None else image_of(wide, SIZE * RATIO)
    with pytest.raises(InputError, match=words):
        sc.check(first, second)


def test_other_refusals(pair, tmp_path: Path, capsys) -> None:
    with pytest.raises(InputError, match="at least as large"):
        sc.check(image_of(pair[0].pixels[:40, :40], 100.0), image_of(pair[0].pixels, 20.0))
    far = SRImage(pair[1].pixels, PixelGrid(100.0, (40, 40), (50_000.0, 0.0)))
    with pytest.raises(InputError, match="same field"):
        sc.check(pair[0], far)
    with pytest.raises(InputError, match="holds nothing independent"):
        sc.check(table_of(lines(), 500))
    np.save(tmp_path / "bare.npy", pair[0].pixels)
    with pytest.raises(MissingQuantityError, match="--sr-pixel-size-nm"):
        sc.check(tmp_path / "bare.npy", pair[1])
    with pytest.raises(MissingQuantityError, match="--widefield-pixel-size-nm"):
        sc.check(pair[0], tmp_path / "bare.npy")
    assert main(["check", str(tmp_path / "bare.npy"), "--sr-pixel-size-nm", "20"]) == 2
    assert "--widefield" in capsys.readouterr().err


def test_resolution_of_a_table_with_its_files(tmp_path: Path, capsys) -> None:
    from stormcell.io.tables import write_table

    path = tmp_path / "table.parquet"
    write_table(table_of(lines(), 8000), path)
    assert main(["resolution", str(path), "--map", "-o", str(tmp_path / "r.json")]) == 0
    assert "90 %" in capsys.readouterr().out
    numbers = json.loads((tmp_path / "r.json").read_text())
    low, high = numbers["interval_nm"]
    assert 25 < low < numbers["resolution_nm"] < high < 120
    curve = np.genfromtxt(tmp_path / "r.csv", delimiter=",", names=True)
    assert curve["frequency_per_nm"][0] == 0
    assert curve["smoothed"][3] > 0.5
    assert {p.name for p in tmp_path.iterdir()} >= {"r.png", "r_map.png", "r_map.ome.tif"}
    assert np.nanmedian(read_image(tmp_path / "r_map.ome.tif").pixels) == pytest.approx(
        numbers["map_median_nm"], rel=0.01
    )


def test_resolution_of_images_and_what_does_not_fit(pair) -> None:
    rng = np.random.default_rng(0)
    noisy = [image_of(rng.poisson(20 * pair[0].pixels)) for _ in range(2)]
    both = sc.resolution(noisy)
    assert (both.method, both.value_nm is not None) == ("frc", True)
    one = sc.resolution(pair[0])
    assert one.method == "decorrelation"
    # Lines of 20 nm sigma: finer than the wide field, not finer than three pixels.
    assert 2 * SIZE < one.value_nm < 200
    for source, options in ((pair[0], {"method": "nena"}), (pair[0], {"method": "frc"}), (pair[0], {"map": True})):
        with pytest.raises(InputError):
            sc.resolution(source, **options)
    with pytest.raises(InputError, match="render it first"):
        sc.resolution(table_of(lines(), 500), method="decorrelation")
    with pytest.raises(InputError, match="neighbour"):
        sc.resolution(table_of(lines(), 500), method="nena")


def test_sharpening_keeps_rsp_but_not_the_blur_level(pair) -> None:
    """What the documentation says a wide field cannot find, and what finds it."""
    table = table_of(lines(), 20_000)
    plain = sc.render(table, sr_pixel_size_nm=10)
    sharp = image_of(plain.pixels**2, 10.0)
    known = {"table": table}
    honest = sc.check(plain, pair[1], known=known, n_bootstrap=0).numbers["blur_level"]
    assert honest["gain"] == pytest.approx(1, abs=0.01)
    assert not honest["is_sharpened"]
    with pytest.warns(DataQualityWarning, match="sharpened"):
        found = sc.check(sharp, pair[1], known=known, n_bootstrap=0)
    assert found.numbers["blur_level"]["is_sharpened"]
    assert any("sharpened" in sentence for sentence in found.provenance.warnings)
    assert sc.check(table, pair[1], n_bootstrap=0).numbers["blur_level"] is None
    thin = sc.render(table, sr_pixel_size_nm=10, uncertainty_nm=5)
    rsp = [sc.check(one, pair[1], n_bootstrap=0).numbers["rsp"] for one in (plain, thin)]
    assert rsp[1] == pytest.approx(rsp[0], abs=0.01)
