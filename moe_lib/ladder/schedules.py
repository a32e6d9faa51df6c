"""How the learning rate moves over a run: a schedule goes from the share of steps that are done to a multiplier."""

import math


def one_cycle(done: float) -> float:
    """Up along half a cosine over the first three tenths of all steps, from a 25th to 1, then down to nearly zero.

    The idea is Smith and Topin's (arXiv:1708.07120), the shape that of PyTorch's OneCycleLR.
    """
    peak, start, end = 0.3, 1 / 25, 1e-5
    if done < peak:
        return 1 + (start - 1) * _half_cosine(done / peak)
    return end + (1 - end) * _half_cosine((done - peak) / (1 - peak))


def _half_cosine(way: float) -> float:
    return (1 + math.cos(math.pi * way)) / 2  # from 1 to 0
