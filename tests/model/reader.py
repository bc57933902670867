"""
The client's reducer: client/src/mailbox/store.js in Python, method by method.

``replay.mjs`` gives the real one the same documents, and compares after each.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from notify.protocol import Changes, Counts, Cursor, Mark, Undo, Verdict, judge
from tests.model.database import Row
from tests.model.rules import GAPS, Rules


@dataclass(eq=False)
class Overlay:
    """A mark that is shown before the server has answered."""

    ref: int
    mark: Mark | Undo
    shown: dict[int, int]
    epoch: str | None = None  # the epoch of the marked rows
    until: Cursor | None = None
    is_answered: bool = field(default=False)


class Reader:
    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.cursor: Cursor | None = None
        self.complete: Cursor | None = None  # the last cursor at which nothing was missing
        self.counts: Counts | None = None
        self.counts_at: Cursor | None = None  # the head to which the counts belong
        self.newest: Cursor | None = None  # the highest cursor at which nothing was missing
        self.paged: dict[tuple[str | None, int], int] = {}  # rows that came above that
        self.rows: dict[int, Row] = {}
        self.overlays: list[Overlay] = []
        self.told: list[Row] = []  # the rows that the last document changed

    def get(self, id: int) -> Row | None:
        """The row as it is shown: the server's state, with the marks on their way to the server."""
        row = self.rows.get(id)
        if row is None:
            return None
        for overlay in self.overlays:
            if overlay.shown.get(id, -1) >= (row.arrived or 0):
                row = row.marked(overlay.mark)
        return row

    def all(self) -> list[Row]:
        rows = [row for row in map(self.get, self.rows) if row is not None]
        return sorted(rows, key=lambda row: -(row.arrived or 0))

    def apply(
        self, changes: Changes, rows: Sequence[Row], *, authoritative: bool
    ) -> tuple[Verdict, list[Row]]:
        """Take one document. Returns the verdict, and the rows whose arrival is news."""
        keep = self.rules.keep
        reset = changes.reset
        if reset and (authoritative or not keep("only-a-welcome-lowers")):
            verdict = Verdict.APPLY
        elif keep("the-rule-at-the-client"):
            verdict = judge(self.cursor, changes.since, changes.cursor, reset=reset)
        else:
            verdict = Verdict.APPLY if changes.cursor else Verdict.DROP
        if verdict is not Verdict.APPLY:
            return verdict, []
        mine = self.cursor
        if changes.cursor is None and mine is None and self.counts:
            return Verdict.DROP, []
        epoch = changes.cursor and changes.cursor.epoch
        if "ids-given-again" not in GAPS:
            self.overlays = [overlay for overlay in self.overlays if overlay.epoch == epoch]
        known = -1 if epoch is None else position_in(epoch, self.newest)
        if not keep("old-content-is-no-news"):
            known = -1
        floor = -1 if reset or epoch is None else position_in(epoch, mine)
        before = dict(self.rows)
        fresh: set[int] = set()
        touched: dict[int, None] = {}
        if reset and keep("a-reset-replaces"):
            self.rows.clear()
        for row in rows:
            held = self.rows.get(row.id)
            position, arrived = row.position or 0, row.arrived or 0
            is_old = position <= max(floor, held.position or 0 if held else -1)
            if is_old and keep("a-row-is-taken-only-above-the-one-held"):
                continue
            was = before.get(row.id)
            is_held = was is not None and (arrived, row.text) == (was.arrived, was.text)
            told = self.paged.get((epoch, row.id), -1)
            if arrived > max(known, told) and not is_held:
                fresh.add(row.id)
            self.paged[epoch, row.id] = max(arrived, told)
            self.rows[row.id] = row
            touched[row.id] = None
        self.cursor = changes.cursor
        here = position_in(epoch, self.cursor)
        if here == changes.head:
            if position_in(epoch, self.newest) < here:
                self.newest = self.cursor
            self.paged = {id: told for id, told in self.paged.items() if told > here}
        if epoch is None or position_in(epoch, self.cursor) == changes.head:
            self.complete = self.cursor
        elif position_in(epoch, self.complete) < 0:
            self.complete = None
        self._count(changes, epoch, authoritative=authoritative)
        self.overlays = [
            overlay
            for overlay in self.overlays
            if not (overlay.is_answered and not is_below(self._marked_at, overlay.until))
        ]
        self.told = [self.rows[id] for id in touched]
        shown = [row for row in map(self.get, touched) if row is not None]
        shown.sort(key=lambda row: row.arrived or 0)
        return verdict, [row for row in shown if row.id in fresh and row.is_wanted]

    @property
    def _marked_at(self) -> Cursor | None:
        """The cursor up to which the rows show the marks of the server."""
        return self.cursor if "a-mark-at-a-page's-end" in GAPS else self.complete

    def _count(self, changes: Changes, epoch: str | None, *, authoritative: bool) -> None:
        """Take the server's counts, unless they are older."""
        may_lower = changes.reset and (authoritative or "counts-of-a-room's-reset" in GAPS)
        at = None if epoch is None else Cursor(epoch, changes.head)
        if (
            not may_lower
            and is_below(at, self.counts_at)
            and self.rules.keep("counts-are-never-older-than-those-shown")
        ):
            return
        self.counts_at, self.counts = at, changes.counts

    def mark(self, mark: Mark | Undo, shown: Iterable[tuple[int, int]], ref: int) -> None:
        epoch = self.cursor.epoch if self.cursor else None
        self.overlays.append(Overlay(ref, mark, dict(shown), epoch))

    def acknowledge(self, ref: int, cursor: Cursor | None) -> None:
        for overlay in self.overlays:
            if overlay.ref == ref:
                overlay.until, overlay.is_answered = cursor, True
        if not is_below(self._marked_at, cursor) or not self.rules.keep(
            "a-mark-shows-until-its-row-does"
        ):
            self.fail(ref)

    def fail(self, ref: int) -> None:
        self.overlays = [overlay for overlay in self.overlays if overlay.ref != ref]

    def save(self, ids: Iterable[int]) -> dict[str, Any]:
        """Save all that the next page needs to continue from here."""
        names = ("cursor", "complete", "counts", "counts_at", "newest")
        rows = {id: self.rows[id] for id in ids if id in self.rows}
        return {name: getattr(self, name) for name in names} | {
            "rows": rows,
            "paged": dict(self.paged),
        }

    def restore(self, saved: dict[str, Any]) -> None:
        self.__dict__.update(saved)


def position_in(epoch: str | None, cursor: Cursor | None) -> int:
    """The position of a cursor if it is of this epoch, else -1."""
    return cursor.position if cursor is not None and cursor.epoch == epoch else -1


def is_below(one: Cursor | None, other: Cursor | None) -> bool:
    """Returns whether a cursor is below another. None is below every cursor."""
    return other is not None and (one is None or one < other)
