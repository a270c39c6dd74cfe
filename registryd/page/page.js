// The page follows /watch and shows what it says. A value or a password is fetched only when it is asked for, and
// is in the document only while it is shown. Everything is put there as text, never as markup.

const MOST_SHOWN = 200; // instances of one service
const HIDE_AFTER = 30_000;
const CONTAINER = "container"; // the metadata that the Docker exporter writes

const $ = (id) => document.getElementById(id);
const services = new Map(); // name -> {instances, card, list, badge, rows: Map}
const values = new Map(); // name -> row
const containers = new Map(); // name -> row
const leases = new Map(); // key -> {left, granted, at}
let caughtUp = false; // after the first "current", what comes is new

function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "data") Object.assign(element.dataset, value);
    else if (name.startsWith("aria-") || name === "role") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

// ---- what is left of a lease

const leaseKey = (service, name) => JSON.stringify([service, name]);

function leaseView(key, label) {
  const bar = make("progress", { max: 1, value: 0, "aria-label": `Time left for ${label}` });
  const text = make("span");
  return make("div", { className: "lease", hidden: true, data: { lease: key } }, bar, text);
}

function span(seconds) {
  if (seconds < 100) return `${Math.round(seconds)} s`;
  if (seconds < 6000) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

function tick() {
  const now = performance.now();
  for (const view of document.querySelectorAll("[data-lease]")) {
    const lease = leases.get(view.dataset.lease);
    view.hidden = !lease;
    if (!lease) continue;
    const left = Math.max(0, lease.left - (now - lease.at) / 1000);
    view.classList.toggle("low", left < lease.granted / 4);
    view.firstChild.max = lease.granted;
    view.firstChild.value = left;
    view.lastChild.textContent = `${span(left)} left`;
  }
}

function takeLeases(data) {
  const at = performance.now();
  const take = (service, all) => {
    for (const [name, [left, granted]] of Object.entries(all)) leases.set(leaseKey(service, name), { left, granted, at });
  };
  for (const [service, all] of Object.entries(data.services)) take(service, all);
  take("", data.values);
  tick();
}

// ---- secrets

// secret shows dots and a button; fetchText is called when the button is pressed.
function secret(label, fetchText) {
  const mask = make("span", { className: "mask", textContent: "••••••••", "aria-label": "hidden" });
  const button = make("button", { type: "button", textContent: "Show", "aria-label": `Show ${label}`, "aria-pressed": "false" });
  let shown = null;
  let timer = 0;
  const hide = () => {
    clearTimeout(timer);
    shown?.replaceWith(mask);
    shown = null;
    button.textContent = "Show";
    button.setAttribute("aria-label", `Show ${label}`);
    button.setAttribute("aria-pressed", "false");
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
    button.textContent = "Hide";
    button.setAttribute("aria-label", `Hide ${label}`);
    button.setAttribute("aria-pressed", "true");
    timer = setTimeout(hide, HIDE_AFTER);
  };
  button.addEventListener("click", () => (shown ? hide() : show()));
  return make("span", { className: "veiled" }, mask, button);
}

async function get(path) {
  const response = await fetch(path, { cache: "no-store" });
  if (!response.ok) throw new Error(response.headers.get("Envdiscover-Error") || response.statusText);
  return response;
}

async function credentials(service, id) {
  const snapshot = await (await get(`/services/${encodeURIComponent(service)}?all=1&credentials=1`)).json();
  const instance = snapshot.instances.find((one) => one.id === id);
  return instance ? `${instance.user ?? ""}:${instance.password ?? ""}` : "(gone)";
}

// ---- services

function address(host, name, port) {
  const at = host.includes(":") ? `[${host}]` : host;
  const udp = port.protocol === "udp" ? "/udp" : "";
  return make("span", { className: "address" }, make("b", { textContent: name }), `${at}:${port.number}${udp}`);
}

function addresses(instance) {
  const ports = Object.entries(instance.ports ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  if (ports.length > 0) return ports.map(([name, port]) => address(instance.host ?? "", name, port));
  return instance.host ? [make("span", { className: "address", textContent: instance.host })] : [];
}

// chips are the tags, and facts, which have a name.
function chips(instance) {
  const facts = { shard: instance.shard, container: instance.metadata?.[CONTAINER] };
  const chip = (className, ...parts) => make("span", { className }, ...parts);
  return [
    ...(instance.critical ? [chip("chip fact", "critical")] : []),
    ...Object.entries(facts).filter(([, text]) => text).map(([name, text]) => chip("chip fact", make("b", { textContent: name }), text)),
    ...(instance.tags ?? []).map((text) => chip("chip", text)),
  ];
}

function stateView(state) {
  return make("span", { className: "state", textContent: state, data: { state } });
}

function instanceRow(service, instance) {
  const where = make("div", { className: "where" }, ...addresses(instance));
  if (instance.has_credentials) {
    where.append(make("span", { className: "address" }, make("b", { textContent: "credentials" }),
      secret(`the credentials of ${instance.id}`, () => credentials(service, instance.id))));
  }
  return make("li", { data: { id: instance.id } },
    make("div", { className: "what" }, make("span", { className: "id", textContent: instance.id }), stateView(instance.state)),
    where,
    make("div", { className: "chips" }, ...chips(instance)),
    leaseView(leaseKey(service, instance.id), instance.id));
}

// place puts rows into a list in their order, and touches only what is not there already: the focus stays.
function place(list, rows) {
  rows.forEach((row, i) => {
    if (list.children[i] !== row) list.insertBefore(row, list.children[i] ?? null);
  });
  while (list.children.length > rows.length) list.lastChild.remove();
}

function serviceCard(name) {
  const badge = stateView("");
  const list = make("ul", { className: "rows", "aria-label": `Instances of ${name}` });
  const card = make("article", { className: "card", data: { service: name } },
    make("h3", {}, make("span", { textContent: name }), badge), list);
  return { instances: [], card, list, badge, rows: new Map() };
}

function takeService(snapshot) {
  const name = snapshot.service;
  const service = services.get(name) ?? serviceCard(name);
  service.instances = snapshot.instances;
  if (snapshot.instances.length === 0) services.delete(name);
  else services.set(name, service);
  for (const id of service.rows.keys()) {
    if (!snapshot.instances.some((one) => one.id === id)) {
      service.rows.delete(id);
      leases.delete(leaseKey(name, id));
    }
  }
  for (const instance of snapshot.instances.slice(0, MOST_SHOWN)) {
    const text = JSON.stringify(instance);
    if (service.rows.get(instance.id)?.text === text) continue;
    const row = instanceRow(name, instance);
    if (caughtUp) row.classList.add("fresh");
    service.rows.set(instance.id, { text, row });
  }
  scheduleDraw();
}

// ---- values

function valueRow(name) {
  const value = secret(`the value of ${name}`, async () => (await get(`/environment/${name}`)).text());
  return make("li", { data: { value: name } },
    make("span", { className: "id", textContent: name }),
    make("div", { className: "where" }, value),
    leaseView(leaseKey("", name), name));
}

function takeValues(names) {
  for (const name of values.keys()) if (!names.includes(name)) values.delete(name);
  for (const name of names) {
    if (values.has(name)) continue;
    const row = valueRow(name);
    if (caughtUp) row.classList.add("fresh");
    values.set(name, row);
  }
  scheduleDraw();
}

// ---- containers

function containerRow(name, exported) {
  return make("li", { data: { container: name } },
    make("span", { className: "id", textContent: name }),
    make("div", { className: "exports" }, ...exported.flatMap(({ service, instance }) =>
      [make("span", { className: "service", textContent: service }), make("div", { className: "where" }, ...addresses(instance))])));
}

function exportedContainers() {
  const found = new Map();
  for (const [service, { instances }] of services) {
    for (const instance of instances) {
      const name = instance.metadata?.[CONTAINER];
      if (!name) continue;
      if (!found.has(name)) found.set(name, []);
      found.get(name).push({ service, instance });
    }
  }
  return found;
}

function drawContainers(wanted) {
  const found = exportedContainers();
  for (const name of containers.keys()) if (!found.has(name)) containers.delete(name);
  for (const [name, exported] of found) {
    const text = JSON.stringify(exported);
    if (containers.get(name)?.text !== text) containers.set(name, { text, row: containerRow(name, exported) });
  }
  const names = [...found.keys()].sort().filter((name) => wanted(containers.get(name).text));
  place($("containers"), names.map((name) => containers.get(name).row));
  $("containers-count").textContent = caughtUp ? found.size : "";
  $("no-containers").hidden = !caughtUp || found.size > 0;
}

// ---- drawing

let drawing = 0;

function scheduleDraw() {
  drawing ||= requestAnimationFrame(draw);
}

function drawService(name, service, wanted) {
  const all = service.instances;
  const matching = wanted(name) ? all : all.filter((one) => wanted(JSON.stringify(one)));
  const rows = matching.filter((one) => service.rows.has(one.id)).map((one) => service.rows.get(one.id).row);
  if (matching.length > rows.length) {
    rows.push(make("li", { className: "more", textContent: `and ${matching.length - rows.length} more` }));
  }
  place(service.list, rows);
  const passing = all.filter((one) => one.state === "passing").length;
  service.badge.textContent = `${passing} of ${all.length} passing`;
  service.badge.dataset.state = passing === all.length ? "passing" : passing > 0 ? "starting" : "failing";
  return rows.length > 0;
}

function draw() {
  drawing = 0;
  const needle = $("filter").value.trim().toLowerCase();
  const wanted = (text) => text.toLowerCase().includes(needle);
  const cards = [...services.keys()].sort().filter((name) => drawService(name, services.get(name), wanted));
  place($("services"), cards.map((name) => services.get(name).card));
  place($("values"), [...values.keys()].sort().filter(wanted).map((name) => values.get(name)));
  $("services-count").textContent = caughtUp ? services.size : "";
  $("values-count").textContent = caughtUp ? values.size : "";
  $("no-services").hidden = !caughtUp || services.size > 0;
  $("no-values").hidden = !caughtUp || values.size > 0;
  drawContainers(wanted);
  $("no-match").hidden = !needle || document.querySelector(".card:not(:empty)") !== null;
  tick();
}

// ---- following

function say(state, text, reason = "") {
  if ($("state").dataset.state !== state) {
    $("state").dataset.state = state;
    $("state").textContent = text;
  }
  $("reason").hidden = !reason;
  $("reason").textContent = reason;
}

function follow() {
  const source = new EventSource("/watch?leases=1");
  let seen = new Set(); // services since this connection began: others went while it was cut
  source.addEventListener("open", () => { seen = new Set(); caughtUp = false; });
  source.addEventListener("service", (event) => {
    const snapshot = JSON.parse(event.data);
    seen.add(snapshot.service);
    takeService(snapshot);
  });
  source.addEventListener("values", (event) => takeValues(JSON.parse(event.data)));
  source.addEventListener("leases", (event) => takeLeases(JSON.parse(event.data)));
  source.addEventListener("current", (event) => {
    const { current, reason } = JSON.parse(event.data);
    if (!current) return say("lost", "not current", reason);
    if (!caughtUp) {
      for (const name of services.keys()) if (!seen.has(name)) takeService({ service: name, instances: [] });
    }
    caughtUp = true;
    say("live", "live");
    scheduleDraw();
  });
  source.addEventListener("error", () => {
    say("lost", "connection lost", "The registry does not answer; this is the last that is known.");
    if (source.readyState === EventSource.CLOSED) setTimeout(follow, 3000);
  });
}

for (const here of document.querySelectorAll(".here")) here.textContent = location.origin;
$("filter").addEventListener("input", scheduleDraw);
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== $("filter") && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    $("filter").focus();
  }
});
setInterval(tick, 500);
follow();
