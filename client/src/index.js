/**
 * The script of `{% notify %}`: defines <notify-root> and <notify-badge>.
 * Loading it twice is harmless.
 */
import { defineBadge } from "./elements/badge.js";
import { defineRoot } from "./elements/root.js";

defineRoot();
defineBadge();

export { Client } from "./mailbox/client.js";
