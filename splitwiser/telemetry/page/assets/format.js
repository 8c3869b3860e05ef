// How numbers and elements are made. Text of the run goes through textContent only.
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

function element(tag, text, properties) {
  const made = document.createElement(tag);
  if (text !== undefined && text !== null) made.textContent = text;
  return Object.assign(made, properties);
}

function swatch(phase) {
  const made = element("i");
  made.style.background = `var(--${phase})`;
  return made;
}

const count = (value) => value.toLocaleString("en-US");

function digits(ms) {
  const size = Math.abs(ms);
  return size >= 100 ? 0 : size >= 10 ? 1 : 2;
}

// [number, unit] of a duration, three significant digits or so.
function parts(ms) {
  if (ms >= 10000) return [(ms / 1000).toFixed(1), "s"];
  if (ms >= 1000) return [(ms / 1000).toFixed(2), "s"];
  return [ms.toFixed(digits(ms)), "ms"];
}

const duration = (ms) => (ms === null || ms === undefined ? "–" : parts(ms).join(" "));

// A moment on the axis, as exact as the distance between its ticks asks for.
function moment(us, stepUs) {
  if (stepUs >= 1e6) return `${us / 1e6} s`;
  if (Math.abs(us) >= 1e6) return `${(us / 1e6).toFixed(stepUs >= 1e5 ? 1 : stepUs >= 1e4 ? 2 : stepUs >= 1e3 ? 3 : 4)} s`;
  if (stepUs >= 1000) return `${us / 1000} ms`;
  return `${(us / 1000).toFixed(stepUs >= 100 ? 1 : stepUs >= 10 ? 2 : 3)} ms`;
}

const PHASES = { queue: "queue", prefill: "prefill", handoff: "hand-off", decode: "decode" };
const isGood = (outcome) => outcome === "stop" || outcome === "length";
const isNeutral = (outcome) => outcome === "cancelled" || outcome === "unfinished";
