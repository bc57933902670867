"""
An executable model of the promises in docs/topics/guarantees.md.

    database.py   the two tables, and the transactions on them, each of which is one step
    server.py     a web process: rooms and connections
    reader.py     the client's reducer, like client/src/mailbox/store.js
    client.py     a tab: its requests, its marks and what it shows
    rules.py      the rules by name; leaving one out must cause a violation
    world.py      all of it together, and the steps that may come next
    check.py      what must hold after every step, and at rest
    schedule.py   turns a seed into a history of steps, and shortens a failing one
    trace.py      the documents that the clients received, for replay.mjs

The model uses the product's own ``notify.protocol``. ``replay.mjs`` replays the documents of its
clients through the product's own ``store.js``.
"""
