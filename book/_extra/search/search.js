// Searches the sections of the book, which sections.js has listed: [page, anchor, heading, text]. Runs from a file too.

// A query with one of these words finds the others.
const SYNONYMS = [
  ["collapse", "degenerate"],
  ["ddp", "distributeddataparallel", "processes", "torchrun"],
  ["gpu", "cuda", "graphics card"],
  ["deskew", "slant", "straighten"],
  ["router", "gate", "manager"],
  ["auxiliary loss", "balancing term", "load balancing"],
  ["clustering", "k-means"],
  ["mixed precision", "bfloat16", "bf16"],
  ["elbo", "evidence lower bound"],
  ["moe", "mixture of experts"],
  ["vae", "variational autoencoder"],
  ["accuracy", "acc"],
];
const IGNORED = new Set("a an and are as do does for from how i in is it my of on or the there to what why with".split(" "));
const WEIGHT = [[/^\d\d_|^teaching/, 3], [/^playground_digits/, 5], [/^playground|^intro/, 1.5]]; // of a page; of all others 0.2
const ASIDE = /^(References|Exercises|Summary|What this chapter claims)$/; // a section that counts half
const EXPLAINED = 3; // how much what the glossary says of a term counts for the chapter that explains it
const PER_PAGE = 3, AROUND = 110; // sections shown of a page; characters shown on both sides of a match

const weightOf = (page) => (WEIGHT.find(([pattern]) => pattern.test(page)) ?? [null, 0.2])[1];
const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
// "experts" finds "expert" and the other way round: a word is searched by its beginning.
const stem = (word) => (word.length > 4 ? word.replace(/(ing|ed|es|s|e)$/, "") : word);
const begins = (words) => new RegExp(`(?<![\\p{L}\\d])(?:${words.map((w) => escaped(stem(w))).join("|")})[\\p{L}-]*`, "giu");

// What is asked for: for each word, or phrase that has synonyms, a pattern of its own and one of its synonyms, or null.
function patterns(query) {
  let rest = ` ${query.toLowerCase().replace(/[^\p{L}\d-]+/gu, " ")} `;
  const found = [];
  for (const group of SYNONYMS) {
    const asked = group.find((word) => rest.match(new RegExp(` ${escaped(stem(word))}\\p{L}* `, "u")));
    if (asked) {
      rest = rest.replace(new RegExp(` ${escaped(stem(asked))}\\p{L}* `, "u"), "  ");
      found.push([begins([asked]), begins(group.filter((word) => word !== asked))]);
    }
  }
  const words = rest.split(" ").filter((word) => word && !IGNORED.has(word));
  return [...found, ...words.map((word) => [begins([word]), null])];
}

const count = (pattern, text) => (pattern ? (text.match(pattern) ?? []).length : 0);

// How well a section answers: each word counts, in a heading far more, and each that is missing costs it most of its score.
function score([, , heading, text], asked) {
  let sum = 0, missing = 0;
  for (const [word, synonyms] of asked) {
    const here = count(word, text) + 0.5 * count(synonyms, text);
    const above = count(word, heading) + 0.7 * count(synonyms, heading);
    if (!here && !above) missing += 1;
    sum += here / (here + 2) + 4 * Math.min(above, 1) / (1 + heading.length / 60);
  }
  return asked.length && missing < asked.length ? sum * 0.15 ** missing : 0;
}

// Pages with their best sections, the best page first. What the glossary says of a term counts for the chapter, too, that
// it names there: the one that explains the term.
function find(query) {
  const asked = patterns(query), pages = new Map(), explained = new Map();
  for (const section of SECTIONS) {
    const [page, anchor, heading, text] = section, answer = score(section, asked);
    const value = answer * weightOf(page) * (ASIDE.test(heading) ? 0.5 : 1);
    if (value) pages.set(page, [...(pages.get(page) ?? []), { section, value }]);
    const chapter = anchor.startsWith("term-") ? text.match(/.*chapter (\d+)/i)?.[1].padStart(2, "0") : null;
    if (chapter) explained.set(chapter, Math.max(answer, explained.get(chapter) ?? 0));
  }
  const ranked = [...pages].map(([page, hits]) => {
    hits.sort((a, b) => b.value - a.value);
    const value = hits.reduce((sum, hit, i) => sum + hit.value / 2 ** i, EXPLAINED * (explained.get(page.slice(0, 2)) ?? 0));
    return { page, hits: hits.slice(0, PER_PAGE), value };
  });
  ranked.sort((a, b) => b.value - a.value);
  const least = (ranked[0]?.value ?? 0) / 20;
  return { asked, ranked: ranked.filter((one) => one.value >= least) };
}

// A piece of the text around the first match, matches marked.
function excerpt(text, asked) {
  const all = asked.flatMap((pair) => pair.filter(Boolean));
  const first = Math.min(...all.map((pattern) => { const at = text.search(pattern); return at < 0 ? Infinity : at; }));
  const from = first < Infinity ? Math.max(0, text.lastIndexOf(" ", Math.max(0, first - AROUND)) + 1) : 0;
  const piece = text.slice(from, text.indexOf(" ", from + 2 * AROUND) + 1 || undefined), line = document.createElement("p");
  let at = 0;
  const matches = all.flatMap((pattern) => [...piece.matchAll(pattern)]).sort((a, b) => a.index - b.index);
  line.append(from ? "… " : "");
  for (const match of matches.filter((m) => m[0].length > 1)) {
    if (match.index < at) continue;
    const mark = Object.assign(document.createElement("mark"), { textContent: match[0] });
    line.append(piece.slice(at, match.index), mark);
    at = match.index + match[0].length;
  }
  line.append(piece.slice(at), from + piece.length < text.length ? " …" : "");
  return line;
}

function link(address, text) {
  return Object.assign(document.createElement("a"), { href: address, textContent: text });
}

function show(query) {
  const { asked, ranked } = find(query), box = document.getElementById("search-results");
  const titles = new Map(SECTIONS.filter(([, anchor]) => !anchor).map(([page, , heading]) => [page, heading]));
  const said = Object.assign(document.createElement("p"), { role: "status" });
  said.textContent = ranked.length
    ? `${ranked.length} ${ranked.length === 1 ? "page" : "pages"} for “${query}”`
    : `Nothing matches “${query}”. Try one word, or look into the glossary.`;
  box.replaceChildren(said);
  for (const { page, hits } of ranked) {
    const part = box.appendChild(document.createElement("section"));
    part.appendChild(document.createElement("h2")).append(link(`${page}.html`, titles.get(page)));
    const list = part.appendChild(document.createElement("ul"));
    for (const { section: [, anchor, heading, text] } of hits) {
      const item = list.appendChild(document.createElement("li"));
      if (anchor) item.append(link(`${page}.html#${anchor}`, heading));
      item.append(excerpt(text, asked));
    }
  }
}

const query = new URLSearchParams(location.search).get("q")?.trim();
if (query) {
  document.querySelectorAll("input[name=q]").forEach((field) => { field.value = query; });
  show(query);
}
