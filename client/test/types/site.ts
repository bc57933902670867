/** What a site in TypeScript may write, and what the compiler refuses. It is never run. */
import { Client, type Events, type Notification, type NotifyRoot } from "../../../notify/static/notify/notify.js";

declare function show(text: string): void;

const root: NotifyRoot | null = document.querySelector("notify-root");
const client: Client | null = root?.client ?? null;

const stop: (() => void) | undefined = client?.on("connect", ({ transport, recovered }) => show(`${transport}: ${recovered.toFixed()}`));
stop?.();
client?.on("disconnect", ({ reason, returns }) => returns || show(reason));
client?.on("connect_error", ({ transport, reason }) => show(transport + reason));
client?.on("reconnect_attempt", ({ attempt }) => show(attempt.toFixed()));
client?.on("reconnect", ({ attempt, recovered }) => show((attempt + recovered).toFixed()));
client?.on("transport", ({ from, to }) => show(from + to));
client?.on("counts", (counts) => show(String(counts?.unseen)));
// @ts-expect-error: there is no such event
client?.on("no_such_event", () => {});
// @ts-expect-error: nor such a detail
client?.on("connect", ({ speed }) => show(speed));

document.addEventListener("notify:notification", (event) => {
  const { notification }: { notification: Notification } = event.detail;
  if (notification.level === "error") event.preventDefault();
  // @ts-expect-error: a level is one of five
  if (notification.level === "fatal") event.preventDefault();
  client?.mark("read", [notification]);
  // @ts-expect-error: no such mark
  client?.mark("red", [notification]);
});
root?.addEventListener("notify:disconnect", ({ detail }) => show(detail.reason));

const answer: Promise<Response> | undefined = root?.promise(fetch("/exports/"), {
  loading: "Exporting",
  success: (response) => response.statusText,
  error: "It failed",
});
answer?.then(({ ok }) => show(String(ok)));
// @ts-expect-error: what it says meanwhile is needed
root?.promise(Promise.resolve(1), { success: "Done" });

const own: { close(): void } | undefined = root?.success("Saved", { url: "/drafts/7/", actions: [{ label: "Undo", url: "/undo/" }] });
own?.close();
root?.toast("Saved", { level: "debug", title: "Draft" }).update("Saved again");
// @ts-expect-error: a level is one of five
root?.toast("Saved", { level: "fatal" });
// @ts-expect-error: an option of the server alone
root?.toast("Saved", { key: "draft" });

for (const row of client?.store.all() ?? []) show(row.title);
// @ts-expect-error: the connection is not public
client?.connection.open();

const another = new Client({
  src: new URL("/notify/", location.href).href,
  transports: ["websocket", "sse", "longpoll", "poll"],
  csrf: () => ({ cookie: "csrftoken", header: "X-CSRFToken", token: null }),
  window,
  document,
});
another.open();
another.close();

const names: (keyof Events)[] = ["connecting", "reset", "end"];
show(names.join());
