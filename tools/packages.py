"""
Draw docs/images/packages.svg: the packages of notify/ by the import contract in setup.cfg.

    python tools/packages.py

Each row is a layer of the contract, and imports point down. A blue box is a package and a grey box is a
module; each shows the first paragraph of its docstring. With ``--check``, the script only fails if the
picture is out of date.
"""

from __future__ import annotations

import ast
import sys
import textwrap
from configparser import ConfigParser
from html import escape
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
PICTURE = PROJECT / "docs/images/packages.svg"

WIDTH, GAP, LINE = 860, 8, 16
CROWD = 4  # in a row with more boxes than this, each box has space only for its name
HEAD, PADDING = 26, 10
STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1d2733 }
  .name { font-weight: 600 }
  .small { font-size: 11.5px }
  .said { font-size: 11.5px; fill: #4a5868 }
  .package { fill: #eef4fb; stroke: #7fa6cf }
  .module { fill: #f6f6f4; stroke: #d5d5d0 }
  .side { fill: #6b7785; font-size: 11.5px }
"""


def layers() -> list[list[str]]:
    """Returns the rows of the contract "Imports point down", each as a list of names."""
    config = ConfigParser()
    config.read(PROJECT / "setup.cfg")
    rows = config["importlinter:contract:layers"]["layers"].split("\n")
    return [[name.strip(" ()") for name in row.split("|")] for row in rows if row.strip()]


def is_package(name: str) -> bool:
    return (PROJECT / "notify" / name / "__init__.py").is_file()


def lines(name: str, width: float) -> list[str]:
    """Returns the wrapped first paragraph of a docstring, or no lines if the box is too narrow."""
    path = PROJECT / "notify" / (f"{name}/__init__.py" if is_package(name) else f"{name}.py")
    text = (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n\n")[0]
    if width < WIDTH / CROWD - 2 * GAP:
        return []
    text = " ".join(text.replace("``", "").split())
    return textwrap.wrap(text, int((width - 2 * PADDING) / 5.9))


def box(name: str, x: float, y: float, width: float, height: float) -> list[str]:
    """Returns the SVG elements of one module or package."""
    said = lines(name, width)
    kind, size = "package" if is_package(name) else "module", "name" if said else "name small"
    drawn = [
        f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="5"/>',
        f'<text class="{size}" x="{x + PADDING:g}" y="{y + 18:g}">{name}</text>',
    ]
    for number, line in enumerate(said):
        at = y + HEAD + 10 + number * LINE
        drawn.append(f'<text class="said" x="{x + PADDING:g}" y="{at:g}">{escape(line)}</text>')
    return drawn


def draw() -> str:
    """Returns the whole picture as SVG."""
    drawn, y = [], GAP
    for row in layers():
        width = (WIDTH - GAP * (len(row) + 1)) / len(row)
        height = HEAD + max(len(lines(name, width)) for name in row) * LINE
        for number, name in enumerate(row):
            drawn += box(name, GAP + number * (width + GAP), y, width, height)
        y += height + GAP
    drawn.append(
        f'<text class="side" x="{GAP}" y="{y + 10}">Each row imports only from rows below it.</text>'
    )
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + 20}" role="img">'
    title = "<title>The packages of notify and the direction of their imports</title>"
    back = f'<rect width="{WIDTH}" height="{y + 20}" fill="#fff"/>'
    return "\n".join([head, title, f"<style>{STYLE}</style>", back, *drawn, "</svg>\n"])


def main(arguments: list[str]) -> None:
    if arguments == ["--check"]:
        if not PICTURE.is_file() or PICTURE.read_text() != draw():
            sys.exit("docs/images/packages.svg is out of date: run python tools/packages.py")
    elif arguments:
        sys.exit("Usage: python tools/packages.py [--check]")
    else:
        PICTURE.write_text(draw())


if __name__ == "__main__":
    main(sys.argv[1:])
