// `gome ui`: the list of runs, one run as it is followed, and runs side by side. Texts are text nodes only.
const MAIN = document.getElementById("main"), CHOSEN = new Set();
let source = null, fresh = 0;

function spark(run, wide) {
  if (run.curve.length < 2) return "";
  const [w, tall] = wide ? [600, 160] : [96, 22], heights = run.curve.map((v) => (run.rising ? v : -v)), low = Math.min(...heights), span = Math.max(...heights) - low || 1;
  const points = heights.map((v, i) => `${2 + (i * (w - 4)) / (heights.length - 1)},${tall - 4 - ((v - low) / span) * (tall - 8)}`).join(" ");
  return s("svg", { class: wide ? null : "spark", viewBox: `0 0 ${w} ${tall}`, width: wide ? null : w, height: wide ? null : tall, preserveAspectRatio: "none", role: "img", "aria-label": `best score so far, ${run.curve.length} improvements` }, s("polyline", { points }));
}
const stateOf = (run) => h("span", { class: `state ${run.state}` }, run.state);
const day = (t) => (t ? new Date(1000 * t).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" }) : "–");
const place = (kind, ...names) => `#/${kind}/${names.map(encodeURIComponent).join("/")}`;
const cellsOf = (head, cells) => h("tr", {}, h("th", { scope: "row" }, head), ...cells.map((cell) => h("td", {}, cell)));

// One stream is open at a time: that of the page that is shown.
function follow(address, draw) {
  if (source) source.close();
  const lost = document.getElementById("lost");
  source = new EventSource(address);
  source.onmessage = (event) => { lost.textContent = ""; draw(JSON.parse(event.data)); };
  source.onerror = () => { lost.textContent = "Not connected: is gome ui still running?"; };
}

function drawRuns({ runs }) {
  const names = new Set(runs.map((run) => run.name));
  for (const name of CHOSEN) if (!names.has(name)) CHOSEN.delete(name);
  const compare = h("button", { type: "button", id: "compare", disabled: CHOSEN.size < 2, onclick: () => { location.hash = place("compare", ...CHOSEN); } }, `Compare ${CHOSEN.size || ""}`.trim());
  const tick = (run) => h("input", { type: "checkbox", checked: CHOSEN.has(run.name), "aria-label": `Choose ${run.name}`, onchange: (event) => { if (event.target.checked) CHOSEN.add(run.name); else CHOSEN.delete(run.name); compare.disabled = CHOSEN.size < 2; compare.textContent = `Compare ${CHOSEN.size || ""}`.trim(); } });
  const row = (run) => h("tr", {}, h("td", {}, tick(run)), h("th", { scope: "row" }, h("a", { href: place("run", run.name) }, run.task), h("span", { class: "name" }, run.name)), h("td", {}, stateOf(run)), h("td", { class: "wide" }, run.metric),
    h("td", { class: "num" }, run.best), h("td", { class: "num" }, run.gain), h("td", { class: "wide" }, spark(run)), h("td", { class: "num wide" }, `${run.accepted} of ${run.attempts}`), h("td", { class: "num wide" }, run.time), h("td", { class: "soft" }, day(run.last)));
  const titles = [["", ""], ["Run", ""], ["State", ""], ["Metric", "wide"], ["Best", "num"], ["Gain", "num"], ["Curve (up is better)", "wide"], ["Accepted", "num wide"], ["Time", "num wide"], ["Last event", ""]];
  const head = h("thead", {}, h("tr", {}, ...titles.map(([title, kind]) => h(title ? "th" : "td", { scope: title ? "col" : null, class: kind || null }, title))));
  const focused = document.activeElement && document.activeElement.getAttribute("aria-label");
  MAIN.replaceChildren(h("h1", { class: "title" }, `${runs.length} ${runs.length === 1 ? "run" : "runs"}`),
    runs.length ? h("div", {}, h("div", { class: "toolbar" }, compare, h("span", { class: "soft" }, "Choose two or more runs to compare them.")), h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table of runs" }, h("table", { class: "runs" }, head, h("tbody", {}, ...runs.map(row))))) : h("p", { class: "prose soft" }, "No runs yet. ", h("code", {}, "gome run DIR"), " starts one."));
  if (focused) MAIN.querySelector(`[aria-label=${JSON.stringify(focused)}]`)?.focus();
}

function drawRun({ run, change, helped, now, budgets, lines }) {
  document.title = `${run.task} · ${run.best} · Gome`;
  const activity = now.length > 0 && h("section", {}, h("h2", {}, "In progress"), h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Activity of each trace" }, h("table", { class: "plain" },
    h("thead", {}, h("tr", {}, ...["Trace", "Step", "Activity", "Elapsed", "Hypothesis"].map((t) => h("th", { scope: "col" }, t)))),
    h("tbody", {}, ...now.map((row) => h("tr", {}, h("td", {}, String(row.trace)), h("td", {}, String(row.step)), h("td", {}, row.activity), h("td", {}, row.elapsed), h("td", { class: "wrap" }, row.hypothesis, row.progress ? h("span", { class: "soft" }, ` ${row.progress}`) : null)))))));
  const bar = (b) => h("div", {}, h("dt", {}, b.name), h("dd", {}, b.share === null ? null : s("svg", { viewBox: "0 0 100 4", preserveAspectRatio: "none", "aria-hidden": "true" }, s("rect", { class: "rail", width: 100, height: 4 }), s("rect", { class: "used", width: b.share, height: 4 })), h("span", {}, b.text)));
  MAIN.replaceChildren(h("div", { class: "crumbs" }, h("a", { href: "#/" }, "← All runs"), h("a", { href: `/run/${encodeURIComponent(run.name)}/report`, id: "report" }, "Open the report →")),
    h("div", { class: "live-head" }, h("h1", {}, run.task), stateOf(run), h("span", { class: "run" }, run.name), h("span", { class: "soft" }, `${run.accepted} of ${run.attempts} attempts accepted, ${run.time}`)),
    h("p", { class: "big-score" }, change, " ", h("small", {}, run.metric)), h("p", { class: "helped" }, helped),
    run.curve.length > 1 ? h("section", {}, h("h2", {}, "Best score so far (up is better)"), h("div", { class: "card curve-box" }, spark(run, true))) : "",
    activity || "", h("section", {}, h("h2", {}, "Budget used"), h("dl", { class: "budget" }, ...budgets.map(bar))),
    h("section", {}, h("h2", {}, "Latest events"), h("div", { class: "card log", id: "log" }, ...lines.map((l) => h("div", {}, h("span", { class: `kind ${l.kind}` }, `${l.kind}${l.trace === null || l.trace < 0 ? "" : ` t${l.trace}`}`), "  ", l.text)))));
}

async function drawComparison(names) {
  const shown = ++fresh, answer = await fetch(`/compare?${names.map((name) => `run=${encodeURIComponent(name)}`).join("&")}`);
  if (shown !== fresh) return;
  if (!answer.ok) return MAIN.replaceChildren(h("p", { class: "notice" }, await answer.text()), h("a", { href: "#/" }, "← All runs"));
  const found = await answer.json(), head = h("thead", {}, h("tr", {}, h("td", {}), ...found.runs.map((run) => h("th", { scope: "col" }, h("a", { href: place("run", run.name) }, run.name)))));
  const table = (label, rows) => h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, h("table", { class: "compare" }, head.cloneNode(true), h("tbody", {}, ...rows)));
  return MAIN.replaceChildren(h("div", { class: "crumbs" }, h("a", { href: "#/" }, "← All runs")), h("h1", { class: "title" }, "Comparison"), ...found.notes.map((note) => h("p", { class: "note warn" }, note)),
    table("Results", [cellsOf("curve", found.runs.map((run) => spark(run) || "–")), ...found.facts.map(([label, cells]) => cellsOf(label, cells))]),
    found.settings.length ? h("section", {}, h("h2", {}, "Settings that differ"), table("Settings that differ", found.settings.map(([label, cells]) => cellsOf(label, cells)))) : h("p", { class: "soft" }, "All settings are the same."),
    found.diff ? h("section", {}, h("h2", {}, `Best script of ${found.runs[1].name} against ${found.runs[0].name}`), diffBlock(found.diff.replace(/^---.*\n\+\+\+.*\n/, ""), "Difference of the best scripts")) : "");
}

function route() {
  const [kind, ...names] = location.hash.replace(/^#\//, "").split("/").filter(Boolean).map(decodeURIComponent);
  fresh += 1;
  document.title = "Runs · Gome";
  if (kind === "run" && names.length === 1) return follow(`/run/${encodeURIComponent(names[0])}/follow`, drawRun);
  if (kind === "compare" && names.length > 1) { if (source) source.close(); return drawComparison(names); }
  return follow("/runs", drawRuns);
}
addEventListener("hashchange", route);
route();
