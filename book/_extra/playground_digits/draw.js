"use strict";

/* Draw a digit: the paper, the pen, and the verdict of the model while it is drawn. */

const drawing = (() => {
  const { EVERY, paint, button, named, likely } = desk;
  const SLICE = 10; // milliseconds of arithmetic a frame: the pen comes first
  const STEP = 3, LEAP = 12; // of the pen, by keyboard
  const NEAR = 1; // a pointer that moved less has not moved

  const { root, find, say, tell } = desk.furnish(
    "digits-draw",
    `<div class="pgd-stage">
      <div class="pgd-side">
        <div class="pgd-paper">
          <canvas class="pgd-sheet" width="${ink.SIDE}" height="${ink.SIDE}" tabindex="0" role="application"
            aria-label="Paper. Arrow keys move the pen, Space puts it down or lifts it, Delete clears the paper"></canvas>
          <i class="pgd-pen" hidden></i>
        </div>
        <div class="pgd-tools" role="group" aria-label="Paper">
          ${button("clear", "Clear")} ${button("example", "Example")} ${button("turn", "Turn over")}
          <label><input type="checkbox" name="fit" autocomplete="off" checked> scaled and centred</label>
        </div>
        <p class="pg-status" aria-hidden="true"></p>
      </div>
      <div class="pgd-card"></div>
      <div id="digits-way"></div>
    </div>`,
    {
      clear,
      example: () => lay(ink.enlarged(digits.images[next++ % digits.images.length])),
      turn: () => lay(ink.turned(sheet())),
    },
  );
  const canvas = find(".pgd-sheet"), pen = find(".pgd-pen"), fit = find('[name="fit"]'), status = find(".pg-status");

  let ground = ink.paper(), strokes = []; // what lay there, and what was drawn over it since
  let untouched = true; // what lies there at first makes way for the first stroke
  let next = 3; // of the examples: the first ones have little to see
  const sheet = () => ink.drawn(strokes, ground);
  const input = () => ink.image(sheet(), fit.checked);

  /* --- Looking: in slices, so that the pen never waits --- */

  let dirty = false, due = 0, job = null, latest;
  const watchers = [];

  function* look(paper, fitted) {
    const image = ink.image(paper, fitted);
    if (!image) return found(null);
    const managed = digits.manage(image), experts = [];
    yield;
    for (const expert of EVERY) {
      experts.push(digits.examine(image, expert));
      yield;
    }
    found({ paper, fitted, image, ...managed, experts, ...digits.judge(managed, experts) });
  }

  function frame() {
    const end = performance.now() + SLICE;
    if (dirty) {
      const paper = sheet();
      paint(canvas, paper);
      if (!job) {
        job = look(paper, fit.checked);
        dirty = false;
      }
    }
    while (job && performance.now() < end) if (job.next().done) job = null;
    due = job || dirty ? requestAnimationFrame(frame) : 0;
    if (!due) root.setAttribute("aria-busy", "false");
  }

  function changed() {
    dirty = true;
    due ||= requestAnimationFrame(frame);
    root.setAttribute("aria-busy", "true");
  }

  function found(seen) {
    latest = seen;
    for (const watcher of watchers) watcher(seen);
    status.classList.toggle("pgd-stranger", seen?.known === false);
    tell(seen ? verdict(seen) : "The paper is empty. Draw a digit, or take an example.");
  }

  function verdict({ p, experts, asked, least, known }) {
    const { loss } = experts[asked], cheaper = digits.cheaper(loss), sure = `p&nbsp;=&nbsp;${likely(p[asked])}`;
    if (!known) {
      return `<b>This looks like nothing I’ve seen.</b> The manager would still ask ${named(asked)}, with ${sure}.
        But there the loss is ${loss.toFixed(1)}&nbsp;nats, and the limit is ${digits.limit}.`;
    }
    const rank = `Of 100 test images, ${cheaper || "none"} ${cheaper > 1 ? "have" : "has"} a lower one.`;
    const other = asked === least ? "" : ` The lowest here is ${experts[least].loss.toFixed(1)}, with ${named(least)}.`;
    return `<b>${desk.opinion(p)}</b> The loss there is ${loss.toFixed(1)}&nbsp;nats. ${rank}${other}`;
  }

  /* --- The paper --- */

  function lay(other) {
    [ground, strokes, untouched] = [other, [], false];
    changed();
  }

  function clear() {
    lay(ink.paper());
  }

  function begin(point) {
    if (untouched) clear();
    strokes.push([point]);
    changed();
  }

  function extend(point) {
    strokes.at(-1).push(point);
    changed();
  }

  /** Where a pointer is, in numbers of the paper. */
  function under({ clientX, clientY }) {
    const box = canvas.getBoundingClientRect(), scale = ink.SIDE / box.width;
    return [scale * (clientX - box.left) - 0.5, scale * (clientY - box.top) - 0.5];
  }

  let last = null; // where the pointer that draws was
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button || !event.isPrimary) return;
    canvas.setPointerCapture(event.pointerId);
    begin((last = under(event)));
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!last || !event.isPrimary) return;
    const passed = event.getCoalescedEvents?.() ?? [];
    for (const moment of passed.length ? passed : [event]) {
      const here = under(moment);
      if (Math.hypot(here[0] - last[0], here[1] - last[1]) >= NEAR) extend((last = here));
    }
  });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => (last = null));

  /* --- The pen under the keyboard --- */

  const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  let tip = [ink.SIDE / 2, ink.SIDE / 2], down = false;

  function place() {
    pen.style.left = `${(100 * (tip[0] + 0.5)) / ink.SIDE}%`;
    pen.style.top = `${(100 * (tip[1] + 0.5)) / ink.SIDE}%`;
    pen.classList.toggle("pgd-down", down);
    pen.hidden = !canvas.matches(":focus-visible");
  }

  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (KEYS[event.key]) {
      const step = event.shiftKey ? LEAP : STEP;
      tip = tip.map((value, axis) => Math.min(ink.SIDE - 1, Math.max(0, value + step * KEYS[event.key][axis])));
      if (down) extend(tip);
    } else if (event.key === " ") {
      down = !down;
      if (down) begin(tip);
      say(down ? "Pen down." : "Pen up.", 0);
    } else if (event.key === "Delete" || event.key === "Backspace") {
      clear();
      if (down) begin(tip);
    } else return;
    event.preventDefault();
    place();
  });
  canvas.addEventListener("focus", place);
  canvas.addEventListener("blur", () => {
    down = false;
    place();
  });

  fit.addEventListener("change", changed);
  ground = ink.enlarged(digits.images[next++]);
  changed();

  const still = matchMedia("(prefers-reduced-motion: reduce)");

  /** For the other parts of the page. */
  return {
    root,
    input, // what the model sees now
    /** Calls back with all that was found out about each drawing, or null for empty paper. */
    watch(watcher) {
      watchers.push(watcher);
      if (latest !== undefined) watcher(latest);
    },
    write(lines, fitted) {
      fit.checked = fitted;
      clear();
      strokes = lines;
    },
    reveal() {
      root.scrollIntoView({ behavior: still.matches ? "auto" : "smooth", block: "start" });
    },
    show(image) {
      fit.checked = true;
      lay(ink.enlarged(image));
      this.reveal();
      canvas.focus({ preventScroll: true });
    },
  };
})();
