"""All formats: what is written is read again, by content; what is not a table is refused in one line."""

import os

import numpy as np
import pytest

from stormcell.data import COLUMNS, Localizations, PixelGrid, Provenance, Quantity
from stormcell.errors import FormatError, InputError, MissingColumnError, MissingQuantityError, OutputError
from stormcell.io.tables import FORMATS, check_table_writable, is_table, read_table, table_format_for, write_table

WRITABLE = [(entry, ending) for entry in FORMATS.values() for ending in entry.endings]
KEPT = {
    "parquet": set(COLUMNS),
    "thunderstorm": {
        *("id", "frame", "x_nm", "y_nm", "z_nm", "z_rel_nm", "psf_sigma_nm", "psf_sigma_x_nm", "psf_sigma_y_nm"),
        *("photons", "background_photons", "background_std_photons", "chi2", "uncertainty_x_nm", "uncertainty_y_nm"),
        *("uncertainty_z_nm", "n_detections", "psf_angle_rad"),
    },
    "picasso": {
        *("frame", "x_nm", "y_nm", "z_nm", "photons", "background_photons", "psf_sigma_x_nm", "psf_sigma_y_nm"),
        *("uncertainty_x_nm", "uncertainty_y_nm", "uncertainty_z_nm", "net_gradient", "ellipticity"),
        *("log_likelihood", "iterations", "group_id", "n_detections"),
    },
}
"""The columns each format can hold, from its description; a new format adds its line."""

# Picasso stores single precision, in pixels.
TOLERANCE = {"parquet": 0.0, "thunderstorm": 0.0, "picasso": 1e-6}


def full_table(n_rows: int, seed: int = 5) -> Localizations:
    rng = np.random.default_rng(seed)
    columns = {}
    for name, column in COLUMNS.items():
        is_count = column.dtype.startswith("int")
        columns[name] = rng.integers(0, 1000, n_rows) if is_count else rng.uniform(60, 9000, n_rows)
    columns["uncertainty_y_nm"] = columns["uncertainty_x_nm"]  # ThunderSTORM has one value for both
    made = Provenance(
        "localize", "0.1.0", settings={"threshold": 5.5}, quantities=(Quantity("qe", 0.9, "", "given", "", (0.8, 1)),)
    )
    grid = PixelGrid(97.53, (100, 120), (0.0, 0.0))
    return Localizations(columns, grid=grid, n_frames=1234, provenance=made)


@pytest.fixture(params=WRITABLE, ids=[ending for _, ending in WRITABLE])
def entry_and_path(request, tmp_path):
    entry, ending = request.param
    return entry, tmp_path / f"table{ending}"


@pytest.mark.parametrize("n_rows", [0, 1, 500])
def test_what_a_format_can_hold_survives(entry_and_path, n_rows):
    entry, path = entry_and_path
    table = full_table(n_rows)
    remarks = write_table(table, path)
    found = read_table(path)
    assert len(found) == n_rows
    for name in KEPT[entry.name]:
        np.testing.assert_allclose(found[name], table[name], rtol=TOLERANCE[entry.name], atol=0, err_msg=name)
    lost = [name for name in COLUMNS if name not in KEPT[entry.name]]
    assert all(name in " ".join(remarks) for name in lost), "what is lost is said"
    assert bool(remarks) == bool(lost)


def test_rows_stay_in_order_and_positions_stay_in_place(entry_and_path):
    entry, path = entry_and_path
    columns = {"frame": [7, 0, 7], "x_nm": [0.0, 97.53, 5000.125], "y_nm": [48.765, 1e-3, 9752.9]}
    table = Localizations(columns, grid=PixelGrid(97.53, (100, 120)))
    write_table(table, path)
    found = read_table(path)
    np.testing.assert_array_equal(found["frame"], [7, 0, 7])
    np.testing.assert_allclose(found.positions_nm, table.positions_nm, atol=1e-3 if TOLERANCE[entry.name] else 0)


def test_equal_tables_give_equal_bytes(entry_and_path):
    entry, path = entry_and_path
    other = path.with_name(f"other{path.suffix}")
    write_table(full_table(200), path)
    write_table(full_table(200), other)
    assert path.read_bytes() == other.read_bytes()
    write_table(full_table(200, seed=6), other, overwrite=True)
    assert path.read_bytes() != other.read_bytes(), entry.title


