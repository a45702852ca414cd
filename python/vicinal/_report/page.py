# SPDX-License-Identifier: Apache-2.0
"""The report as one HTML file that needs nothing else, and as Markdown."""
from html import escape

from . import tables
from .records import case, count, duration, three

STYLE = """
:root{color-scheme:light dark;--ink:#1c2430;--soft:#5a6675;--paper:#fff;--card:#f4f6f9;--line:#dde3ea;--good:#1c7c4a;--bad:#b3341f;--link:#1d5fb0}
@media (prefers-color-scheme:dark){:root{--ink:#e5e9ef;--soft:#a0acba;--paper:#12161c;--card:#1b212a;--line:#323b47;--good:#5cc98d;--bad:#ef8a76;--link:#7db4f5}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1.2rem;max-width:70rem;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
h1{font-size:1.6rem;line-height:1.2;margin:.2rem 0}h2{font-size:1.2rem;margin:2.2rem 0 .6rem}h3{font-size:1rem;margin:1.4rem 0 .4rem}
p,li{max-width:46rem}.soft{color:var(--soft)}a{color:var(--link)}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(13rem,1fr));gap:.8rem;margin:1rem 0;padding:0;list-style:none}
.cards li{background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.7rem .9rem}
.cards strong{display:block;font-size:1.5rem;line-height:1.25}
.scroll{overflow-x:auto;margin:.4rem 0}
table{border-collapse:collapse;font-size:.88rem;font-variant-numeric:tabular-nums}
caption{text-align:left;color:var(--soft);padding:.2rem 0}
th,td{padding:.25rem .7rem .25rem 0;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap;vertical-align:top}
th{font-weight:600;color:var(--soft)}th.w,td.w{text-align:left}td.w:first-child{white-space:normal;min-width:11rem}
td.src{font-size:.78rem;color:var(--soft)}.good{color:var(--good)}.bad{color:var(--bad)}
svg{width:100%;height:auto;max-width:46rem;display:block;font-family:system-ui,sans-serif;color:var(--ink)}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(22rem,100%),1fr));gap:1.2rem}figure{margin:0}figcaption{font-size:.88rem;color:var(--soft)}
.plot svg{min-width:32rem}
nav a{margin-right:1rem;white-space:nowrap}details{margin:.4rem 0}summary{cursor:pointer;color:var(--soft)}
@media print{body{max-width:none;font-size:11px}nav,details:not([open])>summary{display:none}h2,h3{break-after:avoid}figure,tr{break-inside:avoid}.plot svg{min-width:0}}
"""


def _cell(text, word, tag="td", more=""):
    return f'<{tag}{" class=w" if word else ""}{more}>{escape(text)}</{tag}>'


def _table(table, caption=""):
    if not table.rows:
        return ""
    traced = any(record for _, record in table.rows)
    head = "".join(_cell(c, i < table.words, "th", ' scope="col"') for i, c in enumerate(table.columns))
    if traced:
        head += '<th class=w scope="col">from</th>'
    body = ""
    for cells, record in table.rows:
        body += "<tr>" + "".join(_cell(c, i < table.words) for i, c in enumerate(cells))
        if traced:
            command = str(record.get("command") or "") if record else ""
            body += (f'<td class="w src" title="{escape(command, quote=True)}">{escape(record.source if record else "")}'
                     "</td>")
        body += "</tr>\n"
    caption = f"<caption>{escape(caption)}</caption>" if caption else ""
    return (f'<div class=scroll tabindex=0><table>{caption}<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>'
            "</table></div>\n")


def _cards(report):
    """What a reader looks for first: how fast, beside whom, on what."""
    cards = []
    for device, groups in _peers_by_device(report).items():
        ratios = [g.best_other[0] for g in groups if g.best_other and "gradients" not in g.title]
        if ratios:
            least, most = three(min(ratios)), three(max(ratios))
            cards.append((f"{least} x" if least == most else f"{least} to {most} x",
                          f"as fast as the fastest other, forward, in {count(len(ratios), 'case')} ({device})"))
    for line in report.origin:
        if "persistent" in line.what and line.ratio:
            cards.append((line.ours, f"queries a second of one process, where the origin had {line.theirs}"))
        elif line.what == "latency of a query" and line.ratio:
            cards.append((line.ours, f"for the origin's query, where it had {line.theirs}"))
    if not cards:
        best = [r for r in report.records if r.kind == "latency"][:4]
        cards = [(duration(r.get("seconds.single.p50")), f"{case(r)} ({r.device})") for r in best]
    return cards[:5]


