// The stretch of time on show, shared by both canvases, and what both draw alike. Times in microseconds.
const GAP = 14;
const LEAST = 20;
let end = 1;
for (const lane of data.lanes) for (const step of lane.steps) end = Math.max(end, step[1]);
for (const request of data.requests) for (const phase of request.phases) end = Math.max(end, phase[2]);

const view = { from: 0, to: end, gutter: 150, width: 0, cursor: null, hover: null, chosen: null };
const painters = [];
let asked = false;

function repaint() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    for (const paint of painters) paint();
  });
}

const plotWidth = () => Math.max(1, view.width - view.gutter - GAP);
const xOf = (us) => view.gutter + ((us - view.from) / (view.to - view.from)) * plotWidth();
const timeAt = (x) => view.from + ((x - view.gutter) / plotWidth()) * (view.to - view.from);

function show(from, to) {
  const span = Math.min(Math.max(to - from, LEAST), end * 1.04);
  const middle = (from + to) / 2;
  view.from = Math.min(Math.max(middle - span / 2, -0.02 * end), 1.02 * end - span);
  view.to = view.from + span;
  repaint();
}

const fit = () => show(-0.01 * end, 1.01 * end);

function zoom(factor, at = (view.from + view.to) / 2) {
  show(at - (at - view.from) * factor, at + (view.to - at) * factor);
}

function fitRequest(request) {
  const last = request.phases.reduce((latest, phase) => Math.max(latest, phase[2]), request.start);
  const room = Math.max((last - request.start) * 0.08, LEAST);
  show(request.start - room, last + room);
  if (view.chosen !== request) choose(request);
}

// A canvas in CSS pixels, sharp on dense screens.
function prepare(canvas, height) {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.parentElement.clientWidth;
  const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
  canvas.style.height = `${height}px`;
  if (canvas.width !== wide || canvas.height !== high) [canvas.width, canvas.height] = [wide, high];
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.textBaseline = "middle";
  return context;
}

let colors = {};
function readColors() {
  const style = getComputedStyle(document.documentElement);
  const names = "panel line grid ink soft hover chosen queue prefill handoff decode bad on-block".split(" ");
  colors = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

function tickStep(about) {
  const power = 10 ** Math.floor(Math.log10(about));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= about);
}

function ticks() {
  const step = Math.max(1, tickStep(((view.to - view.from) * 95) / plotWidth()));
  const found = [];
  for (let at = Math.ceil(Math.max(0, view.from) / step) * step; at <= view.to; at += step) found.push(at);
  return { step, found };
}

function inPlot(context, height, draw) {
  context.save();
  context.beginPath();
  context.rect(view.gutter, 0, plotWidth() + GAP, height);
  context.clip();
  draw();
  context.restore();
}

function drawGrid(context, top, height) {
  context.fillStyle = colors.grid;
  for (const at of ticks().found) context.fillRect(Math.round(xOf(at)), top, 1, height);
}

function drawCursor(context, height) {
  if (view.cursor === null || view.cursor < view.gutter) return;
  context.fillStyle = colors.soft;
  context.fillRect(Math.round(view.cursor), 0, 1, height);
}
