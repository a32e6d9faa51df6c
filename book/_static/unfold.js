// What scrolls must be reachable with the keyboard. The theme sees to that when a page loads or changes its size,
// but not for what is folded away then: so unfolding counts as a change of size.
document.addEventListener("toggle", () => window.dispatchEvent(new Event("resize")), true);
