// The table of sensors: its rows, their order, and which of them are shown.

import { $, ago, drawing, element, link, megabytes, stateOf, why } from "./format.js";

const WIDTH = 120, HEIGHT = 18; // of a sparkline
const SPANS = 59; // complete spans of ten seconds in a sparkline
const ORDER = ["failing", "refused", "down", "backoff"]; // states that come first
const LATER = ["starting", "stopping", "waiting", "running"];
const LARGEST_FIRST = new Set(["restarts", "triggers_per_minute", "memory"]);

const sensors = new Map(); // the container's rows, by reference
const rows = new Map(); // table rows with their cells, by reference
let sorting = { by: "state", descending: false };
let state = ""; // the chosen state; empty for all

export const IN_TROUBLE = "in trouble";

const isTroubled = (report) => report.troubles.length > 0;
const isOf = (report, wanted) => (wanted === IN_TROUBLE ? isTroubled(report) : stateOf(report) === wanted);

function sparkline(counts) {
  const top = Math.max(...counts, 1), width = WIDTH / SPANS, skipped = SPANS - counts.length;
  const bar = (count, index) => {
    const tall = Math.max(1, (count / top) * HEIGHT);
    return count ? `M${(skipped + index) * width} ${HEIGHT}v${-tall}h${width - 0.4}v${tall}z` : "";
  };
  const svg = drawing("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": "true" });
  svg.append(drawing("path", { d: counts.map(bar).join("") }));
  return svg;
}

function blankRow(ref) {
  const row = element("tr");
  row.dataset.ref = ref;
  const name = link(`#sensor/${encodeURIComponent(ref)}`, ref);
  name.className = "name";
  const cells = {
    state: element("td", "state-cell"),
    sensor: element("td", "sensor"),
    node: element("td", "node"),
    since: element("td", "since"),
    restarts: element("td", "number restarts"),
    rate: element("td", "number rate"),
    graph: element("td", "graph"),
    memory: element("td", "number memory"),
  };
  const reasons = element("ul", "why");
  cells.sensor.append(name, reasons);
  row.append(...Object.values(cells));
  return { row, cells, reasons, words: "" };
}

function drawReasons(found, report) {
  const lines = why(report);
  found.words = `${report.ref} ${stateOf(report)} ${isTroubled(report) ? IN_TROUBLE : ""} ${lines.join(" ")}`.toLowerCase();
  const levels = report.troubles.map((trouble) => trouble.level);
  const extra = lines.length - levels.length; // the reason for the state comes first
  found.reasons.replaceChildren(...lines.map((text, index) => element("li", levels[index - extra] || "", text)));
}

function draw(report) {
  let found = rows.get(report.ref);
  if (!found) {
    found = blankRow(report.ref);
    rows.set(report.ref, found);
  }
  const { row, cells } = found;
  const name = stateOf(report);
  row.classList.toggle("troubled", isTroubled(report));
  cells.state.replaceChildren(element("span", `state ${name}${isTroubled(report) ? " troubled" : ""}`, name));
  drawReasons(found, report);
  cells.node.textContent = report.node || "";
  cells.since.textContent = ago(report.since);
  cells.restarts.textContent = report.restarts || "";
  const held = report.held ? `${report.held} held` : "";
  cells.rate.textContent = [report.triggers_per_minute || "", held].filter(Boolean).join(", ");
  cells.memory.textContent = megabytes(report.memory);
  cells.graph.replaceChildren(...(report.recent.length ? [sparkline(report.recent)] : []));
}

function rank(report) {
  const first = ORDER.indexOf(stateOf(report));
  if (first !== -1) return first;
  if (isTroubled(report)) return ORDER.length;
  const place = LATER.indexOf(report.state);
  return ORDER.length + 1 + (place === -1 ? LATER.length : place);
}

function key(report) {
  if (sorting.by === "state") return rank(report);
  if (sorting.by === "since") return -(report.since || 0);
  if (LARGEST_FIRST.has(sorting.by)) return -(report[sorting.by] || 0);
  return report[sorting.by] ?? "";
}

