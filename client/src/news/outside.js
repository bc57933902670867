/**
 * Signs of new notifications outside the page: the title of a hidden tab, the badge of an
 * installed app, and a sound. All are off unless an attribute of the root switches them on.
 */

/** Between two sounds, in all tabs together, are at least so many ms. */
const PAUSE = 3_000;

/** A sound is cut off after so many ms. */
const LENGTH = 1_000;

/** The title as the page has set it, and as it is shown with the number. */
let own = "";
let shown = "";

/**
 * Draw the number of unseen notifications into the title while the tab is hidden. A title that another script sets stays.
 * @param {Element} root
 * @param {number} unseen
 */
export function drawTitle(root, unseen) {
  const title = document.querySelector("head > title");
  if (!title || !root.hasAttribute("title-count")) return;
  if (title.textContent !== shown) own = title.textContent ?? "";
  shown = document.hidden && unseen > 0 ? `(${unseen}) ${own}` : own;
  if (title.textContent !== shown) title.textContent = shown;
}

/**
 * Show the number on the icon of an installed app.
 * @param {Element} root
 * @param {number} unseen
 */
export function drawAppBadge(root, unseen) {
  if (root.hasAttribute("app-badge")) navigator.setAppBadge?.(unseen).catch(() => {});
}

/**
 * Play the sound of a root, in one tab. A browser refuses it in a page that the user has not used.
 * @param {Element} root
 */
export function play(root) {
  const sound = root.getAttribute("sound");
  if (!sound || navigator.userActivation?.hasBeenActive === false) return;
  // The tab that has the lock holds it for the pause. The others find it taken, and stay silent.
  navigator.locks?.request("notify-sound", { ifAvailable: true }, async (lock) => {
    if (!lock) return;
    const audio = new Audio(sound);
    audio.play().catch(() => {});
    setTimeout(() => audio.pause(), LENGTH);
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  });
}
