"use strict";

/* The playground as the reader sees it: an experiment, its controls, the run, and the address that holds them all.
   Arithmetic is in mixture.js, what there is to try in experiments.js, pictures in plot.js; what mouse, finger and keys do
   to points in hands.js, and how a state is written as an address in addresses.js. */

(() => {
  const root = document.getElementById("playground");
  if (!root) return;

  const { EXPERIMENTS, ENDINGS, HIGH, LOW, PRESETS } = experiments;
  const WEIGHTS = [0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5];
  const RATES = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5];
  const BOOK = { kind: "specialise", experts: 2, degree: 2, weight: 0, manager: 0.02, expert: 0.05, seed: 1 };
  const SPEEDS = { slow: 60, normal: 300, fast: 1200 }; // steps a second, however many frames that is
  const { MOST_POINTS } = experiments;
  const MOST_STEPS = 20000; // at one go: a forgotten run stops by itself
  const SEEDS = 20, STEPS = 2400; // of chapter 2's count
  const still = matchMedia("(prefers-reduced-motion: reduce)");

  /* --- The page --- */

  const CHOICES = {
    preset: Object.fromEntries(Object.entries(PRESETS).map(([key, { name }]) => [key, name])),
    kind: {
      specialise: "specialise: Σ p ℓ",
      cooperate: "cooperate: (y − Σ p yᵢ)²",
      likelihood: "likelihood: −ln Σ p e⁻ˡ",
      "kmeans-x": "K-means split on x",
      "kmeans-xy": "K-means split on (x, y)",
    },
    experts: { 2: "2", 3: "3", 4: "4" },
    degree: { 1: "a line", 2: "a parabola", 3: "a cubic" },
  };
  const SCALES = { weight: WEIGHTS, expert: RATES, manager: RATES };

  // The sections of the experiments, which become the text of the card; without JavaScript they stay where they are.
  const words = Object.fromEntries(
    Object.keys(EXPERIMENTS).map((key) => [key, document.getElementById(key).closest("section")]),
  );
  const titleOf = (key) => words[key].querySelector("h2").firstChild.textContent;

  // No field may be filled in by the browser after Back: what a field shows is what the model has.
  const option = ([value, text]) => `<option value="${value}">${text}</option>`;
  const select = (name, text, values) => `
    <label class="pg-field" data-control="${name}"><span>${text}</span>
      <select name="${name}" autocomplete="off">${Object.entries(values).map(option).join("")}</select></label>`;
  const slider = (name, text) => `
    <label class="pg-field" data-control="${name}"><span>${text} <b data-of="${name}" aria-hidden="true"></b></span>
      <input type="range" name="${name}" min="0" max="${SCALES[name].length - 1}" autocomplete="off"></label>`;
  const button = (action, text, more = "") => `<button type="button" data-do="${action}" ${more}>${text}</button>`;
  const control = (action, text) => button(action, text, `data-control="${action}"`);
  const number = (name, text) => `<div><dt>${text}</dt><dd data-number="${name}"></dd></div>`;

  root.innerHTML = `
    <div class="pg-desk">
      <div class="pg-card">
        <div class="pg-choice">
          ${select("experiment", "Experiment", Object.fromEntries(Object.keys(words).map((key) => [key, titleOf(key)])))}
          ${button("again", "Start over")}
        </div>
        <div class="pg-words"></div>
      </div>
      <div class="pg-plots">
        <svg class="pg-main"></svg>
        <div class="pg-tools" role="group" aria-label="Points">
          ${button("add", "Add point")} ${button("remove", "Remove point")}
          ${button("clear", "Clear")} ${button("restore", "Restore")}
        </div>
        <div class="pg-strip">
          <div class="pg-title"><span>Gate: whom the manager asks, p<sub>i</sub>(x)</span></div>
          <svg class="pg-gate" role="img"></svg>
        </div>
        <div class="pg-below">
          <div class="pg-title"><span class="pg-caption"></span> ${button("flip", "", "hidden")}</div>
          <svg class="pg-loss" role="img"></svg>
          <ul class="pg-seeds" aria-label="Endings" hidden></ul>
        </div>
      </div>
      <div class="pg-side">
        <div class="pg-run" role="group" aria-label="Run">
          ${button("play", "Play")} ${button("step", "Step")} ${button("reset", "Reset")}
          ${button("draw", "Draw", 'aria-pressed="false" title="Draw points with a finger"')}
          <span class="pg-steps"><span data-number="step"></span> steps</span>
        </div>
        <dl class="pg-numbers">
          ${number("average", "average’s error")}
          ${number("alone", "chosen expert’s error")}
          ${number("expected", '<i class="pg-key pg-expected"></i>expected loss')}
          ${number("balancing", '<i class="pg-key pg-balancing"></i>balancing term')}
          ${number("total", '<i class="pg-key pg-total"></i>total')}
        </dl>
        <div class="pg-front" role="group" aria-label="Controls of this experiment"></div>
        <ul class="pg-experts" aria-label="Experts"></ul>
        <details class="pg-more"><summary>All settings</summary>
          <div class="pg-rest">
            ${select("preset", "Points", CHOICES.preset)}
            ${select("kind", "Objective", CHOICES.kind)}
            ${select("experts", "Experts", CHOICES.experts)}
            ${select("degree", "Each expert", CHOICES.degree)}
            ${slider("weight", "Balancing weight")}
            ${slider("expert", "Experts’ rate")}
            ${slider("manager", "Manager’s rate")}
            <div class="pg-field pg-seed" data-control="seed">
              <label>Seed <input type="number" name="seed" min="0" max="999" required autocomplete="off"></label>
              ${button("next", "Next seed")}
            </div>
            ${control("twenty", "Run twenty seeds")} ${control("fit", "Exact fit")}
            ${control("left", "Forty on the left")} ${control("right", "Forty on the right")}
            ${select("speed", "Speed", { slow: "slow", normal: "normal", fast: "fast" })}
            ${control("share", "Copy link")}
          </div>
        </details>
        <div class="pg-status" aria-hidden="true"></div>
      </div>
    </div>
    <div class="pg-live" role="status"></div>`;

  const find = (query) => root.querySelector(query);
  const main = find(".pg-main"), gateSheet = find(".pg-gate"), lossSheet = find(".pg-loss");
  const sheets = plot.pictures(main, gateSheet, lossSheet);
  const { dots, where } = sheets;
  const { signed } = plot;
  const whole = (n) => n.toLocaleString("en");
  find(".pg-words").append(...Object.values(words));
  for (const item of find(".pg-words").querySelectorAll("ol > li")) {
    item.insertAdjacentHTML("beforeend", '<span class="pg-live"></span>'); // where "done" is said
  }

  /* --- The state --- */

  let experiment, preset, settings, points, run, history;
  let selected = null, played = 0, fits = 0, counted = null;
  let done = 0, then, start; // steps of the experiment, and the facts when the last one was done, and at the beginning

  const kind = () => settings.kind.split("-")[0]; // kmeans-x and kmeans-xy are one kind to the mathematics
  const training = () => ({
    kind: kind(),
    weight: settings.weight,
    rates: { manager: settings.manager, experts: settings.expert },
  });

  const presetOf = (key) => EXPERIMENTS[key].settings?.preset ?? "parabolas";
  const settingsOf = (key, preset) => ({ ...BOOK, ...PRESETS[preset].settings, ...EXPERIMENTS[key].settings, preset });

  /** Sets an experiment up, with what a reader has changed of it. */
  function load(key, changes = {}, drawn = null) {
    play(false);
    stopCounting();
    experiment = key;
    settings = { ...settingsOf(key, changes.preset ?? presetOf(key)), ...changes };
    preset = PRESETS[settings.preset];
    points = preset.points();
    [selected, played, fits, counted, done] = [null, 0, 0, null, 0];
    begin();
    for (let i = 0; i < (EXPERIMENTS[key].trained ?? 0); i++) advance();
    played = 0;
    if (drawn) points = drawn;
    layOut();
    cluster();
    measure();
    then = start = facts();
    tell();
    report();
  }

  /** From the seed's starting weights; the points stay. */
  function begin() {
    run = new mixture.Run({ experts: settings.experts, degree: settings.degree }, settings.seed);
    history = { stride: 1, rows: [] };
    cluster();
    remember();
  }

  function restart() {
    begin();
    people();
    show();
    render();
    report();
  }

  let centres = [];
  function cluster() {
    centres = [];
    if (kind() !== "kmeans" || !points.length) return;
    const rows = points.map(({ x, y }) => (settings.kind === "kmeans-x" ? [x] : [x, y]));
    const found = mixture.kmeans(rows, settings.experts);
    points.forEach((point, n) => (point.owner = found.owner[n]));
    if (settings.kind === "kmeans-xy") return;
    centres = found.centres.map(([x]) => x);
    const distance = (x) => (c) => -Math.abs(x - c);
    for (const place of plot.GRID) place.owner = mixture.most(centres.map(distance(place.x)));
  }

  const told = (where, weight) => mixture.told(run.theta, run.shape, where, { ...training(), weight });
  const isSplit = () => settings.kind !== "kmeans-xy"; // is the gate a function of x?

  /** Losses on all points, thinned out as the run gets long. */
  function remember() {
    if (!points.length || run.steps % history.stride) return;
    const { expected, balancing, total } = told(points, settings.weight);
    history.rows.push({ step: run.steps, expected, balancing, total });
    if (history.rows.length > 200) {
      history.stride *= 2;
      history.rows = history.rows.filter(({ step }) => step % history.stride === 0);
    }
  }

  function advance() {
    run.step(run.batch(points), training());
    played += 1;
    remember();
  }

  function train(steps) {
    const end = performance.now() + 25; // a slow phone makes fewer steps, and stays responsive
    for (let i = 0; i < steps && points.length && performance.now() < end; i++) advance();
  }

  /** Where the most probable expert changes. */
  function borders() {
    if (kind() !== "kmeans") return mixture.borders(run.theta, run.shape);
    return centres.slice(1).map((c, i) => (c + centres[i]) / 2);
  }

  /** What the steps of an experiment are judged by, and most of what the page says. */
  function facts() {
    const all = told(points, settings.weight), E = settings.experts, n = points.length;
    let average = 0, alone = 0;
    points.forEach(({ y }, b) => {
      let mean = 0;
      for (let i = 0; i < E; i++) mean += all.p[b * E + i] * all.outputs[b * E + i];
      average += (y - mean) ** 2 / n;
      alone += (y - all.outputs[b * E + mixture.most(all.p, b * E, E)]) ** 2 / n;
    });
    const places = borders(), { expected, balancing, total } = all;
    return {
      all, average, alone, expected, balancing, total, places, points, played, fits, selected,
      steps: run.steps,
      settings: { ...settings },
      shares: Array.from(all.importance, (sum) => (n ? sum / n : 0)),
      ending: isSplit() ? experiments.ending(places, preset) : null,
      counted: counted?.endings.length === SEEDS ? counted : null,
    };
  }

  /* --- What is shown --- */

  const small = () => root.clientWidth < 600;

  function layOut() {
    for (const [key, section] of Object.entries(words)) section.hidden = key !== experiment;
    words[experiment].querySelector("details")?.removeAttribute("open");
    const nodes = [...root.querySelectorAll("[data-control]:not([data-control='experiment'])")];
    const wanted = EXPERIMENTS[experiment].controls;
    const rank = (node) => wanted.indexOf(node.dataset.control);
    nodes.sort((a, b) => rank(a) - rank(b));
    find(".pg-front").append(...nodes.filter((node) => rank(node) >= 0));
    find(".pg-rest").append(...nodes.filter((node) => rank(node) < 0));
    flip(false);
    people();
    show();
    tick();
  }

  function people() {
    sheets.people(settings.experts);
    find(".pg-experts").innerHTML = Array.from({ length: settings.experts }, (_, i) => `<li class="pg-e${i}">
      <b><svg viewBox="-5 -5 10 10" aria-hidden="true"><path class="pg-mark" d="${plot.MARKS[i]}"/></svg>Expert ${i + 1}</b>
      <span class="pg-share"><i></i></span> <span class="pg-percent"></span>
      <span class="pg-law"></span> <span class="pg-told"></span></li>`).join("");
  }

  function show() {
    const fixed = kind() === "kmeans"; // K-means asks neither manager nor balance
    for (const [name, value] of Object.entries({ ...settings, experiment })) {
      const field = find(`[name="${name}"]`), scale = SCALES[name];
      field.value = scale ? scale.indexOf(value) : value;
      if (!scale) continue;
      field.setAttribute("aria-valuetext", value);
      find(`[data-of="${name}"]`).textContent = value;
      field.disabled = fixed && name !== "expert";
    }
    find('[data-do="twenty"]').disabled = fixed; // all seeds have one split
  }

  function measure() {
    sheets.measure(preset.borders, small());
    draw();
  }

  /** The pictures; as often as the screen is. */
  function draw() {
    const all = told(points, settings.weight);
    sheets.curvesAndGate({ grid: told(plot.GRID, 0), all, points, selected, split: isSplit() });
    sheets.pointsOf({ all, points, selected });
  }

  function lawOf(expert) {
    const { experts, degree } = run.shape;
    const weights = run.theta.subarray(run.theta.length - experts * (degree + 1));
    const terms = Array.from({ length: degree }, (_, k) => {
      const w = weights[expert * degree + k];
      return ` ${w < 0 ? "−" : "+"} ${Math.abs(w).toFixed(2)} x${["", "²", "³"][k]}`;
    });
    return `y = ${signed(weights[experts * degree + expert])}${terms.join("")}`;
  }

  const write = (node, words) => {
    if (node.textContent !== words) node.textContent = words;
  };

  /** All that is read: numbers, words, the loss, and which steps are done. Not more often than one can read. */
  let read = 0;
  function tell() {
    const now = facts(), E = settings.experts, chosen = points.indexOf(selected);
    read = performance.now();
    write(find('[data-number="step"]'), whole(run.steps));
    for (const name of ["average", "alone", "expected", "balancing", "total"]) {
      write(find(`[data-number="${name}"]`), points.length ? now[name].toFixed(4) : "–");
    }
    [...find(".pg-experts").children].forEach((node, i) => {
      node.querySelector(".pg-share i").style.width = `${100 * now.shares[i]}%`;
      write(node.querySelector(".pg-percent"), `${Math.round(100 * now.shares[i])} % of the points`);
      write(node.querySelector(".pg-law"), lawOf(i));
      const at = chosen * E + i, { p, outputs, dOutput, dLogit } = now.all;
      const loss = chosen < 0 ? 0 : (selected.y - outputs[at]) ** 2;
      const arrows = `p ${p[at]?.toFixed(2)}, ℓ ${loss.toFixed(3)}: curve ${signed(-dOutput[at])}, logit ${signed(-dLogit[at], 3)}`;
      write(node.querySelector(".pg-told"), chosen < 0 ? "" : arrows);
    });
    sheets.lossOf(points.length ? [...history.rows, { ...now, step: run.steps }] : [], run.steps);
    write(find(".pg-status"), describe(now));
    judge(now);
    if (points.length && !Number.isFinite(now.total)) play(false);
  }

  function render() {
    draw();
    tell();
  }

  /** Ticks off the steps of the experiment, one after the other. */
  function judge(now) {
    const { steps } = EXPERIMENTS[experiment], before = done;
    while (points.length && done < steps.length && steps[done](now, then, start)) {
      done += 1;
      then = now;
    }
    if (done === before) return;
    tick();
    news = `Step ${done} of ${steps.length} done.${done === steps.length ? " Now read the answer." : ""}`;
    say(news);
  }

  function tick() {
    const items = [...words[experiment].querySelectorAll("ol > li")];
    items.forEach((item, i) => {
      item.classList.toggle("pg-done", i < done);
      item.classList.toggle("pg-current", i === done);
      write(item.lastChild, i < done ? " (done)" : "");
    });
    words[experiment].classList.toggle("pg-finished", items.length > 0 && done === items.length);
  }

  /* --- What is said --- */

  let spoken = 0, news = ""; // when something was said last, and the last step that was done

  function say(words) {
    spoken = performance.now();
    write(find(".pg-desk + .pg-live"), words);
  }

  /** The state in a few sentences: what the pictures show, in words. */
  function describe({ total, places, shares, ending }) {
    if (!points.length) return "There are no points. Add some, or press Restore.";
    if (!Number.isFinite(total)) return "The weights have run away. Choose smaller learning rates and press Reset.";
    let split = "The split depends on y too, so it is no function of x.";
    if (isSplit()) {
      const edges = [-1, ...places, 1];
      const middles = edges.slice(1).map((edge, i) => ({ x: (edge + edges[i]) / 2, y: 0, owner: i }));
      const { p } = told(middles, 0), E = settings.experts;
      const parts = middles.map((_, i) => {
        const upTo = i < places.length ? ` up to x = ${signed(places[i])}` : "";
        return `expert ${mixture.most(p, i * E, E) + 1}${upTo}`;
      });
      split = `Most probable: ${parts.join(", then ")}.`;
      if (kind() !== "kmeans" && preset.borders.length && run.steps >= 500) split += ` By chapter 2’s rule: ${ending}.`;
    }
    const winner = shares.findIndex((share) => share > 0.95);
    const alone = winner < 0 ? "" : ` Expert ${winner + 1} has taken everything: the manager is degenerate.`;
    return `After ${whole(run.steps)} step${run.steps === 1 ? "" : "s"} the loss is ${total.toFixed(4)}. ${split}${alone}`;
  }

  function report() {
    const words = find(".pg-status").textContent;
    say(performance.now() - spoken < 500 ? `${news} ${words}` : words); // a step just done is not talked over
    news = "";
    gateSheet.setAttribute("aria-label", `Gate probabilities over x. ${words}`);
    lossSheet.setAttribute("aria-label", `Losses over ${run.steps} steps, on a logarithmic scale; the last values are beside it`);
  }

  /* --- Playing --- */

  let playing = 0, end = 0; // the frame that is due, and the step at which it is enough
  let before = 0, owed = 0, drawn = 0; // when the last frame was, what part of a step it left, and when it was drawn

  function frame(time) {
    owed += Math.min(0.1, (time - before) / 1000) * SPEEDS[find('[name="speed"]').value];
    before = time;
    train(Math.floor(owed));
    owed %= 1;
    playing = requestAnimationFrame(frame);
    if (!still.matches || time - drawn > 700) {
      drawn = time;
      draw();
      if (still.matches || performance.now() - read > 120) tell();
    }
    if (performance.now() - spoken > 12000) report();
    if (run.steps >= end || !points.length) play(false);
  }

  function play(on) {
    cancelAnimationFrame(playing);
    end = run ? run.steps + MOST_STEPS : 0;
    [before, owed] = [performance.now(), 0];
    playing = on && points.length ? requestAnimationFrame(frame) : 0;
    const control = find('[data-do="play"]'), name = playing ? "Pause" : "Play";
    if (control.textContent === name) return;
    control.textContent = name;
    render();
    if (!playing) report();
  }

  /* --- Twenty seeds --- */

  let counting = 0; // the frame in which it goes on

  function stopCounting() {
    cancelAnimationFrame(counting);
    counting = 0;
    find('[data-do="twenty"]').textContent = "Run twenty seeds";
  }

  /** Runs that differ only in their seed, a slice of a frame at a time, so that the page stays usable. */
  function countEndings() {
    const chosen = training(), here = points.map((point) => ({ ...point })), shape = { ...run.shape }, rule = preset;
    const about = `balancing weight ${settings.weight}`;
    let next = new mixture.Run(shape, 0);
    const last = counted?.endings.length === SEEDS ? tally().map(({ seeds }) => seeds.length) : null;
    counted = { weight: settings.weight, endings: [], about, last };
    find('[data-do="twenty"]').textContent = "Stop";
    flip(true);
    const slice = () => {
      const until = performance.now() + 12;
      while (performance.now() < until && counted.endings.length < SEEDS) {
        next.step(next.batch(here), chosen);
        if (next.steps < STEPS) continue;
        counted.endings.push(experiments.ending(mixture.borders(next.theta, shape), rule));
        next = new mixture.Run(shape, counted.endings.length);
        showEndings();
      }
      counting = counted.endings.length < SEEDS ? requestAnimationFrame(slice) : 0;
      if (counting) return;
      stopCounting();
      tell();
      say(`Twenty seeds, ${about}: ${tally().map(({ name, seeds }) => `${seeds.length} ${name}`).join(", ")}.`);
    };
    counting = requestAnimationFrame(slice);
  }

  const tally = () =>
    ENDINGS.map((name) => ({ name, seeds: counted.endings.flatMap((found, seed) => (found === name ? [seed] : [])) }));

  function showEndings() {
    const square = (seed) => `<button type="button" data-seed="${seed}" aria-label="seed ${seed}">${seed}</button>`;
    find(".pg-seeds").innerHTML = tally()
      .map(({ name, seeds }, row) => `<li><span>${name}</span> <b>${seeds.length}</b>
        <small>${counted.last ? `was ${counted.last[row]}` : ""}</small> <span>${seeds.map(square).join("")}</span></li>`)
      .join("");
    caption();
  }

  /** Below the gate there is room for the loss of this run or for the endings of twenty. */
  function flip(toSeeds) {
    find(".pg-seeds").hidden = !toSeeds;
    find(".pg-loss").style.display = toSeeds ? "none" : "";
    if (toSeeds) showEndings();
    caption();
  }

  function caption() {
    const seeds = !find(".pg-seeds").hidden, control = find('[data-do="flip"]');
    const of = counted && `${counted.endings.length} of ${SEEDS} seeds, ${whole(STEPS)} steps each, ${counted.about}`;
    write(find(".pg-caption"), seeds ? of : "Loss on all points, by step");
    write(control, seeds ? "Show the loss" : "Show the seeds");
    control.hidden = !counted;
  }

  /* --- The address --- */

  function address() {
    const usual = { ...settingsOf(experiment, settings.preset), preset: presetOf(experiment) };
    return addresses.write(experiment, settings, usual, points, preset.points());
  }

  let due = 0;
  function keep() {
    clearTimeout(due);
    due = setTimeout(keepNow, 250);
  }
  function keepNow() {
    clearTimeout(due);
    if (location.hash !== address()) window.history.replaceState(null, "", address());
  }

  /** What the address says, as far as it makes sense; null where it names no experiment. */
  const fromAddress = () => addresses.read(location.hash, keyOf, makesSense);
  const keyOf = (name) => Object.keys(words).find((key) => key === name || words[key].id === name);

  function makesSense(name, value) {
    if (name === "seed") return Number.isInteger(value) && value >= 0 && value <= 999;
    return SCALES[name]?.includes(value) || (CHOICES[name] && Object.hasOwn(CHOICES[name], value));
  }

  function arrive() {
    clearTimeout(due);
    load(...(fromAddress() ?? ["arrows"]));
    const { top } = root.getBoundingClientRect();
    if (fromAddress() && (top < 0 || top > innerHeight / 4)) root.scrollIntoView({ block: "start" });
  }
  addEventListener("hashchange", () => {
    if (!location.hash || fromAddress()) arrive(); // other anchors of the page are not about the playground
  });

  /* --- Controls --- */

  root.addEventListener("input", ({ target }) => {
    const { name, value } = target;
    if (name === "speed" || !name) return;
    if (name === "experiment") {
      location.hash = value; // a new page of the history: Back leads to the experiment before
    } else if (name === "preset") {
      load(experiment, { preset: value });
      keep();
    } else if (SCALES[name]) {
      settings[name] = SCALES[name][value]; // it takes effect while the run goes on
      show();
      render();
      keep();
    } else if (target.checkValidity()) {
      settings[name] = name === "kind" ? value : Math.floor(Number(value));
      restart();
      keep();
    }
  });

  const sow = (from) => {
    points = [...points, ...experiments.crowd(from)].slice(0, MOST_POINTS);
    moved();
    report();
  };

  const ACTIONS = {
    play: () => play(!playing),
    step() {
      play(false);
      train(1);
      render();
      report();
    },
    reset() {
      play(false);
      restart();
    },
    again() {
      load(experiment);
      keepNow();
    },
    next: () => seed((settings.seed + 1) % 1000),
    fit() {
      mixture.exactFit(run.theta, run.shape, points, training());
      fits += 1;
      render();
      report();
    },
    twenty() {
      if (counting) return stopCounting();
      play(false);
      if (points.length) countEndings();
    },
    flip: () => flip(find(".pg-seeds").hidden),
    left: () => sow(-1),
    right: () => sow(0.9),
    add: () => focus(insert(2 * Math.random() - 1, 0.5 * Math.random())),
    remove: () => remove(selected ?? points.at(-1)),
    draw(control) {
      const on = control.getAttribute("aria-pressed") !== "true";
      control.setAttribute("aria-pressed", on);
      main.classList.toggle("pg-drawing", on);
    },
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
    async share(control) {
      keepNow();
      const copied = await navigator.clipboard?.writeText(location.href).then(() => true, () => false);
      control.textContent = copied ? "Copied" : "It’s in the address bar";
      say(copied ? "The link is copied." : "The link is in the address bar.");
      setTimeout(() => (control.textContent = "Copy link"), 3000);
    },
  };

  function seed(value) {
    settings.seed = value;
    restart();
    keep();
  }

  root.addEventListener("click", ({ target }) => {
    if (target.dataset.seed) seed(Number(target.dataset.seed));
    else ACTIONS[target.dataset.do]?.(target);
  });

  /* --- Points under the reader's hand --- */

  const within = (x, y) => experiments.point(
    Math.min(HIGH[0] - 0.05, Math.max(LOW[0] + 0.05, x)),
    Math.min(HIGH[1] - 0.05, Math.max(LOW[1] + 0.05, y)),
  );
  const nodeOf = (point) => dots.children[points.indexOf(point)];

  function moved() {
    cluster();
    if (!playing) render();
    keep();
  }

  function moveTo(point, x, y) {
    const { owner } = point;
    Object.assign(point, within(x, y), { owner });
    moved();
  }

  function insert(x, y) {
    if (points.length >= MOST_POINTS) return say(`${MOST_POINTS} points are as many as fit. Remove some first.`);
    const point = within(x, y);
    points.push(point);
    selected = point;
    moved();
    return point;
  }

  function focus(point) {
    if (!point) return;
    selected = point;
    if (!playing || nodeOf(point) === undefined) render();
    nodeOf(point).focus({ preventScroll: true });
  }

  function remove(point) {
    const n = points.indexOf(point);
    if (n < 0) return;
    const focused = dots.contains(document.activeElement);
    points.splice(n, 1);
    selected = points.length ? [...points].sort((a, c) => Math.abs(a.x - point.x) - Math.abs(c.x - point.x))[0] : null;
    moved();
    say(`Removed the point at ${where(point)}; ${points.length} are left.`);
    if (focused) focus(selected);
  }

  hands(root, main, sheets, {
    points: () => points,
    select(point) {
      if (point === selected) return;
      selected = point;
      render();
    },
    moveTo, insert, focus, remove, say,
  });

  find('[name="speed"]').value = "normal";
  arrive();
  new ResizeObserver(() => requestAnimationFrame(measure)).observe(root);
})();
