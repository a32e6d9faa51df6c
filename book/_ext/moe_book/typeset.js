// MathJax without a page around it: formulas in, HTML out. formulas.py has filled FILES with MathJax's own scripts.

const run = (name) => (0, eval)(FILES[name]);

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

run("startup.js");
const ready = MathJax.startup.promise.then(() => true);
const typeset = (tex, display) => MathJax.startup.adaptor.outerHTML(MathJax.tex2svg(tex, { display }));
