// The exchanges with models of one attempt, folded; what an earlier prompt had is named, not repeated.
const knownPart = (p) => h("p", { class: "soft" }, `[${p.known.toLocaleString("en")} characters as in an earlier prompt: ${p.text}]`);
const plainText = (text, label) => h("pre", { class: "code", tabindex: "0", role: "region", "aria-label": label }, text);
function promptPart(turns) {
  return turns.map((turn) => h("details", {}, h("summary", {}, `Prompt, ${turn.role}`), ...turn.parts.map((p) => (p.known ? knownPart(p) : plainText(p.text, `Prompt, ${turn.role}`)))));
}
function callEntry(call) {
  return h("details", { class: "call" }, h("summary", {}, call.title), ...call.notes.map((note) => h("p", { class: "prose soft" }, note)), ...promptPart(call.turns),
    call.thinking && h("details", {}, h("summary", {}, "Reasoning"), plainText(call.thinking, "Reasoning")),
    call.answer && h("details", { open: true }, h("summary", {}, "Answer"), plainText(call.answer, "Answer")));
}
const callsPart = (detail) => detail.calls.length > 0 && part("Calls of the model", ...detail.calls.map(callEntry));
