// The events: failures first, then the others, each newest first.

import { $, clock, element, link } from "./format.js";

const MOST = 100; // maximum number of failures in the page, and of other events
const FAILED = ["backoff", "refused"];

let newest = 0; // number of the newest event

function kindOf(event) {
  if (event.kind === "error" || event.kind === "invalid") return "failure";
  return FAILED.includes(event.state) ? "failure" : event.kind;
}

function describe(event) {
  if (event.kind === "trigger") return event.trigger;
  if (event.kind === "invalid") return `${event.trigger} is a dead letter: ${event.reason}`;
  if (event.kind === "error") return event.text;
  return `${event.state}: ${event.reason}`;
}

function item(event) {
  const kind = kindOf(event);
  const made = element("li", kind);
  made.dataset.kind = kind;
  const time = element("time", "", clock(event.at));
  time.dateTime = new Date(event.at * 1000).toISOString();
  const id = event.message_id;
  const told = id ? link(`#event/${encodeURIComponent(id)}`, describe(event)) : element("span", "", describe(event));
  made.append(time, " ", link(`#sensor/${encodeURIComponent(event.sensor)}`, event.sensor), ": ", told);
  return made;
}

function hide() {
  for (const button of $("#kinds").children) {
    const isHidden = button.getAttribute("aria-pressed") === "false";
    for (const found of document.querySelectorAll(`aside li[data-kind=${button.dataset.kind}]`)) found.hidden = isHidden;
  }
  const shown = document.querySelectorAll("aside li:not([hidden])").length;
  $("#failures").hidden = !document.querySelector("#failures li:not([hidden])");
  $("#quiet").hidden = shown > 0;
  $("#quiet").textContent = document.querySelector("aside li") ? "No event of these kinds." : "Nothing has happened yet.";
}

export function clearEvents() {
  newest = 0;
  $("#failures").replaceChildren();
  $("#events").replaceChildren();
}

// Take events, oldest first, and the number of those that were left out.
export function takeEvents(events, more) {
  const unseen = events.filter((event) => event.id > newest);
  if (unseen.length) newest = unseen[unseen.length - 1].id;
  const made = { failures: [], events: [] };
  for (const event of unseen) made[kindOf(event) === "failure" ? "failures" : "events"].unshift(item(event));
  if (more) {
    const left = element("li", "more", `and ${more} more events`);
    left.dataset.kind = "trigger";
    made.events.push(left);
  }
  for (const [name, items] of Object.entries(made)) {
    const list = $(`#${name}`);
    list.prepend(...items);
    while (list.children.length > MOST) list.lastChild.remove();
  }
  hide();
}

export function startEvents() {
  $("#kinds").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") === "false"));
    hide();
  });
}
