// The dialog: one sensor, its log, or dead letters, as the address says: #sensor/REF, #logs/REF, #dead-letters/REF, #event/ID.

import { $, SECOND, ago, clock, element, firstLine, link, megabytes, span, stateOf, told } from "./format.js";

const REFRESH = 3 * SECOND;
const WITHOUT_REASON = ["running", "refused"];
// Kinds of trouble that rows of their own tell.
const IN_ROWS = ["failing", "failed", "down", "unheld", "refused", "held back", "dead letters", "error", "refused type"];

let timer = 0;
let generation = 0; // counts the panels, so that a late answer does not fill another panel

async function fetched(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error((await answer.text()).trim() || answer.statusText);
  return answer.json();
}

const block = (text) => element("pre", "", text);

function lives(report) {
  const told = WITHOUT_REASON.includes(report.state) ? "" : report.reason;
  const exit = report.last_exit;
  return [
    ["state", `${stateOf(report)}${report.since ? ` since ${clock(report.since)}, ${ago(report.since)}` : ""}`],
    ["node", report.node && `${report.node}, under fence ${report.fence}`],
    ["why", told],
    ["next start", clock(report.next_start)],
    ["process", report.pid && `${report.pid}, ${megabytes(report.memory)}, ${(report.cpu ?? 0).toFixed(2)} s of processor time`],
    ["restarts", `${report.restarts}${report.failures ? `, failures in a row: ${report.failures}` : ""}`],
    ["last exit", exit && exit.text !== told && `${clock(exit.at)}: ${exit.text}`],
  ];
}

function works(report) {
  const poll = report.last_poll;
  const took = poll && (poll.running ? `running for ${span(poll.seconds)}` : `took ${span(poll.seconds)}`);
  const dropped = report.duplicates || report.sampled_out;
  const counts = `${report.triggers_per_minute} a minute, ${report.dispatched} since the container started`;
  return [
    ["last poll", poll && `${ago(poll.at)}, ${took}; ${report.polls} since the container started`],
    ["last trigger", report.trigger && `${report.trigger}, ${ago(report.triggered_at)}`],
    ["triggers", report.dispatched ? counts : ""],
    ["limits", report.limits],
    ["dropped", dropped ? `${report.duplicates} duplicates, and ${report.sampled_out} left out of the sample` : ""],
    ["may emit", report.trigger_types.join(", ")],
    ["code", report.file],
    ["digest", report.digest && report.digest.slice(0, 16)],
  ];
}

function troubles(report) {
  const error = report.last_error;
  const newest = report.last_invalid && ` The newest: ${clock(report.last_invalid.at)}, ${report.last_invalid.text}`;
  return [
    ["held back", report.held_back],
    ...report.troubles.filter(({ kind }) => !IN_ROWS.includes(kind)).map((item) => [item.kind, told(item)]),
    ["dead letters", report.dead && `${report.dead} since the container started.${newest || ""}`],
    ["refused", report.refused && block(report.refused)],
    ...report.refused_types.map((text) => ["refused type", text]),
    ["last error", error && block(`${clock(error.at)}, ${ago(error.at)}\n${error.text}`)],
  ].map(([name, value]) => [name, value, "bad"]);
}

function sensorPanel(report) {
  const list = element("dl");
  for (const [name, value, className] of [...lives(report), ...works(report), ...troubles(report)]) {
    if (!value) continue;
    const description = element("dd", className || "");
    description.append(value);
    list.append(element("dt", "", name), description);
  }
  return [list];
}

function logPanel({ lines }) {
  if (!lines.length) return [element("p", "", "The container keeps no line of this sensor.")];
  const list = element("ol", "log");
  for (const line of lines) {
    const made = element("li", line.level.toLowerCase());
    made.append(element("time", "", clock(line.at)), ` ${line.level} `, element("span", "", line.text));
    list.append(made);
  }
  return [list];
}

function letterPanel({ dead_letters: letters, more }) {
  if (!letters.length) return [element("p", "", "There are no dead letters.")];
  const list = element("ol", "letters");
  for (const letter of letters) {
    const made = element("li");
    const head = element("p");
    const sensor = letter.sensor ? link(`#sensor/${encodeURIComponent(letter.sensor)}`, letter.sensor) : "";
    head.append(element("b", "", letter.id), " ", element("time", "", clock(letter.at)), " ", sensor, ` ${letter.trigger}`);
    made.append(head, element("p", "bad", letter.reason));
    list.append(made);
  }
  const how = "st2sensor dead-letters show ID shows a payload, st2sensor dead-letters replay ID sends it again.";
  return [element("p", "faint", `${more ? "The newest ones. " : ""}${how}`), list];
}