def _peers_by_device(report):
    found = {}
    for group in report.peers:
        found.setdefault(group.device, []).append(group)
    return found


def _status(met):
    return "<span class=good>✓ met</span>" if met else "<span class=bad>✗ missed</span>"


def _origin(report):
    if not report.origin:
        return ""
    rows = ""
    for line in report.origin:
        ratio = "" if line.ratio is None else f"{three(line.ratio)} x"
        tone = "" if line.ratio is None else ' class="good"' if line.ratio >= 1 else ' class="bad"'
        source = line.record.source if line.record else ""
        note = f"<br><span class=soft>{escape(line.note)}</span>" if line.note else ""
        rows += (f"<tr><td class=w>{escape(line.what)}{note}</td><td>{escape(line.theirs)}</td><td>{escape(line.ours)}</td>"
                 f"<td{tone}>{ratio}</td><td class='w src'>{escape(source)}</td></tr>\n")
    return ("<h2 id=origin>Beside the report that this began with</h2>\n<p>A block-sparse attention on one H100: 80 % of the "
            "blocks empty, blocks of 128 x 128, head size 64, float16; here on "
            f"{escape(report.origin[0].record.device if report.origin[0].record else 'this GPU')}.</p>\n"
            "<div class=scroll tabindex=0><table><thead><tr><th class=w>"
            "</th><th>there</th><th>here</th><th>better by</th><th class=w>from</th></tr></thead>\n<tbody>\n"
            f"{rows}</tbody></table></div>\n")


def _targets(report):
    if not report.targets:
        return ""
    rows = "".join(f"<tr><td class=w>{escape(t.name)}</td><td>{escape(t.target)}</td>"
                   f"<td>{'not measured' if t.value is None else f'{t.value:.4g}'}</td><td>{_status(t.met)}</td>"
                   f"<td class='w src'>{escape(t.record.source if t.record else '')}</td></tr>\n" for t in report.targets)
    return ("<h2 id=targets>Targets</h2>\n<div class=scroll tabindex=0><table><thead><tr><th class=w>target</th><th>bound</th>"
            f"<th>value</th><th>status</th><th class=w>from</th></tr></thead>\n<tbody>\n{rows}</tbody></table></div>\n")


def _peers(report, plots):
    if not report.peers:
        return ""
    text = "<h2 id=peers>Beside others</h2>\n<p>Each case on the same input, in one process, checked against float64 first.</p>\n"
    for device, groups in _peers_by_device(report).items():
        picture = plots.peers(groups)
        if picture:
            text += f"<h3>{escape(device)}</h3>\n<div class='scroll plot' tabindex=0>{picture}</div>\n"
        text += "<details><summary>All times</summary>\n" + "".join(
            f"<h3>{escape(g.title)}</h3>\n{_table(tables.peers_table(g))}" for g in groups) + "</details>\n"
    return text


def _by_device(records):
    found = {}
    for r in records:
        found.setdefault(r.device, []).append(r)
    return found


def _attention(report, plots):
    text = ""
    for device, records in _by_device([r for r in report.records if r.kind == "latency"]).items():
        picture = plots.spread(records, case)
        table = tables.attention(records)
        text += f"<h3>{escape(device)}</h3>\n"
        text += f"<div class='scroll plot' tabindex=0>{picture}</div>\n" if picture else ""
        text += (f"<details><summary>{count(len(table.rows), 'row')}: all percentiles, rates and errors</summary>"
                 f"{_table(table)}</details>\n")
    return text and f"<h2 id=attention>Attention, one launch</h2>\n{text}<p class=soft>{tables.attention([]).note}</p>\n"


def _scaling(report, plots):
    by_over = {}
    for (device, over, label), points in tables.scaling(report.records).items():
        if len(points) > 1:
            by_over.setdefault((device, over), []).append((label, points))
    if not by_over:
        return ""
    figures = ""
    for (device, over), series in by_over.items():
        rows = [([label, f"{x:,.6g}", duration(tables.median(r))], r) for label, points in series for x, r in points]
        table = tables.Table("", ["", over, "median"], rows)
        figures += (f"<figure>{plots.scaling(over, series)}<figcaption>{escape(device)}<details><summary>numbers</summary>"
                    f"{_table(table)}</details></figcaption></figure>\n")
    return f"<h2 id=scaling>How it grows</h2>\n<div class=plots>{figures}</div>\n"


