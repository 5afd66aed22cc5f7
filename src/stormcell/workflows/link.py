"""link: merge the localizations of one burst over consecutive frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stormcell.localization.linking import LinkSettings
from stormcell.workflows.options import build_settings
from stormcell.workflows.remote import with_remote_places
from stormcell.workflows.table_settings import TableSettings
from stormcell.workflows.tables import table_verb

if TYPE_CHECKING:
    from stormcell.data.localizations import Localizations
    from stormcell.workflows.opening import PathLike


class LinkVerbSettings(TableSettings):
    """How rows become bursts."""

    linking: LinkSettings = LinkSettings()
    """How far apart in space and time rows of one burst may lie."""


@with_remote_places
def link(
    table: PathLike | Localizations,
    settings: LinkVerbSettings | None = None,
    *,
    output: PathLike | None = None,
    overwrite: bool = False,
    **options: Any,
) -> Localizations:
    """Merge the localizations of one burst over consecutive frames.

    Parameters
    ----------
    table : path or Localizations
        The table.
    settings : LinkVerbSettings, optional
        How far apart rows of one burst may be.
    output : path, optional
        Write the result there too, in the format of its ending.
    overwrite : bool
        Whether an existing file may be replaced.
    **options : object
        Fields of the settings.

    Returns
    -------
    Localizations
        One row for each burst, with `n_detections`.

    Raises
    ------
    InputError
        The file is no table, or lacks a column.
    """
    from stormcell.localization.linking import link_localizations

    wanted = build_settings(LinkVerbSettings, settings, options)
    return table_verb("link", table, wanted, lambda rows: link_localizations(rows, wanted.linking), output, overwrite)
