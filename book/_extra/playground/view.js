"use strict";

/* The playground as the reader sees it: points to drag, curves that learn, and the settings of the run.
   All arithmetic is in mixture.js, all colours are in style.css. */

(() => {
  const root = document.getElementById("playground");
  if (!root) return;

  const WEIGHTS = [0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5];
  const RATES = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5];
  const SCALES = { weight: WEIGHTS, expert: RATES, manager: RATES };
  const SPEEDS = { slow: 1, normal: 5, fast: 20 }; // steps a frame
  const MOST_POINTS = 400;
  const MOST_STEPS = 20000; // at one go: a forgotten run stops by itself
  const LOW = [-1.05, -1.1], HIGH = [1.05, 1.3]; // what the plot shows of x and y
  const GRID = Array.from({ length: 211 }, (_, j) => LOW[0] + j * 0.01);
  const still = matchMedia("(prefers-reduced-motion: reduce)");

  /* --- Points --- */

  const BOOK = { kind: "specialise", experts: 2, degree: 2, weight: 0, manager: 0.02, expert: 0.05, seed: 1 };

  function scatter(n, seed, draw, law) {
    const random = mixture.uniform(seed);
    return Array.from({ length: n }, (_, i) => {
      const x = draw(i, random);
      return { x, y: law(x) + 0.03 * mixture.normal(random) };
    });
  }

  const parabolas = (x) => 4 * (x < 0 ? x + 0.5 : x - 0.5) ** 2 - 0.5;
  const clouds = (i, random) => (i % 2 ? 0.7 + 0.3 * random() : -1 + 1.3 * random()); // chapter 2's, gap and all
  const chapter2 = () => scatter(120, 1, clouds, parabolas);
  const crowd = () => scatter(40, 2, (_, random) => -1 + 0.1 * random(), parabolas);
  const lines = (x) => (x < -1 / 3 ? 1.8 * x + 1.1 : x < 1 / 3 ? -2.4 * x : 1.8 * x - 1.1);

  const PRESETS = {
    parabolas: { name: "two parabolas", points: chapter2, borders: [0], settings: {} },
    degenerate: { name: "degenerate manager", points: chapter2, borders: [0], settings: { seed: 0 } },
    pieces: {
      name: "three pieces",
      points: () => scatter(120, 3, (_, random) => -1 + 2 * random(), lines),
      borders: [-1 / 3, 1 / 3],
      settings: { experts: 3, degree: 1, weight: 0.02, seed: 0 },
    },
    own: {
      name: "your own points",
      points: () => [-0.9, -0.65, -0.4, -0.15, 0.15, 0.4, 0.65, 0.9].map((x) => ({ x, y: 0.6 * (x - Math.sign(x)) })),
      borders: [],
      settings: { degree: 1, weight: 0.02 },
    },
  };

  /* --- The state --- */

  let preset, settings, points, run, history;
  let selected = null, spoken = 0, drawn = 0;

  const kind = () => settings.kind.split("-")[0]; // kmeans-x and kmeans-xy are one kind to the mathematics
  const training = () => ({
    kind: kind(),
    weight: settings.weight,
    rates: { manager: settings.manager, experts: settings.expert },
  });

  function choose(name, changes = {}) {
    preset = PRESETS[name];
    settings = { preset: name, ...BOOK, ...preset.settings, ...changes };
    points = preset.points();
    selected = null;
    restart();
  }

  /** From the seed's starting weights; the points stay. */
  function restart() {
    run = new mixture.Run({ experts: settings.experts, degree: settings.degree }, settings.seed);
    history = { stride: 1, rows: [] };
    cluster();
    remember();
    fresh();
  }

  let centres = null;
  function cluster() {
    centres = null;
    if (kind() !== "kmeans" || !points.length) return;
    const rows = points.map(({ x, y }) => (settings.kind === "kmeans-x" ? [x] : [x, y]));
    const found = mixture.kmeans(rows, settings.experts);
    points.forEach((point, b) => (point.owner = found.owner[b]));
    centres = found.centres;
  }

  const losses = () => mixture.objective(run.theta, run.shape, points, training());
  const owns = (point) => mixture.gateAt(run.theta, run.shape, point, kind());
  const most = (p) => p.indexOf(Math.max(...p));

  /** The gate over x; null where it is no function of x. */
  function gate(x) {
    if (kind() !== "kmeans") return mixture.gate(run.theta, run.shape, x);
    if (!centres || settings.kind === "kmeans-xy") return null;
    const distances = centres.map(([c]) => Math.abs(x - c));
    const nearest = distances.indexOf(Math.min(...distances));
    return centres.map((_, i) => Number(i === nearest));
  }

  /** Losses on all points, thinned out as the run gets long. */
  function remember() {
    if (!points.length || run.steps % history.stride) return;
    history.rows.push({ step: run.steps, ...losses() });
    if (history.rows.length > 300) {
      history.stride *= 2;
      history.rows = history.rows.filter(({ step }) => step % history.stride === 0);
    }
  }

  function train(steps) {
    const end = performance.now() + 25; // a slow phone makes fewer steps, and stays responsive
    for (let i = 0; i < steps && points.length && performance.now() < end; i++) {
      run.step(run.batch(points), training());
      remember();
    }
  }

  /* --- The page --- */

  const option = ([value, text]) => `<option value="${value}">${text}</option>`;
  const field = (text, inside) => `<label class="pg-field"><span>${text}</span>${inside}</label>`;
  const select = (name, text, values) =>
    field(text, `<select name="${name}">${Object.entries(values).map(option).join("")}</select>`);
  const slider = (name, text, values) =>
    field(
      `${text} <b data-of="${name}" aria-hidden="true"></b>`,
      `<input type="range" name="${name}" min="0" max="${values.length - 1}">`,
    );
  const button = (action, text) => `<button type="button" data-do="${action}">${text}</button>`;
  const number = (name, text) => `<div><dt>${text}</dt><dd data-number="${name}"></dd></div>`;

  root.innerHTML = `
    <div class="pg-bar" role="group" aria-label="Run">
      ${button("play", "Play")} ${button("step", "Step")} ${button("reset", "Reset")}
      ${select("speed", "Speed", { slow: "slow", normal: "normal", fast: "fast" })}
      <span class="pg-steps"><span data-number="step"></span> steps</span>
    </div>
    <div class="pg-stage">
      <div class="pg-plots">
        <svg class="pg-main"></svg>
        <div class="pg-tools" role="group" aria-label="Points">
          ${button("add", "Add point")} ${button("remove", "Remove point")}
          ${button("clear", "Clear")} ${button("restore", "Restore")}
        </div>
        <div class="pg-title">Gate: whom the manager asks, p<sub>i</sub>(x)</div>
        <svg class="pg-gate" role="img"></svg>
        <div class="pg-status" aria-hidden="true"></div>
      </div>
      <div class="pg-controls" role="group" aria-label="Settings">
        ${select("preset", "Points", Object.fromEntries(Object.entries(PRESETS).map(([key, { name }]) => [key, name])))}
        ${select("kind", "Objective", {
          specialise: "specialise: Σ p ℓ",
          cooperate: "cooperate: (y − Σ p yᵢ)²",
          likelihood: "likelihood: −ln Σ p e⁻ˡ",
          "kmeans-x": "K-means split on x",
          "kmeans-xy": "K-means split on (x, y)",
        })}
        ${select("experts", "Experts", { 2: "2", 3: "3", 4: "4" })}
        ${select("degree", "Each expert", { 1: "a line", 2: "a parabola", 3: "a cubic" })}
        ${slider("weight", "Balancing weight", WEIGHTS)}
        ${slider("expert", "Experts’ rate", RATES)}
        ${slider("manager", "Manager’s rate", RATES)}
        <div class="pg-field pg-seed">
          <label>Seed <input type="number" name="seed" min="0" max="999" required></label> ${button("next", "Next seed")}
        </div>
      </div>
    </div>
    <ul class="pg-experts" aria-label="Experts"></ul>
    <div class="pg-results">
      <div>
        <div class="pg-title">Loss on all points, by step</div>
        <svg class="pg-loss" role="img"></svg>
      </div>
      <dl class="pg-numbers">
        ${number("expected", '<i class="pg-key pg-expected"></i>expected')}
        ${number("balancing", '<i class="pg-key pg-balancing"></i>balancing')}
        ${number("total", '<i class="pg-key pg-total"></i>total')}
        ${number("blend", "blend’s error")}
        ${number("alone", "chosen expert’s error")}
      </dl>
    </div>
    <div class="pg-live" role="status"></div>`;

  const find = (query) => root.querySelector(query);
  const [main, gates, loss] = [".pg-main", ".pg-gate", ".pg-loss"].map(find);

  function set(node, attributes) {
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    return node;
  }
  const svg = (name, attributes, parent) =>
    parent.appendChild(set(document.createElementNS("http://www.w3.org/2000/svg", name), attributes));
  const text = (words, x, y, parent, anchor = "middle") => {
    svg("text", { x, y, "text-anchor": anchor }, parent).textContent = words;
  };

  svg("title", {}, main).textContent = "Points and experts over x";
  const clip = svg("rect", {}, svg("clipPath", { id: "pg-clip" }, svg("defs", {}, main)));
  const quiet = (name, more) => svg("g", { class: name, "aria-hidden": "true", ...more }, main);
  const axes = quiet("pg-axes"), curves = quiet("", { "clip-path": "url(#pg-clip)" });
  const keys = "Points. Arrow keys move one, Page Up and Page Down go to another, Delete removes it";
  const dots = svg("g", { role: "application", "aria-label": keys }, main);
  const badges = quiet("pg-badges");

  /* --- Scales and axes --- */

  const MARGIN = { left: 34, right: 8 };
  const size = {};
  const px = (x) => MARGIN.left + ((x - LOW[0]) / (HIGH[0] - LOW[0])) * (size.width - MARGIN.left - MARGIN.right);
  const py = (y) => 6 + ((HIGH[1] - y) / (HIGH[1] - LOW[1])) * (size.height - 12);
  const pp = (p) => 4 + (1 - p) * 76;
  const count = (n) => n.toLocaleString("en");
  const signed = (value, digits = 2) => value.toFixed(digits).replace("-", "−");

  function measure() {
    size.width = Math.max(260, find(".pg-plots").clientWidth);
    size.height = Math.round(Math.min(360, Math.max(240, size.width * 0.62)));
    size.loss = Math.max(240, loss.parentNode.clientWidth);
    const sheet = (node, width, height) => set(node, { viewBox: `0 0 ${width} ${height}`, height });
    sheet(main, size.width, size.height);
    sheet(gates, size.width, 104);
    sheet(loss, size.loss, 150);
    const left = px(LOW[0]), right = px(HIGH[0]);
    set(clip, { x: left, y: 0, width: right - left, height: size.height });
    axes.replaceChildren();
    for (const y of [-1, -0.5, 0, 0.5, 1]) {
      svg("path", { d: `M${left} ${py(y)}H${right}` }, axes);
      text(signed(y, 1), left - 6, py(y) + 4, axes, "end");
    }
    for (const x of preset.borders) {
      svg("path", { class: "pg-border", d: `M${px(x)} 0V${size.height}` }, axes);
      text("x′", px(x) + 9, 14, axes);
    }
    draw();
  }

  /* --- Drawing --- */

  const at = (values) => values.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L");

  /** A band along a curve, as wide as the expert's probability is large. */
  function band(line, widths) {
    const sides = line.map(([x, y], j) => {
      const [a, b] = [line[Math.max(0, j - 1)], line[Math.min(line.length - 1, j + 1)]];
      const length = Math.hypot(b[0] - a[0], b[1] - a[1]) || 1;
      const [nx, ny] = [(-(b[1] - a[1]) / length) * (widths[j] / 2), ((b[0] - a[0]) / length) * (widths[j] / 2)];
      return [[x + nx, y + ny], [x - nx, y - ny]];
    });
    return `M${at(sides.map(([a]) => a))}L${at(sides.map(([, b]) => b).reverse())}Z`;
  }

  /** The middle of the longest stretch of x on which an expert is the most probable one, or -1. */
  function territory(leaders, expert) {
    let best = [0, -1], start = 0;
    for (let j = 0; j <= leaders.length; j++) {
      if (leaders[j] === expert) continue;
      if (j - start > best[0]) best = [j - start, start];
      start = j + 1;
    }
    return best[0] ? best[1] + (best[0] >> 1) : -1;
  }

  function badge(group, expert, x, y) {
    const node = svg("g", { class: `pg-e${expert}`, transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})` }, group);
    svg("circle", { r: 9 }, node);
    text(expert + 1, 0, 4, node);
  }

  function drawCurves(p) {
    curves.replaceChildren();
    badges.replaceChildren();
    const outputs = GRID.map((x) => mixture.predict(run.theta, run.shape, x));
    for (let i = 0; i < settings.experts; i++) {
      const line = outputs.map((y, j) => [px(GRID[j]), Math.max(-2000, Math.min(2000, py(y[i])))]);
      const own = points.filter((point) => point.owner === i).map((point) => point.x);
      const [first, last] = [Math.min(...own), Math.max(...own)];
      const widths = GRID.map((x, j) => 10 * (p ? p[j][i] : x >= first && x <= last ? 0.5 : 0));
      svg("path", { class: `pg-band pg-e${i}`, d: band(line, widths) }, curves);
      svg("path", { class: `pg-line pg-e${i}`, d: `M${at(line)}` }, curves);
      const middle = p ? territory(p.map(most), i) : GRID.findIndex((x) => x >= (first + last) / 2);
      if (middle >= 0) badge(badges, i, line[middle][0], Math.max(12, Math.min(size.height - 12, line[middle][1])));
    }
    if (!p) return;
    const blend = outputs.map((y, j) => [px(GRID[j]), py(y.reduce((sum, yi, i) => sum + yi * p[j][i], 0))]);
    svg("path", { class: "pg-blend", d: `M${at(blend)}` }, curves);
  }

  function drawGate(p) {
    gates.replaceChildren();
    const floor = GRID.map(() => 0);
    for (let i = 0; p && i < settings.experts; i++) {
      const low = floor.map((f, j) => [px(GRID[j]), pp(f)]);
      p.forEach((pj, j) => (floor[j] += pj[i]));
      const high = floor.map((f, j) => [px(GRID[j]), pp(f)]);
      svg("path", { class: `pg-area pg-e${i}`, d: `M${at(low)}L${at(high.reverse())}Z` }, gates);
    }
    for (const { x, owner } of p ? [] : points) {
      const d = `M${px(x).toFixed(1)} ${10 + (owner * 68) / settings.experts}v${56 / settings.experts}`;
      svg("path", { class: `pg-tick pg-e${owner}`, d }, gates);
    }
    const axes = svg("g", { class: "pg-axes" }, gates), badges = svg("g", { class: "pg-badges" }, gates);
    for (const f of p ? [0, 0.5, 1] : []) text(f, MARGIN.left - 6, pp(f) + 4, axes, "end");
    for (const x of [-1, -0.5, 0, 0.5, 1]) text(signed(x, 1), px(x), 98, axes);
    for (const x of preset.borders) svg("path", { class: "pg-border", d: `M${px(x)} ${pp(1)}V${pp(0)}` }, axes);
    for (let i = 0; p && i < settings.experts; i++) {
      const j = territory(p.map(most), i);
      const below = j < 0 ? 0 : p[j].slice(0, i).reduce((a, b) => a + b, 0);
      if (j >= 0) badge(badges, i, px(GRID[j]), pp(below + p[j][i] / 2));
    }
  }

  // A circle, a square, a triangle, a diamond: which expert, also without colour.
  const MARKS = ["M-3.5 0a3.5 3.5 0 1 1 7 0a3.5 3.5 0 1 1-7 0Z", "M-3.2-3.2h6.4v6.4h-6.4Z", "M0-4.2L4 3.2h-8Z", "M0-4.6L4.6 0L0 4.6L-4.6 0Z"];
  const reach = matchMedia("(pointer: coarse)").matches ? 13 : 8;

  function drawPoints() {
    while (dots.childElementCount > points.length) dots.lastChild.remove();
    while (dots.childElementCount < points.length) {
      const node = svg("g", { role: "button", "aria-roledescription": "point" }, dots);
      svg("circle", { class: "pg-hit", r: reach }, node);
      svg("path", { class: "pg-mark" }, node);
    }
    const stop = points.includes(selected) ? selected : points[0];
    points.forEach((point, b) => {
      const node = dots.children[b], expert = most(owns(point));
      const look = [px(point.x), py(point.y), expert, point === selected, point === stop].join();
      if (node.look === look) return; // most points do not change from frame to frame
      node.look = look;
      set(node, {
        class: `pg-point pg-e${expert}${point === selected ? " pg-selected" : ""}`,
        transform: `translate(${px(point.x).toFixed(1)} ${py(point.y).toFixed(1)})`,
        tabindex: point === stop ? 0 : -1,
        "aria-label": `${where(point)}, expert ${expert + 1}`,
      });
      node.lastChild.setAttribute("d", MARKS[expert]);
    });
  }

  function drawLoss(now) {
    const rows = [...history.rows, { step: run.steps, ...now }];
    const end = Math.max(200, 1.05 * run.steps);
    const lx = (step) => 48 + (step / end) * (size.loss - 56);
    const ly = (value) => 8 + ((1 - Math.log10(Math.min(10, Math.max(1e-4, value)))) / 5) * 116;
    loss.replaceChildren();
    const axes = svg("g", { class: "pg-axes" }, loss);
    for (const value of [10, 1, 0.1, 0.01, 0.001, 0.0001]) {
      svg("path", { d: `M48 ${ly(value)}H${size.loss - 8}` }, axes);
      text(value, 43, ly(value) + 4, axes, "end");
    }
    text(0, 48, 144, axes);
    if (run.steps) text(count(run.steps), Math.max(80, lx(run.steps)), 144, axes);
    for (const part of now ? ["total", "expected", "balancing"] : []) {
      svg("path", { class: `pg-${part}`, d: `M${at(rows.map((row) => [lx(row.step), ly(row[part])]))}` }, loss);
    }
  }

  function law(expert) {
    const fixed = mixture.predict(run.theta, run.shape, 0)[expert];
    const weights = run.theta.subarray(run.theta.length - settings.experts * (settings.degree + 1));
    const terms = Array.from({ length: settings.degree }, (_, k) => {
      const w = weights[expert * settings.degree + k];
      return ` ${w < 0 ? "−" : "+"} ${Math.abs(w).toFixed(2)} x${["", "²", "³"][k]}`;
    });
    return `y = ${signed(fixed)}${terms.join("")}`;
  }

  function share() {
    const sums = new Array(settings.experts).fill(0);
    for (const point of points) owns(point).forEach((p, i) => (sums[i] += p / points.length));
    return sums;
  }

  function drawNumbers(now) {
    const rows = share().map((value, i) => `<li class="pg-e${i}">
      <b><svg viewBox="-5 -5 10 10" aria-hidden="true"><path class="pg-mark" d="${MARKS[i]}"/></svg>Expert ${i + 1}</b>
      <span class="pg-share"><i style="width: ${100 * value}%"></i></span>
      <span class="pg-percent">${Math.round(100 * value)} % of the points</span><span>${law(i)}</span></li>`);
    find(".pg-experts").innerHTML = rows.join("");
    const numbers = { step: count(run.steps) };
    if (now) {
      for (const part of ["expected", "balancing", "total"]) numbers[part] = now[part].toFixed(4);
      let [blend, alone] = [0, 0];
      for (const point of points) {
        const p = owns(point), outputs = mixture.predict(run.theta, run.shape, point.x);
        blend += (point.y - outputs.reduce((sum, y, i) => sum + p[i] * y, 0)) ** 2 / points.length;
        alone += (point.y - outputs[most(p)]) ** 2 / points.length;
      }
      Object.assign(numbers, { blend: blend.toFixed(4), alone: alone.toFixed(4) });
    }
    for (const node of root.querySelectorAll("[data-number]")) node.textContent = numbers[node.dataset.number] ?? "–";
  }

  function draw() {
    const p = gate(0) && GRID.map(gate);
    const now = points.length ? losses() : null;
    drawCurves(p);
    drawPoints();
    drawGate(p);
    drawLoss(now);
    drawNumbers(now);
    find(".pg-status").textContent = describe(p, now);
    drawn = performance.now();
    if (now && !Number.isFinite(now.total)) play(false);
  }

  /* --- What is said --- */

  const where = ({ x, y }) => `x ${signed(x)}, y ${signed(y)}`;

  function say(words) {
    spoken = performance.now();
    find(".pg-live").textContent = words;
  }

  /** The state in a few sentences: what the plots show, in words. */
  function describe(p, now) {
    if (!now) return "There are no points. Add some, or press Restore.";
    if (!Number.isFinite(now.total)) return "The weights have run away. Choose smaller learning rates and press Reset.";
    const parts = [];
    (p || []).map(most).forEach((leader, j, leaders) => {
      const border = j + 1 < leaders.length ? ` up to x = ${signed(GRID[j] + 0.005)}` : "";
      if (leader !== leaders[j + 1]) parts.push(`expert ${leader + 1}${border}`);
    });
    const split = p ? `Most probable: ${parts.join(", then ")}.` : "The split depends on y too, so it is no function of x.";
    const winner = share().findIndex((value) => value > 0.95);
    const alone = winner < 0 ? "" : ` Expert ${winner + 1} has taken everything: the manager is degenerate.`;
    return `After ${count(run.steps)} step${run.steps === 1 ? "" : "s"} the loss is ${now.total.toFixed(4)}. ${split}${alone}`;
  }

  function report() {
    const words = find(".pg-status").textContent;
    say(words);
    gates.setAttribute("aria-label", `Gate probabilities over x. ${words}`);
    loss.setAttribute("aria-label", `Losses over ${run.steps} steps, on a logarithmic scale; the values stand beside it`);
  }

  /* --- Playing --- */

  let playing = 0, end = 0; // the frame that is due, and the step at which it is enough

  function frame() {
    train(SPEEDS[find('[name="speed"]').value]);
    playing = requestAnimationFrame(frame);
    if (!still.matches || performance.now() - drawn > 700) draw();
    if (performance.now() - spoken > 12000) report();
    if (run.steps >= end || !points.length) play(false);
  }

  function play(on) {
    cancelAnimationFrame(playing);
    end = run.steps + MOST_STEPS;
    playing = on && points.length ? requestAnimationFrame(frame) : 0;
    const control = find('[data-do="play"]'), name = playing ? "Pause" : "Play";
    if (control.textContent === name) return;
    control.textContent = name;
    draw();
    if (!playing) report();
  }

  function show() {
    for (const [name, value] of Object.entries(settings)) {
      const field = find(`[name="${name}"]`), scale = SCALES[name];
      field.value = scale ? scale.indexOf(value) : value;
      if (!scale) continue;
      field.setAttribute("aria-valuetext", value);
      find(`[data-of="${name}"]`).textContent = value;
      field.disabled = kind() === "kmeans" && name !== "expert"; // K-means asks neither manager nor balance
    }
  }

  function fresh() {
    show();
    measure();
    report();
  }

  root.addEventListener("input", ({ target }) => {
    const { name, value } = target;
    if (name === "speed" || !name) return;
    if (name === "preset") {
      play(false);
      choose(value);
    } else if (SCALES[name]) {
      settings[name] = SCALES[name][value]; // it takes effect while the run goes on
      show();
      draw();
    } else if (target.checkValidity()) {
      settings[name] = name === "kind" ? value : Math.floor(Number(value));
      restart();
    }
  });

  const ACTIONS = {
    play: () => play(!playing),
    step() {
      play(false);
      train(1);
      draw();
      report();
    },
    reset() {
      play(false);
      restart();
    },
    next() {
      settings.seed = (settings.seed + 1) % 1000;
      restart();
    },
    add: () => focus(insert(2 * Math.random() - 1, 0.5 * Math.random())),
    remove: () => remove(selected ?? points.at(-1)),
    clear() {
      play(false);
      points = [];
      selected = null;
      moved();
      report();
    },
    restore() {
      points = preset.points();
      selected = null;
      moved();
      report();
    },
  };
  root.addEventListener("click", ({ target }) => ACTIONS[target.dataset.do]?.());

  /* --- Points under the reader's hand --- */

  const within = (value, d) => Math.min(HIGH[d] - 0.05, Math.max(LOW[d] + 0.05, value));
  const nodeOf = (point) => dots.children[points.indexOf(point)];
  const pointOf = (node) => points[[...dots.children].indexOf(node?.closest(".pg-point"))];

  function moved() {
    cluster();
    if (!playing) draw();
    else drawPoints();
  }

  function insert(x, y) {
    if (points.length >= MOST_POINTS) return say(`${MOST_POINTS} points are as many as fit. Remove some first.`);
    const point = { x: within(x, 0), y: within(y, 1), owner: 0 };
    points.push(point);
    selected = point;
    moved();
    return point;
  }

  function focus(point) {
    if (!point) return;
    selected = point;
    drawPoints();
    nodeOf(point).focus({ preventScroll: true });
  }

  function remove(point) {
    const b = points.indexOf(point);
    if (b < 0) return;
    const focused = dots.contains(document.activeElement);
    points.splice(b, 1);
    selected = points.length ? [...points].sort((a, c) => Math.abs(a.x - point.x) - Math.abs(c.x - point.x))[0] : null;
    moved();
    say(`Removed the point at ${where(point)}; ${points.length} are left.`);
    if (focused) focus(selected);
  }

  const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] };
  let rest = 0;

  dots.addEventListener("keydown", (event) => {
    const point = pointOf(event.target);
    if (!point || event.ctrlKey || event.metaKey || event.altKey) return;
    const sorted = [...points].sort((a, b) => a.x - b.x);
    const rank = sorted.indexOf(point);
    const next = { PageDown: rank + 1, PageUp: rank - 1, Home: 0, End: sorted.length - 1 }[event.key];
    if (KEYS[event.key]) {
      const step = event.shiftKey ? 0.1 : 0.02;
      point.x = within(point.x + step * KEYS[event.key][0], 0);
      point.y = within(point.y + step * KEYS[event.key][1], 1);
      moved();
      clearTimeout(rest); // said once it rests, not at every press
      rest = setTimeout(() => say(`Point at ${where(point)}.`), 600);
    } else if (next !== undefined) focus(sorted[next]);
    else if (event.key === "Delete" || event.key === "Backspace") remove(point);
    else return;
    event.preventDefault();
  });
  dots.addEventListener("focusin", ({ target }) => {
    selected = pointOf(target) ?? selected;
    drawPoints();
  });

  /** Where a pointer is, in x and y of the plot. */
  function under(event) {
    const box = main.getBoundingClientRect();
    const sx = event.clientX - box.left, sy = event.clientY - box.top;
    const back = (value, f) => (value - f(0)) / (f(1) - f(0)); // both scales are straight lines
    return { x: back(sx, px), y: back(sy, py), sx, sy };
  }

  let held = null; // {point} that is dragged, {brush} where the last one was painted, or a {tap} of a finger
  main.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    const point = pointOf(event.target), { x, y, sx, sy } = under(event);
    if (!point && event.pointerType === "touch") {
      held = { tap: [sx, sy] }; // or the page is about to be scrolled
      return;
    }
    held = point ? { point } : { brush: [sx, sy] };
    focus(point ?? insert(x, y));
    main.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  main.addEventListener("pointermove", (event) => {
    const { x, y, sx, sy } = under(event);
    if (held?.point) {
      Object.assign(held.point, { x: within(x, 0), y: within(y, 1) });
      moved();
    } else if (held?.brush && Math.hypot(sx - held.brush[0], sy - held.brush[1]) > 12) {
      held.brush = [sx, sy];
      insert(x, y);
    }
  });
  main.addEventListener("pointerup", (event) => {
    const { x, y, sx, sy } = under(event);
    if (held?.tap && Math.hypot(sx - held.tap[0], sy - held.tap[1]) < 8) insert(x, y);
    held = null;
  });
  main.addEventListener("pointercancel", () => (held = null));
  dots.addEventListener("touchstart", (event) => event.preventDefault(), { passive: false }); // a finger on a point drags it

  /* --- The experiments in the text --- */

  for (const control of document.querySelectorAll("[data-playground]")) {
    control.hidden = false;
    control.addEventListener("click", () => {
      const { preset: name, trained = 0, crowd: more, ...changes } = JSON.parse(control.dataset.playground);
      play(false);
      if (name) choose(name, changes);
      if (more) points = [...points, ...crowd()].slice(0, MOST_POINTS);
      cluster();
      for (let i = 0; i < trained; i++) {
        run.step(run.batch(points), training());
        remember();
      }
      fresh();
      root.scrollIntoView({ behavior: still.matches ? "auto" : "smooth", block: "start" });
      find('[data-do="play"]').focus({ preventScroll: true });
    });
  }

  find('[name="speed"]').value = "normal";
  choose("parabolas");
  new ResizeObserver(() => requestAnimationFrame(measure)).observe(find(".pg-plots"));
})();
