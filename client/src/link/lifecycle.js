/**
 * Reports the life of a connection in the words that users of Socket.IO know.
 *
 * @import { Connection } from "./connection.js"
 */

/**
 * @typedef {object} LifeEvents
 * @property {null} connecting  the client is looking for a transport
 * @property {{transport: string, recovered: number}} connect  recovered: how many notifications arrived meanwhile
 * @property {{reason: string, returns: boolean}} disconnect  returns: whether the client tries again by itself
 * @property {{transport: string, reason: string}} connect_error  one transport could not be opened
 * @property {{attempt: number}} reconnect_attempt
 * @property {{attempt: number, recovered: number}} reconnect
 * @property {{from: string, to: string}} transport  another transport is in use
 */

export class Lifecycle {
  /** New notifications since the connection was lost. The client counts them. */
  recovered = 0;
  #isUp = false;
  #name = "";
  /** Tries since the connection was opened, or since it was up last. */
  #tries = 0;
  #connection;
  #emit;

  /**
   * @param {Connection} connection
   * @param {<Name extends keyof LifeEvents>(name: Name, detail: LifeEvents[Name]) => void} emit
   */
  constructor(connection, emit) {
    this.#connection = connection;
    this.#emit = emit;
    connection.on("state", () => this.#change());
    connection.on("open", () => this.#connect());
    connection.on("rename", () => this.#rename());
    connection.on("lost", ({ transport, reason, inUse, returns }) => {
      if (!this.#isUp) emit("connect_error", { transport, reason });
      else if (inUse) this.#disconnect(reason, returns);
    });
  }

  #change() {
    const { state } = this.#connection;
    if (state === "connecting") {
      this.#emit("connecting", null);
      if (this.#tries > 0) this.#emit("reconnect_attempt", { attempt: this.#tries });
      this.#tries += 1;
    }
    if (state === "closed") {
      this.#tries = 0;
      if (this.#isUp) this.#disconnect("client", false);
    }
  }

  #connect() {
    if (this.#isUp) return;
    const { recovered } = this;
    const attempt = this.#tries - 1;
    this.#isUp = true;
    this.#tries = 1;
    this.#emit("connect", { transport: this.#connection.transport, recovered });
    if (attempt > 0) this.#emit("reconnect", { attempt, recovered });
  }

  /**
   * @param {string} reason
   * @param {boolean} returns
   */
  #disconnect(reason, returns) {
    this.#isUp = false;
    this.recovered = 0;
    this.#emit("disconnect", { reason, returns });
  }

  #rename() {
    const from = this.#name;
    const to = (this.#name = this.#connection.transport);
    if (from && from !== to) this.#emit("transport", { from, to });
  }
}
