"use strict";

/* Ask an expert: ten strings to pull, and the digit that its decoder draws for them. */

(() => {
  const { EVERY, paint, button, signed } = desk;
  const REACH = 4; // standard deviations of the prior, to either side
  const STRINGS = Array.from({ length: digits.LATENT }, (_, k) => k);

  const choice = (expert) =>
    `<label class="pgd-choice pg-e${expert}"><input type="radio" name="expert" value="${expert}" autocomplete="off"${expert ? "" : " checked"}>${desk.face(expert)}</label>`;
  const string = (k) =>
    `<label class="pg-field"><span>z<sub>${k + 1}</sub> <b data-of="${k}" aria-hidden="true"></b></span>
      <input type="range" data-string="${k}" autocomplete="off" min="${-REACH}" max="${REACH}" step="0.1"></label>`;

  const { root, find, tell } = desk.furnish(
    "digits-pull",
    `<div class="pgd-experts" role="radiogroup" aria-label="Whom to ask">${EVERY.map(choice).join("")}</div>
    <div class="pgd-stage pgd-pulling">
      <div class="pgd-side">
        ${desk.picture("pgd-large", "What the expert draws")}
        <p class="pg-status" aria-hidden="true"></p>
      </div>
      <div>
        <div class="pgd-tools" role="group" aria-label="All strings">
          ${button("zero", "z = 0")} ${button("random", "Random z")} ${button("encode", "Start from my drawing")}
          ${button("show", "Show the manager")}
        </div>
        <div class="pgd-strings">${STRINGS.map(string).join("")}</div>
      </div>
    </div>`,
    {
      zero: () => pull(new Float64Array(digits.LATENT)),
      random: () => pull(Float64Array.from(STRINGS, normal)),
      show: () => drawing.show(image),
      encode() {
        const seen = drawing.input();
        if (seen) pull(digits.encode(seen, expert()).mean);
        else tell("There is no drawing: the paper is empty.", 0);
      },
    },
  );

  let z = new Float64Array(digits.LATENT), image, due = 0;
  const expert = () => Number(find('[name="expert"]:checked').value);
  const normal = () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());

  /** Sets all strings; the sliders show them rounded, the decoder is given them as they are. */
  function pull(values) {
    z = values;
    for (const k of STRINGS) find(`[data-string="${k}"]`).value = z[k];
    changed();
  }

  function draw() {
    due = 0;
    image = digits.decode(z, expert());
    paint(find(".pgd-large"), image);
    for (const k of STRINGS) {
      find(`[data-of="${k}"]`).textContent = signed(z[k], 1);
      find(`[data-string="${k}"]`).setAttribute("aria-valuetext", signed(z[k], 1));
    }
    tell(`This was drawn by ${desk.named(expert())}. ${desk.opinion(digits.gate(image))}`);
  }

  function changed() {
    due ||= requestAnimationFrame(draw);
  }

  root.addEventListener("input", ({ target }) => {
    if (target.dataset.string) z[target.dataset.string] = Number(target.value);
    changed();
  });
  pull(z);
})();
