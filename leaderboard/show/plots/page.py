"""A page of the plots that says how to read each: as HTML for a browser, as Markdown for a repository."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from pathlib import Path

from headwater.leaderboard.anatomy.readings import AnatomyReadings
from headwater.leaderboard.show.anatomy_table import heading, summary_tables
from headwater.leaderboard.show.plots import draw_all, plot_of

NETWORKS = (
    "P is the pre-trained network under a new head, P-T the same after training on the target; RI is the architecture at random "
    "initialisation, RI-T the same after the same training. Bands and whiskers are 95 % intervals over tasks and seeds, cut where they "
    "leave the picture; where there is none, only one cell was read. After Neyshabur, Sedghi, Zhang, "
    "What is being transferred in transfer learning? (NeurIPS 2020, arXiv 2008.11687)."
)
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "img{max-width:100%}figure{margin:1rem 0}code{background:#f3f3f3;padding:.1em .3em}table{border-collapse:collapse;font-size:.9rem}"
    "td,th{border-bottom:1px solid #ddd;padding:.2em .8em;text-align:left}summary{cursor:pointer}"
)


def write_page(found: Sequence[AnatomyReadings], folder: Path) -> Path:
    """Draw everything into ``folder`` with ``index.html`` and ``index.md``; returns the first."""
    sections = [
        (one, draw_all(one, folder, f"{place}-" if len(found) > 1 else ""))
        for place, one in enumerate(found, 1)
    ]
    (folder / "index.md").write_text("".join(_markdown(sections)), encoding="utf-8")
    page = folder / "index.html"
    page.write_text("".join(_html(sections)), encoding="utf-8")
    return page


def _markdown(sections: Sequence[tuple[AnatomyReadings, dict[str, str]]]) -> Iterator[str]:
    yield f"# The four networks\n\n{NETWORKS}\n"
    for one, drawn in sections:
        yield f"\n## {heading(one)}\n"
        for analysis, file in drawn.items():
            plot = plot_of(analysis)
            yield f"\n### {plot.TITLE}\n\n{plot.READ}\n\n`{plot.FORMULA}`\n\n![{plot.TITLE}]({file}.png)\n"
        for table in summary_tables(one):
            yield f"\n**{table.title}**\n\n{table.render('md')}"


def _html(sections: Sequence[tuple[AnatomyReadings, dict[str, str]]]) -> Iterator[str]:
    yield f'<!doctype html><html lang="en"><meta charset="utf-8"><title>The four networks</title><style>{_STYLE}</style>'
    yield f"<h1>The four networks</h1><p>{html.escape(NETWORKS)}</p>"
    for one, drawn in sections:
        yield f"<h2>{html.escape(heading(one))}</h2>"
        for analysis, file in drawn.items():
            plot = plot_of(analysis)
            yield f"<h3>{plot.TITLE}</h3><p>{html.escape(plot.READ)}</p><p><code>{html.escape(plot.FORMULA)}</code></p>"
            yield f'<figure><a href="{file}.svg"><img src="{file}.png" alt="{html.escape(plot.TITLE)}"></a></figure>'
        yield "<details><summary>The same in numbers</summary>"
        for table in summary_tables(one):
            yield f"<h4>{html.escape(table.title)}</h4><table>{''.join(_rows(table.columns, table.rows))}</table>"
        yield "</details>"


def _rows(columns: Sequence[object], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    yield f"<tr>{''.join(f'<th>{html.escape(column.heading or column.name)}</th>' for column in columns)}</tr>"  # type: ignore[attr-defined]
    for row in rows:
        yield f"<tr>{''.join(f'<td>{html.escape(str(cell))}</td>' for cell in row)}</tr>"
