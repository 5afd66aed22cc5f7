"""ThunderSTORM CSV: every variant seen in the wild, and what we write."""

from pathlib import Path

import numpy as np
import pytest

from stormcell.data import Localizations
from stormcell.errors import FormatError, MissingQuantityError
from stormcell.io.tables import read_table, write_table


@pytest.fixture
def table_file(tmp_path):
    def write(text: str | bytes, name: str = "table.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


PLAIN = '"id","frame","x [nm]","y [nm]","intensity [photon]"\n1,1,50,150.25,1000\n2,7,1e3,2.5E-1,999.5\n'

VARIANTS = {
    "plain": PLAIN,
    "CRLF": PLAIN.replace("\n", "\r\n"),
    "old Macintosh line ends": PLAIN.replace("\n", "\r"),
    "no line end after the last row": PLAIN.rstrip("\n"),
    "byte order mark": b"\xef\xbb\xbf" + PLAIN.encode(),
    "UTF-16, as Excel exports": PLAIN.replace(",", "\t").encode("utf-16"),
    "tabs": PLAIN.replace(",", "\t"),
    "semicolons": PLAIN.replace(",", ";"),
    "semicolons and decimal commas": PLAIN.replace(",", ";").replace(".", ","),
    "no quotes": PLAIN.replace('"', ""),
    "all cells quoted": PLAIN.replace("1,1,50,150.25,1000", '"1","1","50","150.25","1000"'),
    "header quoted twice": '"id,""frame"",""x [nm]"",""y [nm]"",""intensity [photon]"""\n' + PLAIN.partition("\n")[2],
    "frames as decimals": PLAIN.replace("1,1,50", "1.0,1.0,50.0").replace("2,7,", "2.0,7.0,"),
    "blanks around cells": PLAIN.replace(",", " , "),
    "comments and empty lines first": f"# exported by hand\n\n# yes\n{PLAIN}",
    "comments between rows": PLAIN.replace("2,7", "# half way\n2,7"),
    "a comment with as many cells": PLAIN.replace("2,7", "# a,b,c,d,e\n2,7"),
    "a comment at the end": f"{PLAIN}# done\n",
    "empty lines between rows": PLAIN.replace("2,7", "\n2,7"),
    "other order": '"y [nm]","intensity [photon]","x [nm]","frame","id"\n150.25,1000,50,1,1\n2.5E-1,999.5,1e3,7,2\n',
    "micrometres": (
        '"id","frame","x [um]","y [\u00b5m]","intensity [photon]"\n1,1,.05,.15025,1000\n2,7,1,2.5E-4,999.5\n'
    ),
    "micrometres in Latin-1": (
        '"id","frame","x [\u00b5m]","y [nm]","intensity [photon]"\n1,1,.05,150.25,1000\n2,7,1,2.5E-1,999.5\n'
    ).encode("latin-1"),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_gives_the_same_table(table_file, variant):
    found = read_table(table_file(VARIANTS[variant]))
    np.testing.assert_array_equal(found["frame"], [0, 6], err_msg="frames count from 1 in the file, from 0 here")
    np.testing.assert_array_equal(found["id"], [1, 2])
    np.testing.assert_allclose(found.positions_nm, [[50, 150.25], [1000, 0.25]], rtol=1e-15)
    np.testing.assert_array_equal(found["photons"], [1000, 999.5])


def test_the_name_may_end_in_xls(table_file):
    assert len(read_table(table_file(PLAIN.replace(",", "\t"), "table.xls"))) == 2


def test_a_first_pixel_centre_stays_at_half_a_pixel(table_file):
    """ThunderSTORM puts an emitter in the centre of the first 100 nm pixel at 50 nm, as we do: no shift."""
    found = read_table(table_file('"frame","x [nm]","y [nm]"\n1,50,50\n'))
    np.testing.assert_array_equal(found.positions_nm, [[50, 50]])


def test_positions_in_pixels_need_their_size(table_file):
    path = table_file('"frame","x [px]","y [px]","sigma [px]"\n1,0.5,10.25,1.5\n')
    with pytest.raises(MissingQuantityError, match=r"'x \[px\]' in .*table.csv is in pixels.*pass --pixel-size-nm"):
        read_table(path)
    found = read_table(path, camera_pixel_size_nm=80)
    np.testing.assert_allclose(found.positions_nm, [[40, 820]], rtol=1e-15)
    np.testing.assert_allclose(found["psf_sigma_nm"], [120], rtol=1e-15)


def test_labels_of_all_versions_are_understood(table_file):
    header = (
        '"id","frame","x [nm]","y [nm]","z [nm]","z_rel [nm]","sigma1 [nm]","sigma2 [um]","intensity [photon]",'
        '"offset [photon]","bkgstd [photon]","chi2","uncertainty [nm]","uncertainty_z [nm]","detections",'
        '"angle [deg]"'
    )
    found = read_table(table_file(header + "\n5,3,1,2,-3,4,110,.12,900,7,2.5,14270506,9,20,4,180\n"))
    expected = {
        "frame": 2,
        "z_nm": -3,
        "z_rel_nm": 4,
        "psf_sigma_x_nm": 110,
        "psf_sigma_y_nm": 120,
        "photons": 900,
        "background_photons": 7,
        "background_std_photons": 2.5,
        "chi2": 14270506,
        "uncertainty_x_nm": 9,
        "uncertainty_y_nm": 9,
        "uncertainty_z_nm": 20,
        "n_detections": 4,
        "psf_angle_rad": np.pi,
    }
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], [value], rtol=1e-15, err_msg=name)
    assert found.provenance.notes == ()


