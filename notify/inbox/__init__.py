"""The inbox of a user: what is new, and what was seen, read or archived."""

from notify.inbox.reader import (
    achanges,
    acounts,
    amark_archived,
    amark_dismissed,
    amark_read,
    amark_seen,
    asnapshot,
    changes,
    counts,
    mark_archived,
    mark_dismissed,
    mark_read,
    mark_seen,
    snapshot,
)

__all__ = [
    "achanges",
    "acounts",
    "amark_archived",
    "amark_dismissed",
    "amark_read",
    "amark_seen",
    "asnapshot",
    "changes",
    "counts",
    "mark_archived",
    "mark_dismissed",
    "mark_read",
    "mark_seen",
    "snapshot",
]
