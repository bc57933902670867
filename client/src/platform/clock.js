/** The readings of the two clocks at the last call of `now()`. */
let last = [0, 0];

/** The time that has passed, in ms. */
let passed = 0;

/**
 * A time in ms, for intervals alone. Of the two clocks of a browser it follows the one that
 * went further since the last call: the wall clock may be set back, and the other one
 * stands still while a laptop sleeps.
 */
export function now() {
  const clocks = [Date.now(), performance.now()];
  passed += Math.max(0, ...clocks.map((time, index) => time - last[index]));
  last = clocks;
  return passed;
}