def test_camera_units_are_not_taken_for_photons(table_file):
    found = read_table(table_file('"frame","x [nm]","y [nm]","intensity [ADU]","offset [ADU]"\n1,2,3,400,5\n'))
    assert "photons" not in found
    assert (found["intensity_adu"][0], found["background_adu"][0]) == (400, 5)


def test_unknown_columns_and_units_are_named(table_file):
    found = read_table(table_file('"frame","x [nm]","y [nm]","colour","sigma [furlong]"\n1,2,3,red,5\n'))
    assert found.names == ("frame", "x_nm", "y_nm")
    assert found.provenance.notes == ("columns without a counterpart were left out: colour, sigma [furlong]",)
    assert found.provenance.inputs[0].name == "table.csv"


def test_a_second_uncertainty_does_not_replace_the_first(table_file):
    found = read_table(table_file('"x [nm]","y [nm]","uncertainty_xy [nm]","uncertainty [nm]"\n2,3,4,5\n'))
    assert found["uncertainty_x_nm"][0] == 4
    assert "uncertainty [nm]" in found.provenance.notes[0]


def test_frames_that_start_at_0_are_not_made_negative(table_file):
    found = read_table(table_file('"frame","x [nm]","y [nm]"\n0,2,3\n4,2,3\n'))
    np.testing.assert_array_equal(found["frame"], [0, 4])
    assert "taken as counted from 0" in found.provenance.notes[0]


def test_a_header_alone_is_an_empty_table(table_file):
    found = read_table(table_file(PLAIN.partition("\n")[0]))
    assert len(found) == 0
    assert found.names == ("frame", "x_nm", "y_nm", "photons", "id")


@pytest.mark.parametrize("word", ["NaN", "nan", "", "NA", "\ufffd", "#N/A"])
def test_missing_values_are_nan(table_file, word):
    found = read_table(table_file(f'"frame","x [nm]","y [nm]","uncertainty_xy [nm]"\n1,2,3,{word}\n2,3,4,5\n'))
    np.testing.assert_array_equal(found["uncertainty_x_nm"], [np.nan, 5])


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("1,2,3\n2,oops,4\n", r"expected a number for 'x \[nm\]' in line 3 .*got 'oops'"),
        ("1,2,3\n2,4\n", "expected 3 values in line 3 .*got 2"),
        ("1,2,3\n\n2,4,5,6\n", "expected 3 values in line 4 .*got 4"),
        ("1,2,3\n1.5,2,3\n", "expected whole numbers as frames .*got 1.5"),
        ("NaN,2,3\n", "expected whole numbers as frames .*got nan"),
        ("-3,2,3\n", "expected frames that count from 1 .*got frame -3"),
        ("1,2,0x1F\n", "got '0x1F'"),
        ('1,2,3\n"frame","x [nm]","y [nm]"\n1,2,3\n', "line 3 .*got 'frame'"),
    ],
)
def test_faulty_rows_are_refused_with_the_line(table_file, rows, words):
    with pytest.raises(FormatError, match=words) as caught:
        read_table(table_file('"frame","x [nm]","y [nm]"\n' + rows))
    assert "\n" not in str(caught.value)


def test_what_is_written_is_thunderstorm_to_the_letter(tmp_path):
    columns = {
        "frame": [0, 41],
        "x_nm": [50.0, 1234.5678901234567],
        "y_nm": [0.1, -3.0],
        "photons": [1000.5, np.nan],
        "background_photons": [3.25, np.inf],
        "psf_sigma_nm": [120.0, 121.0],
        "uncertainty_x_nm": [3.0, 7.3],
        "uncertainty_y_nm": [4.0, 7.3],
    }
    remarks = write_table(Localizations(columns), tmp_path / "a.csv")
    expected = (
        '"id","frame","x [nm]","y [nm]","sigma [nm]","intensity [photon]","offset [photon]","uncertainty_xy [nm]"\n'
        "1,1,50,0.1,120,1000.5,3.25,3.5355339059327378\n"
        "2,42,1234.5678901234567,-3,121,NaN,Infinity,7.3\n"
    )
    assert (tmp_path / "a.csv").read_text() == expected
    assert remarks == ()


def test_one_uncertainty_alone_is_written(tmp_path):
    columns = {"x_nm": [1.0], "y_nm": [2.0], "uncertainty_y_nm": [3.0]}
    write_table(Localizations(columns), tmp_path / "a.csv")
    assert '"uncertainty_xy [nm]"\n1,1,2,3\n' in (tmp_path / "a.csv").read_text()


def test_the_ids_of_the_table_are_kept(tmp_path):
    write_table(Localizations({"x_nm": [1.0], "y_nm": [2.0], "id": [77]}), tmp_path / "a.csv")
    assert read_table(tmp_path / "a.csv")["id"][0] == 77


def test_camera_units_are_written_where_there_are_no_photons(tmp_path):
    columns = {"x_nm": [1.0], "y_nm": [2.0], "intensity_adu": [300.0], "background_adu": [4.0]}
    table = Localizations(columns)
    assert write_table(table, tmp_path / "a.csv") == ()
    assert read_table(tmp_path / "a.csv").without_columns("id") == table
    both = table.with_columns(photons=[150.0])
    assert "intensity_adu" in write_table(both, tmp_path / "b.csv")[0]
    assert read_table(tmp_path / "b.csv")["photons"][0] == 150.0
