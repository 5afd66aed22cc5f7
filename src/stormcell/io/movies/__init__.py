"""Movies in and out. A new format is one file here and one line in `opening.MOVIE_FORMATS`."""

from stormcell.io.movies.movie_format import MovieFormat
from stormcell.io.movies.opening import MOVIE_FORMATS, open_movie
from stormcell.io.movies.writing_movies import write_npy_movie, write_ome_tiff_movie, write_zarr_movie

__all__ = [
    "MOVIE_FORMATS",
    "MovieFormat",
    "open_movie",
    "write_npy_movie",
    "write_ome_tiff_movie",
    "write_zarr_movie",
]
