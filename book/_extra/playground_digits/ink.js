"use strict";

/* Ink on paper, and how it becomes an image as MNIST's were made. Nothing of the page, and nothing of the model.
   Paper is square, 140 by 140 numbers in [0, 1], row by row: five by five of them to a pixel of MNIST. */

const ink = (() => {
  const SIDE = 140, PIXEL = 5, IMAGE = SIDE / PIXEL;
  const BOX = 20; // pixels that the longer side of a digit gets
  const MIDDLE = 14; // the pixel of 28 on which MNIST puts the centre of mass
  const STROKE = 2.5 / BOX; // how wide MNIST's strokes are, as a share of that side
  const THINNEST = 1; // radius of the pen: what an eye still sees

  const paper = () => new Float32Array(SIDE * SIDE);

  /** A stroke of the pen from one point to another, with an edge that is one number soft. */
  function line(sheet, [x0, y0], [x1, y1], radius) {
    const reach = radius + 1, length = (x1 - x0) ** 2 + (y1 - y0) ** 2;
    const from = (a, b) => Math.max(0, Math.floor(Math.min(a, b) - reach));
    const to = (a, b) => Math.min(SIDE - 1, Math.ceil(Math.max(a, b) + reach));
    for (let y = from(y0, y1); y <= to(y0, y1); y++) {
      for (let x = from(x0, x1); x <= to(x0, x1); x++) {
        const along = length ? ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / length : 0;
        const t = Math.min(1, Math.max(0, along));
        const distance = Math.hypot(x - x0 - t * (x1 - x0), y - y0 - t * (y1 - y0));
        const cover = Math.min(1, radius + 0.5 - distance);
        const at = y * SIDE + x;
        if (cover > sheet[at]) sheet[at] = cover;
      }
    }
  }

  /** An image of MNIST on paper, every pixel five by five. */
  const enlarged = (image) =>
    paper().map((_, at) => image[Math.floor(at / SIDE / PIXEL) * IMAGE + Math.floor((at % SIDE) / PIXEL)]);

  /** The paper turned by half a circle. */
  const turned = (sheet) => sheet.slice().reverse();

  /** The least box that holds all ink, ends excluded; null where there is none. */
  function bounds(sheet) {
    let [left, right, top, bottom] = [SIDE, -1, SIDE, -1];
    for (let at = 0; at < sheet.length; at++) {
      if (!sheet[at]) continue;
      const x = at % SIDE, y = Math.floor(at / SIDE);
      [left, right, top, bottom] = [Math.min(left, x), Math.max(right, x), Math.min(top, y), Math.max(bottom, y)];
    }
    return right < 0 ? null : { left, top, right: right + 1, bottom: bottom + 1 };
  }

  /** The radius of a pen whose strokes are as wide for what it drew as MNIST's are for a digit, however large that is. */
  function radius(ground, strokes) {
    const box = bounds(ground) ?? { left: SIDE, top: SIDE, right: 0, bottom: 0 };
    for (const [x, y] of strokes.flat()) {
      [box.left, box.right] = [Math.min(box.left, x), Math.max(box.right, x)];
      [box.top, box.bottom] = [Math.min(box.top, y), Math.max(box.bottom, y)];
    }
    const size = Math.max(0, box.right - box.left, box.bottom - box.top);
    return Math.max(THINNEST, (size * STROKE) / (1 - STROKE) / 2);
  }

  /** Lines through points, stroke by stroke, over what lies there already. */
  function drawn(strokes, ground = paper()) {
    const sheet = ground.slice(), width = radius(ground, strokes);
    for (const stroke of strokes) stroke.forEach((point, i) => line(sheet, stroke[Math.max(0, i - 1)], point, width));
    return sheet;
  }

  /** Which parts of the numbers [low, high) an output has that is the mean of `size` equal shares of them. */
  function shares(low, high, size) {
    const width = (high - low) / size;
    return Array.from({ length: size }, (_, i) => {
      const start = low + i * width, end = start + width, parts = [];
      for (let at = Math.floor(start); at < Math.min(high, end); at++) {
        const part = (Math.min(at + 1, end) - Math.max(at, start)) / width;
        if (part > 1e-9) parts.push([at, part]);
      }
      return parts;
    });
  }

  /** A box of the paper as height × width pixels, each the mean of the ink on its share. */
  function shrunk(sheet, box, width, height) {
    const columns = shares(box.left, box.right, width), rows = shares(box.top, box.bottom, height);
    const mean = (row, column) => {
      let sum = 0;
      for (const [y, b] of row) for (const [x, a] of column) sum += a * b * sheet[y * SIDE + x];
      return sum;
    };
    return rows.map((row) => columns.map((column) => mean(row, column)));
  }

  /** How MNIST would scale and place it: the box of the ink, its pixels once the longer side is 20 of them, and where
      their corner goes so that the centre of mass, `middle`, comes to the middle of 28 × 28. Null if there is no ink. */
  function fitted(sheet) {
    const box = bounds(sheet);
    if (!box) return null;
    const [width, height] = [box.right - box.left, box.bottom - box.top];
    const scale = BOX / Math.max(width, height);
    const pixels = shrunk(sheet, box, Math.max(1, Math.round(scale * width)), Math.max(1, Math.round(scale * height)));
    let [mass, x, y] = [0, 0, 0];
    pixels.forEach((row, i) => row.forEach((value, j) => ((mass += value), (x += j * value), (y += i * value))));
    const middle = [x / mass, y / mass], [left, top] = middle.map((at) => Math.round(MIDDLE - at));
    return { box, pixels, middle, left, top };
  }

  /** The image of 28 × 28 pixels. `fit`: as MNIST's were made; otherwise the paper as it is, only with fewer pixels. */
  function image(sheet, fit = true) {
    const made = fitted(sheet);
    if (!made) return null;
    if (!fit) return Float32Array.from(shrunk(sheet, { left: 0, top: 0, right: SIDE, bottom: SIDE }, IMAGE, IMAGE).flat());
    const out = new Float32Array(IMAGE * IMAGE);
    made.pixels.forEach((row, i) =>
      row.forEach((value, j) => {
        const [r, c] = [made.top + i, made.left + j];
        if (r >= 0 && r < IMAGE && c >= 0 && c < IMAGE) out[r * IMAGE + c] = Math.min(1, value);
      }),
    );
    return out;
  }

  return { SIDE, BOX, paper, drawn, enlarged, turned, fitted, image };
})();
