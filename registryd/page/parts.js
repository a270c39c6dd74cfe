// What the page's rows are made of. Everything is put into the document as text, never as markup.

const HIDE_AFTER = 30_000; // milliseconds
const SVG = "http://www.w3.org/2000/svg";

export const $ = (id) => document.getElementById(id);

export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "data") Object.assign(element.dataset, value);
    else if (name.startsWith("aria-") || name === "role") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

export function icon(name) {
  const image = document.createElementNS(SVG, "svg");
  image.setAttribute("class", "icon");
  image.setAttribute("aria-hidden", "true");
  image.append(document.createElementNS(SVG, "use"));
  image.firstChild.setAttribute("href", `#icon-${name}`);
  return image;
}

// patch fills an element anew if what it shows has changed.
export function patch(element, content, fill) {
  const key = JSON.stringify(content);
  if (element.shows === key) return;
  element.shows = key;
  element.replaceChildren(...fill());
}

export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// ---- what a screen reader is told

let saying = 0;
let words = "";

export function announce(text) {
  words = text;
  saying ||= setTimeout(() => {
    saying = 0;
    setText($("announce"), words);
  }, 500);
}

// ---- copying

async function toClipboard(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = make("textarea", { className: "hidden", value: text }); // where there is no TLS
  const focused = document.activeElement;
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  focused?.focus();
  if (!copied) throw new Error("the browser does not let this page copy");
}

// copyButton copies what fetchText gives when it is pressed.
export function copyButton(label, fetchText) {
  const button = make("button", { type: "button", className: "copy", title: "Copy", "aria-label": `Copy ${label}` }, icon("copy"));
  button.addEventListener("click", async () => {
    try {
      await toClipboard(await fetchText());
      button.replaceChildren(icon("done"));
      button.dataset.copied = "";
      announce(`Copied ${label}`);
      setTimeout(() => { button.replaceChildren(icon("copy")); delete button.dataset.copied; }, 1500);
    } catch (error) {
      announce(`Not copied: ${error.message}`);
    }
  });
  return button;
}

// ---- what is left of a lease

export function leaseView(key, label) {
  const bar = make("progress", { max: 1, value: 0, "aria-label": `Time left for ${label}` });
  return make("div", { className: "lease", hidden: true, data: { lease: key } }, bar, make("span"));
}

function span(seconds) {
  if (seconds < 100) return `${Math.round(seconds)} s`;
  if (seconds < 6000) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

export function showLease(view, lease, now) {
  view.hidden = !lease;
  if (!lease) return;
  const left = Math.max(0, lease.left - (now - lease.at) / 1000);
  const text = `${span(left)} left`;
  if (view.lastChild.textContent === text) return;
  view.lastChild.textContent = text;
  view.classList.toggle("low", left < lease.granted / 4);
  view.firstChild.max = lease.granted;
  view.firstChild.value = left;
}

// ---- secrets

// secret shows dots, and buttons to show and to copy; fetchText is called when one is pressed. What was shown is in
// the document only until it is hidden.
export function secret(label, fetchText) {
  const mask = make("span", { className: "mask", textContent: "••••••••", role: "img", "aria-label": "hidden" });
  const button = make("button", { type: "button", textContent: "Show", "aria-label": `Show ${label}` });
  let shown = null;
  let timer = 0;
  const offer = (word) => { button.textContent = word; button.setAttribute("aria-label", `${word} ${label}`); };
  const hide = () => {
    clearTimeout(timer);
    shown?.replaceWith(mask);
    shown = null;
    offer("Show");
  };
  const show = async () => {
    let text;
    try {
      text = await fetchText();
    } catch (error) {
      text = `(${error.message})`;
    }
    if (!button.isConnected || shown) return;
    shown = make("code", { className: "secret", textContent: text, tabIndex: 0 });
    mask.replaceWith(shown);
    offer("Hide");
    timer = setTimeout(hide, HIDE_AFTER);
  };
  button.addEventListener("click", () => (shown ? hide() : show()));
  return make("span", { className: "veiled" }, mask, button, copyButton(label, fetchText));
}

// ---- asking the registry

export async function ask(path, options = {}) {
  const response = await fetch(path, { cache: "no-store", ...options });
  if (!response.ok) {
    const error = new Error(response.headers.get("Envdiscover-Error") || response.statusText);
    error.status = response.status;
    throw error;
  }
  return response;
}
