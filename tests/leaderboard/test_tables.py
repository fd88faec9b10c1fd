"""One table, six forms: numbers stay numbers for programs, and every name is safe for people."""

import csv
import io
import json
import re
from datetime import datetime
from xml.etree import ElementTree

import pytest

from headwater.leaderboard.show.tables import Column, Table
from headwater.registry.errors import BadSpec

NASTY = "a|b_c&d%e#f$g{h}~i^j\\k"


def written(capsys, table: Table, format_: str = "table") -> tuple[str, str]:
    table.print(format_)
    captured = capsys.readouterr()
    return captured.out, captured.err


@pytest.fixture
def table():
    return Table(
        "t",
        ["name", Column("gain", "gain ↑", "+.2f"), "note"],
        [("x", 1 / 3, None), (NASTY, float("nan"), [1, 2])],
        ["a note"],
    )


def test_json_keeps_numbers_raw_and_makes_nan_null(table):
    assert json.loads(table.render("json")) == [
        {"name": "x", "gain": 1 / 3, "note": None},
        {"name": NASTY, "gain": None, "note": [1, 2]},
    ]


def test_csv_keeps_numbers_raw_and_quotes_what_needs_it():
    text = Table("", ["a", "b"], [('say "hi", all', 1 / 3), ("two\nlines", None)]).render("csv")
    assert list(csv.reader(io.StringIO(text))) == [
        ["a", "b"],
        ['say "hi", all', repr(1 / 3)],
        ["two\nlines", ""],
    ]


def test_markdown_escapes_what_would_break_a_row(table):
    lines = table.render("md").splitlines()
    assert lines[0] == "| name | gain ↑ | note |"
    assert lines[1] == "| --- | ---: | --- |"
    assert lines[2] == "| x | +0.33 |  |"
    assert lines[3].startswith("| a\\|b\\_c&d%e#f$g{h}~i^j\\\\k | — |")
    assert Table("", ["a"], [("one\ntwo",)]).render("md").splitlines()[2] == "| one<br>two |"


def test_latex_escapes_every_special_character(table):
    text = table.render("latex")
    assert (
        r"a\textbar{}b\_c\&d\%e\#f\$g\{h\}\textasciitilde{}i\textasciicircum{}j\textbackslash{}k"
        in text
    )
    assert text.startswith("\\begin{table}\n\\centering\n\\caption{t}\n\\begin{tabular}{lrl}\n")
    assert "\n\\toprule\nname & gain $\\uparrow$ & note \\\\\n" in text
    assert text.endswith("\\bottomrule\n\\end{tabular}\n\\end{table}\n")


LATEX_TOKEN = re.compile(r"\\[A-Za-z]+|\\.|[{}&$~^_#%]|[^\\]", re.DOTALL)
LATEX_CHARACTERS = {
    r"\textasciitilde": "~",
    r"\textasciicircum": "^",
    r"\textasciigrave": "`",
    r"\textbackslash": "\\",
    r"\textbar": "|",
    r"\textless": "<",
    r"\textgreater": ">",
    r"\textendash": "–",
    r"\textemdash": "—",
    r"\uparrow": "↑",
    r"\pm": "±",
    **{"\\" + mark: mark for mark in "&%$#_{}"},
}


def latex_rows(text: str) -> list[list[str]]:
    r"""Read a tabular as TeX would, strictly.

    After ``\\\\`` a star and a length in brackets are arguments, after a rule a length is; spaces
    before them and after a control word do not count. Raises AssertionError for a character that
    means something else in text than itself.
    """
    body = text.partition("\\begin{tabular}{")[2].partition("}")[2].partition("\\end{tabular}")[0]
    rows = [[""]]
    place = 0
    while place < len(body):
        token = LATEX_TOKEN.match(body, place).group()
        place += len(token)
        if token in ("\\\\", r"\toprule", r"\midrule", r"\bottomrule"):
            marks = r"\s*\*?\s*(\[[^\]]*\])?" if token == "\\\\" else r"\s*(\[[^\]]*\])?"
            place = re.compile(marks).match(body, place).end()
            rows += [[""]] if token == "\\\\" else []
        elif token == "&":
            rows[-1].append("")
        elif token in LATEX_CHARACTERS:
            rows[-1][-1] += LATEX_CHARACTERS[token]
            is_word = token[1:].isalpha()
            place = re.compile(r"\s*" if is_word else "").match(body, place).end()
        elif token not in ("{", "}", "$"):
            assert token not in "~^_#%|<>`" and not token.startswith("\\"), token
            rows[-1][-1] += token
    assert rows.pop() in ([""], ["\n"])
    assert "--" not in body
    return [[cell.strip() for cell in row] for row in rows]