def _section(name, table, records):
    if not table.rows:
        return ""
    devices = ", ".join(_by_device([r for _, r in table.rows if r]))
    return (f"<h2 id={name}>{escape(table.title)}</h2>\n{_table(table, devices)}"
            f"{f'<p class=soft>{escape(table.note)}</p>' if table.note else ''}\n")


def html(report):
    """The page's text.  Raises ImportError where there is no matplotlib."""
    from . import plots
    parts = [("targets", "targets", _targets(report)), ("origin", "origin", _origin(report)),
             ("peers", "others", _peers(report, plots)), ("attention", "attention", _attention(report, plots)),
             ("scaling", "growth", _scaling(report, plots))]
    for name, word, make in (("patterns", "patterns", tables.patterns), ("throughput", "throughput", tables.throughput),
                             ("serving", "serving", tables.serving)):
        parts.append((name, word, _section(name, make(report.records), report.records)))
    links = " ".join(f'<a href="#{name}">{word}</a>' for name, word, text in parts if text)
    cards = "".join(f"<li><strong>{escape(big)}</strong> {escape(small)}</li>" for big, small in _cards(report))
    other = [r for r in report.records if r.kind == "other"]
    unknown = (f"<p class=soft>{count(len(other), 'line')} with other results or notes on the machine "
               "are in the files and not shown here.</p>" if other else "")
    return f"""<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>{escape(report.title)}</title><style>{STYLE}</style></head>
<body>
<header><p class=soft>vicinal, measured</p><h1>{escape(report.title)}</h1>
<p>Softmax attention between the atoms of a structure, over exactly the pairs within a cutoff:
how fast, beside what, and on which machine.</p>
<ul class=cards>{cards}</ul>
<nav aria-label="Sections">{links} <a href="#files">files</a></nav></header>
<main>
{"".join(text for *_, text in parts)}
<h2 id=files>Where each figure is from</h2>
<p>The column "from" names file and line; the line has the command, and pointing at it shows it.</p>
{_table(tables.sources(report.records))}{unknown}
</main>
</body>
</html>
"""


# ---- Markdown ----


def _lines(table, level="###"):
    if not table.rows:
        return []
    traced = any(record for _, record in table.rows)
    columns = table.columns + (["from"] if traced else [])
    marks = ["---" if i < table.words or i == len(table.columns) else "---:" for i in range(len(columns))]
    lines = [f"{level} {table.title}", ""] if table.title else []
    lines += ["| " + " | ".join(columns) + " |", "|" + "|".join(marks) + "|"]
    for cells, record in table.rows:
        cells = list(cells) + ([record.source if record else ""] if traced else [])
        lines.append("| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |")
    return lines + ["", *([table.note, ""] if table.note else [])]


def origin_table(report):
    """The origin's table in words; empty where there is none."""
    return tables.Table("Beside the report that this began with", ["", "there", "here", "better by"], [
        ([line.what + (f" ({line.note})" if line.note else ""), line.theirs, line.ours,
          "" if line.ratio is None else f"{three(line.ratio)} x"], line.record) for line in report.origin])


def markdown(report):
    """The same tables, without pictures."""
    lines = [f"# {report.title}", ""]
    for big, small in _cards(report):
        lines.append(f"- **{big}** {small}")
    lines.append("")
    if report.targets:
        lines += _lines(tables.Table("Targets", ["target", "bound", "value", "status"], [
            ([t.name, t.target, "not measured" if t.value is None else f"{t.value:.4g}", "met" if t.met else "missed"],
             t.record) for t in report.targets]), "##")
    if report.origin:
        lines += _lines(origin_table(report), "##")
    if report.peers:
        lines += ["## Beside others", ""]
        for group in report.peers:
            lines += _lines(tables.peers_table(group))
    for make in (tables.attention, tables.patterns, tables.throughput, tables.serving):
        lines += _lines(make(report.records), "##")
    scaled = tables.Table("How it grows", ["", "over", "value", "median"], [], words=2)
    for (device, over, label), points in tables.scaling(report.records).items():
        scaled.rows += [([f"{label} ({device})", over, f"{x:,.6g}", duration(tables.median(r))], r) for x, r in points]
    lines += _lines(scaled, "##")
    lines += _lines(tables.sources(report.records), "##")
    other = sum(r.kind == "other" for r in report.records)
    if other:
        lines += [f"{count(other, 'line')} with other results or notes on the machine are in the files and not shown here.", ""]
    return "\n".join(lines)

