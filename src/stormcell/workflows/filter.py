"""filter: keep the rows for which an expression holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stormcell.workflows.options import build_settings
from stormcell.workflows.remote import with_remote_places
from stormcell.workflows.table_settings import TableSettings
from stormcell.workflows.tables import table_verb

if TYPE_CHECKING:
    from stormcell.data.localizations import Localizations
    from stormcell.workflows.opening import PathLike


class FilterVerbSettings(TableSettings):
    """Which rows to keep."""

    where: str
    """Condition over columns, for example "photons > 500 and uncertainty_x_nm < 20"."""


@with_remote_places
def filter(  # noqa: A001 - the verb's name
    table: PathLike | Localizations,
    settings: FilterVerbSettings | None = None,
    *,
    output: PathLike | None = None,
    overwrite: bool = False,
    **options: Any,
) -> Localizations:
    """Keep the rows for which an expression holds.

    Parameters
    ----------
    table : path or Localizations
        The table.
    settings : FilterVerbSettings, optional
        The condition; or give it as `where=...`.
    output : path, optional
        Write the result there too, in the format of its ending.
    overwrite : bool
        Whether an existing file may be replaced.
    **options : object
        Fields of the settings.

    Returns
    -------
    Localizations
        The rows kept.

    Raises
    ------
    InputError
        The file is no table, or the expression is no condition over its columns.
    """
    from stormcell.localization.filtering import filter_localizations

    wanted = build_settings(FilterVerbSettings, settings, options)
    return table_verb(
        "filter", table, wanted, lambda rows: filter_localizations(rows, wanted.where), output, overwrite
    )