def test_an_existing_table_is_replaced_only_on_request(entry_and_path):
    _, path = entry_and_path
    write_table(full_table(3), path)
    before = path.read_bytes()
    with pytest.raises(OutputError, match="exists; pass --overwrite"):
        write_table(full_table(4), path)
    assert path.read_bytes() == before
    write_table(full_table(4), path, overwrite=True)
    assert len(read_table(path)) == 4


def test_the_name_does_not_decide_how_a_table_is_read(entry_and_path):
    _, path = entry_and_path
    write_table(full_table(3), path)
    disguised = path.rename(path.with_suffix(".dat"))
    assert is_table(disguised)
    if (sidecar := path.with_suffix(".yaml")).exists():
        sidecar.unlink()
    assert len(read_table(disguised)) == 3


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.98])
def test_a_truncated_table_is_refused_or_complete(entry_and_path, share):
    """A cut text that ends with a whole row cannot be told from a shorter one; everything else must be refused."""
    entry, path = entry_and_path
    write_table(full_table(300), path)
    content = path.read_bytes()
    cut = content[: int(len(content) * share)]
    if entry.name == "thunderstorm" and cut:
        cut = cut[: cut.rindex(b",")]
    path.write_bytes(cut)
    with pytest.raises(FormatError) as caught:
        read_table(path)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)


