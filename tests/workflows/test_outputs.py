from __future__ import annotations

from pathlib import Path

import pytest

from stormcell.errors import OutputError
from stormcell.workflows.outputs import default_output, prepare_folder, prepare_image, prepare_table, stem


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a/movie.ome.tif", "movie"),
        ("movie.tif", "movie"),
        ("x.y.csv", "x.y"),
        ("plain", "plain"),
        (".ome.tif", ".ome"),
    ],
)
def test_stem(path: str, expected: str) -> None:
    assert stem(path) == expected


def test_results_go_beside_the_input() -> None:
    assert default_output(Path("a/movie.ome.tif"), "render", ".ome.tif") == Path("a/movie_render.ome.tif")
    assert default_output("a/movie.tif", "run") == Path("a/movie_run")


def test_a_folder_with_results_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("old")
    with pytest.raises(OutputError, match=r"already holds b\.txt; pass --overwrite"):
        prepare_folder(tmp_path, ("a.txt", "b.txt"), overwrite=False)
    assert prepare_folder(tmp_path, ("a.txt", "b.txt"), overwrite=True) == tmp_path
    assert (tmp_path / "b.txt").read_text() == "old"
    assert prepare_folder(tmp_path / "new" / "deep", ("a.txt",), overwrite=False).is_dir()


def test_endings_are_checked_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"\.parquet"):
        prepare_table(tmp_path / "table.xls", overwrite=False)
    with pytest.raises(OutputError, match=r"\.png"):
        prepare_image(tmp_path / "image.jpg", overwrite=False)
    prepare_table(None, overwrite=False)
    prepare_image(tmp_path / "image.ome.tif", overwrite=False)
    assert list(tmp_path.iterdir()) == []
