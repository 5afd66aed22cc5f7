"""Formats of other programs: units, origin and first frame as each counts them; damage is refused in one line."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from stormcell.data import PixelGrid
from stormcell.errors import FormatError, InputError, MissingQuantityError
from stormcell.io.tables import FORMATS, is_table, read_table

_spec = importlib.util.spec_from_file_location("foreign_tables", Path(__file__).with_name("foreign.py"))
foreign = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(foreign)
FOREIGN, RAPIDSTORM = foreign.FOREIGN, foreign.RAPIDSTORM
decode, rapidstorm_header, smlm = foreign.decode, foreign.rapidstorm_header, foreign.smlm


@pytest.fixture(params=FOREIGN)
def made(request, tmp_path):
    name, write, expected = FOREIGN[request.param]
    write(tmp_path / name)
    return tmp_path / name, expected


def attempt(path):
    """Return the table, or None and the complaint."""
    try:
        return read_table(path), ""
    except InputError as error:
        return None, str(error)


def test_every_format_that_is_only_read_stands_in_the_list():
    assert set(FOREIGN) == {name for name, entry in FORMATS.items() if not entry.endings}


@pytest.mark.parametrize("name", FOREIGN)
def test_one_format_recognises_a_file(name, tmp_path):
    from stormcell.io.reading import first_bytes
    from stormcell.io.tables.delimited import read_header
    from stormcell.io.tables.table_format import TableFile

    path = tmp_path / FOREIGN[name][0]
    FOREIGN[name][1](path)
    head = first_bytes(path, "a table")
    file = TableFile(path, head, read_header(head))
    assert next(key for key, entry in FORMATS.items() if entry.looks_like(file)) == name
    assert is_table(path)


def test_columns_units_origin_and_frames(made):
    path, expected = made
    found = read_table(path)
    assert set(found.names) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=2e-7, err_msg=name)
    assert found.provenance.verb == "read"
    assert found.provenance.inputs[0].name == path.name


def test_what_was_left_out_is_said(made):
    path, _ = made
    notes = " ".join(read_table(path).provenance.notes)
    for words in ("LLrel", "TwoKernelImprovement", "PSF half width", "layer"):
        if words.encode() in path.read_bytes():
            assert words in notes


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9, 0.97])
def test_a_truncated_file_is_refused_or_whole_rows(made, share):
    """Text that is cut between two rows is a shorter table; everything else must be refused in one line."""
    path, expected = made
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    found, complaint = attempt(path)
    if found is None:
        assert "\n" not in complaint
        assert path.name in complaint
    else:
        assert path.suffix in (".csv", ".txt")
        assert found.n_rows <= len(expected["x_nm"])


def test_damaged_bytes_never_end_in_a_traceback(made):
    path, _ = made
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(40):
        damaged = bytearray(content)
        for place in rng.integers(0, len(content), 8):
            damaged[place] = rng.integers(0, 256)
        path.write_bytes(damaged)
        assert "\n" not in attempt(path)[1]


def test_a_row_that_is_cut_is_named(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(f"# {RAPIDSTORM}\n1 2 3 4 5 6 7 8 9\n1 2 3 4\n")
    with pytest.raises(FormatError, match=r"expected 9 values in line 3 .* got 4"):
        read_table(path)
    path.write_text(f"# {RAPIDSTORM}\n1 2 3 4 5 6 7 8 9\n1 2 3 4 5 six 7 8 9\n")
    with pytest.raises(FormatError, match=r"expected a number in line 3 .*'six'"):
        read_table(path)


def test_a_header_alone_is_an_empty_table(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(f"# {RAPIDSTORM}\n")
    found = read_table(path)
    assert found.n_rows == 0
    assert "x_nm" in found
    FOREIGN["elyra"][1](path)
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"\n") + 1] + content[content.index(b"\x00") :])
    assert read_table(path).n_rows == 0


def test_tracks_of_rapidstorm(tmp_path):
    inner = rapidstorm_header(
        ("Position-0-0", "nanometer"), ("Position-0-0-uncertainty", "nanometer"), ("Position-1-0", "nanometer"),
        ("ImageNumber-0-0", "frame"),
    )  # fmt: skip
    outer = rapidstorm_header(("Position-0-0", "nanometer"), ("Position-1-0", "nanometer"), nested=inner)
    path = tmp_path / "a.txt"
    path.write_text(f"# {outer}\n15 25 2 10 1 20 0 20 2 30 1\n5 6 1 5 3 6 9\n")
    found = read_table(path)
    np.testing.assert_array_equal(found["x_nm"], [10, 20, 5])
    np.testing.assert_array_equal(found["y_nm"], [20, 30, 6])
    np.testing.assert_array_equal(found["uncertainty_x_nm"], [1, 2, 3])
    np.testing.assert_array_equal(found["frame"], [0, 1, 9])
    np.testing.assert_array_equal(found["track_id"], [0, 0, 1])
    path.write_text(f"# {outer}\n15 25 2 10 1 20 0 20 2 30\n")
    with pytest.raises(FormatError, match=r"expected a track .* in line 2"):
        read_table(path)


def test_decode_in_nm_and_without_a_pixel_size(tmp_path):
    """The half pixel between DECODE's origin and ours needs the pixel size in either unit."""
    path = tmp_path / "a.h5"
    decode(path, unit="nm")
    found = read_table(path)
    np.testing.assert_allclose(found["x_nm"], [2.5 * 117, 10.75 * 117], rtol=1e-6)
    np.testing.assert_allclose(found["uncertainty_y_nm"], [12.7, 38.1], rtol=1e-6)
    decode(path, px_size=None)
    with pytest.raises(MissingQuantityError, match=r"pixel size is missing .*--pixel-size-nm"):
        read_table(path)
    np.testing.assert_allclose(read_table(path, camera_pixel_size_nm=100)["x_nm"], [250, 1075])
    decode(path)
    given = read_table(path, camera_pixel_size_nm=100)
    assert "says pixels of 117 x 127 nm, but 100 nm was given" in given.provenance.warnings[0]


