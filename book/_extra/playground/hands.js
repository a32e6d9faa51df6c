"use strict";

/* Points under the reader's hand: keys, mouse and finger. What is done with a point, `desk` knows. */

function hands(root, main, sheets, desk) {
  const { dots } = sheets;
  const pointOf = (node) => desk.points()[[...dots.children].indexOf(node?.closest(".pg-point"))];

  const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] };
  let rest = 0;

  // Listened to on the page: a listener for focus would make the group of points itself a stop of the Tab key.
  root.addEventListener("keydown", (event) => {
    const point = pointOf(event.target);
    if (!point || event.ctrlKey || event.metaKey || event.altKey) return;
    const sorted = [...desk.points()].sort((a, b) => a.x - b.x);
    const rank = sorted.indexOf(point);
    const next = { PageDown: rank + 1, PageUp: rank - 1, Home: 0, End: sorted.length - 1 }[event.key];
    if (KEYS[event.key]) {
      const step = event.shiftKey ? 0.1 : 0.02;
      desk.moveTo(point, point.x + step * KEYS[event.key][0], point.y + step * KEYS[event.key][1]);
      clearTimeout(rest); // said once it rests, not at every press
      rest = setTimeout(() => desk.say(`Point at ${sheets.where(point)}.`), 600);
    } else if (next !== undefined) desk.focus(sorted[next]);
    else if (event.key === "Delete" || event.key === "Backspace") desk.remove(point);
    else return;
    event.preventDefault();
  });
  root.addEventListener("focusin", ({ target }) => {
    const point = pointOf(target);
    if (point) desk.select(point);
  });

  const back = (value, scale) => (value - scale(0)) / (scale(1) - scale(0)); // both scales are straight lines

  /** Where a pointer is, in x and y of the picture. */
  function under(event) {
    const box = main.getBoundingClientRect();
    const sx = event.clientX - box.left, sy = event.clientY - box.top;
    return { x: back(sx, sheets.px), y: back(sy, sheets.py), sx, sy };
  }

  let held = null; // {point} that is dragged, {brush} where the last one was painted, or a {tap} of a finger
  main.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    const drawing = main.classList.contains("pg-drawing");
    const point = drawing ? undefined : pointOf(event.target), { x, y, sx, sy } = under(event);
    if (!point && !drawing && event.pointerType === "touch") {
      held = { tap: [sx, sy] }; // or the page is about to be scrolled
      return;
    }
    held = point ? { point } : { brush: [sx, sy] };
    desk.focus(point ?? desk.insert(x, y));
    main.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  main.addEventListener("pointermove", (event) => {
    const { x, y, sx, sy } = under(event);
    if (held?.point) return desk.moveTo(held.point, x, y);
    if (!held?.brush) return;
    // A fast hand is seen seldom: there is a point every nine pixels of its way all the same.
    for (;;) {
      const [fromX, fromY] = held.brush, way = Math.hypot(sx - fromX, sy - fromY);
      if (way < 9) break;
      const next = [fromX + (9 / way) * (sx - fromX), fromY + (9 / way) * (sy - fromY)];
      held.brush = next;
      desk.insert(back(next[0], sheets.px), back(next[1], sheets.py));
    }
  });
  main.addEventListener("pointerup", (event) => {
    const { x, y, sx, sy } = under(event);
    if (held?.tap && Math.hypot(sx - held.tap[0], sy - held.tap[1]) < 8) desk.insert(x, y);
    held = null;
  });
  main.addEventListener("pointercancel", () => (held = null));
  // A finger on a point drags it, and one that draws does not scroll.
  main.addEventListener("touchstart", (event) => {
    if (pointOf(event.target) || main.classList.contains("pg-drawing")) event.preventDefault();
  }, { passive: false });
}