@pytest.mark.parametrize(
    "start", ["*", "[2pt]", " *", " [x]", "\n[", "|", "<a>", "~", "^", "`", "--"]
)
def test_latex_reads_back_as_what_was_written(start):
    cells = [f"{start} {NASTY}", "a <b> | c", "x -- y --- z", "1 ± 2"]
    rows = [cells, [start, "", "", ""], cells[::-1]]
    table = Table("", [f"{start}h", "i", "j", "k"], rows)
    expected = [[f"{start}h", "i", "j", "k"], *rows]
    flat = [[cell.replace("\n", " ").strip() for cell in row] for row in expected]
    assert latex_rows(table.render("latex")) == flat


def test_latex_has_the_title_as_caption_and_a_dash_for_no_number():
    text = Table("50% of [a]", [Column("gain", show="+.2f")], [(float("nan"),)]).render("latex")
    assert "\\caption{50\\% of [a]}" in text
    assert latex_rows(text)[1:] == [["—"]]
    assert "caption" not in Table("", ["a"], [(1,)]).render("latex")


def test_a_format_that_a_table_cannot_be_rendered_as_is_an_error_that_names_those_it_can():
    with pytest.raises(BadSpec) as caught:
        Table("", ["a"], [(1,)]).render("table")
    assert caught.value.subject == "table"
    for format_ in ("json", "csv", "md", "latex", "html"):
        assert format_ in caught.value.hint


def test_html_escapes_every_name_and_marks_numbers(table):
    root = ElementTree.fromstring(table.render("html"))
    heads = root.findall("./thead/tr/th")
    assert root.findtext("caption") == "t"
    assert [head.text for head in heads] == ["name", "gain ↑", "note"]
    assert {head.get("scope") for head in heads} == {"col"}
    rows = [[cell.text or "" for cell in row] for row in root.findall("./tbody/tr")]
    assert rows == [["x", "+0.33", ""], [NASTY, "—", "[1, 2]"]]
    numbers = [cell.text for cell in root.iter("td") if cell.get("class") == "number"]
    assert numbers == ["+0.33", "—"]
    markup = Table("<i>", ["a"], [("<script>&",)]).render("html")
    assert "<script>" not in markup and "<i>" not in markup


def test_what_is_only_for_people_is_shown_and_not_given_to_programs(table):
    columns = [
        Column("gain", show=lambda pair: f"{pair[0]:+.2f} ± {pair[1]:.2f}", only="text"),
        Column("gain", only="data"),
    ]
    both = Table("", columns, [((0.123, 0.05), 0.123)])
    for format_ in ("md", "latex", "html"):
        assert "+0.12 ± 0.05" in both.render(format_).replace("$\\pm$", "±")
        assert "0.123" not in both.render(format_)
    assert json.loads(both.render("json")) == [{"gain": 0.123}]


def test_tables_go_to_stdout_and_notes_to_stderr(capsys, table):
    for format_ in ("table", "json", "csv", "md", "latex", "html"):
        out, err = written(capsys, table, format_)
        assert "a note" not in out
        assert err == " a note\n"


