import { Takings } from "../actions/taking.js";
import { listen } from "../platform/emitter.js";
import { fillCount } from "../platform/labels.js";
import { advance, take } from "../progress/ticks.js";
import { Frame } from "./frame.js";
import { Texts } from "./labels.js";
import { Lists } from "./lists.js";
import { Order } from "./order.js";
import { readRows } from "./reader.js";
import { RowList } from "./row-list.js";

/**
 * @import { NotifyRoot } from "../elements/root.js"
 * @import { Cursor, Mark, Notification } from "../protocol.js"
 * @import { View } from "./lists.js"
 */

/** The line with which a row can be brought back from the archive stays for so many ms. */
const UNDO = 10_000;

/** The times are drawn again after so many ms. */
const MINUTE = 60_000;

/** The inbox behind a bell: the lists, and what the user does with their rows. */
export class Panel {
  /** @type {View} */
  #view = "all";
  /** Rows that were archived here, for as long as they can be brought back. @type {Set<number>} */
  #archived = new Set();
  /** The cursor up to which everything was shown. @type {Cursor} */
  #watermark = null;
  /** The rows on the screen. @type {Notification[]} */
  #shown = [];
  /** @type {"idle" | "first" | "older"} */
  #reading = "idle";
  /** The question that was not answered. @type {"first" | "older" | null} */
  #failed = null;
  #refused = false;
  /** Counts the lists that were begun: an answer for an earlier one is dropped. */
  #edition = 0;
  #isDue = false;
  /** @type {any} */
  #clock;
  #client;
  #order = new Order();
  #lists;
  #root;
  #texts;
  #frame;
  #list;

