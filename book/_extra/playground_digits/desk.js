"use strict";

/* What the parts of the page share: pictures of digits, the experts' letters and faces, and what is said aloud. */

const desk = (() => {
  const EVERY = Array.from({ length: digits.EXPERTS }, (_, expert) => expert);
  const LETTERS = "ABCDEFGHIJ"; // not numbers: "expert 6" would be taken for the one that draws sixes
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

  const picture = (name, label, width = digits.SIDE, height = width) =>
    `<canvas class="pgd-picture ${name}" width="${width}" height="${height}" ${label ? `role="img" aria-label="${label}"` : 'aria-hidden="true"'}></canvas>`;

  /** An expert's letter and the drawing by which one knows it, which `fill` paints: no mention of an expert is without. */
  const mention = (word) => (expert) =>
    `<span class="pgd-face">${word}<b class="pgd-badge pg-e${expert}">${LETTERS[expert]}</b><canvas class="pgd-picture"
      width="28" height="28" data-face="${expert}" aria-hidden="true"></canvas></span>`;
  const face = mention('<span class="pg-live">expert </span>'), named = mention("expert ");

  /** Puts HTML into an element, faces and all. */
  function fill(element, html) {
    element.innerHTML = html;
    for (const canvas of element.querySelectorAll("[data-face]")) paint(canvas, faces[canvas.dataset.face]);
  }

  const button = (action, text) => `<button type="button" data-do="${action}">${text}</button>`;
  const signed = (value, places) => value.toFixed(places).replace("-", "−");
  const likely = (p) => (p > 0.9995 ? "1.000" : p < 0.0005 ? "0.000" : p.toFixed(3));

  let touched = false; // by a reader, be it by pointer, by keyboard or through a screen reader
  for (const kind of ["pointerdown", "keydown", "click"]) addEventListener(kind, () => (touched = true), true);

  /** Fills a place of the page; what a click on data-do does is in `actions`. */
  function furnish(id, html, actions) {
    const root = document.getElementById(id);
    fill(root, `${html}<div class="pg-live" role="status"></div>`);
    root.addEventListener("click", ({ target }) => {
      const control = target.closest("[data-do]");
      actions[control?.dataset.do]?.(control);
    });
    const find = (query) => root.querySelector(query);
    let rest = 0;
    /** Said once nothing more has happened for a while, so that a listener is not talked over, nor greeted. */
    const say = (words, after = 900) => {
      clearTimeout(rest);
      if (!touched) return;
      rest = setTimeout(() => (find(":scope > .pg-live").textContent = words), after);
    };
    /** Shown in the part's status line, and said. */
    const tell = (html, after) => {
      const status = find(".pg-status");
      fill(status, html);
      say(status.textContent.replace(/\s+/g, " "), after);
    };
    return { root, find, say, tell };
  }

  /** What the manager thinks of an image, in a sentence. */
  const opinion = (p) => {
    const asked = digits.greatest(p);
    return `The manager asks ${named(asked)}, with p&nbsp;=&nbsp;${likely(p[asked])}.`;
  };

  /* Numbers of the model in the text: computed when its files were made. */
  for (const place of document.querySelectorAll("[data-fact]")) place.textContent = `${digits.facts[place.dataset.fact]} %`;

  return { EVERY, LETTERS, paint, picture, face, named, fill, button, signed, likely, furnish, opinion };
})();
