"""
The rules by name, each with a sentence and with the conditions in which its absence shows best.

The model asks ``rules.keep(name)`` at the one place where a rule acts. A run may leave one rule
out; test_model.py does so with each, and a violation must be found. ``focus`` lists the steps that
such a run takes more often, as factors for the weights of ``schedule.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

# Rooms open and close, and notifications are sent meanwhile.
JOINS = {"connect": 5, "navigate": 10, "notice": 3, "send at once": 4, "poll": 0.2, "mark": 0.3}

# Running work continues, and no later notification reveals what was missed.
ONLY_GO = {"send at once": 0, "send": 0, "mark": 0, "mark all": 0, "poll": 0, "connect": 0}


class Rule(NamedTuple):
    sentence: str
    focus: Mapping[str, float] = {}
    is_calm: bool = False  # whether its absence shows even if nothing fails and nothing sweeps
    stage: str = ""  # the method of world.py at which its histories begin


RULES: dict[str, Rule] = {
    # Outbox
    "positions-are-given-at-publish": Rule(
        "A row takes its position after the commit, not when it is recorded: a cursor that has"
        " passed a position never finds a row below it later.",
        {"send": 3},
        is_calm=True,
    ),
    "positions-are-given-under-the-lock": Rule(
        "Heads are read under the mailbox's lock: no position is assigned twice.", {"send": 3}
    ),
    "the-outbox-is-read-under-the-lock": Rule(
        "Waiting rows are selected again under the lock: no row is published twice.", {"send": 3}
    ),
    "collapse-is-decided-under-the-lock": Rule(
        "The standing row of a key is read under the lock: no content goes to a row that was"
        " archived or replaced meanwhile.",
        {"send": 4, "mark": 3},
    ),
    "rings-leave-after-the-commit": Rule(
        "No document is sent before the commit of its positions.", {"send": 3}
    ),
    "readers-publish-forgotten-rows": Rule(
        "Sweep, poll and connect publish the rows that a dead sender left in the outbox.",
        {"sender dies": 8, "send": 3},
    ),
    # Inbox
    "counts-come-with-the-rows": Rule(
        "Counts and rows come from one statement.", {"send at once": 4, "mark": 3}, is_calm=True
    ),
    "the-floor-comes-with-the-rows": Rule(
        "The floor comes with the rows: a prune in between does not go unnoticed.",
        {"prune": 20, "poll": 10, "connect": 0.2},
        stage="a_tab_was_away_for_a_day",
    ),
    "a-full-page-ends-at-its-last-row": Rule(
        "The cursor of a full page is its last row's position, not the head.",
        {"send": 4, "lose ring": 3},
    ),
    "prune-raises-the-floor": Rule(
        "The floor is the highest position deleted; a reader below it starts over.",
        {"prune": 12, "time": 6, "mark": 4, "cut": 4},
    ),
    "prune-needs-a-day-archived": Rule(
        "Only rows archived for a day are pruned: a reader that was hardly away is not reset.",
        {"prune": 12, "mark": 6, "cut": 3},
    ),
    "a-cursor-beyond-the-head-proves-a-restore": Rule(
        "A cursor beyond the head makes a new epoch.", {"backup": 5, "restore": 8}
    ),
    "epochs-are-ordered": Rule(
        "A new epoch sorts above the old one, also when the clock has stepped back.",
        {"backup": 5, "restore": 8, "clock back": 10},
    ),
    # Marks
    "marks-carry-arrived": Rule(
        "A mark names what was shown, not only the row: new content under the same id stays new.",
        {"mark": 6, "send": 3},
        is_calm=True,
    ),
    "marks-carry-their-epoch": Rule(
        "Pairs of another epoch mark nothing: there the same id and arrival may be other content.",
        {"backup": 6, "restore": 10, "mark": 6, "send": 2},
    ),
    "mark-all-carries-the-complete-cursor": Rule(
        "Mark-all sends the last cursor at which nothing was missing, not that of a page's end.",
        {"mark all": 15, "poll": 8, "connect": 0.2},
        is_calm=True,
        stage="a_tab_is_pages_behind",
    ),
    "a-mark-takes-a-position": Rule(
        "A mark is a change: the row gets a position above the head.", {"mark": 4}, is_calm=True
    ),
    "an-action-runs-once": Rule(
        "Under a lock, an act looks whether an action was taken: its command may come twice.",
        {"mark": 10, "cut": 4},
        is_calm=True,
    ),
    "nothing-overtakes-a-command": Rule(
        "A command is posted when the one before it is answered: an undo never comes before its mark.",
        {"mark": 8, "cut": 6, "connect": 0.2},
    ),
    "marks-are-said-again": Rule(
        "An unanswered mark is sent again on the next connection.",
        {"mark": 5, "cut": 4},
    ),
    # Hub
    "the-rule-at-the-room": Rule(
        "At the room: old documents are dropped, the next one is applied, a gap is read.",
        {"lose ring": 4, "late ring": 4},
        stage="everybody_is_here",
    ),
    "the-rule-at-the-connection": Rule(
        "The same at each connection, which may know more or less than its room.",
        {"lose ring": 4, "late ring": 4, "connect": 3, "navigate": 4},
    ),
    "join-before-read": Rule(
        "A room joins its group before its first read, not after it: no ring is missed in between.",
        JOINS,
        is_calm=True,
    ),
    "a-late-join-repairs-the-room": Rule(
        "A join that came later than the read is followed by another read.",
        JOINS,
        is_calm=True,
    ),
    "only-the-making-read-sets-the-rooms-cursor": Rule(
        "A later welcome above the room's cursor does not raise it: the others would miss the rows.",
        {"connect": 4, "navigate": 6, "lose ring": 3},
    ),
    "a-late-welcome-repairs-the-room": Rule(
        "A welcome above the room's cursor makes the room read, so that the tabs beside it know.",
        {"connect": 4, "navigate": 6, "lose ring": 4, "sweep": 0},
    ),
    "one-read-at-a-time": Rule(
        "A room runs one read at a time; later requests wait for it.", {"lose ring": 3}
    ),
    "rings-wait-for-the-read": Rule(
        "A ring that comes during a read waits for it, and is judged then.",
        {"send at once": 6, "ring": 8, "navigate": 3, "poll": 0, "mark": 0},
        is_calm=True,
    ),
    "a-repair-asked-during-a-read-follows-it": Rule(
        "A repair that is asked for during a read, which may have begun too early, follows it.",
        ONLY_GO,
        is_calm=True,
        stage="a_room_reads",
    ),
    "a-repair-asked-before-the-making-follows-it": Rule(
        "A late join before the making read has returned is followed by a repair too.",
        ONLY_GO,
        is_calm=True,
        stage="a_room_is_about_to_be_made",
    ),
    "a-ring-without-rows-is-read": Rule(
        "A ring that carries only the cursor is a reason to read, not a change without rows.",
        {"send": 3},
        is_calm=True,
    ),
    "below-its-room-it-reads-again": Rule(
        "A connection that is below its room after its welcome reads from its own cursor.",
        {"connect": 4, "navigate": 5, "send": 2},
        is_calm=True,
    ),
    "an-overflow-is-caught-up": Rule(
        "A queue that overflows is emptied, and its connection served from the rows.",
        {"hear": 0.2, "send at once": 4},
        is_calm=True,
        stage="everybody_is_here",
    ),
    "an-overflow-rewinds-to-what-was-sent": Rule(
        "After an overflow the connection's cursor is that of the last document written.",
        {"hear": 0.2, "send at once": 4},
        is_calm=True,
        stage="everybody_is_here",
    ),
    "the-sweep": Rule("Changes that no ring announced are found in the rows.", {"lose ring": 3}),
    "the-sweep-repairs-what-is-above-too": Rule(
        "A room above its mailbox's head is repaired like one below: its database was restored.",
        {"backup": 5, "restore": 8},
        stage="everybody_is_here",
    ),
    # Client
    "the-rule-at-the-client": Rule(
        "At the client: old documents are dropped, the next one is applied, a gap is asked for.",
        {"doubt": 6, "connect": 3, "poll": 3},
    ),
    "a-row-is-taken-only-above-the-one-held": Rule(
        "A row is applied only if its position is above the cursor and the one held.",
        {"connect": 3, "poll": 3, "rings join": 8, "send at once": 3},
    ),
    "counts-are-never-older-than-those-shown": Rule(
        "Counts are taken only from a head that is not below that of the counts shown.",
        {"mark": 3, "connect": 3, "poll": 3},
    ),
    "only-a-welcome-lowers": Rule(
        "Only the answer to the client's own question may lower its cursor; other resets replace"
        " only what is older.",
        {"connect": 3, "prune": 6, "time": 4, "restore": 4, "backup": 4},
    ),
    "an-earlier-connection-is-not-heard": Rule(
        "Frames of an earlier connection are discarded.",
        {"notice": 0, "stale": 40},
        is_calm=True,
        stage="a_welcome_came_too_late",
    ),
    "old-content-is-no-news": Rule(
        "Rows that arrived at or below the highest cursor ever held are no news, even after a reset.",
        {"prune": 8, "time": 5, "mark": 4, "cut": 4, "navigate": 4},
    ),
    "a-reset-replaces": Rule(
        "A reset replaces all that the client holds.",
        {"prune": 8, "time": 5, "mark": 4, "cut": 4, "restore": 4, "backup": 4},
    ),
    "a-mark-shows-until-its-row-does": Rule(
        "An optimistic mark ends when the cursor reaches the ack's, not with the ack.",
        {"mark": 6},
        is_calm=True,
    ),
}


# Promises that the product could give, but does not give yet. A gap that is closed leaves this
# list, and is checked from then on. replay.mjs fails as long as reader.py and store.js differ.
GAPS: dict[str, str] = {
    "marked-before-the-new-epoch": (
        "Until a restored database has its new epoch, a mark of a lost row may mark the row that"
        " replaced it."
    ),
}


class Rules:
    """All rules except one."""

    def __init__(self, left_out: str = "") -> None:
        if left_out and left_out not in RULES:
            raise ValueError(f"{left_out!r} is not a rule. The rules are: {', '.join(RULES)}.")
        self.left_out = left_out

    def keep(self, name: str) -> bool:
        return name != self.left_out