def test_a_file_gets_no_colour_and_no_folding(capsys, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    out, _ = written(capsys, Table("title", ["name"], [("word " * 60,)]))
    assert "\x1b" not in out
    assert ("word " * 60).strip() in out


def test_names_are_not_read_as_markup(capsys):
    out, _ = written(
        capsys, Table("", ["name"], [("chain[base=a,on=b]",), ("[red]x[/red]",), (":smile:",)])
    )
    assert "chain[base=a,on=b]" in out
    assert "[red]x[/red]" in out
    assert ":smile:" in out


def test_control_characters_cannot_steer_the_terminal(capsys):
    out, err = written(capsys, Table("", ["reason"], [("\x1b[2Jgone\x07",)], ["\x1b]0;title\x07"]))
    assert "\x1b" not in out + err
    assert "\x07" not in out + err
    assert "gone" in out


def test_a_narrow_terminal_leaves_out_the_least_important_columns_and_says_so(capsys, monkeypatch):
    columns = [Column("key", rank=0), Column("minor", rank=3), Column("major", rank=1)]
    table = Table("", columns, [("k" * 10, 1234567890, 1234567890)])
    monkeypatch.setenv("COLUMNS", "30")
    out, err = written(capsys, table)
    assert "major" in out
    assert "minor" not in out
    assert err.startswith(" left out for width: minor (")
    assert max(map(len, out.splitlines())) <= 30
    monkeypatch.setenv("COLUMNS", "60")
    assert "minor" in written(capsys, table)[0]


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_no_line_is_wider_than_the_terminal(capsys, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    columns = [f"column {n}" for n in range(30)]
    out, _ = written(capsys, Table("", columns, [["a long name with many words" * 2, *range(29)]]))
    assert max(map(len, out.splitlines())) <= width


def test_columns_for_programs_and_for_people_are_kept_apart(capsys):
    table = Table(
        "", [Column("both"), Column("shown", only="text"), Column("raw", only="data")], [(1, 2, 3)]
    )
    assert json.loads(table.render("json")) == [{"both": 1, "raw": 3}]
    assert table.render("md").splitlines()[0] == "| both | shown |"


def test_values_read_well(capsys):
    out, _ = written(
        capsys,
        Table("", ["a", "b", "c", "d"], [(True, 0.123456, datetime(2026, 3, 1, 12), {"k": "ü"})]),
    )
    assert out.splitlines()[3].split(maxsplit=2) == [
        "yes",
        "0.1235",
        '2026-03-01 12:00:00  {"k": "ü"} ',
    ]


def test_a_table_without_rows_still_has_its_head():
    assert Table("", ["a", "b"], []).render("csv") == "a,b\n"
    assert Table("", ["a", "b"], []).render("json") == "[]\n"
    assert len(Table("", ["a", "b"], []).render("md").splitlines()) == 2


def test_sources_of_one_stem_are_told_apart_by_what_differs_and_paths_by_their_last_part() -> None:
    from headwater.leaderboard.show.short_names import shortened

    one, other = (
        f"timm/resnet18[mean=0.5,weights=/data/weights/{name}.safetensors]"
        for name in ("birds", "cars")
    )
    assert shortened([one, other, "chain[base=scratch/a,on=x/letters]"]) == {
        one: "timm/resnet18[weights=birds.safetensors]",
        other: "timm/resnet18[weights=cars.safetensors]",
        "chain[base=scratch/a,on=x/letters]": "chain(scratch/a→letters)",
    }
    alone = "timm/resnet18[mean=0.5,weights=/data/weights/resnet18.birds.safetensors]"
    on = "parquet//data/art[domain=art,mirror=false]+parquet//data/photo[domain=consumer]"
    assert shortened([alone, f"chain[base={alone},on={on}]"]) == {
        alone: "timm/resnet18[weights=birds.safetensors]",
        f"chain[base={alone},on={on}]": "chain(timm/resnet18[weights=birds.safetensors]→art+photo)",
    }
    same = ["timm/resnet18[weights=/a/w.pt]", "timm/resnet18[weights=/b/w.pt]"]
    assert shortened(same) == {name: name for name in same}


def test_tasks_are_headed_by_their_last_part_unless_two_would_read_the_same() -> None:
    from headwater.leaderboard.show.short_names import shortened_tasks

    assert shortened_tasks(["parquet//data/sketch[domain=sketches]"]) == {
        "parquet//data/sketch[domain=sketches]": "sketch"
    }
    assert shortened_tasks(["folder/a/x", "folder/b/x"]) == {
        "folder/a/x": "folder/a/x",
        "folder/b/x": "folder/b/x",
    }
