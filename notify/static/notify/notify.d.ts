declare class Emitter<Events extends Record<string, any> = Record<string, any>> extends EventTarget {
	constructor();
	/**
	 * Listen to one type of event, until the signal is aborted. Returns a function that removes the listener.
	 * @template {keyof Events & string} Name
	 * @param {Name} name
	 * @param {(detail: Events[Name]) => void} listener
	 * @param {AbortSignal} [signal]
	 * @returns {() => void}
	 */
	on<Name extends keyof Events & string>(name: Name, listener: (detail: Events[Name]) => void, signal?: AbortSignal): () => void;
}
export type Level = "debug" | "info" | "success" | "warning" | "error";
/**
 * a link, or an action that the server runs
 */
export type Action = {
	label: string;
	/**
	 * of a link
	 */
	url?: string | undefined;
	/**
	 * the command `act` runs it
	 */
	run?: true | undefined;
	style?: "primary" | "danger" | undefined;
	/**
	 * what to ask before it is run
	 */
	confirm?: string | undefined;
};
/**
 * what an action that the server ran has led to
 */
export type Outcome = {
	/**
	 * index in `actions`
	 */
	action: number;
	/**
	 * never empty
	 */
	message: string;
	level: Level;
	/**
	 * a link to the result, or an empty text
	 */
	url: string;
};
export type TaskState = "queued" | "running" | "cancelling" | "succeeded" | "failed" | "cancelled" | "lost";
/**
 * how far a task is
 */
export type Progress = {
	state: TaskState;
	done: number;
	total: number | null;
	/**
	 * the current step or item
	 */
	message: string;
	attempt: number;
	cancellable: boolean;
	/**
	 * no update has come for a while
	 */
	silent: boolean;
	started_at: string | null;
	/**
	 * null while its result is unknown
	 */
	ended_at: string | null;
};
type Notification$1 = {
	id: number;
	/**
	 * of the last change of any kind
	 */
	position: number;
	/**
	 * position at which the content last came
	 */
	arrived: number;
	level: Level;
	category: string;
	title: string;
	message: string;
	url: string;
	actions: Action[];
	data: unknown;
	key: string;
	count: number;
	created_at: string;
	updated_at: string;
	expires_at: string | null;
	seen_at: string | null;
	read_at: string | null;
	archived_at: string | null;
	dismissed_at: string | null;
	/**
	 * of the task behind it, if there is one
	 */
	progress?: Progress | undefined;
	/**
	 * by which the inbox folds notifications
	 */
	group?: string | undefined;
	/**
	 * address of a face or an icon
	 */
	image?: string | undefined;
	/**
	 * the tab whose request sent it, if only that tab shows a toast
	 */
	origin?: string | undefined;
	/**
	 * when one of its actions was taken; no other can be
	 */
	acted_at?: string | undefined;
	/**
	 * of the action that was taken
	 */
	outcome?: Outcome | undefined;
	/**
	 * without a toast: in the badge and the inbox only
	 */
	toast?: false | undefined;
};
/**
 * `<epoch>:<position>`; null is below every cursor
 */
export type Cursor = string | null;
export type Counts = {
	unseen: number;
	unread: number;
};
type Tick = {
	id: number;
	attempt: number;
	done: number;
	total: number | null;
	message: string;
};
/**
 * a notification as the user saw it
 */
export type Shown = [
	id: number,
	arrived: number
];
/**
 * a part of a list of the inbox
 */
export type Rows = {
	type: "rows";
	cursor: Cursor;
	counts: Counts;
	next: string;
	notifications: Notification$1[];
};
/**
 * "cancel" asks the task behind it to end
 */
export type Mark = "seen" | "read" | "archived" | "dismissed" | "unread" | "unarchive" | "cancel";
declare class Store extends Emitter<Record<string, any>> {
	constructor();
	/** @type {Cursor} */
	cursor: Cursor;
	/** The last cursor at which nothing was missing: mark-all covers what is at or below it. @type {Cursor} */
	complete: Cursor;
	/** @type {Counts | null} */
	counts: Counts | null;
	/** A row whose content arrived at or above this position is kept, however many rows there are. */
	floor: number;
	/**
	 * The row as it is shown: as the server sent it, with our marks that it does not have yet.
	 * @param {number} id
	 * @returns {Notification | null}
	 */
	get(id: number): Notification$1 | null;
	/** All rows as shown, newest content first. */
	all(): Notification$1[];
	/**
	 * Take the rows of a list of the inbox that this tab does not hold. They are no news. The rows above the cursor are
	 * left to the changes that bring them, which may be news.
	 * @param {Rows} rows
	 */
	take({ cursor, notifications }: Rows): void;
	#private;
}
export type State = "connecting" | "open" | "waiting" | "closed";
type Csrf = {
	/**
	 * name of the cookie
	 */
	cookie: string;
	/**
	 * name of the header
	 */
	header: string;
	/**
	 * from the page, if scripts cannot read the cookie
	 */
	token: string | null;
};
export type LifeEvents = {
	/**
	 * the client is looking for a transport
	 */
	connecting: null;
	/**
	 * recovered: how many notifications arrived meanwhile
	 */
	connect: {
		transport: string;
		recovered: number;
	};
	/**
	 * returns: whether the client tries again by itself
	 */
	disconnect: {
		reason: string;
		returns: boolean;
	};
	/**
	 * one transport could not be opened
	 */
	connect_error: {
		transport: string;
		reason: string;
	};
	reconnect_attempt: {
		attempt: number;
	};
	reconnect: {
		attempt: number;
		recovered: number;
	};
	/**
	 * another transport is in use
	 */
	transport: {
		from: string;
		to: string;
	};
};
/**
 * A mailbox in this tab: connection, store and commands put together, without
 * any DOM. `<notify-root>` draws its notifications.
 *
 *     client.on("notification", ({ notification }) => console.log(notification.message));
 *
 * @extends {Emitter<Events>}
 */
