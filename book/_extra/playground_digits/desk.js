"use strict";

/* What the three parts of the page share: pictures of digits, the faces of the experts, and what is said aloud. */

const desk = (() => {
  const EVERY = Array.from({ length: digits.EXPERTS }, (_, expert) => expert);
  const faces = EVERY.map((expert) => digits.decode(new Float64Array(digits.LATENT), expert)); // drawn at z = 0

  /** Ink on white, one number in [0, 1] a pixel; style.css turns it round in the dark. No image is white paper. */
  function paint(canvas, image) {
    const picture = new ImageData(canvas.width, canvas.height);
    for (let at = 0; at < picture.data.length / 4; at++) {
      const grey = 255 * (1 - (image?.[at] ?? 0));
      picture.data.set([grey, grey, grey, 255], 4 * at);
    }
    canvas.getContext("2d").putImageData(picture, 0, 0);
  }

  const picture = (name, label) =>
    `<canvas class="pgd-picture ${name}" width="28" height="28" ${label ? `role="img" aria-label="${label}"` : 'aria-hidden="true"'}></canvas>`;
  const badge = (expert) => `<b class="pgd-badge pg-e${expert}"><span class="pg-live">expert </span>${expert}</b>`;
  /** An expert's number and the drawing by which one knows it; `paintFaces` fills it in. */
  const face = (expert) =>
    `<span class="pgd-face">${badge(expert)}<canvas class="pgd-picture" width="28" height="28" data-face="${expert}" aria-hidden="true"></canvas></span>`;
  function paintFaces(root) {
    for (const canvas of root.querySelectorAll("[data-face]")) paint(canvas, faces[canvas.dataset.face]);
  }

  const button = (action, text) => `<button type="button" data-do="${action}">${text}</button>`;
  const signed = (value, places) => value.toFixed(places).replace("-", "−");
  const likely = (p) => (p > 0.9995 ? "1.000" : p < 0.0005 ? "0.000" : p.toFixed(3));
  const most = (p) => p.indexOf(Math.max(...p));

  let touched = false; // by whoever reads, be it by pointer, by keyboard or through a screen reader
  for (const kind of ["pointerdown", "keydown", "click"]) addEventListener(kind, () => (touched = true), true);

  /** Fills a place of the page; what a click on data-do does is in `actions`. */
  function furnish(id, html, actions) {
    const root = document.getElementById(id);
    root.innerHTML = `${html}<div class="pg-live" role="status"></div>`;
    paintFaces(root);
    root.addEventListener("click", ({ target }) => actions[target.closest("[data-do]")?.dataset.do]?.(target));
    const find = (query) => root.querySelector(query);
    let rest = 0;
    /** Said once nothing more has happened for a while, so that whoever listens is not talked over, nor greeted. */
    const say = (words, after = 900) => {
      clearTimeout(rest);
      if (!touched) return;
      rest = setTimeout(() => (find(":scope > .pg-live").textContent = words), after);
    };
    return { root, find, say };
  }

  /** What the manager thinks of an image, in a sentence. */
  const opinion = (p) => `The manager asks expert ${most(p)}, with p\u00a0=\u00a0${likely(p[most(p)])}.`;

  return { EVERY, paint, picture, badge, face, paintFaces, button, signed, likely, most, furnish, opinion };
})();
