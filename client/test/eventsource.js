/**
 * Reads a stream with the npm package `eventsource`, which knows nothing about
 * notify, and writes each event as a line of JSON. It is run by
 * tests/conformance/test_standard_clients.py:
 *
 *     node eventsource.js http://127.0.0.1:8000/notify/stream/ sessionid=…
 */
import { EventSource } from "eventsource";

const [url, Cookie] = process.argv.slice(2);

const source = new EventSource(url, {
  fetch: (input, init) => fetch(input, { ...init, headers: { ...init.headers, Cookie } }),
});

for (const type of ["open", "message", "ping", "close", "error"]) {
  source.addEventListener(type, (/** @type {any} */ { lastEventId, data }) => {
    console.log(JSON.stringify({ type, id: lastEventId, data }));
  });
}
