// MathJax without a page around it: formulas in, HTML out. formulas.py has filled FILES with MathJax's own scripts.

var MathJax = {
  loader: {
    load: ["core", "adaptors/liteDOM", "input/tex-full", "output/svg", "output/svg/fonts/tex", "a11y/assistive-mml"],
    paths: { mathjax: "" },
    require: (path) => run(path.slice(1)),
  },
  startup: { typeset: false },
  svg: { fontCache: "none" }, // no ids, so that a formula may stand twice in a page
  tex: { packages: { "[-]": ["noundefined"] } }, // a command that does not exist is an error, not red text
};

function run(name) {
  if (!(name in FILES)) throw new Error(`MathJax asks for ${name}, which it was not given`);
  return (0, eval)(FILES[name]);
}

run("startup.js");
const ready = MathJax.startup.promise.then(() => true);

function typeset(tex, display) {
  const { adaptor } = MathJax.startup, formula = MathJax.tex2svg(tex, { display });
  if (display) {
    // What is too wide for a phone scrolls, by keyboard too, and without a script in the page.
    const reachable = { tabindex: "0", role: "group", "aria-label": "formula" };
    for (const [name, value] of Object.entries(reachable)) adaptor.setAttribute(formula, name, value);
  }
  return adaptor.outerHTML(formula);
}
