"""
An executable model of what notify promises: docs/topics/guarantees.md, run.

    database.py   the two tables and the transactions on them, each one step
    server.py     a web process: rooms and connections
    reader.py     the client's reducer, as client/src/store.js
    client.py     a tab: what it asks, marks, shows
    rules.py      the rules by name; leaving one out must be seen
    world.py      all of it together, and what may happen next: the steps
    check.py      what must hold after every step, and at rest
    schedule.py   a seed makes a history of steps; a failing one is made short
    trace.py      what the clients heard, for replay.mjs

It uses the product's own ``notify.protocol``; ``replay.mjs`` replays what its clients heard through
the product's own ``store.js``.
"""