function eventPanel(life) {
  const kind = life.trigger === life.trigger_type ? life.trigger : `${life.trigger} (${life.trigger_type})`;
  const about = element("dl");
  for (const [name, value] of [
    ["sensor", link(`#sensor/${encodeURIComponent(life.sensor)}`, life.sensor)],
    ["trigger", kind],
    ["trace tag", life.trace_tag],
    ["node", life.node && `${life.node}${life.fence === null ? "" : `, fence ${life.fence}`}`],
  ]) {
    if (!value) continue;
    const description = element("dd");
    description.append(value);
    about.append(element("dt", "", name), description);
  }
  const steps = element("ol", "life");
  for (const { time, text } of life.timeline) {
    const step = element("li");
    step.append(element("time", "", clock(time)), " ", element("span", "", text));
    steps.append(step);
  }
  const payload = life.kept ? block(JSON.stringify(life.payload, null, 2)) : element("p", "faint", "The payload was not kept.");
  return [about, steps, payload];
}

const PANELS = {
  sensor: { title: (ref) => ref, path: (ref) => `sensors/${encodeURIComponent(ref)}`, draw: sensorPanel },
  logs: { title: (ref) => `Log of ${ref}`, path: (ref) => `sensors/${encodeURIComponent(ref)}/logs`, draw: logPanel },
  "dead-letters": {
    title: (ref) => (ref ? `Dead letters of ${ref}` : "Dead letters"),
    path: (ref) => `dead-letters${ref ? `?sensor=${encodeURIComponent(ref)}` : ""}`,
    draw: letterPanel,
  },
  event: { title: (id) => `Event ${id}`, path: (id) => `history/${encodeURIComponent(id)}`, draw: eventPanel },
};

// The panels of a sensor, which link to each other.
const OF_SENSOR = { sensor: "Details", logs: "Log", "dead-letters": "Dead letters" };

// The panel that the address names, with the sensor; null for none.
function chosen() {
  const [, name, ref] = /^#([a-z-]+)(?:\/(.+))?$/.exec(location.hash) || [];
  if (!Object.hasOwn(PANELS, name || "")) return null;
  try {
    return { name, panel: PANELS[name], ref: decodeURIComponent(ref || "") };
  } catch {
    return null;
  }
}

async function draw(current) {
  const found = chosen();
  if (!found || current !== generation) return;
  const body = $("#detail-body");
  let parts;
  try {
    parts = found.panel.draw(await fetched(found.panel.path(found.ref)));
  } catch (error) {
    parts = [element("p", "bad", firstLine(error.message))];
  }
  if (current !== generation) return;
  if (!String(document.getSelection())) {
    const follows = body.scrollHeight - body.scrollTop - body.clientHeight < 4;
    body.replaceChildren(...parts);
    if (found.name === "logs" && follows) body.scrollTop = body.scrollHeight;
  }
  timer = setTimeout(draw, REFRESH, current);
}

function show() {
  const found = chosen(), dialog = $("#detail");
  clearTimeout(timer);
  generation += 1;
  if (!found) {
    if (dialog.open) dialog.close();
    return;
  }
  $("#detail-title").textContent = found.panel.title(found.ref);
  $("#detail-body").replaceChildren();
  const isOfSensor = found.ref && Object.hasOwn(OF_SENSOR, found.name);
  const others = Object.entries(OF_SENSOR).filter(([name]) => isOfSensor && name !== found.name);
  $("#detail-links").replaceChildren(...others.flatMap(([name, title]) => [link(`#${name}/${encodeURIComponent(found.ref)}`, title), " "]));
  if (!dialog.open) dialog.showModal();
  draw(generation);
}

export function startPanels() {
  for (const moved of ["hashchange", "popstate"]) window.addEventListener(moved, show);
  $("#detail").addEventListener("close", () => {
    if (!chosen()) return;
    // An empty fragment would scroll to the top.
    history.pushState(null, "", location.pathname + location.search);
    show();
  });
  $("#detail").addEventListener("click", (event) => {
    if (event.target === $("#detail")) $("#detail").close();
  });
  show();
}
