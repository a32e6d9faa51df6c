"use strict";

/* The pictures: experts, points and arrows, the gate, and the loss, all SVG. They are given what they draw and decide
   nothing; colours and dashes are in style.css and parabolas.css. */

const plot = (() => {
  const { LOW, HIGH } = experiments;
  const GRID = Array.from({ length: 211 }, (_, j) => ({ x: LOW[0] + j * 0.01, y: 0, owner: 0 }));
  const MARGIN = { left: 34, right: 8 };
  // A circle, a square, a triangle, a diamond: which expert, also without colour.
  const MARKS = ["M-3.5 0a3.5 3.5 0 1 1 7 0a3.5 3.5 0 1 1-7 0Z", "M-3.2-3.2h6.4v6.4h-6.4Z", "M0-4.2L4 3.2h-8Z", "M0-4.6L4.6 0L0 4.6L-4.6 0Z"];

  function set(node, attributes) {
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    return node;
  }
  const svg = (name, attributes, parent) =>
    parent.appendChild(set(document.createElementNS("http://www.w3.org/2000/svg", name), attributes));
  const text = (words, x, y, parent, anchor = "middle") => {
    svg("text", { x, y, "text-anchor": anchor }, parent).textContent = words;
  };
  const signed = (value, digits = 2) => value.toFixed(digits).replace("-", "−");
  const fine = (value) => Math.round(10 * value) / 10;
  const line = (n, x, y) => {
    let d = "";
    for (let j = 0; j < n; j++) d += `${j ? "L" : "M"}${fine(x(j))} ${fine(y(j))}`;
    return d;
  };

  /** The three pictures of a page; `size` are their widths and heights, `px` and `py` the scales of the first. */
  function pictures(main, gate, loss) {
    const size = {};
    const px = (x) => MARGIN.left + ((x - LOW[0]) / (HIGH[0] - LOW[0])) * (size.width - MARGIN.left - MARGIN.right);
    const py = (y) => 6 + ((HIGH[1] - y) / (HIGH[1] - LOW[1])) * (size.height - 12);
    const pp = (p) => 4 + (1 - p) * size.strip; // of the gate
    const curveY = (y) => py(Math.max(-50, Math.min(50, y)));

    svg("title", {}, main).textContent = "Points and experts over x";
    const clip = svg("rect", {}, svg("clipPath", { id: "pg-clip" }, svg("defs", {}, main)));
    const quiet = (name, parent) => svg("g", { class: name, "aria-hidden": "true" }, parent);
    const axes = quiet("pg-axes", main), curves = quiet("pg-curves", main);
    const keys = "Points. Arrow keys move one, Page Up and Page Down go to another, Delete removes it";
    const dots = svg("g", { role: "application", "aria-label": keys }, main);
    const badges = quiet("pg-badges", main);
    const gateAxes = quiet("pg-axes", gate), gateCurves = quiet("pg-curves", gate), gateBadges = quiet("pg-badges", gate);
    curves.setAttribute("clip-path", "url(#pg-clip)");

    /** One path each for what an expert has in both pictures, kept from frame to frame. */
    let experts = [];
    function people(count) {
      for (const group of [curves, badges, gateCurves, gateBadges]) group.replaceChildren();
      const path = (name, i, parent) => svg("path", { class: `${name} pg-e${i}` }, parent);
      const each = (make) => Array.from({ length: count }, (_, i) => make(i));
      const badge = (i, parent) => {
        const node = svg("g", { class: `pg-e${i}` }, parent);
        svg("circle", { r: 9 }, node);
        text(i + 1, 0, 4, node);
        return node;
      };
      const average = svg("path", { class: "pg-average" }, curves);
      const ticks = each((i) => path("pg-tick", i, gateCurves));
      experts = [
        each((i) => ({ band: path("pg-band", i, curves), area: path("pg-area", i, gateCurves) })),
        each((i) => ({ line: path("pg-line", i, curves), gate: path("pg-line", i, gateCurves) })),
        each((i) => ({ arrows: path("pg-arrows", i, curves), pushes: path("pg-arrows", i, gateCurves) })),
        each((i) => ({ bold: path("pg-arrows pg-bold", i, curves), push: path("pg-arrows pg-bold", i, gateCurves) })),
        each((i) => ({ badge: badge(i, badges), sign: badge(i, gateBadges), tick: ticks[i], average })),
      ].reduce((rows, more) => rows.map((row, i) => ({ ...row, ...more[i] })), each(() => ({})));
      for (const dot of dots.children) dot.look = null;
    }

    function measure(borders, small) {
      size.width = Math.max(260, main.clientWidth);
      const high = innerHeight * (small ? 0.22 : 0.42);
      size.height = Math.round(Math.max(170, Math.min(420, high, 0.85 * size.width)));
      size.strip = small ? 46 : 84;
      size.loss = small ? 72 : 116;
      const sheet = (node, height) => set(node, { viewBox: `0 0 ${size.width} ${height}`, height });
      sheet(main, size.height);
      sheet(gate, size.strip + 20);
      sheet(loss, size.loss);
      const left = px(LOW[0]), right = px(HIGH[0]);
      set(clip, { x: left, y: 0, width: right - left, height: size.height });
      axes.replaceChildren();
      gateAxes.replaceChildren();
      for (const y of [-1, -0.5, 0, 0.5, 1]) {
        svg("path", { d: `M${left} ${py(y)}H${right}` }, axes);
        text(signed(y, 1), left - 6, py(y) + 4, axes, "end");
      }
      for (const p of [0, 0.5, 1]) {
        svg("path", { d: `M${left} ${pp(p)}H${right}` }, gateAxes);
        text(p, left - 6, pp(p) + 4, gateAxes, "end");
      }
      for (const x of [-1, -0.5, 0, 0.5, 1]) text(signed(x, 1), px(x), size.strip + 18, gateAxes);
      for (const x of borders) {
        svg("path", { class: "pg-border", d: `M${px(x)} 0V${size.height}` }, axes);
        text("c", px(x) + 9, 14, axes);
        svg("path", { class: "pg-border", d: `M${px(x)} ${pp(1)}V${pp(0)}` }, gateAxes);
      }
    }

    /** A band along a curve, as wide as the expert's probability is high. */
    function band(x, y, width) {
      const there = [], back = [];
      for (let j = 0; j < GRID.length; j++) {
        const a = Math.max(0, j - 1), b = Math.min(GRID.length - 1, j + 1);
        const dx = x(b) - x(a), dy = y(b) - y(a), half = width(j) / 2 / (Math.hypot(dx, dy) || 1);
        there.push(`${fine(x(j) - dy * half)} ${fine(y(j) + dx * half)}`);
        back.push(`${fine(x(j) + dy * half)} ${fine(y(j) - dx * half)}`);
      }
      return `M${there.join("L")}L${back.reverse().join("L")}Z`;
    }

    /** An upright arrow; one too short for its head is a line. */
    function arrow(x, from, to, head) {
      if (Math.abs(to - from) < 0.5) return "";
      const back = Math.min(head, 0.6 * Math.abs(to - from)) * Math.sign(from - to);
      return `M${fine(x)} ${fine(from)}V${fine(to)}m${-head * 0.6} ${fine(back)}l${head * 0.6} ${fine(-back)}l${head * 0.6} ${fine(back)}`;
    }

    /** The middle of the longest stretch of the grid on which an expert is the most probable one, or -1. */
    function territory(leaders, expert) {
      let best = [0, -1], start = 0;
      for (let j = 0; j <= leaders.length; j++) {
        if (leaders[j] === expert) continue;
        if (j - start > best[0]) best = [j - start, start];
        start = j + 1;
      }
      return best[0] ? best[1] + (best[0] >> 1) : -1;
    }

    /** Curves, gate and arrows.

        `grid` and `all` are what `told` says of the grid and of the points; with `split` the gate is a function of x. */
    function curvesAndGate({ grid, all, points, selected, split }) {
      const E = experts.length;
      const x = (j) => px(GRID[j].x);
      const leaders = GRID.map((_, j) => mixture.most(grid.p, j * E, E));
      const chosen = points.indexOf(selected);
      experts.forEach((nodes, i) => {
        const y = (j) => curveY(grid.outputs[j * E + i]);
        const p = (j) => (split ? grid.p[j * E + i] : 0.4);
        const bends = line(GRID.length, x, y);
        nodes.line.setAttribute("d", bends);
        nodes.band.setAttribute("d", band(x, y, (j) => 10 * p(j)));
        const rise = split ? line(GRID.length, x, (j) => pp(p(j))) : "";
        nodes.gate.setAttribute("d", rise);
        nodes.area.setAttribute("d", rise && `${rise}V${pp(0)}H${x(0)}Z`);
        let [pulls, pushes, ticks, own] = ["", "", "", ["", ""]];
        points.forEach((point, n) => {
          const at = n * E + i, sx = px(point.x);
          const pull = [sx, curveY(all.outputs[at]), curveY(all.outputs[at] - all.dOutput[at] / 2)];
          const push = [sx, pp(all.p[at]), pp(all.p[at] - all.dLogit[at])];
          if (n === chosen) {
            pull[0] = push[0] = sx + 6 * (i - (E - 1) / 2); // side by side
            own = [arrow(...pull, 8), split ? arrow(...push, 8) : ""];
          } else pulls += arrow(...pull, 4);
          if (split && n !== chosen) pushes += arrow(...push, 4);
          if (!split && point.owner === i) ticks += `M${fine(sx)} ${pp((i + 0.9) / E)}V${pp((i + 0.1) / E)}`;
        });
        nodes.arrows.setAttribute("d", pulls);
        nodes.pushes.setAttribute("d", pushes);
        nodes.bold.setAttribute("d", own[0]);
        nodes.push.setAttribute("d", own[1]);
        nodes.tick.setAttribute("d", ticks);
        const j = split ? territory(leaders, i) : -1;
        for (const [node, at] of [[nodes.badge, j < 0 ? 0 : y(j)], [nodes.sign, j < 0 ? 0 : pp(p(j)) + 12]]) {
          const inside = Math.max(12, Math.min(size.height - 12, at));
          set(node, { transform: `translate(${fine(x(Math.max(0, j)))} ${fine(inside)})`, visibility: j < 0 ? "hidden" : "inherit" });
        }
      });
      const average = (j) => {
        let sum = 0;
        for (let i = 0; i < E; i++) sum += grid.p[j * E + i] * grid.outputs[j * E + i];
        return curveY(sum);
      };
      experts[0].average.setAttribute("d", split ? line(GRID.length, x, average) : "");
    }

    const where = ({ x, y }) => `x ${signed(x)}, y ${signed(y)}`;
    const reach = matchMedia("(pointer: coarse)").matches ? 13 : 8;

    /** One node a point. Of all of them one is a stop for the Tab key. */
    function pointsOf({ all, points, selected }) {
      while (dots.childElementCount > points.length) dots.lastChild.remove();
      while (dots.childElementCount < points.length) {
        const node = svg("g", { role: "button", "aria-roledescription": "point" }, dots);
        svg("circle", { class: "pg-hit", r: reach }, node);
        svg("path", { class: "pg-mark" }, node);
      }
      const stop = points.includes(selected) ? selected : points[0], E = experts.length;
      points.forEach((point, n) => {
        const node = dots.children[n], expert = mixture.most(all.p, n * E, E);
        const look = [px(point.x), py(point.y), expert, point === selected, point === stop].join();
        if (node.look === look) return; // most points do not change from frame to frame
        node.look = look;
        set(node, {
          class: `pg-point pg-e${expert}${point === selected ? " pg-selected" : ""}`,
          transform: `translate(${fine(px(point.x))} ${fine(py(point.y))})`,
          tabindex: point === stop ? 0 : -1,
          "aria-label": `${where(point)}, expert ${expert + 1}`,
        });
        node.lastChild.setAttribute("d", MARKS[expert]);
      });
    }

    function lossOf(rows, steps) {
      const end = Math.max(200, 1.05 * steps), low = size.loss - 24;
      const lx = (step) => 48 + (step / end) * (size.width - 56);
      const ly = (value) => 8 + ((1 - Math.log10(Math.min(10, Math.max(1e-4, value)))) / 5) * (low - 8);
      loss.replaceChildren();
      const group = svg("g", { class: "pg-axes" }, loss);
      for (const value of [10, 1, 0.1, 0.01, 0.001, 0.0001]) {
        svg("path", { d: `M48 ${ly(value)}H${size.width - 8}` }, group);
        if (size.loss > 100 || [10, 0.1, 0.001].includes(value)) text(value, 43, ly(value) + 4, group, "end");
      }
      text(0, 48, low + 18, group);
      if (steps) text(steps.toLocaleString("en"), Math.min(size.width - 30, Math.max(80, lx(steps))), low + 18, group);
      for (const part of ["total", "expected", "balancing"]) {
        const d = line(rows.length, (j) => lx(rows[j].step), (j) => ly(rows[j][part]));
        svg("path", { class: `pg-${part}`, d }, loss);
      }
    }

    return { px, py, people, measure, curvesAndGate, pointsOf, lossOf, dots, where };
  }

  return { GRID, MARKS, pictures, signed };
})();
