"""Exact limits of a counted share, and how many more cells would narrow them.

Clopper & Pearson (Biometrika 1934; 26:404): the limits of ``count`` among ``total`` are quantiles of beta
distributions, so that 95 % limits hold the true share in at least 95 % of samples, however rare the class.
Rümke's tables, which haematologists know, are these limits rounded outward to whole percent.
"""

from __future__ import annotations

import math
from functools import lru_cache

LEVEL = 0.95
_TINY = 1e-300  # Lentz's method divides by it instead of by 0
_PRECISION = 1e-15
_TERMS = 100_000  # about the square root of the parameters is needed; this is never met


def exact_limits(
    count: float, total: float, *, unsure: float = 0, level: float = LEVEL
) -> tuple[float, float]:
    """The share of ``count`` among ``total``, its lower and upper limit, each from 0 to 1.

    Each of the ``unsure`` cells might or might not belong to the class, so the lower limit is that of
    ``count`` and the upper one that of ``count + unsure``, both among ``total + unsure`` cells.

    Args:
        count: Cells of the class; a share of a cell is allowed, as ``cells_to_halve`` needs it.
        total: Cells that were named, this class's among them.
        unsure: Cells of the same sample that nobody named.
        level: How often limits so made hold the true share, at least.

    Raises:
        ValueError: Where ``count`` is not between 0 and ``total``, a number is negative, or ``level`` is
            not between 0 and 1.
    """
    if not (0 <= count <= total and unsure >= 0 and math.isfinite(total + unsure)):
        raise ValueError(f"no share: {count} of {total} with {unsure} unsure")
    if not 0 < level < 1:
        raise ValueError(f"level {level} is not between 0 and 1")
    cells, most, tail = total + unsure, count + unsure, (1 - level) / 2
    low = beta_quantile(tail, count, cells - count + 1) if count > 0 else 0.0
    # By symmetry: the upper limit of a share is one less the lower limit of the rest.
    high = 1 - beta_quantile(tail, cells - most, most + 1) if most < cells else 1.0
    return low, high


@lru_cache(maxsize=4096)
def cells_to_halve(count: float, total: float, *, unsure: float = 0) -> int:
    """How many more cells must be named, at the same share, for limits half as wide.

    The unsure cells stay as many as they are: only further cells that get a name narrow the limits.
    Where nothing is named yet, the share is taken to be 0, as the percentage then shown is.

    Args:
        count: Cells of the class.
        total: Cells that were named.
        unsure: Cells that nobody named.
    """
    share = count / total if total else 0.0

    def width(more: int) -> float:
        low, high = exact_limits(min(share * (total + more), total + more), total + more, unsure=unsure)
        return high - low

    wanted = width(0) / 2
    # Limits narrow as the root of the number: about four times as many cells are enough, and one over the width's
    # square is nearly straight between two numbers of cells.
    too_few, enough = 0, max(1, round(3 * total))
    narrow = {0: 2 * wanted}
    while (found := width(enough)) > wanted:
        narrow[enough], too_few, enough = found, enough, 2 * enough
    narrow[enough] = found
    step, beside = 0, enough - 1
    while enough - too_few > 1:
        few, many = narrow[too_few] ** -2, narrow[enough] ** -2
        straight = too_few + (wanted**-2 - few) / (many - few) * (enough - too_few) if many > few else 0
        # What is found is mostly the number itself, so that the one beside it tells; halving keeps it from taking long.
        middle = (round(straight), beside, round(straight), beside, (too_few + enough) // 2)[step % 5]
        middle = min(max(middle, too_few + 1), enough - 1)
        narrow[middle] = found = width(middle)
        if found <= wanted:
            enough, beside = middle, middle - 1
        else:
            too_few, beside = middle, middle + 1
        step += 1
    return enough


@lru_cache(maxsize=4096)
def beta_quantile(probability: float, a: float, b: float) -> float:
    """Where the beta distribution's cumulative probability reaches ``probability``, between 0 and 1.

    Newton's method on the regularised incomplete beta function, kept inside a bracket that every step narrows.

    Args:
        probability: Between 0 and 1, both excluded.
        a: First parameter, above 0.
        b: Second parameter, above 0.
    """
    low, high, x = 0.0, 1.0, a / (a + b)
    log_scale = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    for _ in range(200):
        excess = incomplete_beta(x, a, b) - probability
        low, high = (low, x) if excess > 0 else (x, high)
        log_density = log_scale + (a - 1) * math.log(x) + (b - 1) * math.log1p(-x)
        following = x - excess * math.exp(-log_density) if log_density > -700 else math.nan
        if not low < following < high:
            following = (low + high) / 2
        if abs(following - x) <= _PRECISION * x or following in {low, high}:
            return following
        x = following
    return x


def incomplete_beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function: a beta variable's probability to be at most ``x``.

    The continued fraction DLMF 8.17.22, by the modified Lentz method (Press et al., Numerical Recipes, 6.4).

    Args:
        x: From 0 to 1.
        a: First parameter, above 0.
        b: Second parameter, above 0.
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):  # the fraction converges fast below it only
        return 1 - _by_fraction(1 - x, b, a)
    return _by_fraction(x, a, b)


def _by_fraction(x: float, a: float, b: float) -> float:
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    c = 1.0
    fraction = d = 1 / _not_zero(1 - (a + b) * x / (a + 1))
    for m in range(1, _TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for numerator in (even, odd):
            d = 1 / _not_zero(1 + numerator * d)
            c = _not_zero(1 + numerator / c)
            fraction *= c * d
        if abs(c * d - 1) < _PRECISION:
            break
    return math.exp(log_front) * fraction / a


def _not_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
