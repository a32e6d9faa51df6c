"use strict";

/* The way of the decision as a picture: what the model sees, the manager, the experts with what each draws and its loss.
   A click on any of them shows what happens inside. */

(() => {
  const { EVERY, paint, picture, face, named, signed, likely } = desk;

  /* --- The picture --- */

  const row = (expert) => `<tr class="pg-e${expert}" data-do="open" data-part="${expert}">
    <th scope="row"><button type="button" aria-expanded="false" aria-controls="digits-inside">${face(expert)}</button></th>
    <td class="pgd-p" data-cell="p"></td>
    <td>${picture("", `What expert ${desk.LETTERS[expert]} draws of it`)}</td>
    <td class="pgd-loss"><span class="pgd-scale" aria-hidden="true"><i></i></span><span data-cell="loss"></span></td></tr>`;
  /** From the manager, halfway up, to an expert's row. */
  const branch = (expert) => `<path class="pg-e${expert}" d="M0 50C50 50 50 ${10 * expert + 5} 100 ${10 * expert + 5}"/>`;
  const part = (name, html) => `<button type="button" class="pgd-part" data-do="open" data-part="${name}"
    aria-expanded="false" aria-controls="digits-inside">${html}</button>`;

  const { root, find } = desk.furnish(
    "digits-way",
    `<div class="pgd-way">
      <div class="pgd-from">${part("image", `${picture("pgd-input", "What the model sees: 28 by 28 pixels")}<span>seen</span>`)}
        <i aria-hidden="true">↓</i>${part("manager", "manager")}</div>
      <svg class="pgd-fan" viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">${EVERY.map(branch).join("")}</svg>
      <table class="pgd-table" aria-label="The experts">
        <thead><tr><th scope="col">expert</th><th scope="col">p</th><th scope="col">draws</th>
          <th scope="col"><span class="pgd-loss"><span class="pgd-limit">limit<span> ${digits.limit}</span></span> loss</span></th></tr></thead>
        <tbody>${EVERY.map(row).join("")}</tbody>
      </table>
    </div>
    <div id="digits-inside" class="pgd-inside" role="region" aria-label="Inside" hidden></div>`,
    {
      open({ dataset }) {
        opened = opened === dataset.part ? null : dataset.part;
        look();
      },
    },
  );
  const rows = [...root.querySelectorAll("tbody tr")], branches = [...root.querySelectorAll(".pgd-fan path")];
  const inside = find(".pgd-inside");

  let opened = null, seen = null;

  /** Where a loss is on its scale, in per cent: the lowest of a test image at its left end, the limit at a third. */
  function place(loss) {
    const [lowest] = digits.costs;
    return Math.min(100, Math.max(0, (100 / 3) * ((loss - lowest) / (digits.limit - lowest))));
  }

  drawing.watch((news) => {
    seen = news;
    root.classList.toggle("pgd-unknown", seen?.known === false);
    paint(find(".pgd-input"), seen?.image);
    rows.forEach((tr, expert) => {
      const p = seen?.p[expert] ?? 0, found = seen?.experts[expert];
      const cell = (name, text) => (tr.querySelector(`[data-cell="${name}"]`).textContent = text);
      cell("p", found ? likely(p) : "–");
      cell("loss", found ? found.loss.toFixed(1) : "–");
      paint(tr.querySelector("td canvas"), found?.drawing);
      const dot = tr.querySelector(".pgd-scale i");
      dot.hidden = !found;
      if (found) dot.style.left = `${place(found.loss)}%`;
      branches[expert].style.strokeWidth = `${0.6 + 6 * p}px`;
      tr.classList.toggle("pgd-asked", expert === seen?.asked);
      tr.classList.toggle("pgd-least", expert === seen?.least);
    });
    look();
  });

  /* --- Inside its parts --- */

  function look() {
    for (const control of root.querySelectorAll('[data-do="open"]')) {
      const open = control.dataset.part === opened;
      control.classList.toggle("pgd-open", open);
      (control.querySelector("button") ?? control).setAttribute("aria-expanded", open);
    }
    inside.hidden = opened === null;
    if (inside.hidden) return;
    if (!seen) inside.textContent = "The paper is empty: there is nothing to see inside.";
    else (INSIDE[opened] ?? expertInside)(Number(opened));
  }

  const figure = (html, caption) => `<figure>${html}<figcaption>${caption}</figcaption></figure>`;
  /** Paints the pictures of the figures, in their order. */
  const pictures = (...images) => images.forEach((image, i) => paint(inside.querySelectorAll(".pgd-figures canvas")[i], image));

  const INSIDE = {
    image() {
      if (!seen.fitted) {
        inside.innerHTML = `<p><b>What the model sees.</b> The paper as it is: each pixel is the mean of five by five of its
          points. Nothing is scaled or moved.</p>`;
        return;
      }
      const { box, pixels, middle, left, top } = ink.fitted(seen.paper), [width, height] = [pixels[0].length, pixels.length];
      inside.innerHTML = `<p><b>What the model sees</b> is prepared as MNIST was, so that it doesn’t matter where and how large
        you draw. The pen does its part: it’s as wide as MNIST's strokes are for a digit of that size.</p>
        <div class="pgd-figures">
          ${figure(picture("", "The paper, with a box around the ink", ink.SIDE), "1. the box that holds your ink")}
          ${figure(picture("pgd-scaled", "The digit, scaled", width, height), `2. scaled to ${width} × ${height} pixels: ${ink.BOX} for the longer side`)}
          ${figure(picture("", "The digit in the middle of 28 by 28 pixels"), "3. its centre of mass goes to the middle of 28 × 28")}
        </div>`;
      pictures(seen.paper, pixels.flat(), seen.image);
      const [paper, scaled, placed] = inside.querySelectorAll("canvas");
      scaled.style.width = `${(100 * width) / digits.SIDE}%`;
      mark(paper, (pen) => pen.strokeRect(box.left - 1, box.top - 1, box.right - box.left + 2, box.bottom - box.top + 2));
      mark(placed, (pen) => pen.fillRect(Math.round(middle[0]) + left, Math.round(middle[1]) + top, 1, 1));
    },

    manager() {
      const layers = [mosaic(seen.seen, digits.SIDE / 2), mosaic(seen.looked, digits.SIDE / 4)];
      const [first, second] = layers.map(({ width, height }) => picture("pgd-maps", "", width, height));
      const answer = (expert) => `<li>${face(expert)} ${signed(seen.logits[expert], 1)} → ${likely(seen.p[expert])}</li>`;
      desk.fill(
        inside,
        `<p><b>The manager</b> is a small convolutional network. Its first layer looks for short strokes and edges, its second
          for combinations of them, and the rest turns what they found into ten numbers. Softmax makes probabilities of those.</p>
        ${figure(first, `first layer: ${layers[0].maps} maps, with ink where a pattern was found`)}
        ${figure(second, `second layer: ${layers[1].maps} maps`)}
        ${figure(`<ul class="pgd-answers">${EVERY.map(answer).join("")}</ul>`, "ten numbers → <i>p</i>. They sum to one: “none of us” isn’t among them")}`,
      );
      inside.querySelectorAll(".pgd-maps").forEach((canvas, i) => paint(canvas, layers[i].image));
    },
  };

  /** Square maps side by side, in rows of sixteen with a line between, as one image. */
  function mosaic(values, side) {
    const size = side ** 2, maps = values.length / size, most = Math.max(...values);
    const width = 16 * (side + 1) - 1, height = Math.ceil(maps / 16) * (side + 1) - 1;
    const image = new Float32Array(width * height);
    values.forEach((value, i) => {
      const map = Math.floor(i / size), row = Math.floor((i % size) / side), column = i % side;
      image[(Math.floor(map / 16) * (side + 1) + row) * width + (map % 16) * (side + 1) + column] = value / most;
    });
    for (let at = 0; at < image.length; at++) {
      if (at % width % (side + 1) === side || Math.floor(at / width) % (side + 1) === side) image[at] = 0.35;
    }
    return { maps, width, height, image };
  }

  function expertInside(expert) {
    const { mean, variance, drawing, reconstruction, kl, loss } = seen.experts[expert];
    const beyond = loss > digits.limit ? "beyond" : "within";
    desk.fill(
      inside,
      `<p><b>Inside ${named(expert)}:</b> its encoder sums the image up in ten numbers <i>z</i>, and its decoder draws from
        them. What the drawing misses, and how unusual the <i>z</i> are, make the loss.</p>
      <div class="pgd-figures">
        ${figure(picture("", "What the model sees"), "the image")}
        ${figure(codes(mean, variance), "ten numbers <i>z</i>, ± their deviation")}
        ${figure(picture("", "What the expert draws"), "the drawing")}
        ${figure(picture("", "The squared errors"), "where they differ, squared")}
      </div>
      <p class="pgd-sum">misses <b data-cell="reconstruction">${reconstruction.toFixed(1)}</b> + KL <b data-cell="kl">${kl.toFixed(1)}</b>
        = loss <b>${loss.toFixed(1)}</b> nats, ${beyond} the limit of ${digits.limit}</p>`,
    );
    pictures(seen.image, drawing, seen.image.map((value, d) => (value - drawing[d]) ** 2));
  }

  /** Ten dots with bars of one standard deviation to either side; the lines are at −4, 0 and 4. */
  function codes(mean, variance) {
    const y = (value) => 50 - 11 * Math.min(4, Math.max(-4, value)), x = (k) => 10 * k + 5;
    const one = (value, k) => {
      const sd = Math.sqrt(variance[k]);
      return `<path d="M${x(k)} ${y(value - sd)}V${y(value + sd)}"/><circle cx="${x(k)}" cy="${y(value)}" r="3"/>`;
    };
    const said = Array.from(mean, (value) => signed(value, 1)).join(", ");
    return `<svg class="pgd-codes" viewBox="0 0 100 100" role="img" aria-label="z: ${said}">
      <path class="pgd-lines" d="M0 6H100M0 50H100M0 94H100"/>${Array.from(mean, one).join("")}</svg>`;
  }

  function mark(canvas, draw) {
    const pen = canvas.getContext("2d");
    pen.strokeStyle = pen.fillStyle = "#d0345f";
    pen.lineWidth = 2;
    draw(pen);
  }
})();
