"use strict";

/* A bar that fills while the weights arrive, and what is said if one of their files does not. */

{
  const place = document.getElementById("digits-draw"), files = document.querySelectorAll("script[src*='/weights/']");
  const bar = document.createElement("progress");
  bar.max = files.length;
  bar.value = 0;
  bar.setAttribute("aria-label", "Weights that have arrived");
  place.append(bar);
  for (const file of files) {
    file.addEventListener("load", () => (bar.value += 1));
    file.addEventListener("error", () => {
      place.outerHTML = "<p>A part of the model has not arrived. Load the page again, or build the book anew.</p>";
    });
  }
}
