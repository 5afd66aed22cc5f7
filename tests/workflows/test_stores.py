"""Verbs on OME-Zarr stores: the same results as from files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

import stormcell as sc
from stormcell.errors import OutputError

pytest.importorskip("zarr")

if TYPE_CHECKING:
    from pathlib import Path


def test_a_movie_as_a_store_gives_the_same_table(scene: dict[str, Path], tmp_path: Path) -> None:
    store = tmp_path / "movie.ome.zarr"
    assert sc.convert(scene["movie"], store).kind == "movie"
    first = sc.localize(scene["movie"], method="lsq")
    second = sc.localize(store, method="lsq")
    assert first.n_rows == second.n_rows > 20
    for name in first.names:
        np.testing.assert_array_equal(first[name], second[name])
    assert second.provenance is not None
    assert second.provenance.inputs[0].name == "movie.ome.zarr"


def test_a_picture_as_a_store_is_the_same_picture(scene: dict[str, Path], tmp_path: Path) -> None:
    table, store = sc.localize(scene["movie"], method="lsq"), tmp_path / "sr.ome.zarr"
    drawn = sc.render(table, sr_pixel_size_nm=10, output=store)
    back = sc.read(store)
    assert isinstance(back, sc.SRImage)
    np.testing.assert_array_equal(back.pixels, drawn.pixels)
    assert back.grid == drawn.grid
    with pytest.raises(OutputError, match="--overwrite"):
        sc.render(table, sr_pixel_size_nm=10, output=store)
