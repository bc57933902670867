/**
 * The script of a page on which nobody is signed in: wipes what the pages before it
 * have kept of a user. A page that polls does not notice that its user leaves it by
 * signing out.
 */
import { recordOf } from "./toasts/keeper.js";

for (const { dataset } of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("script[data-notify]"))) {
  // The second is the record of news/summary.js.
  for (const record of ["", "news"]) recordOf(dataset.notify + record).write(null);
}
