// What scrolls must be reachable with the keyboard. The theme sees to that when a page loads or changes its size,
// but not for what is folded away then: so unfolding counts as a change of size.
document.addEventListener("toggle", () => window.dispatchEvent(new Event("resize")), true);

// A picture alone names the buttons that copy code, which WebKit does not read.
addEventListener("load", () => {
  for (const button of document.querySelectorAll(".copybtn")) button.setAttribute("aria-label", button.dataset.tooltip);
});

// The film on the first page plays by itself, unless the reader has asked for less motion; its controls stop it.
const film = document.querySelector(".tag_hero video");
if (film && !matchMedia("(prefers-reduced-motion: reduce)").matches) {
  film.loop = true;
  film.play().catch(() => {});  // a browser that allows no playing shows the still
}

// On paper it is day.
const look = document.documentElement.dataset;
window.addEventListener("beforeprint", () => { look.before = look.theme; look.theme = "light"; });
window.addEventListener("afterprint", () => { look.theme = look.before; });

// An exercise that asks for a word or for numbers is answered in the page, as `check` would: the first verdict that fits.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.dataset.key) return;
  event.preventDefault();
  const [relative, absolute, verdicts] = JSON.parse(atob(form.dataset.key));
  const same = (a, b) => a === b || Math.abs(a - b) <= Math.max(absolute, relative * Math.max(Math.abs(a), Math.abs(b)));
  const given = [...form.querySelectorAll("input"), event.submitter].map((part) => part.value);
  const fits = ([to]) => to === null || [to].flat().every((value, i) => same(value, given[i]));
  form.querySelector("[role=status]").innerHTML = verdicts.find(fits)[1];
  for (const button of form.querySelectorAll("[aria-pressed]")) {
    button.setAttribute("aria-pressed", button === event.submitter);
  }
});
