import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { globals, row } from "../kit/helpers.js";
import { Echo } from "../../src/page/echo.js";

/** A page of a site, with what the browser keeps of its tab. */
class Page extends EventTarget {
  documentElement = { dataset: /** @type {Record<string, string>} */ ({}) };
  /** Those that were set, in order. @type {string[]} */
  cookies = [];
  jar = "";
  echo = "quiet";
  get cookie() {
    return this.jar;
  }
  set cookie(value) {
    this.cookies.push(value);
  }
  querySelector() {
    return this.echo === "quiet" ? {} : null;
  }
}

/** @type {Page} */
let page;
/** @type {EventTarget} */
let view;
/** @type {Map<string, string>} */
let stored;

/** Load a page in the tab whose storage this is. */
function load(kept = stored) {
  page = new Page();
  view = new EventTarget();
  const storage = {
    getItem: (/** @type {string} */ key) => kept.get(key) ?? null,
    setItem: (/** @type {string} */ key, /** @type {string} */ value) => void kept.set(key, value),
    removeItem: (/** @type {string} */ key) => void kept.delete(key),
  };
  globals({ document: page, window: view, sessionStorage: storage, location: new URL("https://site.example/orders/") });
  new Echo().start();
  return page.documentElement.dataset.notifyTab;
}

/** Returns whether the toast of a notification is shown. @param {string} [origin] */
function shows(origin) {
  const detail = { notification: row(1, 1, origin ? { origin } : {}) };
  return page.dispatchEvent(new CustomEvent("notify:notification", { detail, cancelable: true }));
}

/**
 * The cookies that an event sets which leaves the page.
 * @param {"submit" | "click"} type
 * @param {Record<string, string>} attributes  of the form or link
 * @param {object} [event]
 */
function leave(type, attributes, event = {}) {
  const element = { getAttribute: (/** @type {string} */ name) => attributes[name] ?? null };
  const target = { closest: (/** @type {string} */ selector) => (selector === "form" || "href" in attributes ? element : null) };
  const happening = new Event(type, { cancelable: true });
  Object.defineProperty(happening, "target", { value: target });
  Object.assign(happening, event);
  page.cookies = [];
  view.dispatchEvent(happening);
  return page.cookies;
}

/** The headers of a request by htmx. @param {string} path */
function request(path) {
  const detail = { path, headers: /** @type {Record<string, string>} */ ({}) };
  page.dispatchEvent(new CustomEvent("htmx:configRequest", { detail }));
  return detail.headers;
}

beforeEach(() => {
  stored = new Map();
});

test("a tab keeps its name from page to page, and another has another", () => {
  const name = load();
  assert.match(name, /^[0-9a-z]{20}$/);
  assert.equal(load(), name);
  assert.notEqual(load(new Map()), name);
});

test("a toast of the own request is shown, and so is one of no request; that of another tab is not", () => {
  const name = load();
  assert.deepEqual([shows(name), shows(), shows("00a1b2c3d4")], [true, true, false]);
});

test("a form and a link set the cookie just before they leave", () => {
  const name = load();
  const cookie = [`notify_tab=${name}; path=/; max-age=10; samesite=lax; secure`];
  assert.deepEqual(leave("submit", {}), cookie);
  assert.deepEqual(leave("submit", { action: "/pay/", target: "_self" }), cookie);
  assert.deepEqual(leave("click", { href: "7/" }), cookie);
});

test("what does not load a page of this site in this tab sets no cookie", () => {
  load();
  assert.deepEqual(leave("click", {}), []);
  assert.deepEqual(leave("click", { href: "https://other.example/" }), []);
  assert.deepEqual(leave("click", { href: "http://[" }), []);
  assert.deepEqual(leave("submit", { target: "_blank" }), []);
  for (const key of ["ctrlKey", "metaKey", "shiftKey"]) assert.deepEqual(leave("click", { href: "/" }, { [key]: true }), []);
  const stop = (/** @type {Event} */ event) => event.preventDefault();
  view = new EventTarget();
  view.addEventListener("submit", stop);
  globals({ window: view });
  new Echo().start();
  assert.deepEqual(leave("submit", {}), []);
});

test("the cookie of the page before is removed", () => {
  load();
  assert.deepEqual(page.cookies, []);
  page.jar = "a=b; notify_tab=00a1b2c3d4";
  new Echo().start();
  assert.deepEqual(page.cookies, ["notify_tab=; path=/; max-age=0; samesite=lax; secure"]);
});

test("requests of htmx to this site have the header", () => {
  const name = load();
  assert.deepEqual(request("/pay/"), { "X-Notify-Tab": name });
  assert.deepEqual(request("https://other.example/"), {});
});

test("nothing is sent unless the site asks for it", () => {
  const name = load();
  page.echo = "toast";
  assert.deepEqual([leave("submit", {}), request("/pay/")], [[], {}]);
  assert.equal(shows(name), true);
});

test("a tab that can store nothing has no name, as its next page would have another", () => {
  const forgetful = new Map();
  forgetful.set = () => forgetful;
  assert.equal(load(forgetful), undefined);
  assert.deepEqual([leave("submit", {}), request("/pay/")], [[], {}]);
  assert.deepEqual([shows(), shows("00a1b2c3d4")], [true, false]);
});

test("a tab has no name before the site asks for it", () => {
  const kept = new Map();
  load(kept);
  kept.clear();
  page = Object.assign(new Page(), { echo: "toast" });
  globals({ document: page });
  new Echo().start();
  assert.deepEqual([kept.size, page.documentElement.dataset.notifyTab], [0, undefined]);
  page.echo = "quiet";
  page.dispatchEvent(new Event("notify:state"));
  assert.equal(JSON.parse(kept.get("notify:tab")), page.documentElement.dataset.notifyTab);
});
