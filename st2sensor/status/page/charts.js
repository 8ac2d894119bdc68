// Two charts of the last hour, from the container's samples of ten seconds.

import { $, clock, drawing } from "./format.js";

const HOUR = 3600, MINUTE = 60; // seconds
const SAMPLES = 360;
const WIDTH = 600, HEIGHT = 72; // of a chart, without its texts
const GAP = 30; // seconds without a sample after which a line is broken

let samples = []; // [seconds since the epoch, triggers since the one before, depth of the outbox]

// The number of triggers in the minute before each sample, as [time, number].
function rates() {
  let sum = 0, start = 0;
  return samples.map(([at, triggers]) => {
    sum += triggers;
    while (samples[start][0] <= at - MINUTE) sum -= samples[start++][1];
    return [at, sum];
  });
}

function rounded(top) {
  const size = 10 ** Math.floor(Math.log10(Math.max(top, 1)));
  const limits = [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((step) => step * size);
  return limits.find((limit) => limit >= top && Number.isInteger(limit));
}

// The parts of a line between gaps.
function pieces(points) {
  const found = [];
  points.forEach((point, index) => {
    if (!index || point[0] - points[index - 1][0] > GAP) found.push([]);
    found[found.length - 1].push(point);
  });
  return found;
}

function drawChart(figure, points, name) {
  const end = Date.now() / 1000;
  const limit = rounded(Math.max(...points.map(([, value]) => value), 1));
  const x = (at) => (WIDTH * (1 - (end - at) / HOUR)).toFixed(1);
  const y = (value) => (HEIGHT * (1 - value / limit)).toFixed(1);
  const svg = drawing("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
  for (const part of [0, 0.5, 1]) {
    svg.append(drawing("path", { class: "grid", d: `M0 ${HEIGHT * part}H${WIDTH}` }));
  }
  for (const piece of pieces(points)) {
    const line = piece.map(([at, value]) => `${x(at)} ${y(value)}`).join("L");
    const [first, last] = [piece[0][0], piece[piece.length - 1][0]];
    svg.append(drawing("path", { class: "area", d: `M${x(first)} ${HEIGHT}L${line}L${x(last)} ${HEIGHT}z` }));
    svg.append(drawing("path", { class: "line", d: `M${line}` }));
  }
  const now = points.length ? points[points.length - 1][1] : 0;
  const [peakAt, peak] = points.reduce((best, point) => (point[1] > best[1] ? point : best), [0, 0]);
  const most = peak ? `, at most ${peak} at ${clock(peakAt)}` : "";
  figure.querySelector("output").textContent = `${now} now${most}`;
  svg.setAttribute("aria-label", `${name} in the last hour: ${now} now${most}`);
  figure.querySelector("svg")?.remove();
  figure.dataset.top = limit;
  figure.querySelector("figcaption").after(svg);
}

export function drawCharts() {
  const oldest = Date.now() / 1000 - HOUR;
  drawChart($("#triggers-chart"), rates().filter(([at]) => at >= oldest), "Triggers per minute");
  const depths = samples.filter(([at]) => at >= oldest).map(([at, , depth]) => [at, depth]);
  drawChart($("#outbox-chart"), depths, "Triggers waiting in the outbox");
}

export function clearSamples() {
  samples = [];
}

// Take samples, oldest first. Known ones are left out.
export function takeSamples(taken) {
  const last = samples.length ? samples[samples.length - 1][0] : 0;
  const unseen = taken.filter(([at]) => at > last);
  if (!unseen.length && samples.length) return;
  samples = [...samples, ...unseen].slice(-SAMPLES);
  drawCharts();
}
