"""
Checks of what must hold after every step, and at rest.

The checks read the tables and what the clients show, never the servers in between. They keep their
own notes of what each client has received, so that a wrong rule cannot hide its own violation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from notify.protocol import Changes, Counts, Cursor, Verdict, judge
from notify.transports.parser import MarkCommand
from tests.model.database import ACT, DAY, Row
from tests.model.reader import is_below
from tests.model.rules import GAPS

if TYPE_CHECKING:
    from tests.model.client import Client
    from tests.model.server import Connection, Frame
    from tests.model.world import World

MARKS = ("seen", "read", "archived", "dismissed", "acted")


class Violation(AssertionError):
    """A promise was broken."""


def hold(condition: Any, sentence: str) -> None:
    if not condition:
        raise Violation(sentence)


class Notes:
    """The notes of the checks about one client."""

    def __init__(self) -> None:
        self.held: set[str] = set()  # texts that it has ever held
        self.ids: set[int] = set()  # their ids
        self.complete: dict[
            str, int
        ] = {}  # by epoch: the highest position at which it was complete
        self.toasted: dict[str, int] = {}  # how often each text was shown as news
        self.may_return: set[str] = set()  # texts that may be news once more
        self.last: Cursor | None = None  # the arrival of the newest toast
        self.since: Cursor | None = None  # from here on it must hold every row,
        self.kept: set[int] = set()  # and these
        self.reset: Cursor | None = None  # from here on it must show each arrival,
        self.owed: set[str] = set()  # and these texts
        self.highest: Cursor | None = None  # the highest cursor that it has ever held
        self.unheard: set[str] = set()  # texts that fall into a known gap


class Check:
    def __init__(self, world: World) -> None:
        self.world = world
        self.notes: dict[Client, Notes] = {}
        self.told_by: dict[Connection, Cursor | None] = {}
        self.restores = 0
        self.is_upset = False  # a mailbox was lost, or a database restored
        self.torn: set[str] = set()  # epochs in which positions were assigned twice
        self.looked_at: dict[str, Any] = {}

    # -- The tables ------------------------------------------------------------------------------

    def tables(self) -> None:
        """Check that positions are unique and not above the head, and that the counts equal the rows."""
        db = self.world.db
        for process in self.world.processes.values():
            for room in process.rooms.values():
                hold(room.reads <= 1, "A room runs two reads at a time.")
        for user, box in db.boxes.items():
            rows = db.rows_of(user)
            state = (box, rows)
            if self.looked_at.get(user) == state:
                continue
            self.looked_at[user] = state
            positions = [row.position or 0 for row in rows]
            hold(len(set(positions)) == len(positions), "Two rows have the same position.")
            hold(max(positions, default=0) <= box.head, "A row is above the head.")
            hold(box.counts == db.tally(rows), "The counts differ from the rows.")
            hold(
                sum(row.count for row in rows) + db.pruned[user] == db.published[user],
                "A notification was published twice, or is missing.",
            )
            due = db.due(rows)
            hold(
                due is None or (box.due is not None and box.due <= due),
                "The mailbox is due later than its first expiry.",
            )

    # -- Documents of a client -------------------------------------------------------------------

    def met(self, client: Client) -> None:
        self.notes[client] = Notes()

    def told(self, connection: Connection, frame: Frame) -> None:
        """Check that each document on a connection continues the one before."""
        document = frame.changes
        assert document is not None
        if frame.kind == "changes" and connection in self.told_by:
            before = self.told_by[connection]
            verdict = judge(before, document.since, document.cursor, reset=document.reset)
            hold(
                verdict is Verdict.APPLY,
                "A connection was sent a document that does not continue the one before.",
            )
        if frame.kind == "welcome" or connection in self.told_by:
            self.told_by[connection] = document.cursor

    def asked(self, connection: Connection) -> None:
        """Note that the client has asked from its own cursor, which the next document continues."""
        self.told_by.pop(connection, None)

    def heard(
        self,
        client: Client,
        before: dict[str, Any],
        document: Changes,
        rows: list[Row],
        fresh: list[Row],
        verdict: Verdict,
        *,
        authoritative: bool,
    ) -> None:
        db, reader, notes = self.world.db, client.reader, self.notes[client]
        for row in rows:
            hold(row.user == client.user, "A client received another user's row.")
            hold(row in db.committed, "A client received a row that was never committed.")
        was, now = before["cursor"], reader.cursor
        lowered = document.reset and authoritative
        hold(lowered or not is_below(now, was), "A cursor went back.")
        same_epoch = was is not None and now is not None and was.epoch == now.epoch
        is_torn = now is not None and now.epoch in self.torn
        if same_epoch and not is_torn and not (lowered and is_below(now, was)):
            for id, row in before["rows"].items():
                held = reader.rows.get(id)
                hold(
                    held is None or (held.position or 0) >= (row.position or 0),
                    "A client's row went back.",
                )
        self._counts(client, before, is_reset=document.reset, lowered=lowered)
        if verdict is not Verdict.APPLY or now is None:
            return
        if same_epoch and not document.reset:
            for row in reader.told:
                hold(
                    (row.position or 0) > was.position,
                    "A client received a change that it already had.",
                )
        if "ids-given-again" in GAPS:
            for overlay in reader.overlays:
                hidden = [
                    row for row in rows if overlay.shown.get(row.id, -1) >= (row.arrived or 0)
                ]
                notes.unheard |= {row.text for row in hidden if overlay.epoch != now.epoch}
        if document.reset:
            self._reset(client, notes, before, document, rows, authoritative)
        notes.highest = max(filter(None, (notes.highest, now)))
        if now.position == document.head:
            notes.complete[now.epoch] = max(now.position, notes.complete.get(now.epoch, 0))
        notes.held.update(row.text for row in reader.rows.values())
        notes.ids.update(reader.rows)
        self._news(notes, now.epoch, fresh)

    def _counts(
        self, client: Client, before: dict[str, Any], *, is_reset: bool, lowered: bool
    ) -> None:
        """Check that the counts are those of some head, and not of an older one than the shown counts."""
        reader = client.reader
        at = reader.counts_at
        hold(
            reader.counts in self.world.db.counted[client.user, at]
            if at
            else reader.counts in (None, (0, 0)),
            "The mailbox never had the counts that are shown.",
        )
        if "counts-of-a-room's-reset" in GAPS:
            lowered = is_reset
        hold(lowered or not is_below(at, before["counts_at"]), "The counts went back.")

    def _reset(
        self,
        client: Client,
        notes: Notes,
        before: dict[str, Any],
        document: Changes,
        rows: list[Row],
        authoritative: bool,
    ) -> None:
        was, now = client.asked_since, document.cursor
        assert now is not None
        notes.since, notes.kept = now, {row.id for row in rows}
        known = notes.highest
        is_new = known is None or known.epoch != now.epoch
        notes.reset = now if is_new else max(now, known)
        shown = {row.text for row in before["rows"].values()}
        # A reset holds one page. Its rows are news, unless the client has passed them before.
        notes.owed |= {
            row.text
            for row in rows
            if (row.text not in shown if is_new else (row.arrived or 0) > known.position)
        }
        if is_new:
            notes.last = None
            # In another history of the mailbox, rows that the tab no longer holds may be news
            # again. If a late welcome restored an older history, so may all rows.
            is_older = known is not None and now.epoch < known.epoch
            notes.may_return |= set(notes.toasted) - (set() if is_older else shown)
        elif (
            authoritative and was is not None and was.epoch == now.epoch and not is_below(now, was)
        ):
            # A client that was away for less than a day must not start over.
            since = self.world.db.changed_at.get((client.user, was), 0)
            was_away = since <= self.world.db.hour - DAY or now.epoch in self.torn
            hold(was_away, "A client was reset after less than a day.")

    def _news(self, notes: Notes, epoch: str, fresh: list[Row]) -> None:
        """
        Check that each notification is news once, and that unmarked ones come in order.

        In a torn epoch, rings of both histories of the mailbox may arrive, until it gets a new
        epoch.
        """
        is_torn = epoch in self.torn
        for row in fresh:
            is_new = row.text not in notes.toasted or row.text in notes.may_return or is_torn
            hold(is_new, "A notification was shown twice.")
            if is_torn:
                notes.may_return.add(row.text)
            else:
                notes.may_return.discard(row.text)
            notes.toasted[row.text] = notes.toasted.get(row.text, 0) + 1
            if row.position == row.arrived:
                arrival = Cursor(epoch, row.arrived or 0)
                hold(
                    is_torn or is_below(notes.last, arrival),
                    "A notification was shown out of order.",
                )
                notes.last = arrival

    def navigated(self, client: Client) -> None:
        notes = self.notes[client]
        notes.since, notes.kept = client.reader.cursor, set(client.reader.rows)

    # -- Marks -----------------------------------------------------------------------------------

    def marked(self, user: str, command: MarkCommand, touched: list[Row]) -> None:
        """Check that a mark touches only rows that its tab has shown, or up to which it was complete."""
        (client,) = (who for who, issued in self.world.issued if issued is command)
        notes, epoch = self.notes[client], command.upto.epoch if command.upto else ""
        for row in touched:
            hold(row.user == user == client.user, "A mark touched another user's row.")
            is_second = command.mark == ACT and row.acted > 0
            hold(not is_second, "An action was run twice.")
            is_early = self.world.db.is_torn(user) and row.id in notes.ids
            if is_early and "marked-before-the-new-epoch" in GAPS:
                continue
            hold(
                row.text in notes.held or (row.arrived or 0) <= notes.complete.get(epoch, -1),
                "A mark touched a row that its tab had not shown.",
            )

    def view(self, client: Client) -> dict[int, Row]:
        return {row.id: row for row in client.reader.all()}

    def released(
        self, client: Client, command: MarkCommand, before: dict[int, Row], until: Cursor | None
    ) -> None:
        """Check that an answered mark stays visible until its row contains it."""
        cursor = client.reader.cursor
        if cursor != client.reader.complete and "a-mark-at-a-page's-end" in GAPS:
            return
        for id, was in before.items():
            now, row = client.reader.get(id), self.world.db.rows.get(id)
            if now is None or row is None or row.arrived != now.arrived or row.text != now.text:
                continue
            box = self.world.db.boxes.get(client.user)
            epochs = {box and box.epoch, cursor and cursor.epoch, command.epoch}
            if len(epochs) > 1 or epochs & self.torn:
                continue
            if until is None or (row.position or 0) > until.position:
                continue  # changed again since
            for name in MARKS:
                then, shown, stored = (bool(getattr(one, name)) for one in (was, now, row))
                hold(then == shown or then != stored, "A mark flickered.")

    def restored(self, epochs: set[str]) -> None:
        """Allow that rows from a history that was undone are shown again."""
        self.restores += 1
        self.is_upset = True
        self.torn |= epochs
        for notes in self.notes.values():
            notes.may_return |= set(notes.toasted)

    # -- At rest ---------------------------------------------------------------------------------

    def quiet(self) -> None:
        """Check, before any sweep, that the tabs beside a newcomer have received all that it has."""
        for process in self.world.processes.values():
            for room in process.rooms.values():
                hold(room.reads == 0, "A room's read never ended.")
                # Differences between two histories of the mailbox are left to the sweep.
                if room.is_made and room.connections and not self.is_upset:
                    hold(
                        not is_below(room.cursor, room.welcomed),
                        "A room is behind its newcomer.",
                    )

    def at_rest(self) -> None:
        """Check that each client holds exactly the state of the rows, and has shown all news."""
        db = self.world.db
        hold(
            not db.waiting(list(self.world.users)), "A committed notification was never published."
        )
        for client in self.world.clients:
            self._holds_the_rows(client)

    def _holds_the_rows(self, client: Client) -> None:
        db, reader, notes = self.world.db, client.reader, self.notes[client]
        box = db.boxes.get(client.user)
        if box is None:
            if self.restores:
                # An old state without it; the next notification creates one, and resets the client.
                return
            hold(
                not reader.rows and reader.counts in (None, Counts(0, 0)),
                "A client shows rows without a mailbox.",
            )
            return
        if reader.cursor is None:
            hold(box.head == 0, "A client has no cursor for its mailbox.")
            return
        hold(reader.cursor == box.cursor, "A client stayed behind.")
        hold(reader.complete == reader.cursor, "A client does not know that it is complete.")
        hold(reader.counts == box.counts, "A client shows wrong counts.")
        hold(not client.pending, "A mark was never answered.")
        hold(not reader.overlays, "An optimistic mark never ended.")
        assert notes.since is not None
        assert notes.reset is not None
        for id, held in reader.rows.items():
            row = db.rows.get(id)
            if row is None:
                hold(held.archived is not None, "A client shows a deleted row.")
            else:
                hold(held == row, "A client shows an outdated row.")
        for row in db.rows_of(client.user):
            position, arrived = row.position or 0, row.arrived or 0
            if position > notes.since.position or row.id in notes.kept:
                hold(row.id in reader.rows, "A client lacks a row.")
            if arrived > notes.reset.position or row.text in notes.owed:
                is_news = row.is_wanted and position == arrived and row.text not in notes.unheard
                hold(not is_news or row.text in notes.toasted, "A notification was never shown.")
