"""
Server push: the hub, its rooms and their connections.

- ``hub``: one per event loop; receives rings, ticks and kicks, and serves the connections of its loop
- ``membership``: joins the groups of the channel layer, and checks whether the layer delivers
- ``incoming``: decides which messages of the channel layer the hub acts on
- ``sweep``: finds all changes whose rings were lost, with one query per 500 rooms, and re-checks sessions
- ``drain``: closes connections one by one before a process ends
- ``room``: the connections of one audience, and the cursor up to which they are served
- ``source``: what a room reads from; the only module here that reads mailboxes
- ``connection``: one tab: its queue, its cursor, its slowness; each transport subclasses ``Wire``
- ``turns``: the order in which clients' reads and commands get threads: one per user at a time
- ``limits``: bounds on the number of connections, and on the commands of each connection

The transports use ``Hub.here()``, ``Hub.visit()`` and ``hub.turns``, ``Wire`` and ``limits``; the long
poll also uses ``source``. ``asgi`` and ``testing`` use ``Hub``.
"""
