"use strict";

/* The experiments of the text, as a card beside the paper. The address says which of them is laid out, so that a chapter
   can link to it, and the browser's Back leads to the one before. */

(() => {
  const text = document.getElementById("experiments").closest("section");
  const sections = [...text.querySelectorAll(":scope > section")];
  const title = (section) => section.querySelector("h3").firstChild.textContent;

  const choice = document.createElement("nav");
  choice.className = "pgd-choices";
  choice.setAttribute("aria-label", "Experiments");
  choice.innerHTML = `<a href="#${drawing.root.id}">Draw freely</a>${sections.map((section) => `<a href="#${section.id}">${title(section)}</a>`).join("")}`;
  text.querySelector("h2").after(choice);
  drawing.root.querySelector(".pgd-card").append(text);

  /** Lays out the experiment that the address names, if it names anything of the playground. */
  function choose() {
    const named = document.getElementById(location.hash.slice(1)), here = drawing.root.contains(named);
    const chosen = here ? sections.find((section) => section.contains(named)) : undefined;
    if (here || !location.hash) {
      for (const section of sections) section.hidden = section !== chosen;
      for (const link of choice.children) {
        const current = link.hash === `#${(chosen ?? drawing.root).id}`;
        if (current) link.setAttribute("aria-current", "true");
        else link.removeAttribute("aria-current");
      }
    }
    return here;
  }

  for (const section of sections) section.hidden = true;
  addEventListener("hashchange", () => choose() && drawing.reveal());
  addEventListener("load", () => location.hash && choose() && drawing.reveal());
  choose();

  for (const control of document.querySelectorAll("[data-digits]")) {
    control.hidden = false;
    control.addEventListener("click", () => {
      const { strokes, fitted = true } = JSON.parse(control.dataset.digits);
      drawing.write(strokes, fitted);
      control.classList.add("pgd-tried");
    });
  }
})();
