/**
 * The script of what a page has around its toasts: <notify-badge>, <notify-bell>, and
 * the actions in toasts. It reaches notify.js through <notify-root> alone.
 * `{% notify %}` loads it first, so that it receives each event of the root
 * from the first one on.
 */
import { displayActions } from "./page/acting.js";
import { defineBadge } from "./page/badge.js";
import { defineBell } from "./page/bell.js";
import { Echo } from "./page/echo.js";
import { leadMoreToInbox } from "./page/more-to-inbox.js";

defineBadge();
defineBell();
displayActions();
leadMoreToInbox();
new Echo().start();
