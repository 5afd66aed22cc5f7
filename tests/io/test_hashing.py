"""Fingerprints."""

import hashlib

import numpy as np
import pytest

from stormcell.errors import FormatError
from stormcell.io.hashing import hash_array, hash_input


def test_a_file_is_known_by_its_content_and_name_without_folder(tmp_path):
    content = bytes(range(256)) * 10_000
    (tmp_path / "movie.tif").write_bytes(content)
    found = hash_input(tmp_path / "movie.tif")
    assert (found.name, found.n_bytes) == ("movie.tif", len(content))
    assert found.sha256 == hashlib.sha256(content).hexdigest()


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(FormatError, match="does not exist"):
        hash_input(tmp_path / "movie.tif")


def test_equal_arrays_have_equal_fingerprints_however_they_lie_in_memory():
    array = np.arange(12.0).reshape(3, 4)
    reference = hash_array(array)
    assert hash_array(np.asfortranarray(array)) == reference
    assert hash_array(array.astype(">f8")) == reference
    assert hash_array(np.repeat(array, 2, axis=1)[:, ::2]) == reference


def test_other_values_shapes_and_kinds_differ():
    array = np.arange(12.0)
    changed = array.copy()
    changed[-1] = np.nextafter(changed[-1], 20)
    others = [changed, array.reshape(3, 4), array.astype(np.int64), array.astype(np.float32), array[:0], array[0]]
    assert len({hash_array(item) for item in [array, *others]}) == len(others) + 1
