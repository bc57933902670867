"""
The transports: WebSocket, server-sent events, long poll and poll.

- ``http``: the HTTP code that the transports share, as raw ASGI
- ``admission``: checks origin, sign-in and limits in the same way for every push transport
- ``websocket``, ``sse``, ``longpoll``: the push transports, as ASGI applications with a ``Wire`` each
- ``frames``: takes what a WebSocket's client sends from the server at once, and bounds what waits
- ``parser``, ``commands``: parse and execute clients' commands, from the WebSocket or by POST
- ``endpoints``: the Django views: the poll, and commands by POST
- ``outage``: answers requests for these views if the database fails in a middleware before them

``asgi``, ``urls`` and ``routing`` serve them, and ``apps`` connects ``outage``; no other module imports them.
"""
