"use strict";

/* A state as the end of an address, #experiment&seed=3&points=…, with only what differs from the experiment's own. */

const addresses = (() => {
  const { LOW } = experiments;
  const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

  /** Four characters a point: two for the thousandths of x, two for those of y. */
  const encode = (points) =>
    points.map(({ x, y }) => [x - LOW[0], y - LOW[1]].map((value) => {
      const n = Math.round(1000 * value);
      return DIGITS[n >> 6] + DIGITS[n & 63];
    }).join("")).join("");

  function decode(text) {
    if (!/^([\w-]{4})*$/.test(text)) return null;
    const value = (at) => (64 * DIGITS.indexOf(text[at]) + DIGITS.indexOf(text[at + 1])) / 1000;
    return Array.from({ length: Math.min(experiments.MOST_POINTS, text.length / 4) }, (_, n) =>
      experiments.point(LOW[0] + value(4 * n), LOW[1] + value(4 * n + 2)),
    );
  }

  function write(experiment, settings, usual, points, usualPoints) {
    const changed = new URLSearchParams();
    for (const [name, value] of Object.entries(settings)) if (value !== usual[name]) changed.set(name, value);
    const drawn = encode(points);
    if (drawn !== encode(usualPoints)) changed.set("points", drawn);
    return `#${[experiment, ...(changed.size ? [changed] : [])].join("&")}`;
  }

  /** [experiment, changed settings, points or null]; null where the first word names no experiment.

      Anybody can type an address: what does not make sense is left out. */
  function read(hash, keyOf, makesSense) {
    const [name, ...rest] = hash.slice(1).split("&");
    const key = keyOf(name);
    if (!key) return null;
    const given = new URLSearchParams(rest.join("&"));
    const drawn = given.has("points") ? decode(given.get("points")) : null;
    given.delete("points");
    const values = [...given].map(([name, text]) => [name, text === "" || isNaN(text) ? text : Number(text)]);
    return [key, Object.fromEntries(values.filter(([name, value]) => makesSense(name, value))), drawn];
  }

  return { read, write };
})();
