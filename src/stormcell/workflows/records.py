"""Records of how a result was made, and the warnings met on the way."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import stormcell
from stormcell.data.provenance import Provenance
from stormcell.errors import StormcellWarning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stormcell.data.provenance import InputFile, Quantity
    from stormcell.settings import Settings


@contextmanager
def collect_warnings() -> Iterator[list[str]]:
    """Collect what is warned inside the block, and warn it again when the block ends.

    Yields
    ------
    list of str
        Plain sentences, each once; filled when the block ends.
    """
    messages: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", StormcellWarning)
        yield messages
    ours = [warning for warning in caught if issubclass(warning.category, StormcellWarning)]
    messages.extend(dict.fromkeys(str(warning.message) for warning in ours))
    for warning in caught:
        warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


def make_record(
    verb: str,
    settings: Settings,
    *,
    inputs: tuple[InputFile, ...] = (),
    parent: Provenance | None = None,
    **details: Any,
) -> Provenance:
    """Make the record of a result.

    Parameters
    ----------
    verb : str
        What was done.
    settings : Settings
        How.
    inputs : tuple of InputFile
        From which files.
    parent : Provenance, optional
        The record of the noun it was made from; its quantities are taken over where `details` has none.
    **details : object
        Further fields of `Provenance`: quantities, seed, warnings, notes.

    Returns
    -------
    Provenance
        The record.
    """
    quantities: tuple[Quantity, ...] = details.pop("quantities", parent.quantities if parent else ())
    return Provenance(
        verb=verb,
        version=stormcell.__version__,
        settings=settings.model_dump(mode="json"),
        inputs=inputs,
        quantities=quantities,
        parents=(parent,) if parent else (),
        **details,
    )
