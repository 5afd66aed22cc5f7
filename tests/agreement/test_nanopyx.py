"""Our SQUIRREL numbers, FRC and decorrelation against NanoPyx, run in an environment of its own.

The variable STORMCELL_NANOPYX_PYTHON names its interpreter.
"""

import json
import os
import subprocess

import numpy as np
import pytest
from scipy import ndimage

from stormcell.assessment.decorrelation import decorrelation
from stormcell.assessment.frc import frc_of_images
from stormcell.assessment.squirrel import SquirrelSettings, error_map
from stormcell.data import PixelGrid, SRImage

pytestmark = pytest.mark.peers

ERROR_MAPS = """
import json, sys
import numpy as np
from nanopyx.core.transform.error_map import ErrorMap
data, answers = np.load(sys.argv[1]), []
for index in range(len(data.files) // 2):
    match = ErrorMap()
    match.optimise(data[f"wide{index}"], data[f"sr{index}"])
    answers.append({"rsp": match.getRSP(), "rse": match.getRSE(), "alpha": match._alpha, "beta": match._beta})
print("ANSWER " + json.dumps([{k: float(v) for k, v in a.items()} for a in answers]))
"""
RESOLUTIONS = """
import json, sys
import numpy as np
from nanopyx.methods.squirrel import calculate_decorr_analysis, calculate_frc
data, answers = np.load(sys.argv[1]), []
for index in range(len(data.files) // 2):
    a, b = data[f"first{index}"], data[f"second{index}"]
    answers.append(
        {
            "frc": calculate_frc(a, b, pixel_size=20, units="nm"),
            "decorrelation": calculate_decorr_analysis(a, pixel_size=20, units="nm"),
        }
    )
print("ANSWER " + json.dumps([{k: float(v) for k, v in a.items()} for a in answers]))
"""


