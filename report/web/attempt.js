// The page of one attempt, built from its compressed chunk when it is opened.
const UNPACKED = new Map();
function unpack(index) {
  if (!UNPACKED.has(index)) UNPACKED.set(index, (async () => {
    const text = atob(document.getElementById(`chunk-${index}`).textContent.trim());
    const bytes = Uint8Array.from(text, (char) => char.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
  })());
  return UNPACKED.get(index);
}
const detailOf = async (attempt) => (await unpack(Math.floor(attempt.order / DATA.perChunk)))[attempt.order % DATA.perChunk];

const part = (title, ...children) => h("section", {}, h("h2", {}, title), ...children);
const card = (title, ...children) => h("div", { class: "card" }, h("h2", {}, title), ...children);
const percent = (share) => (share === null || share === undefined ? "" : `${Math.round(100 * share)} %`);

function expected(hypothesis) {
  const direction = { 1: "better", 0: "no change", "-1": "worse" }[hypothesis.sign] || "";
  return [hypothesis.size && hypothesis.sign ? `${hypothesis.size} gain`.replace("gain", hypothesis.sign < 0 ? "loss" : "gain") : direction, hypothesis.confidence === null ? "" : `${percent(hypothesis.confidence)} sure`].filter(Boolean).join(", ");
}

// The measured gain with its standard error on a line with zero.
function gainLine(attempt) {
  const spread = Math.max(Math.abs(attempt.gain) + 2 * (attempt.gainSe || 0), 1e-12) * 1.15, x = d3.scaleLinear([-spread, spread], [10, 290]);
  const [low, high] = [attempt.gain - 2 * (attempt.gainSe || 0), attempt.gain + 2 * (attempt.gainSe || 0)];
  return s("svg", { viewBox: "0 0 300 40", class: attempt.verdict, role: "img", "aria-label": `gain ${gain(attempt.gain, attempt.gainSe)}, two standard errors from ${gain(low)} to ${gain(high)}` },
    s("line", { class: "axis", x1: 10, x2: 290, y1: 14, y2: 14 }), s("line", { class: "axis", x1: 150, x2: 150, y1: 4, y2: 24 }),
    s("text", { x: 150, y: 37, "text-anchor": "middle" }, "0"), s("text", { x: 288, y: 37, "text-anchor": "end" }, "better →"), s("text", { x: 12, y: 37 }, "← worse"),
    s("line", { class: "whisker", x1: x(low), x2: x(high), y1: 14, y2: 14 }), s("circle", { class: `mark ${attempt.verdict}`, cx: x(attempt.gain), cy: 14, r: 5 }));
}

// Scores by fold beside the parent's: folds are the same rows, so the pairs are comparable.
function foldPlot(detail) {
  const { folds, parent_folds: before } = detail, all = [...folds, ...before];
  const [low, high] = d3.extent(all), y = d3.scaleLinear([low, high === low ? low + 1 : high], [70, 12]), x = (i) => 20 + (i + 0.5) * (260 / folds.length);
  const words = folds.map((v, i) => `fold ${i}: ${score(v)}${before[i] === undefined ? "" : `, parent ${score(before[i])}`}`).join("; ");
  const svg = s("svg", { viewBox: "0 0 300 100", role: "img", "aria-label": words });
  folds.forEach((value, i) => {
    if (before[i] !== undefined) svg.append(s("line", { class: "axis", x1: x(i) - 7, x2: x(i) + 7, y1: y(before[i]), y2: y(value) }), s("circle", { class: "mark rejected", cx: x(i) - 7, cy: y(before[i]), r: 3.4 }));
    svg.append(s("circle", { class: "mark accepted", cx: x(i) + 7, cy: y(value), r: 4 }, s("title", {}, `fold ${i}: ${score(value)}`)), s("text", { x: x(i), y: 94, "text-anchor": "middle" }, String(i)));
  });
  return svg;
}

function cards(attempt, detail) {
  const found = [];
  found.push(card("Score", h("p", { class: "big" }, score(attempt.score), attempt.se === undefined ? null : h("small", {}, ` ± ${attempt.se.toFixed(places(attempt.score, attempt.se))}`)),
    detail.folds.length > 1 && foldPlot(detail), detail.folds.length > 1 && h("p", { class: "hint" }, detail.parent_folds.length ? "By fold: parent (hollow) and this attempt (filled)." : "By fold.")));
  if (attempt.gain !== undefined) {
    const predicted = detail.hypothesis && expected(detail.hypothesis), noise = attempt.gainSe ? ` (${(attempt.gain / attempt.gainSe).toFixed(1).replace("-", "−")} standard errors)` : "";
    found.push(card("Predicted and measured", h("p", { class: `big ${attempt.verdict}` }, gain(attempt.gain), attempt.gainSe === undefined ? null : h("small", {}, ` ± ${attempt.gainSe.toFixed(places(attempt.gain, attempt.gainSe, 3))}`)),
      gainLine(attempt), h("p", { class: "hint" }, predicted ? `Predicted: ${predicted}. ` : "", `Measured: ${attempt.verdict}${noise}.`)));
  }
  found.push(card("Resources", h("dl", { class: "pairs" }, ...detail.resources.map(([key, value]) => h("div", {}, h("dt", {}, key), h("dd", {}, value))))));
  return h("div", { class: "cards" }, ...found);
}

function linePart(detail) {
  if (!detail.line.length) return null;
  const rows = detail.line.map((cells) => h("tr", {}, ...cells.map((cell) => h("td", {}, cell))));
  return part("Line search: variants of this script", h("table", { class: "plain" }, h("thead", {}, h("tr", {}, ...["variant", "score", "gain", ""].map((name) => h("th", {}, name)))), h("tbody", {}, ...rows)));
}

function diagnosisPart(detail) {
  const found = detail.diagnosis;
  if (!found) return null;
  const seen = found.observations.map((o) => h("li", {}, o.text, ...o.cites.map(([path, value]) => h("span", { class: "cite" }, h("code", {}, path), value ? ` ${value}` : ""))));
  const ranked = found.hypotheses.map((x) => {
    const chosen = detail.hypothesis && x.id === detail.hypothesis.id;
    return h("li", { class: chosen ? "chosen" : null }, x.statement, chosen ? " (chosen)" : "", h("span", { class: "soft" }, [x.component, expected(x)].filter(Boolean).join(" · "), x.refuted_by ? `. Refuted if: ${x.refuted_by}` : ""));
  });
  return part("Diagnosis", h("div", { class: "two" },
    h("div", {}, h("h3", {}, "Observations and evidence"), h("ul", { class: "observations" }, ...seen)),
    h("div", {}, found.causes.length > 0 && h("h3", {}, "Root causes"), h("ol", { class: "causes" }, ...found.causes.map((c) => h("li", {}, c))),
      h("h3", {}, "Hypotheses, ranked"), h("ol", { class: "ranked" }, ...ranked))));
}

function recalledPart(detail) {
  if (!detail.recalled.length) return null;
  const weight = (w) => `${w >= 0 ? "+" : "−"}${Math.abs(w || 0).toFixed(2)}`;
  return part("Recalled from memory", h("ul", { class: "hints" }, ...detail.recalled.map((r) => h("li", {},
    h("span", { class: `weight${(r.weight || 0) < 0 ? " warn" : ""}` }, weight(r.weight)),
    h("span", {}, r.hypothesis, h("span", { class: "soft" }, `${r.kind} · ${benefit(r.gain, r.gain_se)}${r.where ? ` · ${r.where}` : ""}`))))));
}

function offeredPart(detail) {
  if (!detail.offered.length) return null;
  return part("Recipes offered", h("ul", { class: "hints" }, ...detail.offered.map((r) => h("li", {},
    h("span", {}, r.title, h("span", { class: "soft" }, `${r.id} · ${r.evidence}`))))));
}

function evidencePart(detail) {
  const worst = detail.segments.length > 0 && h("table", { class: "plain" }, h("thead", {}, h("tr", {}, ...["Segment with high loss", "Loss / mean", "Rows"].map((t, i) => h("th", { scope: "col", class: i ? "num" : null }, t)))),
    h("tbody", {}, ...detail.segments.map(([column, value, ratio, n]) => h("tr", {}, h("td", {}, `${column} = ${value}`), h("td", { class: "num" }, ratio === null ? "–" : ratio.toFixed(2)), h("td", { class: "num" }, String(n ?? "–"))))));
  const rest = detail.evidence.length > 0 && h("dl", { class: "pairs" }, ...detail.evidence.map(([key, value]) => h("div", {}, h("dt", {}, key), h("dd", {}, value))));
  return (worst || rest) && part("Evidence", h("div", { class: "two" }, worst && h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Segments" }, worst), rest));
}

const folded = (title, text, label) => text && h("details", {}, h("summary", {}, title), codeBlock(text, label));

function attemptPage(attempt, detail) {
  const [previous, next] = [ATTEMPTS[attempt.order - 1], ATTEMPTS[attempt.order + 1]], parent = BY_ID.get(attempt.parent);
  const problems = [...detail.problems, ...(attempt.verdict === "failed" ? detail.reasons : [])];
  const chosen = detail.hypothesis && detail.hypothesis.plan && h("p", { class: "prose soft" }, detail.hypothesis.plan);
  return h("article", { class: "attempt" },
    h("div", { class: "crumbs" }, h("a", { href: "#/" }, "← All attempts"), h("nav", { "aria-label": "Attempts" }, previous && h("a", { href: link(previous), rel: "prev" }, `← ${previous.id}`), next && h("a", { href: link(next), rel: "next" }, `${next.id} →`))),
    h("h1", { tabindex: "-1" }, attempt.text),
    h("p", { class: "meta" }, verdictOf(attempt.verdict), h("span", {}, `${attempt.id}, ${where(attempt)}`), h("span", {}, attempt.kind), attempt.component && h("span", {}, attempt.component),
      parent && h("span", {}, "from ", h("a", { href: link(parent) }, parent.id)), detail.repairs > 0 && h("span", {}, `${detail.repairs} repair${detail.repairs > 1 ? "s" : ""}`), attempt.id === DATA.best && h("span", { class: "accepted" }, "★ best of the run")),
    chosen, ...new Set(problems.map((p) => p)).size ? [...new Set(problems)].map((p) => h("p", { class: "prose problem" }, p)) : [],
    attempt.verdict !== "failed" && detail.reasons.length > 0 && h("p", { class: "prose soft" }, `Verdict: ${detail.reasons.join("; ")}`),
    cards(attempt, detail), linePart(detail), diagnosisPart(detail), recalledPart(detail), offeredPart(detail),
    detail.diff ? part("Script changes", diffBlock(detail.diff)) : parent && detail.script && part("Script changes", h("p", { class: "soft" }, "The script is identical to its parent's, or the two are too long to compare.")),
    part("Script and log", folded("Full script", detail.script, "Script"), detail.log ? h("details", { open: attempt.verdict === "failed" }, h("summary", {}, "End of the log"), h("pre", { class: "code", tabindex: "0", role: "region", "aria-label": "Log" }, detail.log)) : h("p", { class: "soft" }, "No output.")),
    evidencePart(detail), callsPart(detail));
}