export class Client extends Emitter<Events> {
	/** @param {Options} options */
	constructor({ src, transports, csrf, user, share, pollInterval, window, document }: Options);
	store: Store;
	get state(): State;
	get transport(): string;
	get counts(): Counts | null;
	open(): void;
	/** Close the connection. The store keeps its rows. */
	close(): void;
	/**
	 * Mark notifications as the user saw them.
	 * @param {Mark} mark
	 * @param {Notification[]} notifications
	 * @param {{leaving?: boolean}} [options]
	 */
	mark(mark: Mark, notifications: Notification$1[], options?: {
		leaving?: boolean;
	}): void;
	/**
	 * Mark everything up to a cursor, by default the last one at which this tab missed nothing, and the
	 * notifications above it that were shown. Those that arrive meanwhile stay new.
	 * @param {Mark} mark
	 * @param {Cursor} [cursor]
	 * @param {Notification[]} [all]  those that were shown
	 */
	markAll(mark: Mark, cursor?: Cursor, all?: Notification$1[]): void;
	/**
	 * Have the server run an action of a notification. Its outcome comes with a change of the notification. If the server
	 * refuses, the event `error` has the returned number as its `ref`.
	 * @param {Notification} notification
	 * @param {number} action  index in its `actions`
	 */
	act(notification: Notification$1, action: number): number;
	#private;
}
export type MailboxEvents = {
	/**
	 * new content
	 */
	notification: {
		notification: Notification$1;
	};
	change: {
		notification: Notification$1;
		previous: Notification$1 | null;
		refused?: boolean;
	};
	counts: Counts | null;
	/**
	 * the tab starts over from a snapshot
	 */
	reset: null;
	state: {
		state: State;
		transport: string;
	};
	cursor: Cursor;
	/**
	 * ref: of the command that was refused
	 */
	error: {
		ref?: number | null;
		code: string;
		message: string;
	};
	/**
	 * the progress of tasks, between two changes of their rows
	 */
	tick: {
		ticks: Tick[];
	};
	/**
	 * closed for good
	 */
	end: null;
};
export type Events = MailboxEvents & LifeEvents;
export type Options = {
	/**
	 * absolute address of notify's urls
	 */
	src: string;
	/**
	 * best first
	 */
	transports: string[];
	csrf: () => Csrf;
	/**
	 * the identity of the user for whom the server rendered this page; the server refuses the page once another user is signed in. Without it this tab is on its own, and holds no HTTP request open
	 */
	user?: string | undefined;
	/**
	 * "websocket" if tabs share that as well, and not HTTP alone
	 */
	share?: string | null | undefined;
	/**
	 * seconds
	 */
	pollInterval?: number | undefined;
	window: EventTarget;
	document: EventTarget & {
		hidden?: boolean;
		cookie: string;
	};
};
/**
 * The options of a toast of the page, which have the same names as those of `notify.send()`.
 */
export type ToastOptions = {
	level?: Level | undefined;
	title?: string | undefined;
	url?: string | undefined;
	actions?: Action[] | undefined;
};
/**
 * A toast of the page.
 */
export type OwnToast = {
	/**
	 * shows another text in the same place
	 */
	update: (message: string, options?: ToastOptions) => void;
	close: () => void;
};
/**
 * The texts of its toast.
 */
export type Words<T> = {
	/**
	 * while it is pending
	 */
	loading: string;
	/**
	 * without it, as while it was pending
	 */
	success?: string | ((value: T) => string) | undefined;
	/**
	 * the reason may be a Response that is not ok
	 */
	error?: string | ((reason: any) => string) | undefined;
};
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
export type NotifyEventMap = {
	[Name in Exclude<keyof Events, "cursor" | "end"> as `notify:${Name}`]: CustomEvent<Events[Name]>;
};
/** What a `notify:toast` event asks for. htmx puts what is no object into `value`. */
export type Asked = string | ({
	message: string;
} & ToastOptions);
declare global {
	interface HTMLElementTagNameMap {
		"notify-root": NotifyRoot;
	}
	interface HTMLElementEventMap extends NotifyEventMap {
	}
	interface DocumentEventMap extends NotifyEventMap {
		"notify:toast": CustomEvent<Asked | Asked[] | {
			value: Asked | Asked[];
		}>;
		"notify:open-inbox": CustomEvent<null>;
	}
}

export {
	Notification$1 as Notification,
};

export {};
