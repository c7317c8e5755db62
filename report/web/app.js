// Routes, theme, copying, and the reload while the run is in progress.
const OVERVIEW = document.getElementById("overview"), PAGE_ROOM = document.getElementById("page"), TITLE = document.title;
let returnTo = 0;

async function route(first) {
  const found = /^#\/attempt\/(.+)$/.exec(location.hash), attempt = found && BY_ID.get(decodeURIComponent(found[1]));
  hush();
  if (!attempt) {
    const back = !PAGE_ROOM.hidden;
    PAGE_ROOM.hidden = true;
    OVERVIEW.hidden = false;
    document.title = TITLE;
    if (back) scrollTo({ top: returnTo, behavior: "instant" });
    return;
  }
  if (PAGE_ROOM.hidden && !first) returnTo = scrollY;
  let page;
  try {
    page = attemptPage(attempt, await detailOf(attempt));
  } catch (error) {
    page = h("p", { class: "notice", tabindex: "-1" }, `The details of ${attempt.id} could not be unpacked (${error.message}). Try a newer browser.`);
  }
  OVERVIEW.hidden = true;
  PAGE_ROOM.hidden = false;
  PAGE_ROOM.replaceChildren(page);
  document.title = `${attempt.id} · ${TITLE}`;
  scrollTo({ top: 0, behavior: "instant" });
  (PAGE_ROOM.querySelector("h1") || page).focus({ preventScroll: true });
}

function keys(event) {
  if (event.target.closest("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (PAGE_ROOM.hidden) return;
  if (event.key === "Escape") location.hash = "#/";
  const wanted = { j: "next", k: "prev" }[event.key], target = wanted && PAGE_ROOM.querySelector(`a[rel=${wanted}]`);
  if (target) location.hash = target.getAttribute("href");
}

function themes() {
  const button = document.getElementById("theme"), order = ["auto", "light", "dark"];
  const kept = (value) => { try { if (value) localStorage.setItem("gome-theme", value); return localStorage.getItem("gome-theme"); } catch { return value; } };
  const show = (name) => { document.documentElement.dataset.theme = name; button.textContent = `Theme: ${name}`; };
  show(order.includes(kept()) ? kept() : "auto");
  button.addEventListener("click", () => { const next = order[(order.indexOf(document.documentElement.dataset.theme) + 1) % 3]; kept(next); show(next); });
}

function reloading() {
  const button = document.getElementById("reload");
  if (!DATA.refresh) return;
  let on = true;
  button.hidden = false;
  const show = () => { button.textContent = on ? `Reloads every ${DATA.refresh} s (pause)` : "Reload paused (continue)"; };
  button.addEventListener("click", () => { on = !on; show(); });
  show();
  setInterval(() => { if (on && !document.hidden && getSelection().isCollapsed) location.reload(); }, 1000 * DATA.refresh);
}

function drawBestDiff() {
  const place = document.getElementById("best-diff");
  if (place && DATA.bestDiff) place.append(h("details", { open: DATA.bestDiff.length < 12_000 }, h("summary", {}, "Changes of the script"), diffBlock(DATA.bestDiff, "Difference of the best script to its first draft")));
}

for (const button of document.querySelectorAll("button.copy")) {
  button.addEventListener("click", async () => {
    try { await navigator.clipboard.writeText(button.dataset.copy); button.textContent = "Copied"; } catch { getSelection().selectAllChildren(button.previousElementSibling); }
  });
}
drawLegend();
drawForestLegend();
drawPlots();
drawBestDiff();
redrawn(document.getElementById("curve"), drawCurve);
redrawn(document.getElementById("forest"), drawForest);
drawFilters();
drawTable();
themes();
reloading();
addEventListener("hashchange", () => route(false));
addEventListener("keydown", keys);
route(true);
