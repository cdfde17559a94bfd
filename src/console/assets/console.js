// Keeps what is shown up to date, and listens to keys. Everything works without it.
// No markup is ever made from text here: pages come parsed, by XMLHttpRequest, and their parts are moved over.

const root = document.documentElement.dataset.root;
const live = document.getElementById("live");
const LEAST_PAUSE = 2000;

/** Where the button of the mouse is held down; a click on what is replaced meanwhile would be lost. */
let pressed = null;
document.addEventListener("pointerdown", (event) => (pressed = event.target));
for (const end of ["click", "pointercancel", "dragend"]) document.addEventListener(end, () => (pressed = null));

/** Fetches a page as a document; null when that fails. */
function fetchPage(address) {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    request.open("GET", address);
    request.responseType = "document";
    request.timeout = 10000;
    request.setRequestHeader("x-live", "1");
    request.onload = () => resolve(request.status === 200 ? request.response : null);
    request.onerror = request.ontimeout = () => resolve(null);
    request.send();
  });
}

/** Somebody types, presses the button of the mouse, or has opened something, inside it: leave it alone. */
function isInUse(part) {
  const focused = document.activeElement;
  const types = part.contains(focused) && focused.matches("input, select, textarea");
  return types || part === pressed?.closest("[data-live]") || part.querySelector("details[open]") !== null;
}

/** What takes the focus in a fresh part after this in the old one. */
function heir(fresh, control) {
  const isSame = (other) => other.href === control.href && other.textContent === control.textContent;
  return [...fresh.querySelectorAll(control.localName)].find(isSame);
}

/* Times, in the reader's own zone if they asked for that; pages come with UTC. */

const { lang, dataset: { zone } } = document.documentElement;
const clock = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23", timeZoneName: "short" };
const stamps = { year: "numeric", month: "short", day: "numeric", ...clock };
// Digits are those of ids and ports everywhere.
const write = (options) => new Intl.DateTimeFormat(`${lang}-u-nu-latn`, options);
const [exactly, today] = [write(stamps), write(clock)];

function localise(page) {
  if (zone !== "local") return;
  for (const time of page.querySelectorAll("time")) {
    const at = new Date(time.dateTime);
    if (time.title) time.title = exactly.format(at);
    else time.textContent = (time.matches("#live time") ? today : exactly).format(at);
  }
}
localise(document);
for (const switches of document.querySelectorAll(".zones")) switches.hidden = false;

function swap(page) {
  localise(page);
  for (const part of document.querySelectorAll("[data-live]")) {
    const fresh = page.getElementById(part.id);
    if (!fresh || isInUse(part) || part.isEqualNode(fresh)) continue;
    const rows = [...part.querySelectorAll("tr")];
    const at = rows.indexOf(part.querySelector("tr.at"));
    const focused = part.contains(document.activeElement) ? document.activeElement : null;
    const imported = document.importNode(fresh, true);
    part.replaceWith(imported);
    if (at >= 0) mark(imported.querySelectorAll("tr")[at], focused !== null);
    else if (focused) heir(imported, focused)?.focus({ preventScroll: true });
  }
  const told = page.getElementById("live");
  if (told) say([...document.importNode(told, true).childNodes], "on");
}

function say(parts, state) {
  live.replaceChildren(...parts);
  live.dataset.liveState = state;
}

let isPaused = false;
let isDue = false;
let isBusy = false;
// What was just loaded is fresh.
let last = Date.now();

async function refresh() {
  if (isPaused || document.hidden) {
    isDue = true;
    return;
  }
  const pause = last + LEAST_PAUSE - Date.now();
  if (isBusy || pause > 0) {
    if (!isDue) setTimeout(() => isDue && ((isDue = false), refresh()), Math.max(pause, 50));
    isDue = true;
    return;
  }
  isBusy = true;
  last = Date.now();
  const page = await fetchPage(location.href);
  isBusy = false;
  if (page) swap(page);
  else say([live.dataset.stale], "off");
}

if (document.querySelector("[data-live]")) {
  let source;
  const listen = () => {
    source = new EventSource(root + "live");
    source.addEventListener("beat", refresh);
    source.onerror = () => live.dataset.liveState = "off";
  };
  listen();
  // A page that is left may be kept for the way back. Its connection must not be: a browser has six for one host.
  addEventListener("pagehide", () => source.close());
  addEventListener("pageshow", (event) => event.persisted && listen());
  // Times go by even when nothing changes.
  setInterval(refresh, 15000);
  document.addEventListener("visibilitychange", () => isDue && !document.hidden && ((isDue = false), refresh()));
}

// On a narrow screen the bar is wider than the screen.
document.querySelector("nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

/* Keys */

function mark(row, focuses) {
  for (const other of document.querySelectorAll("tr.at")) other.classList.remove("at");
  if (!row) return;
  row.classList.add("at");
  if (focuses) row.querySelector("a")?.focus();
  row.scrollIntoView({ block: "nearest" });
}

function move(step) {
  const rows = [...document.querySelectorAll("table.rows tbody tr")].filter((row) => row.querySelector("a"));
  const at = rows.findIndex((row) => row.classList.contains("at"));
  const next = at < 0 ? (step > 0 ? 0 : rows.length - 1) : Math.min(Math.max(at + step, 0), rows.length - 1);
  mark(rows[next], true);
}

/** Opens the first of these actions that the page offers; what is done needs a further key. */
function offer(...names) {
  for (const name of names) {
    const ways = [`form[action$="/${name}"]`, `input[name=action][value="${name}"]`, `option[value="${name}"]`];
    const found = ways.map((way) => document.querySelector(`details.act ${way}`)).find(Boolean);
    if (!found) continue;
    if (found.matches("option")) found.selected = true;
    const form = found.closest("form");
    form.closest("details").open = true;
    return (form.querySelector("input:not([type=hidden])") ?? form.querySelector("button")).focus();
  }
}

const keys = {
  "/": () => document.querySelector("header input[type=search]").focus(),
  "?": () => document.getElementById("keys").showModal(),
  j: () => move(1),
  k: () => move(-1),
  f: () => document.querySelector("form.filter input, form.filter select")?.focus(),
  e: () => document.querySelector("details.act > summary")?.focus(),
  r: () => offer("retry", "retry-now"),
  x: () => offer("cancel"),
  ".": () => {
    isPaused = !isPaused;
    if (isPaused) say([live.dataset.stopped], "off");
    else refresh();
  },
};

let isGoing = false;

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.key === "Escape" && event.target.matches("input")) event.target.blur();
  if (event.target.matches("input, select, textarea") || document.querySelector("dialog[open]")) return;
  if (isGoing) {
    isGoing = false;
    const tab = document.querySelector(`nav a[data-key="${CSS.escape(event.key)}"]`);
    if (tab) {
      event.preventDefault();
      location.assign(tab.href);
    }
    return;
  }
  if (event.key === "g") {
    isGoing = true;
    setTimeout(() => (isGoing = false), 1500);
  } else if (keys[event.key]) {
    event.preventDefault();
    keys[event.key]();
  } else if (event.key === "Enter" && event.target === document.body) {
    document.querySelector("tr.at a")?.click();
  }
});
