// Makes elements, and puts values into readable form.

export const SECOND = 1000;

export const $ = (selector) => document.querySelector(selector);

export function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

export function link(href, text) {
  const made = element("a", "", text);
  made.href = href;
  return made;
}

export function drawing(name, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

export function span(seconds) {
  if (seconds < 1) return `${Math.round(Math.max(0, seconds) * 1000)} ms`;
  for (const [size, unit, next, nextUnit] of [[86400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 1, "s"]]) {
    if (seconds >= size) {
      const rest = Math.floor((seconds % size) / next);
      return `${Math.floor(seconds / size)} ${unit}${rest ? ` ${rest} ${nextUnit}` : ""}`;
    }
  }
  return `${Math.round(seconds)} s`;
}

// The seconds since the epoch of a time: the feed has numbers, and all other answers have text.
export const secondsOf = (at) => (typeof at === "string" ? Date.parse(at) / SECOND : at);

export function ago(at) {
  if (!at) return "";
  const seconds = Date.now() / SECOND - secondsOf(at);
  if (seconds < 1) return "now";
  const [size, unit] = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]].find(([size]) => seconds >= size);
  return `${Math.floor(seconds / size)} ${unit} ago`;
}

export function clock(at) {
  if (!at) return "";
  const date = new Date(secondsOf(at) * SECOND);
  const time = date.toLocaleTimeString([], { hour12: false });
  return date.toDateString() === new Date().toDateString() ? time : `${date.toLocaleDateString()} ${time}`;
}

export const megabytes = (bytes) => (bytes ? `${(bytes / 2 ** 20).toFixed(1)} MB` : "");
export const firstLine = (text) => text.split("\n")[0];
export const stateOf = (report) => (report.failing ? "failing" : report.state);

// A sensor's trouble in words. Only here does the time that has passed come in: the container leaves it out.
export function told(trouble) {
  return trouble.kind === "hang" ? `${trouble.text} for ${span(Date.now() / SECOND - secondsOf(trouble.since))}` : trouble.text;
}

// The lines that say why a sensor is as it is: its troubles, and the reason for its state unless they tell it.
export function why(report) {
  const lines = report.troubles.map(told);
  const reason = firstLine(report.reason);
  const isTold = !reason || report.state === "running" || lines.some((line) => line.includes(reason));
  return isTold ? lines : [reason, ...lines];
}
