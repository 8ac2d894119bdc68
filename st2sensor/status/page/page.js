// The status page: updates a table of sensors from the server-sent events of the container.
"use strict";

const EVENTS = 60; // maximum number of events in the list
const ROOM = 120, HEIGHT = 18; // pixels of a sparkline
const SECOND = 1000;
const RETRY = 5 * SECOND; // wait after a refused connection

const sensors = new Map(); // reports by reference
const rows = new Map(); // table rows by reference
let node = null;
let sorting = { by: "state", descending: false };
let state = ""; // the chosen state; empty for all
let opened = ""; // the sensor whose details are shown

const $ = (selector) => document.querySelector(selector);

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

// Values in readable form.

function span(seconds) {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  for (const [size, unit, next, nextUnit] of [[86400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 1, "s"]]) {
    if (seconds >= size) {
      const rest = Math.floor((seconds % size) / next);
      return `${Math.floor(seconds / size)} ${unit}${rest ? ` ${rest} ${nextUnit}` : ""}`;
    }
  }
  return `${Math.round(seconds)} s`;
}

function ago(at) {
  if (!at) return "";
  const seconds = Date.now() / SECOND - at;
  return seconds < 1 ? "now" : `${span(seconds)} ago`;
}

const clock = (at) => (at ? new Date(at * SECOND).toLocaleTimeString([], { hour12: false }) : "");
const megabytes = (bytes) => (bytes === null ? "" : `${(bytes / 2 ** 20).toFixed(1)} MB`);
const hang = (found) =>
  `in ${found.what} for ${span(Date.now() / SECOND - found.since)}; last sign of life: ${ago(found.heard) || "none"}`;
const stateOf = (report) => (report.failing ? "failing" : report.state);
const lastLine = (text) => text.trimEnd().split("\n").pop();

function trouble(report) {
  if (report.refused) return report.refused.split("\n")[0];
  if (report.hang) return hang(report.hang);
  if (report.state !== "running" && report.failures) return report.reason.split("\n")[0];
  if (node.sharing && report.state === "waiting" && !report.node) return report.reason;
  if (report.last_error) return lastLine(report.last_error.text);
  if (report.last_invalid) return report.last_invalid.text;
  if (report.dropped) return `floods its log: ${report.dropped} lines were dropped`;
  return "";
}

// The table.

function sparkline(counts) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", `0 0 ${ROOM} ${HEIGHT}`);
  const top = Math.max(...counts, 1), width = ROOM / counts.length;
  const bar = (count, index) => {
    const tall = Math.max(1, (count / top) * HEIGHT);
    return count ? `M${index * width} ${HEIGHT}v${-tall}h${width - 0.4}v${tall}z` : "";
  };
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", counts.map(bar).join(""));
  svg.append(path);
  return svg;
}

function cells(report) {
  const graph = element("td", "graph");
  if (report.recent.some(Boolean)) graph.append(sparkline(report.recent));
  const shown = element("td");
  shown.append(element("span", `state ${stateOf(report)}`, stateOf(report)));
  const since = element("td", "since", ago(report.since));
  since.dataset.at = report.since || "";
  const why = element("td", "error", trouble(report));
  why.title = trouble(report);
  return [
    element("td", "", report.ref),
    shown,
    element("td", "node", report.node || ""),
    since,
    element("td", "number", report.restarts || ""),
    element("td", "number", report.triggers_per_minute || ""),
    graph,
    element("td", "number", megabytes(report.memory)),
    why,
  ];
}

function draw(report) {
  let row = rows.get(report.ref);
  if (!row) {
    row = element("tr");
    row.tabIndex = 0;
    row.dataset.ref = report.ref;
    rows.set(report.ref, row);
  }
  row.replaceChildren(...cells(report));
}

const ORDER = ["failing", "refused", "backoff", "starting", "stopping", "waiting", "running"];

function rank(report) {
  const place = ORDER.indexOf(stateOf(report));
  return place === -1 ? ORDER.length : place;
}

