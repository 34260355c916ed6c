"""A report as blocks, and its two forms: Markdown beside its pictures, and one HTML file.

Rules of the room: a block is said once and rendered twice; the HTML holds its pictures and styles
itself and loads nothing. Text takes **bold** and `code`, nothing else.
"""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_STYLE: Final = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; padding: 0 1rem; max-width: 72rem; }
h1, h2, h3 { line-height: 1.2; margin: 2rem 0 .6rem; } p, li { max-width: 48rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; margin: .8rem 0; font-size: .9rem; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: right;
  white-space: nowrap; font-variant-numeric: tabular-nums; }
th:first-child, td:first-child { text-align: left; } th { background: var(--soft); }
td.text { text-align: left; white-space: normal; min-width: 16rem; }
figure { margin: 1rem 0; } figure svg { max-width: 100%; height: auto; background: #fff; }
figcaption, .note { font-size: .9rem; opacity: .8; } code { font-size: .9em; }
.lead { font-size: 1.1rem; border-left: 4px solid #06c; padding-left: 1rem; }
"""


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading; level 1 is the title."""

    text: str
    level: int = 2


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Plain text; `lead`: the one that is read when nothing else is."""

    text: str
    lead: bool = False


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under their heads; the first column names the row."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    texts: frozenset[int] = frozenset()  # columns of running text: left-aligned, wrapped


@dataclass(frozen=True, slots=True)
class Picture:
    """An SVG file beside the report."""

    file: str  # relative to the report
    caption: str


Block = Heading | Paragraph | Items | Table | Picture


def write(folder: Path, blocks: Sequence[Block]) -> tuple[Path, Path]:
    """Write report.md and report.html; pictures must lie in the folder already."""
    markdown, page = folder / "report.md", folder / "report.html"
    markdown.write_text("\n\n".join(_markdown(block) for block in blocks) + "\n", "utf-8")
    title = next(block.text for block in blocks if isinstance(block, Heading))
    body = "\n".join(_html(block, folder) for block in blocks)
    page.write_text(
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n",
        "utf-8",
    )
    return markdown, page


def _markdown(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"{'#' * level} {text}"
        case Paragraph(text):
            return text
        case Items(texts):
            return "\n".join(f"- {text}" for text in texts)
        case Table(heads, rows, texts):
            rule = [":--" if at == 0 or at in texts else "--:" for at in range(len(heads))]
            lines = [heads, rule, *rows]
            cells = ([cell.replace("|", "\\|") for cell in line] for line in lines)
            return "\n".join(f"| {' | '.join(line)} |" for line in cells)
        case Picture(file, caption):
            return f"![{caption}]({file})"


def _html(block: Block, folder: Path) -> str:
    match block:
        case Heading(text, level):
            return f"<h{level}>{_inline(text)}</h{level}>"
        case Paragraph(text, lead):
            return f'<p class="lead">{_inline(text)}</p>' if lead else f"<p>{_inline(text)}</p>"
        case Items(texts):
            return f"<ul>{''.join(f'<li>{_inline(text)}</li>' for text in texts)}</ul>"
        case Table():
            return _html_table(block)
        case Picture(file, caption):
            drawn = (folder / file).read_text("utf-8")
            drawn = _own_names(drawn[drawn.index("<svg") :], Path(file).stem)
            said = _inline(caption)
            return f"<figure>{drawn}<figcaption>{said}</figcaption></figure>"


def _html_table(table: Table) -> str:
    heads = "".join(f"<th>{_inline(head)}</th>" for head in table.heads)
    lines = []
    for row in table.rows:
        cells = (
            f"<td{' class=text' if at in table.texts else ''}>{_inline(cell)}</td>"
            for at, cell in enumerate(row)
        )
        lines.append(f"<tr>{''.join(cells)}</tr>")
    body = "\n".join(lines)
    return f'<div class="wide"><table><thead><tr>{heads}</tr></thead>\n{body}</table></div>'


def _inline(text: str) -> str:
    escaped = html.escape(text, quote=False)
    escaped = re.sub(r"`([^`]+)`", r"<code>\1</code>", escaped)
    return re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", escaped)


def _own_names(svg: str, prefix: str) -> str:
    """Ids of a picture in a page of many: matplotlib gives every file the same ones."""
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#{prefix}-\1"', svg)
    return re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", svg)
