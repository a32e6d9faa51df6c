// MathJax without a page around it: formulas in, HTML out. formulas.py runs this in a JavaScript engine, after it has
// filled FILES with MathJax's own scripts.

const PARTS = ["core", "adaptors/liteDOM", "input/tex-full", "output/chtml", "output/chtml/fonts/tex", "a11y/assistive-mml"];

var MathJax = {
  loader: { load: PARTS, paths: { mathjax: "" }, require: (path) => run(path.slice(1)) },
  startup: { typeset: false },
  chtml: { fontURL: "fonts" },
};

function run(name) {
  if (!(name in FILES)) throw new Error(`MathJax asks for ${name}, which it was not given`);
  return (0, eval)(FILES[name]);
}

run("startup.js");
const ready = MathJax.startup.promise.then(() => true);
const typeset = (tex, display) => MathJax.startup.adaptor.outerHTML(MathJax.tex2chtml(tex, { display }));
const stylesheet = () => MathJax.startup.adaptor.textContent(MathJax.chtmlStylesheet());
