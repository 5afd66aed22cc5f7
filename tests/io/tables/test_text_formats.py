"""Text tables of the challenge, with our own column names, and without a header."""

import numpy as np
import pytest

from stormcell.errors import FormatError, MissingQuantityError
from stormcell.io.tables import read_table


def write(folder, text):
    (folder / "a.csv").write_text(text)
    return folder / "a.csv"


def test_the_challenge_counts_frames_from_1(tmp_path):
    found = read_table(
        write(tmp_path, "Ground-truth,frame,xnano,ynano,znano,intensity \n7, 20, 25.5, 26, -9, 1655.48\n")
    )
    assert found.names == ("frame", "x_nm", "y_nm", "z_nm", "photons", "id")
    assert [found[name][0] for name in found.names] == [19, 25.5, 26, -9, 1655.48, 7]


def test_our_names_count_frames_from_0(tmp_path):
    found = read_table(write(tmp_path, "emitter_id,frame,x_nm,y_nm,on_fraction\n3,0,1.5,2.5,0.25\n"))
    assert found.names == ("frame", "x_nm", "y_nm", "emitter_id", "on_fraction")
    assert (found["frame"][0], found["emitter_id"][0]) == (0, 3)


def test_our_names_in_other_units(tmp_path):
    path = write(tmp_path, "frame,x_um,y_px,psf_sigma_um,psf_angle_deg\n4,0.5,3,0.12,90\n")
    with pytest.raises(MissingQuantityError, match=r"'y_px' in .* is in pixels"):
        read_table(path)
    found = read_table(path, camera_pixel_size_nm=100)
    np.testing.assert_allclose(found.positions_nm, [[500, 300]])
    np.testing.assert_allclose(found["psf_sigma_nm"], [120])
    np.testing.assert_allclose(found["psf_angle_rad"], [np.pi / 2])


def test_a_column_of_whole_numbers_that_holds_others_is_left_out(tmp_path):
    found = read_table(write(tmp_path, "x_nm,y_nm,channel\n1,2,0.5\n"))
    assert "channel" not in found
    assert "channel" in found.provenance.notes[0]


def test_labels_can_be_given_for_a_table_without_header(tmp_path):
    path = write(tmp_path, "150.5,250,1\n160,260,3\n")
    with pytest.raises(FormatError, match="has no header line"):
        read_table(path)
    ours = read_table(path, labels=("x_nm", "y_nm", "frame"))
    np.testing.assert_array_equal(ours["frame"], [1, 3])
    theirs = read_table(path, labels=("x [nm]", "y [nm]", "frame"))
    np.testing.assert_array_equal(theirs["frame"], [0, 2])
    assert ours.positions_nm.tolist() == theirs.positions_nm.tolist() == [[150.5, 250], [160, 260]]


def test_too_few_labels_are_refused(tmp_path):
    with pytest.raises(FormatError, match=r"expected 2 values in line 1 .*got 3"):
        read_table(write(tmp_path, "150.5,250,1\n"), labels=("x_nm", "y_nm"))
