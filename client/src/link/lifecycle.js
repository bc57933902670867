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

/**
 * @param {Connection} connection
 * @param {<Name extends keyof LifeEvents>(name: Name, detail: LifeEvents[Name]) => void} emit
 * @returns {{recovered: number}}  new notifications since the connection was lost. The client counts them
 */
export function reportLife(connection, emit) {
  const life = { recovered: 0 };
  let isUp = false;
  let name = "";
  /** Tries since the connection was opened, or since it was up last. */
  let tries = 0;

  /**
   * @param {string} reason
   * @param {boolean} returns
   */
  const disconnect = (reason, returns) => {
    isUp = false;
    life.recovered = 0;
    emit("disconnect", { reason, returns });
  };
  connection.on("state", () => {
    if (connection.state === "connecting") {
      emit("connecting", null);
      if (tries > 0) emit("reconnect_attempt", { attempt: tries });
      tries += 1;
    }
    if (connection.state === "closed") {
      tries = 0;
      if (isUp) disconnect("client", false);
    }
  });
  connection.on("open", () => {
    if (isUp) return;
    const { recovered } = life;
    const attempt = tries - 1;
    isUp = true;
    tries = 1;
    emit("connect", { transport: connection.transport, recovered });
    if (attempt > 0) emit("reconnect", { attempt, recovered });
  });
  connection.on("rename", () => {
    const from = name;
    name = connection.transport;
    if (from && from !== name) emit("transport", { from, to: name });
  });
  connection.on("lost", ({ transport, reason, _inUse: inUse, returns }) => {
    if (!isUp) emit("connect_error", { transport, reason });
    else if (inUse) disconnect(reason, returns);
  });
  return life;
}