@pytest.mark.skipif(os.name == "nt", reason="file size limits are a POSIX matter")
def test_a_full_disc_is_said_and_leaves_nothing_behind(entry_and_path):
    import resource

    _, path = entry_and_path
    table = full_table(5000)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(OutputError, match="no space left to write"):
            write_table(table, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(path.parent.iterdir()) == []


JUNK = {
    "a.tif": (b"II*\x00" + bytes(100), "is a TIFF file"),
    "a.csv": (bytes(range(256)) * 4, "is binary data"),
    "b.csv": (b"\x89HDF\r\n\x1a\n" + bytes(50), "truncated or damaged"),
    "c.csv": (b"PAR1" + bytes(50), "truncated or damaged"),
    "d.csv": (b"name,colour\nfoo,red\n", r"no x column with a unit.*got: name, colour"),
    "e.csv": (b"frame,x,y\n1,2,3\n", "no x column with a unit"),
    "f.csv": (b"1.5,2.5,3\n4,5,6\n", "has no header line; name its columns with --columns"),
    "g.csv": (b"# only a comment\n", "is text|name another file|no x column"),
    "h.csv": (b"Dear Sir,\nplease find enclosed\n", "no x column"),
    "i.csv": (b'"frame","x [nm]"\n1,2\n', "no y column"),
    "j.csv": (b'"frame","x [furlong]","y [nm]"\n1,2,3\n', "no x column"),
    "k.csv": (b"PK\x03\x04zip", "is a ZIP archive"),
    "l.csv": (b"", "is empty"),
    "m.csv": (b"\n\n\n", "expected a localization table"),
    "n.csv": ("frame,x_nm,y_nm\n".encode("utf-16")[:1], "expected a localization table"),
}


@pytest.mark.parametrize("name", JUNK)
def test_what_is_no_table_is_refused_in_one_plain_line(tmp_path, name):
    content, words = JUNK[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FormatError, match=words) as caught:
        read_table(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)
    assert "expected" in str(caught.value)


def test_random_bytes_never_end_in_a_traceback(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "junk"
    for start in (b"", b"PAR1", b"\x89HDF\r\n\x1a\n", b'"frame","x [nm]","y [nm]"\n', b"x_nm,y_nm\n", b"\xff\xfe"):
        for _ in range(5):
            path.write_bytes(start + rng.integers(0, 256, 3000, dtype=np.uint8).tobytes())
            with pytest.raises(FormatError):
                read_table(path)


def test_a_folder_and_a_missing_file_are_refused(tmp_path):
    with pytest.raises(FormatError, match="is a folder"):
        read_table(tmp_path)
    with pytest.raises(FormatError, match="does not exist"):
        read_table(tmp_path / "gone.csv")


@pytest.mark.parametrize("name", ["table.xyz", "table", "table.tif"])
def test_an_unknown_ending_is_refused_with_the_known_ones(tmp_path, name):
    with pytest.raises(OutputError, match=r"\.parquet, \.csv, \.hdf5"):
        table_format_for(tmp_path / name)


def test_a_table_without_positions_is_refused(entry_and_path):
    _, path = entry_and_path
    with pytest.raises(MissingColumnError, match="expected a table with x_nm and y_nm"):
        write_table(Localizations({"frame": [0]}, grid=PixelGrid(100.0, (4, 4))), path)
    assert list(path.parent.iterdir()) == []


def test_a_name_is_checked_before_long_work(entry_and_path):
    _, path = entry_and_path
    check_table_writable(path)
    assert list(path.parent.iterdir()) == []
    write_table(full_table(2), path)
    with pytest.raises(OutputError, match="exists; pass --overwrite"):
        check_table_writable(path)
    check_table_writable(path, overwrite=True)
    with pytest.raises(OutputError, match="ending"):
        check_table_writable(path.with_suffix(".docx"))


def test_endings_are_known_in_capitals(tmp_path):
    assert table_format_for("TABLE.CSV").name == "thunderstorm"


@pytest.mark.parametrize("name", ["a.parquet", "a.csv", "a.hdf5"])
def test_a_table_without_frames_is_written_and_read(tmp_path, name):
    table = Localizations({"x_nm": [150.0, 1.0e3], "y_nm": [250.0, 2.0e3]}, grid=PixelGrid(100.0, (64, 64)))
    write_table(table, tmp_path / name)
    found = read_table(tmp_path / name)
    assert "frame" not in found
    np.testing.assert_allclose(found.positions_nm, table.positions_nm, rtol=1e-6)


@pytest.mark.parametrize("name", ["a.parquet", "a.csv", "a.hdf5"])
def test_nan_never_costs_a_row(tmp_path, name):
    columns = {
        "frame": [0, 1, 2],
        "x_nm": [150.0, 250.0, 350.0],
        "y_nm": [150.0, 250.0, 350.0],
        "photons": [100.0, 200.0, 300.0],
        "uncertainty_x_nm": [np.nan, 5.0, 6.0],
        "uncertainty_y_nm": [np.nan, 5.0, 6.0],
        "z_nm": [np.nan, 1.0, 2.0],
    }
    table = Localizations(columns, grid=PixelGrid(100.0, (64, 64)))
    write_table(table, tmp_path / name)
    found = read_table(tmp_path / name)
    np.testing.assert_array_equal(found["frame"], [0, 1, 2])
    np.testing.assert_allclose(found["uncertainty_x_nm"], columns["uncertainty_x_nm"], rtol=1e-6)


def test_a_table_in_pixels_needs_their_size(tmp_path):
    with pytest.raises(MissingQuantityError, match="--pixel-size-nm"):
        write_table(Localizations({"frame": [0], "x_nm": [1.0], "y_nm": [1.0]}), tmp_path / "a.hdf5")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_a_given_pixel_size_makes_a_table_in_nm_fit_for_picasso(tmp_path, name):
    table = Localizations({"frame": [0, 1], "x_nm": [150.0, 1240.0], "y_nm": [np.nan, 799.9]})
    write_table(table, tmp_path / name)
    assert read_table(tmp_path / name).grid is None
    found = read_table(tmp_path / name, camera_pixel_size_nm=100)
    assert found.grid == PixelGrid(100.0, (8, 13))
    write_table(found, tmp_path / "a.hdf5")
    np.testing.assert_allclose(read_table(tmp_path / "a.hdf5").positions_nm, table.positions_nm, rtol=1e-6)


def test_a_table_that_knows_its_grid_keeps_it(tmp_path):
    write_table(full_table(2), tmp_path / "a.parquet")
    assert read_table(tmp_path / "a.parquet", camera_pixel_size_nm=50).grid == full_table(2).grid


@pytest.mark.parametrize("size", [0, -5, np.nan])
def test_an_impossible_pixel_size_is_refused(tmp_path, size):
    write_table(Localizations({"x_nm": [1.0], "y_nm": [1.0]}), tmp_path / "a.csv")
    with pytest.raises(InputError, match="pixel size above 0 nm"):
        read_table(tmp_path / "a.csv", camera_pixel_size_nm=size)
