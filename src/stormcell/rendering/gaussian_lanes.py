"""Vector instructions of Gaussian rendering, written out for the compiler.

Left to itself the compiler vectorises the short loops of a localization along the wrong axis, with gathers and
scatters, or not at all. Here whole vectors of 8, 16, 24 or 32 single-precision lanes are loaded, computed with and
stored; LLVM splits them as the processor needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.polynomial import chebyshev
from scipy.special import ndtr

if TYPE_CHECKING:
    from collections.abc import Callable

REACH = 4.0
"""A Gaussian is drawn out to this many standard deviations."""

LANES = (8, 16, 24, 32)
"""Lengths of the vectors."""

_DEGREE = 10
_FLAGS = ("contract", "nnan")
_INDEX = ir.IntType(32)


def _half_of_the_cdf() -> list[float]:
    """Return coefficients of (cdf(z) - 0.5) / z as a polynomial of z^2 / 8 - 1, exact to 3e-7 within 4 sigma."""
    nodes = np.cos(np.pi * (np.arange(400) + 0.5) / 400)
    z = np.sqrt(0.5 * REACH**2 * (nodes + 1.0))
    power = chebyshev.cheb2poly(chebyshev.chebfit(nodes, (ndtr(z) - 0.5) / z, _DEGREE))
    # rounded, so that the last digits of another linear algebra do not show
    return [float(np.float32(np.round(c, 9))) for c in power]


_COEFFICIENTS = _half_of_the_cdf()
_END = float(np.float32(REACH * np.polynomial.polynomial.polyval(1.0, _COEFFICIENTS)))

WHOLE = 2.0 * _END
"""What the shares of one axis add up to: the part of a Gaussian within its reach."""


class _Vectors:
    """Vector arithmetic of some length while a function is being built."""

    def __init__(self, builder: Any, length: int) -> None:
        self.builder, self.length = builder, length
        self.kind = ir.VectorType(ir.FloatType(), length)

    def constant(self, values: float | list[float]) -> Any:
        return ir.Constant(self.kind, values if isinstance(values, list) else [values] * self.length)

    def pick(self, first: Any, second: Any, lanes: list[int]) -> Any:
        return self.builder.shuffle_vector(first, second, ir.Constant(ir.VectorType(_INDEX, self.length), lanes))

    def spread(self, scalar: Any) -> Any:
        nothing = ir.Constant(self.kind, ir.Undefined)
        one = self.builder.insert_element(nothing, scalar, ir.Constant(_INDEX, 0))
        return self.pick(one, nothing, [0] * self.length)

    def times(self, first: Any, second: Any) -> Any:
        return self.builder.fmul(first, second, flags=_FLAGS)

    def plus(self, first: Any, second: Any) -> Any:
        return self.builder.fadd(first, second, flags=_FLAGS)

    def within(self, values: Any, limit: float) -> Any:
        for sign, bound in (("<", limit), (">", -limit)):
            edge = self.constant(bound)
            values = self.builder.select(self.builder.fcmp_ordered(sign, values, edge), values, edge)
        return values

    def place(self, context: Any, kind: Any, array: Any, index: Any) -> Any:
        data = self.builder.gep(context.make_array(kind)(context, self.builder, array).data, [index])
        return self.builder.bitcast(data, self.kind.as_pointer())


def _line_adder(length: int) -> Callable[..., None]:
    @intrinsic
    def add_line(typing: Any, image: Any, at: Any, shares: Any, height: Any) -> Any:
        """Add shares, times a height, to as many pixels of a flat image from an index on."""
        del typing, at, height

        def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            vectors = _Vectors(builder, length)
            pixels = vectors.place(context, signature.args[0], arguments[0], arguments[1])
            source = vectors.place(context, signature.args[2], arguments[2], ir.Constant(ir.IntType(64), 0))
            added = vectors.times(builder.load(source, align=4), vectors.spread(arguments[3]))
            builder.store(vectors.plus(added, builder.load(pixels, align=4)), pixels, align=4)
            return context.get_dummy_value()

        return types.void(image, types.int64, shares, types.float32), build

    return add_line


def _shares_maker(length: int) -> Callable[..., None]:
    @intrinsic
    def fill_shares(typing: Any, shares: Any, offset: Any, per_sigma: Any) -> Any:
        """Integrate a Gaussian over pixels; its centre lies an offset behind the first one's edge."""
        del typing, offset, per_sigma

        def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            vectors = _Vectors(builder, length)
            edges = vectors.constant([float(k + 1) for k in range(length)])
            from_centre = builder.fsub(edges, vectors.spread(arguments[1]), flags=_FLAGS)
            z = vectors.within(vectors.times(from_centre, vectors.spread(arguments[2])), REACH)
            square = vectors.times(vectors.times(z, z), vectors.constant(2.0 / REACH**2))
            at = vectors.plus(square, vectors.constant(-1.0))
            value = vectors.constant(_COEFFICIENTS[-1])
            for coefficient in _COEFFICIENTS[-2::-1]:
                value = vectors.plus(vectors.times(value, at), vectors.constant(coefficient))
            upper = vectors.within(vectors.times(z, value), _END)
            # the first pixel begins beyond the reach
            lower = vectors.pick(vectors.constant(-_END), upper, [0, *range(length, 2 * length - 1)])
            target = vectors.place(context, signature.args[0], arguments[0], ir.Constant(ir.IntType(64), 0))
            builder.store(builder.fsub(upper, lower), target, align=4)
            return context.get_dummy_value()

        return types.void(shares, types.float32, types.float32), build

    return fill_shares


add_line_8, add_line_16, add_line_24, add_line_32 = (_line_adder(length) for length in LANES)
fill_shares_8, fill_shares_16, fill_shares_24, fill_shares_32 = (_shares_maker(length) for length in LANES)
