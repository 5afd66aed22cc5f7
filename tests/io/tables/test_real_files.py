"""Files that other programs wrote."""

import numpy as np
import pytest

from stormcell.data import PixelGrid
from stormcell.errors import FormatError
from stormcell.io.tables import read_table

BACTERIA = {"01": 29995, "02": 28757, "03": 17361, "04": 26087, "05": 34844, "06": 27243}


def rows_of(path):
    """Read with NumPy alone, for comparison."""
    return np.genfromtxt(path, delimiter=",", skip_header=1, encoding="utf-8")


@pytest.mark.parametrize("field", ["01", "03"])
def test_bacteria_by_thunderstorm(shared_data, field):
    path = shared_data / "bacteria_tables" / f"{field}_storm.csv"
    found, rows = read_table(path), rows_of(path)
    assert len(found) == BACTERIA[field]
    order = ("id", "frame", "x_nm", "y_nm", "psf_sigma_nm", "photons", "background_photons", "background_std_photons")
    for index, name in enumerate((*order, "chi2", "uncertainty_x_nm")):
        expected = rows[:, index] - (1 if name == "frame" else 0)
        np.testing.assert_array_equal(found[name], expected, err_msg=name)
    np.testing.assert_array_equal(found["uncertainty_y_nm"], found["uncertainty_x_nm"])
    assert found["frame"].min() == 0
    assert found.provenance.notes == ()


def test_the_oddly_quoted_header_of_locan(shared_data):
    path = shared_data / "formats" / "Thunderstorm_dstorm_data.csv"
    found, rows = read_table(path), rows_of(path)
    assert len(found) == 19
    np.testing.assert_array_equal(found.positions_nm, rows[:, 2:4])
    np.testing.assert_array_equal(found["frame"], 2000)
    np.testing.assert_array_equal(found["uncertainty_x_nm"], rows[:, 9])


def test_the_truth_of_deep_storm(shared_data):
    path = shared_data / "deepstorm_training" / "truth_thunderstorm.csv"
    found, rows = read_table(path), rows_of(path)
    assert len(found) == 4956
    np.testing.assert_array_equal(np.unique(found["frame"]), np.arange(20))
    np.testing.assert_array_equal(found["photons"], rows[:, 5])


def test_the_truth_of_the_thunderstorm_frame(shared_data):
    path = shared_data / "thunderstorm_frame" / "tubulins1_00020.csv"
    found, rows = read_table(path), rows_of(path)
    assert len(found) == 49
    np.testing.assert_array_equal(found["frame"], 19)
    np.testing.assert_array_equal(found.positions_nm, rows[:, 2:4])
    assert (found["z_nm"].min(), found["z_nm"].max()) == (rows[:, 4].min(), rows[:, 4].max())


def test_picasso(shared_data):
    import h5py

    path = shared_data / "formats" / "picasso_locs.hdf5"
    found = read_table(path)
    with h5py.File(path) as hdf5:
        locs = hdf5["locs"][()]
    assert len(found) == len(locs) == 564
    np.testing.assert_allclose(found["x_nm"], (locs["x"].astype(float) + 0.5) * 130, rtol=1e-15)
    np.testing.assert_allclose(found["uncertainty_y_nm"], locs["lpy"].astype(float) * 130, rtol=1e-15)
    np.testing.assert_array_equal(found["psf_sigma_nm"], locs["sx"].astype(float) * 130)
    assert found.grid == PixelGrid(130.0, (32, 32))
    assert found.n_frames == 1000


def test_nuclear_pores_without_header(shared_data):
    path = shared_data / "npc" / "npc_table.csv"
    with pytest.raises(FormatError, match="no header line"):
        read_table(path)
    found = read_table(path, labels=("x [nm]", "y [nm]", "frame"))
    assert len(found) == 18454
    early = found["frame"] < 500
    assert early.sum() == 12035
    assert found["frame"][~early].min() >= 10_000