function compare(one, other) {
  const [a, b] = [key(one), key(other)];
  const sign = sorting.descending ? -1 : 1;
  return (a < b ? -1 : a > b ? 1 : 0) * sign || (one.ref < other.ref ? -1 : 1);
}

export function arrange() {
  const wanted = $("#filter").value.trim().toLowerCase().split(/\s+/);
  const shown = [...sensors.values()]
    .filter((report) => !state || isOf(report, state))
    .filter((report) => wanted.every((word) => rows.get(report.ref).words.includes(word)))
    .sort(compare)
    .map((report) => rows.get(report.ref).row);
  const body = $("#sensors tbody");
  if (body.children.length !== shown.length || shown.some((row, index) => body.children[index] !== row)) {
    const focused = document.activeElement;
    body.replaceChildren(...shown);
    if (focused && focused.isConnected) focused.focus({ preventScroll: true });
  }
  $("#none").hidden = shown.length > 0;
  for (const head of document.querySelectorAll("th[data-by]")) {
    if (head.dataset.by !== sorting.by) head.removeAttribute("aria-sort");
    else head.setAttribute("aria-sort", sorting.descending !== LARGEST_FIRST.has(sorting.by) ? "descending" : "ascending");
  }
}

function drawStates() {
  const counts = new Map();
  for (const report of sensors.values()) counts.set(stateOf(report), (counts.get(stateOf(report)) || 0) + 1);
  const found = [...counts].sort((a, b) => b[1] - a[1]).map(([value, count]) => [value, `${count} ${value}`]);
  const troubled = [...sensors.values()].filter(isTroubled).length;
  if (troubled || state === IN_TROUBLE) found.unshift([IN_TROUBLE, `${troubled} in trouble`]);
  found.unshift(["", `${sensors.size} ${sensors.size === 1 ? "sensor" : "sensors"}`]);
  if (state && !found.some(([value]) => value === state)) found.push([state, `0 ${state}`]);
  const buttons = new Map([...$("#states").children].map((button) => [button.dataset.state, button]));
  const drawn = found.map(([value, label]) => {
    const button = buttons.get(value) || element("button", value ? `state ${value.replace(" ", "-")}` : "");
    button.type = "button";
    button.dataset.state = value;
    if (button.textContent !== label) button.textContent = label;
    button.setAttribute("aria-pressed", String(state === value));
    return button;
  });
  // Only if they differ: a button that is moved loses the focus.
  if (drawn.length !== buttons.size || drawn.some((button, index) => $("#states").children[index] !== button)) {
    const focused = document.activeElement;
    $("#states").replaceChildren(...drawn);
    if (focused && focused.isConnected) focused.focus();
  }
}

export function clearSensors() {
  sensors.clear();
  rows.clear();
}

// Take rows, of which all but the first ones hold only what has changed, and references of sensors that are gone.
export function takeSensors(changed, gone) {
  for (const fields of changed) {
    const report = { ...sensors.get(fields.ref), ...fields };
    sensors.set(report.ref, report);
    draw(report);
  }
  for (const ref of gone) {
    sensors.delete(ref);
    rows.delete(ref);
  }
  drawStates();
  arrange();
}

// Draw what changes with time alone.
export function refreshTimes() {
  for (const report of sensors.values()) {
    const found = rows.get(report.ref);
    const since = ago(report.since);
    if (found.cells.since.textContent !== since) found.cells.since.textContent = since;
    if (report.troubles.some((trouble) => trouble.kind === "hang")) drawReasons(found, report);
  }
}

export function startTable() {
  $("#sensors thead").addEventListener("click", (event) => {
    const head = event.target.closest("button") && event.target.closest("th");
    if (!head) return;
    const by = head.dataset.by;
    sorting = { by, descending: sorting.by === by && !sorting.descending };
    arrange();
  });
  $("#sensors tbody").addEventListener("click", (event) => {
    const selecting = String(document.getSelection());
    if (!event.target.closest("a") && !selecting) event.target.closest("tr").querySelector("a").click();
  });
  $("#states").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    state = state === button.dataset.state ? "" : button.dataset.state;
    drawStates();
    arrange();
  });
  $("#filter").addEventListener("input", arrange);
}
