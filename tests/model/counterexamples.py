"""
For each rule, the seed of a history that breaks a promise if the rule is left out.

A change of the model, or of the weights of its steps, changes the histories of all seeds. Then
`python -m tests.model --hunt` prints a new table. A rule without a seed has no effect in the model,
and test_model.py fails.
"""

from __future__ import annotations

SEEDS: dict[str, int] = {
    "positions-are-given-at-publish": 1,
    "positions-are-given-under-the-lock": 26,
    "the-outbox-is-read-under-the-lock": 2,
    "collapse-is-decided-under-the-lock": 11,
    "rings-leave-after-the-commit": 15,
    "readers-publish-forgotten-rows": 39,
    "counts-come-with-the-rows": 1,
    "the-floor-comes-with-the-rows": 19,
    "a-full-page-ends-at-its-last-row": 1,
    "prune-raises-the-floor": 27,
    "prune-needs-a-day-archived": 118,
    "a-cursor-beyond-the-head-proves-a-restore": 6,
    "epochs-are-ordered": 12,
    "marks-carry-arrived": 14,
    "marks-carry-their-epoch": 143,
    "mark-all-carries-the-complete-cursor": 3,
    "a-mark-takes-a-position": 2,
    "an-action-runs-once": 17,
    "nothing-overtakes-a-command": 178,
    "marks-are-said-again": 4,
    "the-rule-at-the-room": 2,
    "the-rule-at-the-connection": 3,
    "join-before-read": 16,
    "a-late-join-repairs-the-room": 83,
    "only-the-making-read-sets-the-rooms-cursor": 19,
    "a-late-welcome-repairs-the-room": 60,
    "one-read-at-a-time": 1,
    "rings-wait-for-the-read": 192,
    "a-repair-asked-during-a-read-follows-it": 92,
    "a-repair-asked-before-the-making-follows-it": 4,
    "a-ring-without-rows-is-read": 19,
    "below-its-room-it-reads-again": 1,
    "an-overflow-is-caught-up": 167,
    "an-overflow-rewinds-to-what-was-sent": 19,
    "the-sweep": 27,
    "the-sweep-repairs-what-is-above-too": 36,
    "the-rule-at-the-client": 176,
    "a-row-is-taken-only-above-the-one-held": 10,
    "counts-are-never-older-than-those-shown": 11,
    "only-a-welcome-lowers": 5,
    "an-earlier-connection-is-not-heard": 96,
    "old-content-is-no-news": 30,
    "a-reset-replaces": 6,
    "a-mark-shows-until-its-row-does": 1,
}
