"use strict";
// Elements are built with text nodes only: text of a script or a model is never parsed as markup.
const DATA = JSON.parse(document.getElementById("index").textContent);
const ATTEMPTS = DATA.attempts;
const BY_ID = new Map(ATTEMPTS.map((attempt, order) => [attempt.id, Object.assign(attempt, { order })]));
const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}
const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const s = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

// Numbers as in report/formatting.py: two significant digits of the standard error decide the decimals.
function places(value, se, digits = 4) {
  if (se > 0) return Math.min(6, Math.max(0, 1 - Math.floor(Math.log10(se))));
  if (!value) return digits;
  return Math.min(6, Math.max(0, digits - 1 - Math.floor(Math.log10(Math.abs(value)))));
}
function signed(value, se, digits, plus) {
  const n = places(value, se, digits);
  const sign = value < 0 ? "−" : plus;
  if (Math.abs(value) >= 1e7) return sign + Math.abs(value).toPrecision(3);
  return sign + Math.abs(value).toFixed(n) + (se === undefined || se === null ? "" : ` ± ${se.toFixed(n)}`);
}
const score = (value, se) => (value === undefined || value === null ? "–" : signed(value, se, 4, ""));
// A gain is positive where it is better; under a metric that falls, words say which way the score went.
const worded = (value, se, [up, down]) => (value ? `${value > 0 ? up : down} ${signed(Math.abs(value), se, 3, "")}` : `equal (${signed(0, se, 3, "")})`);
const known = (value) => value !== undefined && value !== null;
const gain = (value, se) => (!known(value) ? "–" : DATA.rising ? signed(value, se, 3, "+") : worded(value, se, ["lower by", "higher by"]));
const benefit = (value, se) => (known(value) ? worded(value, se, ["better by", "worse by"]) : "–");
function duration(seconds) {
  if (seconds === undefined || seconds === null) return "–";
  if (seconds < 60) return seconds < 9.95 ? `${seconds.toFixed(1)} s` : `${Math.round(seconds)} s`;
  const whole = Math.floor(seconds), two = (n) => String(n).padStart(2, "0");
  const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}
const better = (one, two) => (DATA.rising ? one > two : one < two);
const link = (attempt) => `#/attempt/${encodeURIComponent(attempt.id)}`;
const where = (attempt) => (attempt.trace < 0 ? "final" : `trace ${attempt.trace}, step ${attempt.step}`);
