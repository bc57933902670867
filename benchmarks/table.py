"""Plain tables for a terminal."""

from __future__ import annotations

from collections.abc import Sequence


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as needed; the first ones, which name things, to the left."""
    lines = [header, ["-" * len(title) for title in header], *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    names = sum(1 for title in header if title in NAMES)
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column < names else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


NAMES = ("server", "layer", "database", "update")


def number(value: float | None, digits: int | None = None) -> str:
    """Three significant figures or so; a dash for what was not measured."""
    if value is None:
        return "–"
    if digits is None:
        digits = 0 if value >= 100 else 1
    return f"{value:,.{digits}f}"


def ratio(above: float | None, below: float | None) -> str:
    """``above ÷ below``, if both were measured."""
    if not above or not below:
        return "–"
    return number(above / below, 2 if above < 100 * below else 0)