  /**
   * @param {NotifyRoot} root
   * @param {Element} bell  <notify-bell>, whose attributes the panel is made from
   */
  constructor(root, bell) {
    this.#root = root;
    this.#client = /** @type {import("../mailbox/client.js").Client} */ (root.client);
    this.#texts = new Texts(bell, root);
    this.#lists = new Lists(() => this.#client.store);
    this.#frame = new Frame(this.#texts, bell, {
      choose: (view) => this.#choose(view),
      readAll: () => this.#client.markAll("read", this.#watermark, this.#unarchived()),
      showWaiting: () => this.#showWaiting(),
      older: () => this.#read("older"),
      retry: () => this.#read(this.#failed ?? "first"),
      closed: () => this.#close(),
    });
    this.#list = new RowList(this.#frame.scroller, {
      texts: this.#texts,
      takings: new Takings(root, () => this.#drawSoon()),
      mark: (mark, id) => this.#mark(mark, id),
      seen: (ids) => this.#see(ids),
      undo: (id) => this.#undo(id),
    });
    this.#frame.put(this.#list.element);
    this.#listen();
  }

  get isOpen() {
    return this.#frame.isOpen;
  }

  /** Returns whether this panel is for that root, with its present client. @param {NotifyRoot} root */
  serves(root) {
    return this.#root === root && this.#client === root.client;
  }

  /**
   * Open the panel at a bell.
   * @param {HTMLElement} bell
   * @param {HTMLElement} invoker  gets the focus back
   */
  open(bell, invoker) {
    this.#client.store.floor = 0;
    this.#order.clear();
    this.#refused = false;
    this.#frame.open(bell, invoker);
    this.#read("first");
  }

  close() {
    this.#frame.close();
  }

  /** Take the panel away, because its root has another client or is gone. */
  remove() {
    this.#frame.close();
    this.#frame.element.remove();
    clearInterval(this.#clock);
  }

  #listen() {
    const client = this.#client;
    client.on("change", ({ refused }) => {
      this.#refused ||= Boolean(refused) && this.isOpen;
      this.#drawSoon();
    });
    client.on("counts", () => this.#drawSoon());
    client.on("state", () => {
      if (client.state === "open" && this.#failed && this.isOpen) this.#read(this.#failed);
      this.#drawSoon();
    });
    client.on("reset", () => {
      this.#lists.forget();
      if (this.isOpen) this.#read("first");
    });
    client.on("end", () => this.close());
    client.on("tick", ({ ticks }) => {
      take(ticks, (id) => client.store.get(id));
      this.#drawSoon();
    });
    // Nobody is at the rows any more, so that those that wait may come.
    listen(this.#frame.body, "pointerleave focusout", () => this.#drawSoon());
    listen(this.#list.element, "click auxclick", (event) => event.button < 2 && this.#follow(event));
    this.#clock = setInterval(() => this.isOpen && !document.hidden && this.#list._tell(), MINUTE);
  }

  /** The row with its newest progress. @param {number} id */
  #get(id) {
    return advance(this.#lists.get(id));
  }

  /** @param {View} view */
  #choose(view) {
    this.#view = view;
    this.#archived.clear();
    this.#order.clear();
    this.#shown = [];
    this.#frame.scroller.scrollTop = 0;
    this.#read("first");
  }

  /**
   * Read the begin of the list anew, or what follows.
   * @param {"first" | "older"} what
   */
  async #read(what) {
    if (what === "older" && this.#reading !== "idle") return;
    const edition = ++this.#edition;
    const view = this.#view;
    this.#reading = what;
    this.#failed = null;
    this.#draw();
    const before = what === "older" ? (this.#lists.place(view) ?? "") : "";
    const rows = await readRows(this.#root, view, before).catch(() => null);
    if (edition !== this.#edition) return;
    this.#reading = "idle";
    this.#failed = rows ? null : what;
    if (rows) this.#lists.take(view, rows);
    this.#draw();
  }

  /** In a microtask, so that all changes of one document are drawn once. */
  #drawSoon() {
    if (this.#isDue || !this.isOpen) return;
    this.#isDue = true;
    queueMicrotask(() => {
      this.#isDue = false;
      if (this.isOpen) this.#draw();
    });
  }

  #draw() {
    const [view, frame, client] = [this.#view, this.#frame, this.#client];
    const place = this.#lists.place(view);
    const isUsed = frame.scroller.scrollTop > 0 || frame.body.matches(":hover, :focus-within");
    const { shown, waiting } = this.#order.arrange(this.#rows(), isUsed && this.#shown.length > 0);
    // At the same moment the rows above the store's cursor are on the screen as well: they are marked by their ids.
    if (waiting.length === 0) this.#watermark = client.store.complete;
    this.#shown = shown;
    this.#list.draw(shown, this.#archived);
    frame.draw({
      view,
      unread: client.counts?.unread ?? 0,
      rows: shown.length,
      isKnown: place !== undefined,
      isReading: this.#reading !== "idle",
      hasMore: Boolean(place),
      waiting: waiting.length > 0 ? fillCount(this.#texts.root, "new", waiting.length) : "",
      note: this.#note(),
    });
  }

  /** The line about an error, if there is one. */
  #note() {
    const { own } = this.#texts;
    if (this.#failed) return { text: own.failed, retry: true };
    // A connection that has just been opened is not there yet.
    if (["waiting", "closed"].includes(this.#client.state)) return { text: own.offline };
    return this.#refused ? { text: own.unsaved } : null;
  }

  /** The rows of the list, and those that were archived from it a moment ago. */
  #rows() {
    const rows = this.#lists.rows(this.#view);
    const ids = new Set(rows.map(({ id }) => id));
    const archived = [...this.#archived].filter((id) => !ids.has(id)).map((id) => this.#lists.get(id));
    const all = /** @type {Notification[]} */ ([...rows, ...archived].filter(Boolean));
    return all.map(advance).sort((a, b) => b.arrived - a.arrived);
  }

  /** The rows that "Mark all as read" marks: what is on the screen, and what arrived before that. */
  #unarchived() {
    const below = Number(this.#watermark?.split(":")[1] ?? -1);
    const shown = new Set(this.#shown.map(({ id }) => id));
    const all = [...this.#client.store.all(), ...this.#shown.filter(({ id }) => !this.#client.store.get(id))];
    return all.filter((row) => row.archived_at === null && (row.arrived <= below || shown.has(row.id)));
  }

  #showWaiting() {
    this.#order.clear();
    this.#frame.scroller.scrollTop = 0;
    this.#frame.element.focus({ preventScroll: true });
    this.#draw();
    this.#list.focus();
  }

  /** @param {number[]} ids */
  #see(ids) {
    if (!this.isOpen) return;
    const rows = ids.flatMap((id) => this.#lists.get(id) ?? []);
    const unseen = rows.filter(({ seen_at, archived_at }) => !seen_at && !archived_at);
    this.#client.mark("seen", unseen);
  }

  /**
   * @param {Mark} mark
   * @param {number} id
   */
  #mark(mark, id) {
    const row = this.#lists.get(id);
    if (!row) return;
    this.#refused = false;
    if (mark === "archived") this.#offerUndo(id);
    this.#client.mark(mark, [row]);
    this.#drawSoon();
  }

  /** @param {number} id */
  #offerUndo(id) {
    this.#archived.add(id);
    const end = () => {
      if (!this.#archived.has(id)) return;
      if (this.isOpen && this.#list._holds(id)) return void setTimeout(end, UNDO);
      this.#archived.delete(id);
      this.#drawSoon();
    };
    setTimeout(end, UNDO);
  }

  /** @param {number} id */
  #undo(id) {
    const row = this.#lists.get(id);
    if (row) this.#client.mark("unarchive", [row]);
    this.#archived.delete(id);
    this.#drawSoon();
  }

  /** @param {MouseEvent} event */
  #follow({ target }) {
    const link = /** @type {Element} */ (target).closest("a");
    const row = link && this.#get(Number(link.closest("[data-id]")?.getAttribute("data-id")));
    if (row) this.#client.mark("read", [row], { leaving: true });
  }

  #close() {
    this.#archived.clear();
    this.#shown = [];
    this.#edition += 1;
    this.#reading = "idle";
    this.#list.draw([], this.#archived);
    // From now on the store may drop rows, of which the lists would not know.
    this.#lists.forget();
    this.#client.store.floor = Infinity;
  }
}
