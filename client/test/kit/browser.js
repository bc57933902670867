import { globals } from "./helpers.js";

/**
 * The parts of a browser that its tabs share, as far as this client uses them:
 * Web Locks and BroadcastChannel.
 */
export class FakeBrowser {
  /** @type {Set<any>} */
  channels = new Set();
  /** @type {Map<string, {reject: (error: Error) => void}>} */
  #held = new Map();
  /** @type {{name: string, enter: () => void}[]} */
  #queue = [];

  constructor() {
    const browser = this;
    this.Channel = /** @type {any} */ (
      class {
        /** @type {((event: {data: any}) => void) | null} */
        onmessage = null;
        /** @param {string} name */
        constructor(name) {
          this.name = name;
          browser.channels.add(this);
        }
        /** @param {unknown} message */
        postMessage(message) {
          if (!browser.channels.has(this)) throw new Error("InvalidStateError");
          const others = [...browser.channels].filter((other) => other !== this && other.name === this.name);
          for (const other of others) {
            const data = structuredClone(message);
            queueMicrotask(() => browser.channels.has(other) && other.onmessage?.({ data }));
          }
        }
        close() {
          browser.channels.delete(this);
        }
      }
    );
    this.locks = /** @type {any} */ ({ request: this.#request.bind(this), query: async () => ({}) });
    globals({ navigator: { locks: this.locks }, BroadcastChannel: this.Channel });
  }

  /** How many tabs hold a lock or wait for one. */
  get interest() {
    return this.#held.size + this.#queue.length;
  }

  /**
   * @param {string} name
   * @param {{signal?: AbortSignal, steal?: boolean}} options
   * @param {() => unknown} callback
   */
  #request(name, { signal, steal }, callback) {
    return new Promise((resolve, reject) => {
      const request = {
        name,
        reject,
        enter: () => {
          this.#held.set(name, request);
          const leave = () => {
            if (this.#held.get(name) !== request) return;
            this.#held.delete(name);
            this.#next();
          };
          Promise.resolve()
            .then(callback)
            .finally(leave)
            .then(resolve, reject);
        },
      };
      if (steal) {
        this.#held.get(name)?.reject(new Error("AbortError"));
        return request.enter();
      }
      signal?.addEventListener("abort", () => {
        if (!this.#queue.includes(request)) return;
        this.#queue = this.#queue.filter((other) => other !== request);
        reject(new Error("AbortError"));
      });
      this.#queue.push(request);
      this.#next();
    });
  }

  #next() {
    const request = this.#queue.find(({ name }) => !this.#held.has(name));
    if (!request) return;
    this.#queue = this.#queue.filter((other) => other !== request);
    request.enter();
  }
}
