"""The verbs that a batch can do: what each writes, and the options it takes."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stormcell.workflows.options import build_settings, flat_fields

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stormcell.settings import Settings


@dataclass(frozen=True)
class BatchVerb:
    """One verb of a batch.

    Parameters
    ----------
    output : str
        What it writes in the result folder; empty where it fills the folder itself.
    settings : str
        Its settings as "module:class" within the workflows.
    takes_movie : bool
        Whether its input is a movie, which can be opened to see whether it is complete.
    """

    output: str
    settings: str
    takes_movie: bool = False

    @property
    def settings_class(self) -> type[Settings]:
        """The class of its settings."""
        module, _, name = self.settings.partition(":")
        found: type[Settings] = getattr(importlib.import_module(f"stormcell.workflows.{module}"), name)
        return found


BATCH_VERBS: dict[str, BatchVerb] = {
    "run": BatchVerb("", "run_settings:RunVerbSettings", takes_movie=True),
    "localize": BatchVerb("localizations.parquet", "localize:LocalizeVerbSettings", takes_movie=True),
    "reconstruct": BatchVerb("superresolution.ome.tif", "reconstruct:ReconstructVerbSettings", takes_movie=True),
    "estimate": BatchVerb("acquisition.yaml", "estimate:EstimateVerbSettings", takes_movie=True),
    "render": BatchVerb("superresolution.ome.tif", "render:RenderVerbSettings"),
    "densify": BatchVerb("superresolution.ome.tif", "densify_settings:DensifyVerbSettings"),
    "check": BatchVerb("", "check_settings:CheckVerbSettings"),
    "drift": BatchVerb("localizations.parquet", "drift:DriftVerbSettings"),
    "link": BatchVerb("localizations.parquet", "link:LinkVerbSettings"),
    "filter": BatchVerb("localizations.parquet", "filter:FilterVerbSettings"),
}
"""Every verb of a batch by name."""


def known_options(verb: str, wished: Mapping[str, Any]) -> dict[str, Any]:
    """Keep of the options of the whole batch those that the verb has: a seed means nothing to a rendering.

    Parameters
    ----------
    verb : str
        Which verb.
    wished : mapping of str to object
        Values by name, for example seed and device; None means not given.

    Returns
    -------
    dict of str to object
        Those given that the verb takes.
    """
    fields = flat_fields(BATCH_VERBS[verb].settings_class)
    return {name: value for name, value in wished.items() if value is not None and name in fields}


def check_options(verb: str, options: Mapping[str, Any]) -> None:
    """Refuse options that the verb does not take, before any work.

    Parameters
    ----------
    verb : str
        Which verb.
    options : mapping of str to object
        Values by name.

    Raises
    ------
    SettingsError
        An option is unknown or its value impossible.
    """
    import stormcell

    beside = set(inspect.signature(getattr(stormcell, verb)).parameters)  # such as the wide-field image of check
    settings = BATCH_VERBS[verb].settings_class
    build_settings(settings, None, {name: value for name, value in options.items() if name not in beside})
