"""Filter a table by a checked expression such as `photons > 500 and uncertainty_x_nm < 20`.

The language is a tokenizer and a recursive-descent parser of its own, over column names, numbers, arithmetic,
comparisons (also chained), `and`, `or`, `not` and parentheses. Nothing of it is ever handed to Python's `eval`.

    condition  := conjunction ("or" conjunction)*
    conjunction:= negation ("and" negation)*
    negation   := "not" negation | comparison
    comparison := sum (("<" | "<=" | ">" | ">=" | "==" | "!=") sum)*
    sum        := product (("+" | "-") product)*
    product    := factor (("*" | "/") factor)*
    factor     := ("+" | "-") factor | number | column | "(" condition ")"
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import numpy as np

from stormcell.data.columns import COLUMNS
from stormcell.errors import InputError, MissingColumnError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from numpy.typing import NDArray

    from stormcell.data.localizations import Localizations

Kind = Literal["number", "condition"]

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|(?P<word>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<sign><=|>=|==|!=|[-+*/()<>]))"
)
_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.true_divide,
}
_COMPARISON: dict[str, Callable[[Any, Any], Any]] = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": np.not_equal,
}
_HINTS = {
    "&": "write `and`",
    "|": "write `or`",
    "!": "write `not`, or `!=` to compare",
    "~": "write `not`",
    "=": "write `==` to compare",
    "^": "powers are not part of the language",
    "%": "remainders are not part of the language",
    "[": "write parentheses ( )",
    ",": "write decimals with a point; join conditions by `and`",
}
_MAX_DEPTH = 30
_MAX_TOKENS = 400


@dataclass(frozen=True)
class _Token:
    kind: Literal["number", "word", "sign", "end"]
    text: str
    position: int


@dataclass(frozen=True)
class _Node:
    """A checked part of the expression: what it yields, how to compute it, and how it reads."""

    kind: Kind
    evaluate: Callable[[Mapping[str, NDArray[Any]]], Any]
    text: str
    start: int
    columns: frozenset[str] = frozenset()


def filter_localizations(table: Localizations, expression: str) -> Localizations:
    """Keep the rows for which a condition holds.

    Parameters
    ----------
    table : Localizations
        Any table.
    expression : str
        A condition over the table's columns: numbers, ``+ - * /``, ``< <= > >= == !=`` (chains such as
        ``100 < photons < 2000`` are allowed), ``and``, ``or``, ``not`` and parentheses.

    Returns
    -------
    Localizations
        The rows kept, in order. Comparisons with NaN are false (``!=`` is true), as in numpy.

    Raises
    ------
    InputError
        The expression is not a condition; the message gives the position and what to write.
    MissingColumnError
        The expression names a column that the table does not have; near names are offered.

    Examples
    --------
    >>> table = Localizations({"frame": [0, 1], "x_nm": [5.0, 6.0], "y_nm": [1.0, 2.0], "photons": [100.0, 900.0]})
    >>> filter_localizations(table, "photons > 500").n_rows
    1
    """
    condition = _parse(expression, table.names)
    columns = {name: table[name] for name in condition.columns}
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        kept = condition.evaluate(columns)
    return table.take(np.broadcast_to(np.asarray(kept, dtype=bool), (table.n_rows,)))


def explain(expression: str, table: Localizations | None = None) -> str:
    """Say how an expression is read, fully parenthesised, with the unit of each column.

    Parameters
    ----------
    expression : str
        As in `filter_localizations`.
    table : Localizations, optional
        Check the columns against this table; otherwise against all registered columns.

    Returns
    -------
    str
        For example ``keep rows where ((photons > 500) and (frame < 10)); photons: detected photons ... [photon]``.

    Raises
    ------
    InputError
        The expression is not a condition.
    MissingColumnError
        It names an unknown column.
    """
    condition = _parse(expression, COLUMNS if table is None else table.names)
    meanings = []
    for name in sorted(condition.columns):
        column = COLUMNS[name]
        meanings.append(f"{name}: {column.meaning}{f' [{column.unit}]' if column.unit else ''}")
    return "; ".join([f"keep rows where {condition.text}", *meanings])


def _parse(expression: str, names: Collection[str]) -> _Node:
    parser = _Parser(expression, tuple(names))
    return parser.whole_condition()


def _tokenize(expression: str) -> list[_Token]:
    tokens: list[_Token] = []
    position = 0
    end = len(expression.rstrip())
    while position < end:
        match = _TOKEN.match(expression, position)
        if match is None or match.lastgroup is None:
            position += len(expression[position:]) - len(expression[position:].lstrip())
            sign = expression[position]
            hint = f"; {_HINTS[sign]}" if sign in _HINTS else ""
            raise InputError(_located(f"{sign!r} is not part of a filter expression{hint}", expression, position))
        kind = match.lastgroup
        tokens.append(_Token(kind, match.group(kind), match.start(kind)))  # type: ignore[arg-type]
        position = match.end()
    tokens.append(_Token("end", "", end))
    return tokens


def _located(message: str, expression: str, position: int) -> str:
    return f"{message} (character {position + 1} of {expression!r})"


class _Parser:
    """Recursive descent over the grammar of the module docstring; every step checks kinds."""

    def __init__(self, expression: str, names: tuple[str, ...]) -> None:
        self._expression = expression
        self._names = names
        self._tokens = _tokenize(expression)
        self._next = 0
        self._depth = 0
        if len(self._tokens) > _MAX_TOKENS:
            # Evaluation nests as deep as a chain is long; Python's own recursion limit would be hit without words.
            msg = f"expected a filter expression of at most {_MAX_TOKENS} words and signs, got {len(self._tokens)}"
            raise InputError(msg)

    def whole_condition(self) -> _Node:
        if self._at_end():
            msg = "expected a condition such as 'photons > 500', got an empty expression"
            raise InputError(msg)
        node = self._condition()
        if not self._at_end():
            word = self._token.text
            hint = (
                f"; write `{word.lower()}`"
                if word.lower() in ("and", "or", "not") and word.islower() is False
                else ""
            )
            self._refuse(f"expected the end, `and` or `or` before {word!r}{hint}", self._token.position)
        if node.kind != "condition":
            self._refuse(f"expected a condition such as '{node.text} > 0', got a number", node.start)
        return node

    def _at_end(self) -> bool:
        return self._token.kind == "end"

    @property
    def _token(self) -> _Token:
        return self._tokens[self._next]

    def _take(self, *texts: str) -> str | None:
        token = self._token
        if token.kind in ("sign", "word") and token.text in texts:
            self._next += 1
            return token.text
        return None

    def _refuse(self, message: str, position: int) -> NoReturn:
        raise InputError(_located(message, self._expression, position))

    def _need(self, node: _Node, kind: Kind, operator: str) -> None:
        if node.kind != kind:
            wanted = {"number": "a number or column", "condition": "a condition such as 'photons > 500'"}[kind]
            got = {"number": "a number", "condition": "a condition"}[node.kind]
            self._refuse(f"expected {wanted} beside `{operator}`, got {got} {node.text}", node.start)

    def _condition(self) -> _Node:
        return self._joined("or", np.logical_or, self._conjunction)

    def _conjunction(self) -> _Node:
        return self._joined("and", np.logical_and, self._negation)

    def _joined(self, word: str, join: Callable[[Any, Any], Any], part: Callable[[], _Node]) -> _Node:
        node = part()
        while self._take(word):
            other = part()
            self._need(node, "condition", word)
            self._need(other, "condition", word)
            node = _combine(node, other, word, join, "condition")
        return node

    def _negation(self) -> _Node:
        start = self._token.position
        if not self._take("not"):
            return self._comparison()
        self._deepen(start)
        inner = self._negation()
        self._depth -= 1
        self._need(inner, "condition", "not")
        return _Node(
            "condition", lambda c: np.logical_not(inner.evaluate(c)), f"(not {inner.text})", start, inner.columns
        )

    def _comparison(self) -> _Node:
        left = self._sum()
        chain: _Node | None = None
        while operator := self._take(*_COMPARISON):
            right = self._sum()
            self._need(left, "number", operator)
            self._need(right, "number", operator)
            link = _combine(left, right, operator, _COMPARISON[operator], "condition")
            chain = link if chain is None else _combine(chain, link, "and", np.logical_and, "condition")
            left = right
        return left if chain is None else chain

    def _sum(self) -> _Node:
        return self._arithmetic(("+", "-"), self._product)

    def _product(self) -> _Node:
        return self._arithmetic(("*", "/"), self._factor)

    def _arithmetic(self, operators: tuple[str, ...], part: Callable[[], _Node]) -> _Node:
        node = part()
        while operator := self._take(*operators):
            other = part()
            self._need(node, "number", operator)
            self._need(other, "number", operator)
            node = _combine(node, other, operator, _ARITHMETIC[operator], "number")
        return node

    def _factor(self) -> _Node:
        token = self._token
        if sign := self._take("+", "-"):
            self._deepen(token.position)
            inner = self._factor()
            self._depth -= 1
            self._need(inner, "number", sign)
            factor = -1.0 if sign == "-" else 1.0
            return _Node(
                "number", lambda c: factor * inner.evaluate(c), f"{sign}{inner.text}", token.position, inner.columns
            )
        if self._take("("):
            self._deepen(token.position)
            node = self._condition()
            self._depth -= 1
            if not self._take(")"):
                self._refuse("expected `)` to close the parenthesis", token.position)
            return node
        return self._leaf(token)

    def _leaf(self, token: _Token) -> _Node:
        if token.kind == "number":
            self._next += 1
            value = float(token.text)
            return _Node("number", lambda _: value, token.text, token.position)
        if token.kind == "word" and token.text.lower() not in ("and", "or", "not"):
            self._next += 1
            name = self._column(token)
            return _Node("number", lambda c: c[name], name, token.position, frozenset((name,)))
        found = repr(token.text) if token.text else "the end"
        self._refuse(f"expected a column name or a number, got {found}", token.position)

    def _column(self, token: _Token) -> str:
        if token.text in self._names:
            return token.text
        near = difflib.get_close_matches(token.text, self._names, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"the columns are {', '.join(self._names)}"
        raise MissingColumnError(_located(f"no column {token.text}; {hint}", self._expression, token.position))

    def _deepen(self, position: int) -> None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            self._refuse(f"the expression is nested more than {_MAX_DEPTH} deep", position)


def _combine(left: _Node, right: _Node, word: str, join: Callable[[Any, Any], Any], kind: Kind) -> _Node:
    return _Node(
        kind,
        lambda c: join(left.evaluate(c), right.evaluate(c)),
        f"({left.text} {word} {right.text})",
        left.start,
        left.columns | right.columns,
    )
