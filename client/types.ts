/**
 * The types of notify's script: `npm run build` makes
 * notify/static/notify/notify.d.ts from this file and the JSDoc of src/.
 */
import type { Client, Events } from "./src/mailbox/client.js";
import type { Counts } from "./src/protocol.js";
import type { OwnToast, ToastOptions } from "./src/news/own.js";
import type { Words } from "./src/progress/promise.js";
import type { State } from "./src/link/connection.js";

export { Client } from "./src/mailbox/client.js";
export type { Events, MailboxEvents, Options } from "./src/mailbox/client.js";
export type { LifeEvents } from "./src/link/lifecycle.js";
export type { State } from "./src/link/connection.js";
export type { Action, Counts, Cursor, Level, Mark, Notification, Outcome, Progress, Rows, Shown, TaskState } from "./src/protocol.js";

export type { OwnToast, ToastOptions } from "./src/news/own.js";
export type { Words } from "./src/progress/promise.js";

/** `<notify-root>` */
export interface NotifyRoot extends HTMLElement {
  /** Null until the element is connected. */
  readonly client: Client | null;
  readonly counts: Counts | null;
  readonly state: State;
  /** Show a toast of the page itself. Throws a TypeError if the message or an option is not what it must be. */
  toast(message: string, options?: ToastOptions): OwnToast;
  debug(message: string, options?: Omit<ToastOptions, "level">): OwnToast;
  info(message: string, options?: Omit<ToastOptions, "level">): OwnToast;
  success(message: string, options?: Omit<ToastOptions, "level">): OwnToast;
  warning(message: string, options?: Omit<ToastOptions, "level">): OwnToast;
  error(message: string, options?: Omit<ToastOptions, "level">): OwnToast;
  /** Show that work of the page is pending, and how it ends. Returns the same promise. */
  promise<Work extends Promise<any>>(work: Work, words: Words<Awaited<Work>>): Work;
}

/** The events of the client as they are dispatched on `<notify-root>`. */
export type NotifyEventMap = { [Name in Exclude<keyof Events, "cursor" | "end"> as `notify:${Name}`]: CustomEvent<Events[Name]> };

/** What a `notify:toast` event asks for. htmx puts what is no object into `value`. */
export type Asked = string | ({ message: string } & ToastOptions);

declare global {
  interface HTMLElementTagNameMap {
    "notify-root": NotifyRoot;
  }
  interface HTMLElementEventMap extends NotifyEventMap {}
  interface DocumentEventMap extends NotifyEventMap {
    "notify:toast": CustomEvent<Asked | Asked[] | { value: Asked | Asked[] }>;
    "notify:open-inbox": CustomEvent<null>;
  }
}
