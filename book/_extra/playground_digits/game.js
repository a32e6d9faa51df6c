"use strict";

/* Route by eye: the reader sorts images into the manager's experts, and is compared with the manager. No labels. */

(() => {
  const { EVERY, LETTERS, paint, button, face, likely } = desk;
  const most = digits.greatest;
  const ROUNDS = { plain: 8, doubtful: 4 };

  const { root, find, say } = desk.furnish(
    "digits-game",
    `<div class="pgd-game">
      <div class="pgd-side">
        ${desk.picture("pgd-large", "The image to route")}
        <p class="pgd-round"></p>${button("start", "Start")}
      </div>
      <div>
        <div class="pgd-experts" role="group" aria-label="Which expert?">
          ${EVERY.map((expert) => `<button type="button" class="pgd-choice pg-e${expert}" data-do="route" data-expert="${expert}" disabled>${face(expert)}</button>`).join("")}
        </div>
        <div class="pgd-verdict" tabindex="-1"></div>
      </div>
    </div>`,
    { start, route: (target) => route(Number(target.closest("[data-expert]").dataset.expert)) },
  );

  let images = [], answers = [];

  /** n different numbers in [low, high), by lot. */
  function lot(n, low, high) {
    const left = Array.from({ length: high - low }, (_, i) => low + i);
    return Array.from({ length: n }, () => left.splice(Math.floor(Math.random() * left.length), 1)[0]);
  }

  function start() {
    const all = digits.images.length, plain = all - digits.doubtful;
    const chosen = [...lot(ROUNDS.plain, 0, plain), ...lot(ROUNDS.doubtful, plain, all)];
    images = lot(chosen.length, 0, chosen.length).map((i) => chosen[i]);
    answers = [];
    find(".pgd-verdict").replaceChildren();
    ask();
    find("[data-expert]").focus({ preventScroll: true });
  }

  function ask() {
    const image = images[answers.length], playing = image !== undefined;
    for (const choice of root.querySelectorAll("[data-expert]")) choice.disabled = !playing;
    const again = find('[data-do="start"]');
    again.textContent = playing ? "Start again" : answers.length ? "Play again" : "Start";
    again.classList.toggle("pg-primary", !playing);
    paint(find(".pgd-large"), digits.images[image]);
    find(".pgd-large").dataset.image = image ?? "";
    const words = playing ? `Image ${answers.length + 1} of ${images.length}` : "";
    find(".pgd-round").textContent = words;
    if (playing) say(`${words}.`, 0);
  }

  function route(expert) {
    answers.push(expert);
    ask();
    if (answers.length === images.length) judge();
  }

  function judge() {
    const gates = images.map((image) => digits.gate(digits.images[image]));
    const apart = images.map((_, i) => i).filter((i) => most(gates[i]) !== answers[i]);
    const alike = images.length - apart.length;
    const parts = [`<p><b>You and the manager agree on ${alike} of ${images.length}.</b> ${comment(apart, gates)}</p>`];
    const card = (i) => `<li>${desk.picture("pgd-case", "An image on which you disagree")}
      <div><span>you</span>${face(answers[i])}<span>&nbsp;</span></div>
      <div><span>manager</span>${face(most(gates[i]))}<span>p = ${likely(gates[i][most(gates[i])])}</span></div></li>`;
    if (apart.length) parts.push(`<ul class="pgd-cases">${apart.map(card).join("")}</ul>`);
    const verdict = find(".pgd-verdict");
    desk.fill(verdict, parts.join(""));
    verdict.querySelectorAll(".pgd-case").forEach((canvas, n) => paint(canvas, digits.images[images[apart[n]]]));
    verdict.focus({ preventScroll: true });
    say(verdict.querySelector("p").textContent, 0);
  }

  function comment(apart, gates) {
    if (!apart.length) return "Neither of you was told what the images are called.";
    const unsure = apart.filter((i) => Math.max(...gates[i]) < 0.9).length;
    const doubt = unsure ? `In ${unsure} of these cases the manager wasn’t sure: p below 0.9.` : "The manager was sure each time: p above 0.9.";
    return `Here you differ, and no label says who is right. ${doubt}`;
  }

  root.addEventListener("keydown", ({ key, ctrlKey, metaKey, altKey }) => {
    const expert = EVERY.find((each) => LETTERS[each] === key.toUpperCase());
    if (expert !== undefined && answers.length < images.length && !ctrlKey && !metaKey && !altKey) route(expert);
  });
  ask();
})();
