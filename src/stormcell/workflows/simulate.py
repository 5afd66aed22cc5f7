"""simulate: make a movie whose truth is known, and stream it to disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stormcell.workflows.options import build_settings
from stormcell.workflows.outputs import prepare_folder
from stormcell.workflows.progress import begin_stage
from stormcell.workflows.records import collect_warnings, make_record
from stormcell.workflows.simulation_config import SimulateVerbSettings, simulation_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from stormcell.data.localizations import Localizations
    from stormcell.data.provenance import Provenance
    from stormcell.data.sr_image import SRImage
    from stormcell.simulation.acquisition import Acquisition
    from stormcell.simulation.settings import SimulationSettings
    from stormcell.workflows.opening import PathLike
    from stormcell.workflows.progress import Progress

MOVIE_NAME = "movie.ome.tif"
TRUTH_NAME = "truth.parquet"
TRUTH_CSV_NAME = "truth.csv"
WIDEFIELD_NAME = "widefield.ome.tif"
CONFIG_NAME = "config.yaml"

_MOST_CSV_ROWS = 5_000_000


@dataclass(frozen=True)
class SimulateResult:
    """A simulated acquisition on disk.

    Parameters
    ----------
    config : SimulationSettings
        What was simulated.
    movie : Path
        Its frames.
    truth : Path
        Every emitter in every frame in which it was lit (Parquet).
    n_emitters : int
        Rows of the truth.
    density_per_um2 : float
        Emitters lit per frame and square micrometre of the field, as the truth counts them.
    widefield : SRImage
        All fluorophores at once.
    outputs : tuple of Path
        All files written.
    """

    config: SimulationSettings
    movie: Path
    truth: Path
    n_emitters: int
    density_per_um2: float
    widefield: SRImage
    outputs: tuple[Path, ...]


def simulate(
    output: PathLike,
    settings: SimulateVerbSettings | None = None,
    *,
    config: PathLike | SimulationSettings | None = None,
    like: PathLike | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> SimulateResult:
    """Simulate a movie with its truth and wide-field image.

    Parameters
    ----------
    output : path
        Folder for movie.ome.tif, truth.parquet, truth.csv, widefield.ome.tif and config.yaml.
    settings : SimulateVerbSettings, optional
        Preset and changes to it; or give them as options.
    config : path or SimulationSettings, optional
        A config.yaml in place of a preset.
    like : path, optional
        An acquisition.yaml, or a movie to estimate it from: the conditions of a real movie.
    overwrite : bool
        Whether existing files may be replaced.
    progress : callable, optional
        Called as progress(done, total) with frames.
    **options : object
        Fields of the settings.

    Returns
    -------
    SimulateResult
        Where everything lies.

    Raises
    ------
    SettingsError
        A setting is unknown or impossible; the message names it.
    OutputError
        The folder cannot be written, or holds such files already.
    """
    wanted = build_settings(SimulateVerbSettings, settings, options)
    simulation = simulation_settings(wanted, config, like)
    names = (MOVIE_NAME, TRUTH_NAME, TRUTH_CSV_NAME, WIDEFIELD_NAME, CONFIG_NAME)
    folder = prepare_folder(output, names, overwrite)
    base = Path(config).parent if isinstance(config, str | Path) else Path()
    with collect_warnings():
        return _Writing(_open(simulation, base), folder, overwrite).run(progress)


def _open(simulation: SimulationSettings, base: Path) -> Acquisition:
    """Build the acquisition; files named in the settings are looked for beside the config file."""
    from stormcell.simulation.acquisition import Acquisition

    def place(path: str) -> Path:
        return Path(path) if Path(path).is_absolute() else base / path

    def read_psf(path: str) -> Any:
        from stormcell.workflows.psf import read_psf as read

        return read(place(path))

    def read_map(path: str) -> NDArray[np.generic]:
        from stormcell.io.movies import open_movie

        first: NDArray[np.generic] = open_movie(place(path)).read(0, 1)[0]
        return first

    return Acquisition(simulation, read_psf=read_psf, read_map=read_map)


class _Writing:
    """One acquisition on its way to disk: frames and truth leave memory block by block."""

    def __init__(self, acquisition: Acquisition, folder: Path, overwrite: bool) -> None:
        self.acquisition = acquisition
        self.folder = folder
        self.overwrite = overwrite
        self.kept: list[Localizations] = []
        self.n_rows = 0

    def run(self, progress: Progress | None) -> SimulateResult:
        """Write everything."""
        from stormcell.io.documents import write_yaml
        from stormcell.io.images import write_image

        settings = self.acquisition.settings
        record = make_record("simulate", settings, seed=settings.seed)
        begin_stage(progress, "Simulating")
        self._write_movie(record, progress)
        widefield = self.acquisition.widefield()
        write_image(widefield, self.folder / WIDEFIELD_NAME, self.overwrite)
        write_yaml(self.folder / CONFIG_NAME, settings.model_dump(mode="json"), self.overwrite)
        names = [MOVIE_NAME, TRUTH_NAME, WIDEFIELD_NAME, CONFIG_NAME]
        if self._write_csv(record):
            names.insert(2, TRUTH_CSV_NAME)
        per_frame = self.n_rows / settings.n_frames
        return SimulateResult(
            config=settings,
            movie=self.folder / MOVIE_NAME,
            truth=self.folder / TRUTH_NAME,
            n_emitters=self.n_rows,
            density_per_um2=per_frame / self.acquisition.scene.area_um2,
            widefield=widefield,
            outputs=tuple(self.folder / name for name in names),
        )

    def _write_movie(self, record: Provenance, progress: Progress | None) -> None:
        from stormcell.io.movies import write_ome_tiff_movie
        from stormcell.io.tables.parquet_stream import parquet_stream
        from stormcell.simulation.movies import movie_metadata

        settings = self.acquisition.settings
        like = self.acquisition.empty_truth().with_context(provenance=record)
        with parquet_stream(self.folder / TRUTH_NAME, like, self.overwrite) as append:

            def frames() -> Iterator[NDArray[Any]]:
                for block in self.acquisition.blocks():
                    append(block.truth)
                    self._keep(block.truth)
                    yield block.frames
                    if progress is not None:
                        progress(block.first_frame + len(block.frames), settings.n_frames)

            write_ome_tiff_movie(
                self.folder / MOVIE_NAME,
                frames(),
                shape=(settings.n_frames, *settings.field_px),
                dtype=np.uint16 if self.acquisition.camera.saturation_adu <= 65535 else np.uint32,
                camera_pixel_size_nm=settings.camera_pixel_size_nm,
                metadata=movie_metadata(settings),
                overwrite=self.overwrite,
            )

    def _keep(self, rows: Localizations) -> None:
        self.n_rows += len(rows)
        if self.n_rows > _MOST_CSV_ROWS:
            self.kept.clear()
        else:
            self.kept.append(rows)

    def _write_csv(self, record: Provenance) -> bool:
        """Write the truth as ThunderSTORM table too, unless it is too long for one."""
        import warnings

        from stormcell.data.localizations import Localizations
        from stormcell.errors import StormcellWarning
        from stormcell.io.tables import write_table

        if self.n_rows > _MOST_CSV_ROWS:
            message = (
                f"the truth has {self.n_rows} rows, too many for {TRUTH_CSV_NAME}; it is in {TRUTH_NAME}, and "
                "`stormcell convert` writes any part of it in another format"
            )
            warnings.warn(message, StormcellWarning, stacklevel=2)
            return False
        table = Localizations.concatenate(self.kept).with_context(provenance=record)
        write_table(table, self.folder / TRUTH_CSV_NAME, self.overwrite)
        return True