function key(report) {
  if (sorting.by === "state") return rank(report);
  if (sorting.by === "last_error") return report.last_error ? -report.last_error.at : 0;
  if (sorting.by === "since") return -(report.since || 0);
  return report[sorting.by] ?? (sorting.by === "node" ? "" : 0);
}

function compare(one, other) {
  const [a, b] = [key(one), key(other)];
  const sign = sorting.descending ? -1 : 1;
  return (a < b ? -1 : a > b ? 1 : 0) * sign || (one.ref < other.ref ? -1 : 1);
}

function arrange() {
  const wanted = $("#filter").value.toLowerCase();
  const shown = [...sensors.values()]
    .filter((report) => (!state || stateOf(report) === state) && report.ref.toLowerCase().includes(wanted))
    .sort(compare)
    .map((report) => rows.get(report.ref));
  const body = $("#sensors tbody");
  if (body.children.length !== shown.length || shown.some((row, index) => body.children[index] !== row)) {
    const focused = document.activeElement;
    body.replaceChildren(...shown);
    if (focused && focused.isConnected) focused.focus();
  }
  $("#none").hidden = shown.length > 0;
  for (const head of document.querySelectorAll("th[data-by]")) {
    const direction = sorting.descending ? "descending" : "ascending";
    head.setAttribute("aria-sort", head.dataset.by === sorting.by ? direction : "none");
  }
}

function drawStates() {
  const counts = new Map();
  for (const report of sensors.values()) counts.set(stateOf(report), (counts.get(stateOf(report)) || 0) + 1);
  const button = (value, label) => {
    const made = element("button", value ? `state ${value}` : "", label);
    made.type = "button";
    made.setAttribute("aria-pressed", String(state === value));
    made.addEventListener("click", () => {
      state = state === value ? "" : value;
      drawStates();
      arrange();
    });
    return made;
  };
  const found = [...counts].sort((a, b) => b[1] - a[1]).map(([value, count]) => button(value, `${count} ${value}`));
  $("#states").replaceChildren(button("", `${sensors.size} sensors`), ...found);
}

// The container.

function sharing(report) {
  if (!report) return "";
  const drained = report.drained ? ", drained" : "";
  return `, holds ${report.held} of ${report.sensors} sensors${drained}, nodes up: ${report.nodes.up}`;
}

function drawNode() {
  $("#name").textContent = node.name;
  const waiting = node.outbox_depth ? `, ${node.outbox_depth} triggers are waiting for the broker` : "";
  $("#container").textContent =
    `version ${node.version}, pid ${node.pid}, up ${span(Date.now() / SECOND - node.started)}, ` +
    `${megabytes(node.memory)}${waiting}${sharing(node.sharing)}`;
  $("#sensors").classList.toggle("shared", Boolean(node.sharing));
  const checks = node.checks.map((check) => {
    const made = element("div", check.ok ? "check" : "check bad", check.name);
    if (!check.ok) made.append(element("small", "", `since ${clock(check.since)}: ${check.reason}`));
    return made;
  });
  const notes = node.notes.map((note) => element("div", "check note", note));
  $("#checks").replaceChildren(...checks, ...notes);
  document.title = `${node.checks.every((check) => check.ok) ? "" : "! "}st2sensor ${node.name}`;
}

// The stream.

function describe(event) {
  if (event.kind === "trigger") return event.trigger;
  if (event.kind === "invalid") return `${event.trigger} is a dead letter: ${event.reason}`;
  if (event.kind === "error") return lastLine(event.text);
  return `${event.state}: ${event.reason.split("\n")[0]}`;
}

function drawEvents(events, more) {
  const list = $("#events");
  const item = (kind, at, text) => {
    const made = element("li");
    made.append(element("time", "", clock(at)), element("span", kind, text));
    return made;
  };
  const made = events.map((event) => item(event.kind, event.at, `${event.sensor}: ${describe(event)}`));
  if (more) made.unshift(item("more", events[0].at, `and ${more} more`));
  list.prepend(...made.reverse());
  while (list.children.length > EVENTS) list.lastChild.remove();
}

