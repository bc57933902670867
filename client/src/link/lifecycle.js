/**
 * Tells the life of a connection in the words that users of Socket.IO know.
 *
 * @import { Connection } from "./connection.js"
 *
 * @typedef {object} LifeEvents
 * @property {null} connecting  a transport is looked for
 * @property {{transport: string, recovered: number}} connect  recovered: notifications that arrived meanwhile
 * @property {{reason: string, returns: boolean}} disconnect  returns: it is tried again without your doing
 * @property {{transport: string, reason: string}} connect_error  one transport could not be had
 * @property {{attempt: number}} reconnect_attempt
 * @property {{attempt: number, recovered: number}} reconnect
 * @property {{from: string, to: string}} transport  another one is in use
 */

/**
 * @param {Connection} connection
 * @param {<Name extends keyof LifeEvents>(name: Name, detail: LifeEvents[Name]) => void} tell
 * @returns {{recovered: number}}  new notifications since the connection was lost: whoever gets them counts them here
 */
export function tellLife(connection, tell) {
  const life = { recovered: 0 };
  let isUp = false;
  let name = "";
  /** Since it was opened, or connected last. */
  let tries = 0;

  /**
   * @param {string} reason
   * @param {boolean} returns
   */
  const disconnect = (reason, returns) => {
    isUp = false;
    life.recovered = 0;
    tell("disconnect", { reason, returns });
  };

  connection.on("state", () => {
    const { state } = connection;
    if (state === "connecting") {
      tell("connecting", null);
      if (tries > 0) tell("reconnect_attempt", { attempt: tries });
      tries += 1;
    }
    if (state === "closed") {
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
    tell("connect", { transport: connection.transport, recovered });
    if (attempt > 0) tell("reconnect", { attempt, recovered });
  });
  connection.on("rename", () => {
    const from = name;
    name = connection.transport;
    if (from && from !== name) tell("transport", { from, to: name });
  });
  connection.on("lost", ({ transport, reason, inUse, returns }) => {
    if (!isUp) tell("connect_error", { transport, reason });
    else if (inUse || !returns) disconnect(reason, returns);
  });
  return life;
}
