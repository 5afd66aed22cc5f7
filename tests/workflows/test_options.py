from __future__ import annotations

import pytest

from stormcell.errors import SettingsError
from stormcell.settings import Settings
from stormcell.workflows.options import build_settings, flat_fields


class Inner(Settings):
    width: int = 3
    """Inner width."""
    method: str = "a"
    """Inner method."""


class Outer(Settings):
    method: str = "x"
    """Outer method."""
    inner: Inner = Inner()
    """Nested."""
    size: float
    """Needed size."""


class Heir(Outer):
    extra: bool = False
    """Own field."""


def test_nested_fields_are_flat_and_outer_names_win() -> None:
    fields = flat_fields(Outer)
    assert {name: field.path for name, field in fields.items()} == {
        "method": ("method",),
        "size": ("size",),
        "width": ("inner", "width"),
        "inner_method": ("inner", "method"),
    }


def test_fields_know_who_declared_them() -> None:
    owners = {name: field.owner.__name__ for name, field in flat_fields(Heir).items()}
    assert owners == {"method": "Outer", "size": "Outer", "extra": "Heir", "width": "Inner", "inner_method": "Inner"}


def test_options_reach_nested_settings_and_win_over_given_settings() -> None:
    start = Outer(size=1, inner=Inner(width=9))
    built = build_settings(Outer, start, {"inner_method": "b", "size": "2.5", "method": None})
    assert built == Outer(size=2.5, inner=Inner(width=9, method="b"))
    assert build_settings(Outer, start, {}) is start


def test_whole_nested_settings_may_be_given() -> None:
    assert build_settings(Outer, None, {"size": 1, "inner": Inner(width=7)}).inner.width == 7


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"siz": 1}, "size is needed"),
        ({"size": 1, "widht": 2}, "did you mean width"),
        ({"size": "large"}, "size: input should be a valid number"),
        ({"size": 1, "width": "x"}, "inner.width"),
        ({}, "size is needed: Needed size."),
    ],
)
def test_refusals_name_the_option(options: dict, words: str) -> None:
    with pytest.raises(SettingsError, match=words.replace(".", r"\.")):
        build_settings(Outer, None, options)


def test_settings_of_another_verb_are_refused() -> None:
    with pytest.raises(SettingsError, match="expected settings of type Outer, got Inner"):
        build_settings(Outer, Inner(), {})
