# SPDX-License-Identifier: Apache-2.0
"""Pictures as SVG: texts stay texts, and what is black becomes the page's own colour, so that one picture serves light,
dark and print."""
import html
import io
import re
import textwrap
import zlib

import matplotlib
from matplotlib import ticker
from matplotlib.figure import Figure

from .records import duration, three
from .tables import median

INK = "#010203"  # stands for the page's colour of text
OURS, OTHERS, SERIES = "#2a78d6", "#8a93a3", ("#2a78d6", "#d9603b", "#2f9e6e", "#9c5fc4", "#b8860b", "#8a93a3")
STYLE = {
    "svg.fonttype": "none", "svg.hashsalt": "vicinal", "font.family": "sans-serif", "font.size": 10,
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK, "xtick.color": INK, "ytick.color": INK,
    "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.6, "axes.facecolor": "none",
    "figure.facecolor": "none", "grid.color": INK, "grid.alpha": 0.15, "grid.linewidth": 0.6, "legend.frameon": False,
}


def _svg(figure, text):
    """The picture, named by `text` for those who do not see it."""
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    svg = file.getvalue()
    svg = svg[svg.index("<svg"):]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.S)
    svg = svg.replace(INK, "currentColor")
    svg = re.sub(r'<svg[^>]*?viewBox="([^"]*)"[^>]*>', lambda m: (
        f'<svg viewBox="{m[1]}" role="img" aria-label="{html.escape(text, quote=True)}" '
        f'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"><title>{html.escape(text)}'
        "</title>"), svg, count=1, flags=re.S)
    return _own_names(svg, text)


def _own_names(svg, text):
    """Several pictures on a page may not share the names of their parts."""
    mark = f"p{zlib.crc32(text.encode()):x}-"
    svg = re.sub(r'\bid="([^"]+)"', lambda m: f'id="{mark}{m[1]}"', svg)
    svg = re.sub(r'url\(#([^)]+)\)', lambda m: f"url(#{mark}{m[1]})", svg)
    return re.sub(r'href="#([^"]+)"', lambda m: f'href="#{mark}{m[1]}"', svg)


def _seconds_axis(axis):
    axis.set_major_formatter(ticker.FuncFormatter(lambda v, _: duration(v).replace(".00", "") if v > 0 else "0"))
    axis.set_minor_formatter(ticker.NullFormatter())


def _wrapped(name):
    return "\n".join(textwrap.wrap(name, 36))


def peers(groups):
    """Bars: how many times as long as vicinal each case's fastest other way takes."""
    shown = [(title, *best) for title, best in {g.title: g.best_other for g in groups if g.best_other}.items()]
    if not shown:
        return ""
    shown.reverse()
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 0.9 + 0.42 * len(shown)), layout="constrained")
        axes = figure.subplots()
        axes.barh(range(len(shown)), [r for _, r, _ in shown], color=[OURS if r >= 1 else SERIES[1] for _, r, _ in shown],
                  height=0.62)
        axes.axvline(1.0, color=INK, linewidth=0.8)
        axes.set_yticks(range(len(shown)), [_wrapped(title) for title, *_ in shown], fontsize=8.5)
        most = max(r for _, r, _ in shown)
        if most > 20:
            axes.set_xscale("log")
        for at, (_, ratio, label) in enumerate(shown):
            axes.annotate(f"{three(ratio)} x  {textwrap.shorten(label, 32, placeholder='…')}", (ratio, at), xytext=(4, 0), textcoords="offset points",
                          va="center", fontsize=8.5)
        axes.set_xlim(right=most * (30 if most > 20 else 1.75))
        axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda v, _: f"{v:g} x"))
        axes.xaxis.set_minor_formatter(ticker.NullFormatter())
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(-0.6, len(shown) - 0.4)
        axes.set_xlabel("time of the fastest other, vicinal = 1")
        return _svg(figure, "Time of the fastest other way, vicinal = 1: " + "; ".join(
            f"{title}: {three(ratio)} ({label})" for title, ratio, label in reversed(shown)))


def scaling(over, series):
    """Lines: the latency over one quantity.  `series` are (label, [(value, record)])."""
    names = {"atoms": "atoms", "blocks": "full blocks of 128 x 128", "cutoff": "cutoff / Å", "heads": "heads",
             "head-dim": "head size", "batch": "batch", "threads": "threads"}
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(5.2, 3.4), layout="constrained")
        axes = figure.subplots()
        for (label, points), colour, mark in zip(series, SERIES * 4, "osD^v*" * 4):
            axes.plot([x for x, _ in points], [median(r) for _, r in points], color=colour, marker=mark, markersize=4.5,
                      linewidth=1.4, label=label)
        xs = sorted({x for _, points in series for x, _ in points})
        wide = xs[0] > 0 and xs[-1] / xs[0] > 3
        if wide:
            axes.set_xscale("log")
        if wide or max(median(r) for _, p in series for _, r in p) > 8 * min(median(r) for _, p in series for _, r in p):
            axes.set_yscale("log")
        else:
            axes.set_ylim(bottom=0)
        if len(xs) <= 8:
            axes.set_xticks(xs, [f"{x:,.0f}" if x >= 1 else f"{x:g}" for x in xs], rotation=30 if xs[-1] >= 1e4 else 0)
            axes.xaxis.set_minor_locator(ticker.NullLocator())
        _seconds_axis(axes.yaxis)
        axes.grid(True)
        axes.set_xlabel(names.get(over, over))
        axes.set_ylabel("one launch, median")
        if len(series) > 1 or len(series[0][0]) < 40:
            axes.legend(fontsize=8)
        return _svg(figure, f"Latency over {names.get(over, over)}. " + " ".join(
            f"{label}: " + ", ".join(f"{x:,.6g}: {duration(median(r))}" for x, r in points) + "." for label, points in series))


def spread(records, case):
    """For each case from the least to P99 of its single launches, the median marked."""
    shown = [(case(r), r.get("seconds.single")) for r in records if r.get("seconds.single.p99") is not None]
    if not shown:
        return ""
    shown = list(dict(shown).items())[::-1]  # the last run of each case
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 0.9 + 0.34 * len(shown)), layout="constrained")
        axes = figure.subplots()
        for at, (_, t) in enumerate(shown):
            axes.plot([t["min"], t["p99"]], [at, at], color=OURS, linewidth=5, alpha=0.3, solid_capstyle="round")
            axes.plot([t["p95"]], [at], color=OURS, marker="|", markersize=9)
            axes.plot([t["p50"]], [at], color=OURS, marker="o", markersize=6)
            axes.annotate(duration(t["p50"]), (t["p99"], at), xytext=(7, 0), textcoords="offset points", va="center",
                          fontsize=8.5)
        axes.set_xscale("log")
        axes.set_xlim(min(t["min"] for _, t in shown) / 1.3, max(t["p99"] for _, t in shown) * 2)
        axes.set_yticks(range(len(shown)), [_wrapped(name) for name, _ in shown], fontsize=8.5)
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(-0.6, len(shown) - 0.4)
        _seconds_axis(axes.xaxis)
        axes.grid(True, axis="x")
        axes.set_xlabel("a single launch: least to P99, dot: median, bar: P95")
        return _svg(figure, "Latency of a single launch, median and P99: " + "; ".join(
            f"{name}: {duration(t['p50'])}, {duration(t['p99'])}" for name, t in reversed(shown)))
