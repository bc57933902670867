declare class Emitter<Events extends Record<string, any> = Record<string, any>> extends EventTarget {
	constructor();
	/**
	 * Hear of one kind of event, until the signal ends; the answer takes the listener away as well.
	 * @template {keyof Events & string} Name
	 * @param {Name} name
	 * @param {(detail: Events[Name]) => void} listener
	 * @param {AbortSignal} [signal]
	 * @returns {() => void}
	 */
	on<Name extends keyof Events & string>(name: Name, listener: (detail: Events[Name]) => void, signal?: AbortSignal): () => void;
}
type Tick = {
	id: number;
	attempt: number;
	done: number;
	total: number | null;
	message: string;
};
/**
 * The wire, version 1: cursors, the rule, documents and close codes. Pure: no
 * I/O, no clock. `notify/protocol.py` says the same in Python, and both are
 * held to tests/vectors/.
 */
export type Level = "debug" | "info" | "success" | "warning" | "error";
/**
 * The wire, version 1: cursors, the rule, documents and close codes. Pure: no
 * I/O, no clock. `notify/protocol.py` says the same in Python, and both are
 * held to tests/vectors/.
 */
export type Action = {
	label: string;
	url: string;
};
/**
 * The wire, version 1: cursors, the rule, documents and close codes. Pure: no
 * I/O, no clock. `notify/protocol.py` says the same in Python, and both are
 * held to tests/vectors/.
 */
export type TaskState = "queued" | "running" | "cancelling" | "succeeded" | "failed" | "cancelled" | "lost";
/**
 * how far a task is
 */
export type Progress = {
	state: TaskState;
	done: number;
	total: number | null;
	/**
	 * what is being done just now
	 */
	message: string;
	attempt: number;
	cancellable: boolean;
	/**
	 * nothing was heard of it for a while
	 */
	silent: boolean;
	started_at: string | null;
	/**
	 * null: nobody has said how it ends
	 */
	ended_at: string | null;
};
/**
 * The wire, version 1: cursors, the rule, documents and close codes. Pure: no
 * I/O, no clock. `notify/protocol.py` says the same in Python, and both are
 * held to tests/vectors/.
 */
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
	 * of a task
	 */
	progress?: Progress | undefined;
};
/**
 * `<epoch>:<position>`; null is below every cursor
 */
export type Cursor = string | null;
/**
 * The wire, version 1: cursors, the rule, documents and close codes. Pure: no
 * I/O, no clock. `notify/protocol.py` says the same in Python, and both are
 * held to tests/vectors/.
 */
export type Counts = {
	unseen: number;
	unread: number;
};
/**
 * a notification as the user saw it
 */
export type Shown = [
	id: number,
	arrived: number
];
/**
 * cancel: ask the task behind it to end
 */
export type Mark = "seen" | "read" | "archived" | "dismissed" | "cancel";
declare class Store extends Emitter<Record<string, any>> {
	constructor();
	/** @type {Cursor} */
	cursor: Cursor;
	/** The last cursor at which nothing was missing: what mark-all may vouch for. @type {Cursor} */
	complete: Cursor;
	/** @type {Counts | null} */
	counts: Counts | null;
	/**
	 * The row as it is shown: the server's words, and our marks on the way to it.
	 * @param {number} id
	 * @returns {Notification | null}
	 */
	get(id: number): Notification$1 | null;
	/** All rows as shown, newest content first. */
	all(): Notification$1[];
	#private;
}
/**
 * Keeps one transport of a ladder open, the best that can be had.
 *
 * A transport counts only once it is healthy, that is, has given its first
 * document: some proxies open sockets that carry nothing. Those that take long
 * are overtaken (see `Race`); from a lower rung the better ones are probed in
 * the background, and one that keeps breaking is left alone for a while. What
 * an earlier transport still says is not heard.
 *
 * Events: `document` ({document, own, text}), `open` (healthy, and what it had
 * to say is said), `state`, `rename` (the transport in use has another name),
 * `doubt` (ask for a sign of life), `lost` ({transport, reason, inUse,
 * returns}), `end` ({code}: closed for good).
 */
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
	 * given by the page where scripts cannot read the cookie
	 */
	token: string | null;
};
/**
 * Tells the life of a connection in the words that users of Socket.IO know.
 */
export type LifeEvents = {
	/**
	 * a transport is looked for
	 */
	connecting: null;
	/**
	 * recovered: notifications that arrived meanwhile
	 */
	connect: {
		transport: string;
		recovered: number;
	};
	/**
	 * returns: it is tried again without your doing
	 */
	disconnect: {
		reason: string;
		returns: boolean;
	};
	/**
	 * one transport could not be had
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
	 * another one is in use
	 */
	transport: {
		from: string;
		to: string;
	};
};
/**
 * A mailbox in this tab: connection, store and commands put together, and no
 * DOM. `<notify-root>` draws what it says.
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
	/** Release the socket; what the store holds stays. */
	close(): void;
	/**
	 * Mark notifications as the user saw them.
	 * @param {Mark} mark
	 * @param {Notification[]} notifications
	 * @param {{leaving?: boolean}} [options]
	 */
	mark(mark: Mark, notifications: Notification$1[], { leaving }?: {
		leaving?: boolean;
	}): void;
	/**
	 * Mark everything up to what this tab surely knows. What arrives meanwhile
	 * stays new.
	 * @param {Mark} mark
	 */
	markAll(mark: Mark): void;
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
	error: {
		code: string;
		message: string;
	};
	/**
	 * how far tasks are, between two changes of their rows
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
	 * whose tabs share what; without it this one is alone, and holds no HTTP request open
	 */
	user?: string | undefined;
	/**
	 * "websocket": this one too, and not HTTP alone
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
 * What is said of it.
 */
export type Words<T> = {
	/**
	 * while it is pending
	 */
	loading: string;
	/**
	 * left out: as while it was pending
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
	/** Show that work of the page is pending, and how it ends. Gives back the promise that it was given. */
	promise<Work extends Promise<any>>(work: Work, words: Words<Awaited<Work>>): Work;
}
/** The client's events as they are dispatched on `<notify-root>`. */
export type NotifyEventMap = {
	[Name in Exclude<keyof Events, "cursor" | "end"> as `notify:${Name}`]: CustomEvent<Events[Name]>;
};
declare global {
	interface HTMLElementTagNameMap {
		"notify-root": NotifyRoot;
	}
	interface HTMLElementEventMap extends NotifyEventMap {
	}
	interface DocumentEventMap extends NotifyEventMap {
	}
}

export {
	Notification$1 as Notification,
};

export {};
