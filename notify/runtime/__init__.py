"""
The threads, event loops and processes in which work runs.

- ``process``: hooks for fork and exit, and detection of event loops and monkey patches
- ``background``: an event loop in a daemon thread, for sends from threads without an event loop
- ``errands``: a few daemon threads, for work that may hang and that nobody waits for
- ``executor``: a small thread pool for the database work of the push side
- ``twins``: async twins of the public calls

Other packages may use all five modules.
"""
