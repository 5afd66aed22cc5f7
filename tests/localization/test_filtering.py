"""Filtering against numpy masks written out by hand, and the wording of refusals."""

import ast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stormcell.data import Localizations
from stormcell.errors import InputError, MissingColumnError
from stormcell.localization.filtering import explain, filter_localizations


@pytest.fixture
def table():
    rng = np.random.default_rng(3)
    n = 500
    return Localizations(
        {
            "frame": rng.integers(0, 100, n),
            "x_nm": rng.uniform(0, 1000, n),
            "y_nm": rng.uniform(0, 1000, n),
            "photons": rng.gamma(4, 200, n),
            "uncertainty_x_nm": rng.uniform(5, 40, n),
        }
    )


CASES = {
    "photons > 500": lambda t: t["photons"] > 500,
    "photons > 500 and uncertainty_x_nm < 20": lambda t: (t["photons"] > 500) & (t["uncertainty_x_nm"] < 20),
    "100 < photons <= 7e2": lambda t: (t["photons"] > 100) & (t["photons"] <= 700),
    "x_nm<100 or x_nm>900 and y_nm>500": lambda t: (t["x_nm"] < 100) | ((t["x_nm"] > 900) & (t["y_nm"] > 500)),
    "(x_nm<100 or x_nm>900) and y_nm>500": lambda t: ((t["x_nm"] < 100) | (t["x_nm"] > 900)) & (t["y_nm"] > 500),
    "not photons > 500": lambda t: ~(t["photons"] > 500),
    "not (photons > 500) and not frame < 50": lambda t: ~(t["photons"] > 500) & ~(t["frame"] < 50),
    "x_nm - y_nm - 100 > 0": lambda t: t["x_nm"] - t["y_nm"] - 100 > 0,
    "x_nm / 2 / 5 * 2 + 1 >= 100": lambda t: t["x_nm"] / 2 / 5 * 2 + 1 >= 100,
    "-x_nm > -500": lambda t: t["x_nm"] < 500,
    "frame == 3": lambda t: t["frame"] == 3,
    "frame != 3": lambda t: t["frame"] != 3,
    "0 <= frame - 10 < 5 != 6": lambda t: (t["frame"] >= 10) & (t["frame"] < 15),
    "0" + "+ 1" * 190 + " == 190": lambda t: np.ones(len(t), bool),
    "1 < 2": lambda t: np.ones(len(t), bool),
    "photons / (frame - frame) > 0": lambda t: np.ones(len(t), bool),
}


@pytest.mark.parametrize("expression", CASES)
def test_rows_kept(table, expression):
    kept = filter_localizations(table, expression)
    assert kept == table.take(CASES[expression](table))


REFUSED = {
    "": "empty expression",
    "   ": "empty expression",
    "photons": "expected a condition such as 'photons > 0'",
    "photons >": "expected a column name or a number, got the end (character 10",
    "photons > 500 &": "write `and` (character 15",
    "photons = 500": "write `==`",
    "(photons > 500": "close the parenthesis (character 1 ",
    "photons > 500)": "before ')' (character 14",
    "photons > (x_nm < 5)": "expected a number or column beside `>`, got a condition (x_nm < 5)",
    "photons and x_nm > 3": "expected a condition such as 'photons > 500' beside `and`",
    "not photons": "beside `not`",
    "photons > 500 AND x_nm > 3": "write `and`",
    "photons > 500 x_nm > 3": "before 'x_nm'",
    "__import__('os')": "is not part of a filter expression",
    "photons.real > 3": "is not part of a filter expression",
    "photons > 1,5": "decimals with a point",
    "(" * 300 + "1" + ")" * 300 + " > 0": "of at most 400",
    "(" * 50 + "1" + ")" * 50 + " > 0": "nested more than 30 deep",
    "not " * 50 + "photons > 0": "nested more than 30 deep",
}


@pytest.mark.parametrize("expression", REFUSED)
def test_refused_in_plain_words(table, expression):
    with pytest.raises(InputError) as caught:
        filter_localizations(table, expression)
    assert REFUSED[expression] in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_column_offers_the_near_one(table):
    with pytest.raises(MissingColumnError, match=r"no column photon; did you mean photons\? \(character 1"):
        filter_localizations(table, "photon > 3")
    with pytest.raises(MissingColumnError, match="the columns are frame, x_nm"):
        filter_localizations(table, "qqq > 3")


def test_empty_table_stays_a_table():
    assert filter_localizations(Localizations.empty(), "x_nm > 3").n_rows == 0


def test_explain_shows_precedence_and_units(table):
    text = explain("photons > 500 or x_nm < 3 and not frame == 2", table)
    assert text.startswith("keep rows where ((photons > 500) or ((x_nm < 3) and (not (frame == 2))))")
    assert "[photon]" in text
    assert "keep rows where (psf_sigma_nm < 200)" in explain("psf_sigma_nm < 200")
    with pytest.raises(MissingColumnError):
        explain("psf_sigma_nm < 200", table)


_NUMBERS = st.recursive(
    st.sampled_from(["x_nm", "y_nm", "photons", "2", "0.5"]),
    lambda inner: st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
    max_leaves=6,
)
_CONDITIONS = st.recursive(
    st.tuples(_NUMBERS, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), _NUMBERS).map(" ".join),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(" ".join), inner.map(lambda i: f"not {i}")
    ),
    max_leaves=5,
)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(_CONDITIONS)
def test_agrees_with_python_row_by_row(expression):
    rows = [(1.0, 2.0, 3.0), (0.5, -1.0, 2.0), (0.0, 0.0, 0.0), (4.0, 2.0, 0.5)]
    table = Localizations({n: [row[i] for row in rows] for i, n in enumerate(("x_nm", "y_nm", "photons"))})
    code = compile(ast.parse(expression, mode="eval"), "test", "eval")
    names = ("x_nm", "y_nm", "photons")
    expected = [bool(eval(code, {}, dict(zip(names, row, strict=True)))) for row in rows]
    assert filter_localizations(table, expression) == table.take(np.array(expected))
