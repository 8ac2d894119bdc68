// The status page: takes the server-sent events of the container, and has its parts drawn.

import { clearSamples, drawCharts, takeSamples } from "./charts.js";
import { clearEvents, startEvents, takeEvents } from "./events.js";
import { $, SECOND, clock, element, megabytes, span } from "./format.js";
import { startPanels } from "./panels.js";
import { clearSensors, refreshTimes, startTable, takeSensors } from "./table.js";

const RETRY = 5 * SECOND; // wait after a refused connection

let node = {};

function sharing(report) {
  if (!report) return "";
  const drained = report.drained ? ", drained" : "";
  return `, holds ${report.held} of ${report.sensors} sensors${drained}, nodes up: ${report.up}`;
}

function drawNode() {
  $("#name").textContent = node.name;
  $("#container").textContent =
    `version ${node.version}, pid ${node.pid}, up ${span(Date.now() / SECOND - node.started)}, ` +
    `${megabytes(node.memory)}${sharing(node.sharing)}`;
  $("#sensors").classList.toggle("shared", Boolean(node.sharing));
  const isWell = node.checks.every((check) => check.ok);
  document.title = `${isWell ? "" : "! "}st2sensor ${node.name}`;
}

function drawChecks() {
  const checks = node.checks.map((check) => {
    const made = element("div", check.ok ? "check" : "check bad", check.name);
    if (!check.ok) made.append(element("small", "", `since ${clock(check.since)}: ${check.reason}`));
    return made;
  });
  const notes = node.notes.map((note) => element("div", "check note", note));
  $("#checks").replaceChildren(...checks, ...notes);
}

function take(message) {
  node = { ...node, ...message.node };
  if (message.node.checks || message.node.notes) drawChecks();
  drawNode();
  takeSensors(message.sensors, message.gone || []);
  takeEvents(message.events, message.more || 0);
  takeSamples(message.samples);
}

function listen() {
  const source = new EventSource("events");
  source.addEventListener("whole", (message) => {
    clearSensors();
    clearEvents();
    clearSamples();
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

// The header of the table stays below the bar of filters, whose height depends on the number of states.
new ResizeObserver(([bar]) => {
  document.documentElement.style.setProperty("--bar", `${Math.floor(bar.borderBoxSize[0].blockSize)}px`);
}).observe($("nav"));

startTable();
startEvents();
startPanels();
setInterval(refreshTimes, 5 * SECOND);
setInterval(drawCharts, 30 * SECOND);
listen();
