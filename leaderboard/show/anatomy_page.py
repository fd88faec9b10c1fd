"""A page of an anatomy's plots that says how to read each: as HTML, and as Markdown."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from headwater.leaderboard.anatomy.readings import AnatomyReadings
from headwater.leaderboard.show.anatomy_table import heading, summary_tables
from headwater.leaderboard.show.anatomy_views import ShownAnalysis, shown_analyses
from headwater.leaderboard.show.plots.plotting import save, styled
from headwater.leaderboard.show.tables import Table
from headwater.registry import Registry

NETWORKS = (
    "P is the pre-trained network under a new head, P-T the same after training on the target; RI "
    "is the architecture at random initialisation, RI-T the same after the same training. Bands "
    "and whiskers are 95 % intervals over tasks and seeds, cut where they leave the picture; where "
    "there is none, only one cell was read. After Neyshabur, Sedghi, Zhang, What is being "
    "transferred in transfer learning? (NeurIPS 2020, arXiv 2008.11687)."
)
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;"
    "color:#222}img{max-width:100%}figure{margin:1rem 0}code{background:#f3f3f3;padding:.1em .3em}"
    "table{border-collapse:collapse;font-size:.9rem}"
    "td,th{border-bottom:1px solid #ddd;padding:.2em .8em;text-align:left}.number{text-align:right}"
    "caption{text-align:left;font-weight:600;padding:1em 0 .3em}summary{cursor:pointer}"
)


@dataclass(frozen=True)
class _AnatomySection:
    """An anatomy on the page: its analyses, each with the stem of its figure's files, if any."""

    heading: str
    figures: Sequence[tuple[ShownAnalysis, str | None]]
    tables: Sequence[Table]


def write_page(anatomies: Sequence[AnatomyReadings], folder: Path, registry: Registry) -> Path:
    """Draw everything into a folder with ``index.html`` and ``index.md``; return the former."""
    sections = []
    for number, anatomy in enumerate(anatomies, 1):
        prefix = f"{number}-" if len(anatomies) > 1 else ""
        figures = [
            (analysis, _drawn(analysis, folder, prefix))
            for analysis in shown_analyses(anatomy, registry)
        ]
        sections.append(
            _AnatomySection(heading(anatomy), figures, summary_tables(anatomy, registry))
        )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "index.md").write_text("".join(_markdown(sections)), encoding="utf-8")
    page = folder / "index.html"
    page.write_text("".join(_html(sections)), encoding="utf-8")
    return page


def _drawn(analysis: ShownAnalysis, folder: Path, prefix: str) -> str | None:
    """Draw an analysis as PNG and SVG; return the files' stem, or None where there is no plot."""
    stem = prefix + analysis.name
    with styled():
        figure = analysis.view.draw(analysis.readings)
        if figure is None:
            return None
        save(figure, folder / stem)
    return stem


def _markdown(sections: Sequence[_AnatomySection]) -> Iterator[str]:
    yield f"# The four networks\n\n{NETWORKS}\n"
    for section in sections:
        yield f"\n## {section.heading}\n"
        for analysis, stem in section.figures:
            yield f"\n### {analysis.title}\n"
            if analysis.view.how_to_read:
                yield f"\n{analysis.view.how_to_read}\n"
            if analysis.view.formula:
                yield f"\n`{analysis.view.formula}`\n"
            if stem:
                yield f"\n![{analysis.title}]({stem}.png)\n"
        for table in section.tables:
            yield f"\n**{table.title}**\n\n{table.render('md')}"


def _html(sections: Sequence[_AnatomySection]) -> Iterator[str]:
    yield '<!doctype html><html lang="en"><meta charset="utf-8"><title>The four networks</title>'
    yield f"<style>{_STYLE}</style><h1>The four networks</h1><p>{html.escape(NETWORKS)}</p>"
    for section in sections:
        yield f"<h2>{html.escape(section.heading)}</h2>"
        for analysis, stem in section.figures:
            title = html.escape(analysis.title)
            yield f"<h3>{title}</h3><p>{html.escape(analysis.view.how_to_read)}</p>"
            yield f"<p><code>{html.escape(analysis.view.formula)}</code></p>"
            if stem:
                file = html.escape(stem)
                yield f'<figure><a href="{file}.svg"><img src="{file}.png" alt="{title}"></a>'
                yield "</figure>"
        yield "<details><summary>The same in numbers</summary>"
        for table in section.tables:
            yield table.render("html")
        yield "</details>"
