"""The first look at a file."""

import pytest

from stormcell.errors import FormatError
from stormcell.io.reading import content_name, first_bytes, is_text


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FormatError, match=r"expected a movie, but .*gone.tif does not exist"):
        first_bytes(tmp_path / "gone.tif", "a movie")


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(FormatError, match="is a folder; name a file in it"):
        first_bytes(tmp_path, "a movie")


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "a.tif").touch()
    with pytest.raises(FormatError, match="is empty"):
        first_bytes(tmp_path / "a.tif", "a movie")


def test_no_permission_is_said(tmp_path, monkeypatch):
    path = tmp_path / "a.tif"
    path.write_bytes(b"x")

    def refuse(self, mode="r"):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(type(path), "open", refuse)
    with pytest.raises(FormatError, match="no permission to read"):
        first_bytes(path, "a movie")


def test_only_the_start_is_read(tmp_path):
    (tmp_path / "a").write_bytes(b"0123456789")
    assert first_bytes(tmp_path / "a", "a file", 4) == b"0123"


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"II*\x00rest", "a TIFF file"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
        (b"PAR1", "a Parquet file"),
        (b"<!doctype HTML>", "a web page"),
        (b"frame,x\n1,2\n", "text"),
        (b"\x00\x01\x02\x03", "binary data of an unknown kind"),
    ],
)
def test_a_file_is_known_by_its_first_bytes(head, name):
    assert content_name(head) == name


def test_text_may_end_with_binary_data():
    assert is_text(b"Index\tFirst Frame\r\n1\t2\r\n\x00\x01")
    assert is_text("x [\u00b5m]\n".encode("latin-1"))
    assert is_text("x_nm\n".encode("utf-16"))
    assert not is_text(b"\x00\x00x_nm\n")
    assert not is_text(b"\n\n")
