/**
 * The script of `{% notify %}`: defines <notify-root> and <notify-badge>.
 * Loading it twice is harmless.
 */
import { defineBadge } from "./badge.js";
import { defineRoot } from "./root.js";

defineRoot();
defineBadge();

export { Client } from "./client.js";
