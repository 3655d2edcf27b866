#!/usr/bin/env python3
"""Prints the polynomials of portable_math.h: weighted least squares on Chebyshev nodes, which is
close to minimax. Each coefficient is rounded to float before the lower-weighted ones are refitted,
so that the next ones make up for its rounding. Needs mpmath."""
import struct

from mpmath import mp, mpf, cos, erf, erfc, exp, log, matrix, pi, qr_solve, sqrt, tanh

mp.dps = 40
NODES = 200


def to_float(value):
    """The nearest float."""
    return mpf(struct.unpack("f", struct.pack("f", float(value)))[0])


def solve(powers, nodes, target, weight):
    rows = matrix(len(nodes), len(powers))
    values = matrix(len(nodes), 1)
    for i, x in enumerate(nodes):
        for j, power in enumerate(powers):
            rows[i, j] = x**power * weight(x)
        values[i] = target(x) * weight(x)
    return list(qr_solve(rows, values)[0])


def fit(name, degree, low, high, target, weight):
    """Coefficients, lowest power first, of target on [low, high]; weight is 1 / tolerated error."""
    nodes = [(low + high) / 2 + (high - low) / 2 * cos(pi * (2 * i + 1) / (2 * NODES)) for i in range(NODES)]
    fixed = []
    while len(fixed) <= degree:
        powers = list(range(len(fixed), degree + 1))
        rest = lambda x: target(x) - sum(c * x**p for p, c in enumerate(fixed))
        fixed.append(to_float(solve(powers, nodes, rest, weight)[0]))
    error = max(abs(sum(c * x**p for p, c in enumerate(fixed)) - target(x)) * weight(x) for x in nodes)
    print(f"{name}: weighted error {mp.nstr(error, 3)} = 2^{mp.nstr(log(error, 2), 4)}")
    for power, coefficient in enumerate(fixed):
        print(f"  x^{power}: {float(coefficient).hex()}f")


def near(x, value, series):
    """value(x), or its limit where x is too close to 0 to compute the quotient."""
    return series if abs(x) < mpf(10) ** -12 else value(x)


half_log2 = log(mpf(2)) / 2
# exp(r) = 1 + (r + r^2 q(r))
fit("exp q(r)", 5, -half_log2, half_log2, lambda r: near(r, lambda r: (exp(r) - 1 - r) / r**2, mpf(1) / 2),
    lambda r: r**2 / exp(r))

# log(1 + f) = f - f^2 / 2 + f^3 p(f)
fit("log p(f)", 8, sqrt(mpf(1) / 2) - 1, sqrt(mpf(2)) - 1,
    lambda f: near(f, lambda f: (log(1 + f) - f + f**2 / 2) / f**3, mpf(1) / 3), lambda f: abs(f**3 / log(1 + f)))

# tanh(x) = x + x^3 p(x^2) below 0.7
fit("tanh p(x^2)", 5, mpf(10) ** -6, mpf("0.49"),
    lambda t: (tanh(sqrt(t)) - sqrt(t)) / (t * sqrt(t)), lambda t: t * sqrt(t) / tanh(sqrt(t)))

# erf(x) = x + x p(x^2) below 1
fit("erf p(x^2)", 6, mpf(10) ** -6, mpf(1),
    lambda t: erf(sqrt(t)) / sqrt(t) - 1, lambda t: sqrt(t) / erf(sqrt(t)))

# erf(x) = 1 - exp(p(x)) from 1 to 4
fit("erf log(erfc(x))", 7, mpf(1), mpf(4), lambda x: log(erfc(x)), lambda x: erfc(x) / erf(x))

log2 = log(mpf(2))
high = mpf(int(log2 * 2**15)) / 2**15  # 15 bits, so that n * high is exact for |n| <= 256
print(f"log 2: high {float(high).hex()}f, low {float(to_float(log2 - high)).hex()}f")
print(f"log2(e): {float(to_float(1 / log2)).hex()}f")