def test_decode_without_emitters(tmp_path):
    decode(tmp_path / "a.h5", n=0)
    found = read_table(tmp_path / "a.h5")
    assert found.n_rows == 0
    assert {"x_nm", "frame", "photons"} <= set(found.names)


def test_the_camera_of_smap(tmp_path):
    FOREIGN["smap"][1](tmp_path / "a.mat")
    found = read_table(tmp_path / "a.mat")
    assert found.grid == PixelGrid(100.0, (32, 64))
    assert found.n_frames == 20
    assert any("half a camera pixel" in note for note in found.provenance.notes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"entry": {"rows": 3}}, "should hold 3 rows of 29 bytes, but holds 58"),
        ({"entry": {"rows": "two"}}, "truncated or damaged"),
        ({"entry": {"format": "other"}}, "truncated or damaged"),
        ({"entry": {"name": "b.bin"}}, "truncated or damaged"),
        ({"layout": {"mode": "text"}}, "expected a binary table"),
        ({"layout": {"dtype": ["object"] * 7}}, "expected columns of type int8.*got 'object'"),
        ({"layout": {"headers": list("abcdefg")}}, "no x column"),
        ({"layout": {"units": ["furlong"] * 7}}, "no x column"),
        ({"files": []}, "expected a binary table"),
        ({"formats": None}, "truncated or damaged"),
    ],
)
def test_an_smlm_manifest_that_is_wrong(tmp_path, changes, words):
    smlm(tmp_path / "a.smlm", **changes)
    with pytest.raises(FormatError, match=words) as caught:
        read_table(tmp_path / "a.smlm")
    assert "\n" not in str(caught.value)


def test_smlm_numbers_as_text_and_light_without_unit(tmp_path):
    changes = {"entry": {"rows": "2"}, "layout": {"columns": "7", "shape": ["1"] * 7, "units": [""] * 7}}
    smlm(tmp_path / "a.smlm", **changes)
    found = read_table(tmp_path / "a.smlm")
    np.testing.assert_array_equal(found["x_nm"], [0.5, 1.5])
    np.testing.assert_array_equal(found["intensity_adu"], [100, 200])
    assert any("not given in photons" in note for note in found.provenance.notes)


@pytest.mark.parametrize(
    ("x", "y", "factor"),
    [
        ("x (nm)", "y (nm)", 1), ("X_nm", "Y_nm", 1), ("x nm", "y nm", 1), ("pos_x/um", "pos_y/um", 1000),
        ("x (\xb5m)", "y (\xb5m)", 1000), ("X (px)", "Y (px)", 100), ("x_px", "y_px", 100), ("x, m", "y, m", 1e9),
    ],
)  # fmt: skip
def test_stated_units(tmp_path, x, y, factor):
    path = tmp_path / "a.txt"
    path.write_text(f'"{x}"\t"{y}"\tframe\n1.5\t2.5\t3\n', encoding="utf-8")
    if factor == 100:
        with pytest.raises(MissingQuantityError):
            read_table(path)
    found = read_table(path, camera_pixel_size_nm=100)
    np.testing.assert_allclose(found.positions_nm, [[1.5 * factor, 2.5 * factor]])
    assert found["frame"].tolist() == [3]


def test_columns_without_a_unit_are_not_guessed(tmp_path):
    (tmp_path / "a.csv").write_text("x,y,frame\n1,2,3\n")
    with pytest.raises(FormatError, match="no x column with a unit"):
        read_table(tmp_path / "a.csv")
