// All attempts as a table: the plots as text, filtered and shown a hundred at a time.
const PAGE = 100;
const CHOICE = { verdict: "", trace: "", text: "", shown: PAGE };

function chosen() {
  const text = CHOICE.text.toLowerCase();
  return ATTEMPTS.filter((a) => (!CHOICE.verdict || a.verdict === CHOICE.verdict) && (!CHOICE.trace || String(a.trace) === CHOICE.trace)
    && (!text || `${a.id} ${a.text} ${a.component || ""}`.toLowerCase().includes(text)));
}

function rowOf(attempt) {
  return h("tr", { role: "row" },
    h("td", { role: "cell" }, h("a", { href: link(attempt) }, attempt.id), attempt.id === DATA.best ? h("span", { class: "star" }, " ★", h("span", { class: "hidden" }, "best")) : null),
    h("td", { role: "cell" }, verdictOf(attempt.verdict)),
    h("td", { role: "cell", class: "num" }, score(attempt.score, attempt.se)),
    h("td", { role: "cell", class: "num wide" }, gain(attempt.gain, attempt.gainSe)),
    h("td", { role: "cell", class: "wrap" }, attempt.text),
    h("td", { role: "cell", class: "wide soft" }, attempt.component || attempt.kind),
    h("td", { role: "cell", class: "num wide" }, duration(attempt.seconds)));
}

function drawTable() {
  const found = chosen(), place = document.getElementById("attempts");
  if (!found.length) return place.replaceChildren(h("p", { class: "soft" }, ATTEMPTS.length ? "No attempt matches." : "No script has run yet."));
  const titles = [["Attempt", ""], ["Verdict", ""], ["Score", "num"], ["Gain", "num wide"], ["Hypothesis", ""], ["Component", "wide"], ["Time", "num wide"]];
  const head = h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, ...titles.map(([title, kind]) => h("th", { scope: "col", role: "columnheader", class: kind || null }, title))));
  const table = h("table", { class: "list", role: "table" }, head, h("tbody", { role: "rowgroup" }, ...found.slice(0, CHOICE.shown).map(rowOf)));
  const more = found.length > CHOICE.shown && h("button", { type: "button", class: "more", onclick: () => { CHOICE.shown += 5 * PAGE; drawTable(); } }, `Show more of ${found.length.toLocaleString("en")}`);
  return place.replaceChildren(h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table of attempts" }, table), more || "");
}

function drawFilters() {
  const again = (name) => (event) => { CHOICE[name] = event.target.value; CHOICE.shown = PAGE; drawTable(); };
  const select = (name, label, values) => h("select", { "aria-label": label, onchange: again(name) }, h("option", { value: "" }, label), ...values.map(([value, text]) => h("option", { value }, text)));
  const traces = [...new Set(ATTEMPTS.map((a) => a.trace))].sort((a, b) => a - b);
  document.getElementById("filters").append(
    select("verdict", "All verdicts", VERDICTS.map((v) => [v, v])),
    select("trace", "All traces", traces.map((t) => [t, t < 0 ? "final" : `trace ${t}`])),
    h("input", { type: "search", placeholder: "Find a hypothesis", "aria-label": "Find a hypothesis", oninput: again("text") }));
}