def test_movies_are_no_tables(shared_data):
    for name in ("podosomes_3b/stack.tif", "picasso_movie/testdata.raw", "microtubules_small/stack.mat"):
        with pytest.raises(FormatError, match="expected a localization table"):
            read_table(shared_data / name)


def test_rapidstorm(shared_data):
    folder = shared_data / "formats"
    flat, solid = (read_table(folder / name) for name in ("rapidSTORM_dstorm_data.txt", "ftsz_rapidstorm_3d.txt"))
    for found, name, n_rows in ((flat, "rapidSTORM_dstorm_data.txt", 14), (solid, "ftsz_rapidstorm_3d.txt", 20990)):
        rows = np.loadtxt(folder / name)
        assert len(found) == len(rows) == n_rows
        np.testing.assert_array_equal(found.positions_nm, rows[:, :2])
        np.testing.assert_array_equal(found["frame"], rows[:, -4])
        np.testing.assert_array_equal(found["intensity_adu"], rows[:, -3])
    assert "z_nm" in solid
    assert "z_nm" not in flat


def test_tracks_of_rapidstorm_agree_with_their_means(shared_data):
    path = shared_data / "formats" / "rapidSTORM_dstorm_track_data.txt"
    found = read_table(path)
    lines = [line.split() for line in path.read_text().splitlines()[1:]]
    assert len(found) == sum(int(line[4]) for line in lines) == 91
    for track, line in enumerate(lines):
        rows = found.take(found["track_id"] == track)
        assert rows["frame"].max() == int(line[2])
        assert rows["x_nm"].mean() == pytest.approx(float(line[0]), rel=5e-6)
        assert rows["intensity_adu"].sum() == pytest.approx(float(line[3]), rel=2e-5)


def test_decode_of_a_real_run(shared_data):
    import h5py

    path = shared_data / "formats" / "decode_dstorm_data.h5"
    found = read_table(path)
    with h5py.File(path) as hdf5:
        xyz, spread, frames = (hdf5[f"data/{name}"][()] for name in ("xyz", "xyz_sig", "frame_ix"))
    assert len(found) == 96
    np.testing.assert_allclose(found["y_nm"], (xyz[:, 0].astype(float) + 0.5) * 127, rtol=1e-9)
    np.testing.assert_allclose(found["x_nm"], (xyz[:, 1].astype(float) + 0.5) * 117, rtol=1e-9)
    np.testing.assert_array_equal(found["z_nm"], xyz[:, 2])
    np.testing.assert_allclose(found["uncertainty_y_nm"], spread[:, 0].astype(float) * 127, rtol=1e-9)
    np.testing.assert_array_equal(found["frame"], frames)
    assert len(read_table(shared_data / "formats" / "decode_dstorm_data_empty.h5")) == 0


def test_smap_smlm_elyra_and_nanoimager(shared_data):
    import h5py

    folder = shared_data / "formats"
    smap = read_table(folder / "smap_dstorm_data.mat")
    with h5py.File(folder / "smap_dstorm_data.mat") as hdf5:
        np.testing.assert_array_equal(smap["x_nm"], hdf5["saveloc/loc/xnm"][0])
        np.testing.assert_array_equal(smap["frame"] + 1, hdf5["saveloc/loc/frame"][0])
    assert (len(smap), smap.grid) == (4884, PixelGrid(104.0, (256, 256)))
    smlm = read_table(folder / "SMLM_dstorm_data.smlm")
    assert len(smlm) == 10
    # what the manifest says of itself
    assert (smlm["x_nm"].min(), smlm["x_nm"].max()) == pytest.approx((1653.34, 14215.5))
    assert (smlm["y_nm"].min(), smlm["y_nm"].max()) == pytest.approx((5597.88, 18577.3))
    elyra = read_table(folder / "Elyra_dstorm_data.txt")
    assert (len(elyra), elyra["frame"].min(), elyra["photons"][0], elyra["x_nm"][-1]) == (15, 0, 472, 5369.8)
    oni = read_table(folder / "Nanoimager_dstorm_data.csv")
    assert (len(oni), oni["frame"][0], oni["x_nm"][0]) == (14, 1548, 40918.949219)
