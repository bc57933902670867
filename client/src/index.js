/**
 * The script of `{% notify %}` that defines <notify-root>.
 * Loading it twice is harmless.
 */
import { defineRoot } from "./elements/root.js";

defineRoot();

export { Client } from "./mailbox/client.js";
