"use strict";

/* What there is to try: sets of points, how a run can end, and the experiments with their steps.

   The words of an experiment are a section of the page, found by its key. Here is what sets it up, which controls it
   needs, and when each step of its list is done: (now, then, start) => boolean, on the facts that view.js gathers.
   `then` are the facts when the step before was done, and `start` those of the beginning. */

const experiments = (() => {
  const MOST_POINTS = 400;

  /** Points live on a grid, so that an address can hold them exactly: 12 bits for x and 12 for y. */
  const LOW = [-1.05, -1.1], HIGH = [1.05, 1.3]; // what the picture shows of x and y
  const onGrid = (value, d) => Math.round(1000 * Math.min(HIGH[d], Math.max(LOW[d], value))) / 1000;
  const point = (x, y) => ({ x: onGrid(x, 0), y: onGrid(y, 1), owner: 0 });

  function scatter(n, seed, draw, law) {
    const random = mixture.uniform(seed);
    return Array.from({ length: n }, (_, i) => {
      const x = draw(i, random);
      return point(x, law(x) + 0.03 * mixture.normal(random));
    });
  }

  const parabolas = (x) => 4 * (x < 0 ? x + 0.5 : x - 0.5) ** 2 - 0.5;
  const clouds = (i, random) => (i % 2 ? 0.7 + 0.3 * random() : -1 + 1.3 * random()); // chapter 2's, gap and all
  const lines = (x) => (x < -1 / 3 ? 1.8 * x + 1.1 : x < 1 / 3 ? -2.4 * x : 1.8 * x - 1.1);
  const crowd = (from) => scatter(40, 2, (_, random) => from + 0.1 * random(), parabolas);

  const PRESETS = {
    parabolas: {
      name: "two parabolas",
      points: () => scatter(120, 0, clouds, parabolas),
      borders: [0],
      gap: [0.3, 0.7],
      settings: {},
    },
    pieces: {
      name: "three pieces",
      points: () => scatter(120, 3, (_, random) => -1 + 2 * random(), lines),
      borders: [-1 / 3, 1 / 3],
      settings: { experts: 3, degree: 1, weight: 0.02, seed: 0 },
    },
    own: {
      name: "your own points",
      points: () => [-0.9, -0.65, -0.4, -0.15, 0.15, 0.4, 0.65, 0.9].map((x) => point(x, 0.6 * (x - Math.sign(x)))),
      borders: [],
      settings: { degree: 1, weight: 0.02 },
    },
  };

  /** How a run ended, by the rule of chapter 2: from the places where the most probable expert changes. */
  const ENDINGS = ["true split", "in the gap", "no border", "elsewhere"];
  function ending(places, { borders, gap }) {
    const near = (place, i) => Math.abs(place - borders[i]) <= 0.04; // 2 % of the range of x
    if (!places.length) return "no border";
    if (places.length === borders.length && places.every(near)) return "true split";
    return gap && places.length === 1 && places[0] > gap[0] && places[0] < gap[1] ? "in the gap" : "elsewhere";
  }

  const played = (steps) => (now, then) => now.played >= then.played + steps;
  const weight = (least) => (now) => now.settings.weight >= least;
  const counted = (least) => (now) => now.counted && now.counted.weight >= least;
  const shared = (now) => Math.min(...now.shares) > 0.4;
  const taken = (now) => Math.max(...now.shares) > 0.95;
  const split = (now) => now.steps >= 500 && now.ending === "true split"; // at the start a border may be there by chance
  const otherEnd = ({ x, y }) => x > -0.25 && x < 0 && y > 0.65; // where the right parabola goes on, left of c

  const EXPERIMENTS = {
    arrows: {
      controls: ["seed"],
      steps: [(now) => now.selected, (now) => now.steps >= 5, (now) => now.total < 0.01],
    },
    lean: {
      settings: { kind: "cooperate" },
      controls: ["kind", "seed"],
      steps: [
        (now) => now.steps >= 2000 && now.alone > 10 * now.average,
        (now) => now.settings.kind === "specialise",
        (now) => now.steps >= 1000 && now.alone < 1.1 * now.average,
      ],
    },
    stranger: {
      trained: 2400,
      controls: ["expert", "manager"],
      steps: [
        (now) => now.points.some(otherEnd),
        played(600),
        (now) => now.points.filter(otherEnd).length >= 12 && now.places.length === 1 && now.places[0] < -0.06,
      ],
    },
    seeds: {
      controls: ["twenty", "seed"],
      steps: [
        counted(0),
        (now) => now.counted?.endings[now.settings.seed] === "in the gap",
        (now) => now.steps >= 500 && now.ending === "in the gap",
      ],
    },
    gap: {
      settings: { seed: 8 },
      controls: ["fit", "expert"],
      steps: [
        (now) => now.steps >= 1000 && now.ending === "in the gap",
        (now, then) => now.fits > then.fits,
        split,
      ],
    },
    crowd: {
      settings: { kind: "kmeans-x" },
      trained: 2400,
      controls: ["left", "right"],
      steps: [
        (now, _, start) => now.places[0] < start.places[0] - 0.03,
        played(1000),
        (now, _, start) => now.places[0] > start.places[0] + 0.01,
      ],
    },
    collapse: {
      settings: { seed: 0 },
      controls: ["weight", "seed"],
      steps: [taken, weight(0.1), shared],
    },
    late: {
      settings: { seed: 0, manager: 0.1 },
      controls: ["weight", "manager"],
      steps: [
        (now) => now.steps >= 1000 && taken(now),
        weight(0.1),
        played(2000),
        (now, then) => now.steps < then.steps && weight(0.1)(now) && shared(now),
      ],
    },
    balance: {
      controls: ["twenty", "weight"],
      steps: [counted(0), weight(0.1), counted(0.1)],
    },
    pieces: {
      settings: { preset: "pieces" },
      controls: ["weight", "seed"],
      steps: [split, weight(0.5), played(1000)],
    },
    free: {
      settings: { preset: "own" },
      controls: ["preset", "kind", "experts", "degree", "weight", "expert", "manager", "seed", "twenty", "fit"],
      steps: [],
    },
  };

  return { EXPERIMENTS, ENDINGS, HIGH, LOW, MOST_POINTS, PRESETS, crowd, ending, point };
})();
