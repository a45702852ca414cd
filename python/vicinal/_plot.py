# SPDX-License-Identifier: Apache-2.0
"""Pictures of patterns: the blocks in the order of the rows, as the command's `vicinal plot` draws them."""
import numpy as np

from . import _c

STRIP, CLUSTER = 64, 16  # rows and columns of a block
SHARES = (0.01, 0.05, 0.2, 0.5, 1.0)
PAPER = "#f7f8fa"


def shares(pattern, pixels):
    """([rows, columns] float64 share of the possible pairs, 0 .. 1, and how many points a row and a column are).

    A pixel is a block of 64 x 16, or several where there are more than `pixels` of them along an edge.
    """
    strip, cluster, pairs = (np.empty(pattern._info.blocks, np.int32) for _ in range(3))
    pattern._call("vic_pattern_list_blocks", strip.ctypes.data, cluster.ctypes.data, pairs.ctypes.data, context=False)
    sides, steps, bins = [], [], []
    for n, block, number in ((pattern.n_queries, STRIP, strip), (pattern.n_keys, CLUSTER, cluster)):
        blocks = max(1, -(-n // block))
        together = -(-blocks // pixels)
        step = block * together
        steps.append(step)
        sides.append(np.clip(n - step * np.arange(-(-blocks // together)), 1, step))
        bins.append(number // together)
    possible = np.outer(*sides)
    found = np.bincount(bins[0].astype(np.int64) * possible.shape[1] + bins[1], pairs, possible.size)
    return np.minimum(found.reshape(possible.shape) / possible, 1.0), steps


def plot(pattern, ax=None, *, pixels=None, colorbar=True):
    """Pattern.plot()."""
    try:
        from matplotlib import colors, pyplot, ticker
    except ImportError as error:
        raise ImportError(f"Pattern.plot() draws with matplotlib, which cannot be imported ({error}): "
                          "pip install vicinal[plot]") from error
    if pixels is not None and int(pixels) < 1:
        raise _c.ArgumentError(f"pixels: expected 1 or more along an edge, got {pixels}")
    own = ax is None
    if own:
        _, ax = pyplot.subplots(figsize=(7.0, 6.0), layout="constrained")
        ax.set_title(f"{pattern.n_pairs:,} pairs" + (f" nearer than {pattern.cutoff:g} Å" if pattern.cutoff else
                                                     f" ({pattern.kind})"))
    if pixels is None:
        pixels = max(1, int(min(ax.get_window_extent().size)))
    share, (down, across) = shares(pattern, int(pixels))
    norm = colors.PowerNorm(0.4, 0.0, 1.0)  # steeper than linear, so that blocks of a few pairs show
    tones = colors.LinearSegmentedColormap.from_list("blocks", pyplot.get_cmap("Blues")(np.linspace(0.15, 1.0, 256)))
    ax.set_facecolor(PAPER)
    image = ax.imshow(np.ma.masked_equal(share, 0.0), norm=norm, cmap=tones, interpolation="nearest",
                      aspect="equal" if pattern.one_set else "auto",
                      extent=(0, across * share.shape[1], down * share.shape[0], 0))
    ax.set_xlim(0, max(1, pattern.n_keys))
    ax.set_ylim(max(1, pattern.n_queries), 0)
    ax.set_xlabel("keys, in the pattern's order")
    ax.set_ylabel("queries, in the pattern's order")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(ticker.MaxNLocator(5, integer=True))
        axis.set_major_formatter(ticker.StrMethodFormatter("{x:,.0f}"))
    if colorbar:
        bar = ax.figure.colorbar(image, ax=ax, ticks=SHARES, format=ticker.PercentFormatter(1.0, decimals=0),
                                 shrink=0.8 if own else 1.0)
        bar.ax.minorticks_off()
        bar.set_label("pairs of the pattern, of all possible there")
    return ax