def ask(code: str, folder, **arrays):
    interpreter = os.environ.get("STORMCELL_NANOPYX_PYTHON")
    if not interpreter:
        pytest.skip("STORMCELL_NANOPYX_PYTHON does not name a Python interpreter")
    np.savez(folder / "arrays.npz", **arrays)
    done = subprocess.run(
        [interpreter, "-c", code, str(folder / "arrays.npz")],
        # On a busy machine threads that spin while they wait make NanoPyx hundreds of times slower.
        env=os.environ | {"OMP_WAIT_POLICY": "passive"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    line = next(line for line in done.stdout.splitlines() if line.startswith("ANSWER "))
    return json.loads(line.removeprefix("ANSWER "))


def ours(sr, wide, ratio):
    found = error_map(
        SRImage(sr, PixelGrid(100.0 / ratio, sr.shape)),
        SRImage(wide, PixelGrid(100.0, wide.shape)),
        SquirrelSettings(n_bootstrap=0),
    ).nanopyx
    assert found is not None
    return found


def simulated_pairs(n=20):
    """Spots and lines of several sizes and ratios; every second SR image lacks something."""
    pairs = []
    for index in range(n):
        rng = np.random.default_rng(index)
        ratio = (4, 5, 8)[index % 3]
        shape = ((32, 32), (50, 40), (64, 64), (48, 61))[index % 4]
        fine = tuple(side * ratio for side in shape)
        sr = np.zeros(fine)
        for _ in range(12):
            y, x = rng.uniform(0, fine[0]), rng.uniform(0, fine[1])
            t = np.linspace(0, 1, 4000)
            angle = rng.uniform(0, 2 * np.pi)
            yy = (y + max(fine) * t * np.sin(angle) + 10 * np.sin(6 * t)).astype(int)
            xx = (x + max(fine) * t * np.cos(angle)).astype(int)
            inside = (yy >= 0) & (xx >= 0) & (yy < fine[0]) & (xx < fine[1])
            np.add.at(sr, (yy[inside], xx[inside]), rng.uniform(0.5, 2))
        sr = ndimage.gaussian_filter(sr, 1.2)
        wide = ndimage.gaussian_filter(sr, 1.3 * ratio).reshape(shape[0], ratio, shape[1], ratio).mean(axis=(1, 3))
        wide = rng.poisson(300 * wide / wide.max() + 20)
        if index % 2:
            sr[: fine[0] // 3, : fine[1] // 2] *= 0.2
        pairs.append((sr.astype(np.float32), wide.astype(np.float32), ratio))
    return pairs


def assert_agree(mine, theirs, wide):
    assert mine.rsp == pytest.approx(theirs["rsp"], abs=0.01)
    assert mine.alpha == pytest.approx(theirs["alpha"], rel=0.02)
    assert mine.beta == pytest.approx(theirs["beta"], abs=0.02 * float(np.ptp(wide)))
    assert mine.rse == pytest.approx(theirs["rse"], rel=0.02)


def test_error_maps_of_simulated_pairs(tmp_path):
    pairs = simulated_pairs()
    arrays = {f"sr{i}": sr for i, (sr, _, _) in enumerate(pairs)} | {
        f"wide{i}": w for i, (_, w, _) in enumerate(pairs)
    }
    for (sr, wide, ratio), theirs in zip(pairs, ask(ERROR_MAPS, tmp_path, **arrays), strict=True):
        assert_agree(ours(sr, wide, ratio), theirs, wide)


def test_error_maps_of_real_microtubules(shared_data, tmp_path):
    import tifffile

    folder = shared_data / "squirrel_microtubules"
    wide = tifffile.imread(folder / "widefield.tif").astype(np.float32)
    stack = tifffile.imread(folder / "superresolution_stack.tif").astype(np.float32)
    arrays = {f"sr{i}": sr for i, sr in enumerate(stack)} | {f"wide{i}": wide for i in range(len(stack))}
    answers = ask(ERROR_MAPS, tmp_path, **arrays)
    mine = [ours(sr, wide, 5) for sr in stack]
    for found, theirs in zip(mine, answers, strict=True):
        assert_agree(found, theirs, wide)
    ranked = np.argsort([theirs["rsp"] for theirs in answers])
    assert np.array_equal(np.argsort([found.rsp for found in mine]), ranked)
    own = [
        error_map(SRImage(sr, PixelGrid(20.0, sr.shape)), SRImage(wide, PixelGrid(100.0, wide.shape))).rsp
        for sr in stack
    ]
    assert np.array_equal(np.argsort(own), ranked)
    assert int(np.argmax(own)) == 1


def well_sampled_images(n=4):
    """Two noisy images each of lines blurred to 2-3 pixels, 256 x 256."""
    images = []
    for index in range(n):
        rng = np.random.default_rng(index)
        lines = np.zeros((256, 256))
        for _ in range(14):
            t = np.linspace(-200, 200, 4000)
            angle, y, x = rng.uniform(0, np.pi), rng.uniform(0, 256), rng.uniform(0, 256)
            yy, xx = (y + t * np.sin(angle)).astype(int), (x + t * np.cos(angle)).astype(int)
            inside = (yy >= 0) & (xx >= 0) & (yy < 256) & (xx < 256)
            lines[yy[inside], xx[inside]] += 1
        clean = ndimage.gaussian_filter(lines, 2 + 0.3 * index)
        clean *= (300, 1000, 100, 500)[index % 4] / clean.max()
        images.append([rng.poisson(clean + 0.02 * clean.max()).astype(np.float32) for _ in range(2)])
    return images


def test_resolutions_of_well_sampled_images(tmp_path):
    images = well_sampled_images()
    arrays = {f"{name}{i}": pair[k] for i, pair in enumerate(images) for k, name in enumerate(("first", "second"))}
    for pair, theirs in zip(images, ask(RESOLUTIONS, tmp_path, **arrays), strict=True):
        first, second = (SRImage(pixels, PixelGrid(20.0, pixels.shape)) for pixels in pair)
        # NanoPyx smooths with another filter and samples circles; a few percent of the curve's width remain.
        assert frc_of_images(first, second).frc_resolution_nm == pytest.approx(theirs["frc"], rel=0.05)
        assert decorrelation(first).resolution_nm == pytest.approx(theirs["decorrelation"], rel=0.05)
