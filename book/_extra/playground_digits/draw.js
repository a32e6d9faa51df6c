"use strict";

/* Draw a digit: the paper, the pen, and what manager and experts make of it while it is drawn. */

const drawing = (() => {
  const { EVERY, paint, button, likely, most } = desk;
  const SLICE = 10; // milliseconds of arithmetic a frame: the pen comes first
  const STEP = 3, LEAP = 12; // of the pen, by keyboard

  const columns = ["expert", "p", "draws", "misses", "KL", "loss"];
  const row = (expert) => `<tr class="pg-e${expert}">
    <th scope="row">${desk.face(expert)}</th>
    <td class="pgd-p"><span class="pg-share" aria-hidden="true"><i></i></span><span data-cell="p"></span></td>
    <td>${desk.picture("", `What expert ${expert} draws of it`)}</td>
    <td data-cell="reconstruction"></td><td data-cell="kl"></td><td data-cell="loss"></td></tr>`;

  const { root, find, say } = desk.furnish(
    "digits-draw",
    `<div class="pgd-stage">
      <div class="pgd-side">
        <div class="pgd-paper">
          <canvas class="pgd-sheet" width="${ink.SIDE}" height="${ink.SIDE}" tabindex="0" role="application"
            aria-label="Paper. Arrow keys move the pen, Space puts it down or lifts it, Delete clears the paper"></canvas>
          <i class="pgd-pen" hidden></i>
        </div>
        <div class="pgd-tools" role="group" aria-label="Paper">
          ${button("clear", "Clear")} ${button("example", "Take an example")} ${button("turn", "Turn over")}
        </div>
        <div class="pgd-seen">
          ${desk.picture("pgd-input", "What the model sees: 28 by 28 pixels")}
          <div><span>What the model sees</span>
          <label><input type="checkbox" name="fit" checked> scaled and centred</label></div>
        </div>
        <p class="pg-status" aria-hidden="true"></p>
      </div>
      <table class="pgd-table" aria-label="The experts">
        <thead><tr>${columns.map((name) => `<th scope="col">${name}</th>`).join("")}</tr></thead>
        <tbody>${EVERY.map(row).join("")}</tbody>
      </table>
    </div>`,
    {
      clear,
      example: () => show(ink.enlarged(digits.images[next++ % digits.images.length])),
      turn: () => show(ink.turned(sheet)),
    },
  );
  const canvas = find(".pgd-sheet"), pen = find(".pgd-pen"), fit = find('[name="fit"]'), table = find("table");
  const rows = [...root.querySelectorAll("tbody tr")];

  let sheet = ink.paper(), untouched = true; // what lies there at first makes way for the first stroke
  let next = 3; // of the examples: the first ones have little to see

  /* --- Looking: in slices, so that the pen never waits --- */

  let dirty = false, due = 0, job = null;
  const input = () => ink.image(sheet, fit.checked);

  function* look(image) {
    const p = digits.gate(image);
    yield;
    const found = [];
    for (const expert of EVERY) {
      found.push(digits.examine(image, expert));
      yield;
    }
    tell(image, p, found);
  }

  function frame() {
    const end = performance.now() + SLICE;
    if (dirty) paint(canvas, sheet);
    if (dirty && !job) {
      const image = input();
      job = image ? look(image) : null;
      dirty = false;
      if (!image) tell(null);
    }
    while (job && performance.now() < end) if (job.next().done) job = null;
    due = job || dirty ? requestAnimationFrame(frame) : 0;
    if (!due) table.setAttribute("aria-busy", "false");
  }

  function changed() {
    dirty = true;
    due ||= requestAnimationFrame(frame);
    table.setAttribute("aria-busy", "true");
  }

  function tell(image, p, found) {
    const chosen = p && most(p), least = found && most(found.map(({ loss }) => -loss));
    paint(find(".pgd-input"), image);
    rows.forEach((tr, expert) => {
      const part = found?.[expert];
      const cell = (name, text) => (tr.querySelector(`[data-cell="${name}"]`).textContent = part ? text() : "–");
      tr.querySelector("i").style.width = `${100 * (p?.[expert] ?? 0)}%`;
      cell("p", () => likely(p[expert]));
      for (const name of ["reconstruction", "kl", "loss"]) cell(name, () => part[name].toFixed(1));
      paint(tr.querySelector("td canvas"), part?.drawing);
      tr.classList.toggle("pgd-asked", expert === chosen);
      tr.classList.toggle("pgd-least", expert === least);
    });
    const words = p ? verdict(p, found, chosen, least) : "The paper is empty. Draw a digit, or take an example.";
    find(".pg-status").textContent = words;
    say(words);
  }

  function verdict(p, found, chosen, least) {
    const { loss } = found[chosen], cheaper = digits.cheaper(loss);
    const rank = `Of 100 test images, ${cheaper || "none"} ${cheaper > 1 ? "cost their" : "costs its"} expert less.`;
    const other = chosen === least ? "" : ` Expert ${least} would have charged least: ${found[least].loss.toFixed(1)}.`;
    return `${desk.opinion(p)} The image costs it ${loss.toFixed(1)} nats. ${rank}${other}`;
  }

  /* --- The paper --- */

  function show(other) {
    sheet = other;
    untouched = false;
    changed();
  }

  function clear() {
    show(ink.paper());
  }

  function stroke(from, to) {
    if (untouched) clear();
    ink.line(sheet, from, to);
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
    last = under(event);
    stroke(last, last);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!last || !event.isPrimary) return;
    const passed = event.getCoalescedEvents?.() ?? [];
    for (const moment of passed.length ? passed : [event]) {
      const here = under(moment);
      stroke(last, here);
      last = here;
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
      const step = event.shiftKey ? LEAP : STEP, from = tip;
      tip = tip.map((value, axis) => Math.min(ink.SIDE - 1, Math.max(0, value + step * KEYS[event.key][axis])));
      if (down) stroke(from, tip);
    } else if (event.key === " ") {
      down = !down;
      if (down) stroke(tip, tip);
      say(down ? "Pen down." : "Pen up.", 0);
    } else if (event.key === "Delete" || event.key === "Backspace") clear();
    else return;
    event.preventDefault();
    place();
  });
  canvas.addEventListener("focus", place);
  canvas.addEventListener("blur", () => {
    down = false;
    place();
  });

  fit.addEventListener("change", changed);
  sheet = ink.enlarged(digits.images[next++]);
  changed();

  /* --- The experiments in the text --- */

  const still = matchMedia("(prefers-reduced-motion: reduce)");
  for (const control of document.querySelectorAll("[data-digits]")) {
    control.hidden = false;
    control.addEventListener("click", () => {
      const { strokes, fitted = true } = JSON.parse(control.dataset.digits);
      fit.checked = fitted;
      clear();
      ink.write(sheet, strokes);
      reveal();
    });
  }

  function reveal() {
    root.scrollIntoView({ behavior: still.matches ? "auto" : "smooth", block: "start" });
    canvas.focus({ preventScroll: true });
  }

  /** For the other parts of the page: what the model sees now, and an image to be shown to it. */
  return {
    input,
    show(image) {
      fit.checked = true;
      show(ink.enlarged(image));
      reveal();
    },
  };
})();
