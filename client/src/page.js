/**
 * The script of what a page has around its toasts: <notify-badge>. It reaches
 * notify.js through <notify-root> alone. `{% notify %}` loads it first, so that
 * it receives each event of the root from the first one on.
 */
import { defineBadge } from "./page/badge.js";
import { Echo } from "./page/echo.js";

defineBadge();
new Echo().start();