// One sensor.

function details(report) {
  const block = (text) => element("pre", "", text);
  const poll = report.last_poll;
  const took = poll && (poll.running ? `running for ${span(poll.seconds)}` : `took ${span(poll.seconds)}`);
  return [
    ["state", `${stateOf(report)} since ${clock(report.since)}`],
    ["node", report.node && `${report.node}, under fence ${report.fence}`],
    ["why", ["running", "refused"].includes(report.state) ? "" : report.reason],
    ["next start", clock(report.next_start)],
    ["process", report.pid && `${report.pid}, ${megabytes(report.memory)}, ${(report.cpu ?? 0).toFixed(2)} s of processor time`],
    ["restarts", `${report.restarts}${report.failures ? `, failures in a row: ${report.failures}` : ""}`],
    ["hangs", report.hang && hang(report.hang), "bad"],
    ["last exit", report.last_exit && `${clock(report.last_exit.at)}: ${report.last_exit.text}`],
    ["last poll", poll && `${clock(poll.at)}, ${took}`],
    ["last trigger", report.trigger && `${report.trigger}, ${clock(report.triggered_at)}`],
    ["triggers", `${report.dispatched} dispatched, ${report.invalid} invalid, ${report.dead} dead letters`],
    ["invalid", report.last_invalid && `${clock(report.last_invalid.at)}: ${report.last_invalid.text}`, "bad"],
    ["floods", report.dropped && `${report.dropped} lines of its log were dropped: it logs more than [sensorcontainer] output_rate allows`, "bad"],
    ["may emit", report.trigger_types.join(", ")],
    ["code", report.file],
    ["digest", report.digest && report.digest.slice(0, 16)],
    ["refused", report.refused && block(report.refused), "bad"],
    ["last error", report.last_error && block(`${clock(report.last_error.at)}\n${report.last_error.text}`), "bad"],
  ].filter(([, value]) => value);
}

function drawDetail() {
  const report = sensors.get(opened);
  if (!report) return;
  $("#detail-ref").textContent = report.ref;
  const shown = details(report).flatMap(([name, value, className]) => {
    const description = element("dd", className);
    description.append(value);
    return [element("dt", "", name), description];
  });
  $("#detail dl").replaceChildren(...shown);
}

function open(ref) {
  opened = ref;
  drawDetail();
  $("#detail").showModal();
}

// Messages of the container.

function take(message) {
  node = message.node;
  for (const report of message.sensors) {
    sensors.set(report.ref, report);
    draw(report);
  }
  for (const ref of message.gone || []) {
    sensors.delete(ref);
    rows.delete(ref);
  }
  if (message.events && message.events.length) drawEvents(message.events, message.more);
  drawNode();
  drawStates();
  arrange();
  if ($("#detail").open) drawDetail();
}

function listen() {
  const source = new EventSource("events");
  source.addEventListener("whole", (message) => {
    sensors.clear();
    rows.clear();
    take(JSON.parse(message.data));
  });
  source.addEventListener("message", (message) => take(JSON.parse(message.data)));
  source.addEventListener("open", () => ($("#connection").hidden = true));
  source.addEventListener("error", () => {
    $("#connection").hidden = false;
    // After an answer that is not a stream, the browser does not retry by itself.
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, RETRY);
  });
}

document.querySelector("thead").addEventListener("click", (event) => {
  const by = event.target.dataset.by;
  if (!by) return;
  sorting = { by, descending: sorting.by === by && !sorting.descending };
  arrange();
});
$("#sensors tbody").addEventListener("click", (event) => open(event.target.closest("tr").dataset.ref));
$("#sensors tbody").addEventListener("keydown", (event) => {
  if (event.key === "Enter") open(event.target.closest("tr").dataset.ref);
});
$("#filter").addEventListener("input", arrange);
setInterval(() => {
  for (const cell of document.querySelectorAll("td.since")) cell.textContent = ago(Number(cell.dataset.at));
}, 5 * SECOND);
listen();
