// The page follows /watch and shows what it says. A value or a password is fetched only when it is asked for, and
// is in the document only while it is shown. A change costs work for what has changed, however much is registered.

import { List } from "./list.js";
import { $, announce, ask, copyButton, icon, leaseView, make, patch, secret, setText, showLease } from "./parts.js";

const CONTAINER = "container"; // the metadata that the Docker exporter writes
const RANKS = { failing: 0, starting: 1, draining: 2 }; // of states; what is not here comes last
const rankOf = (state) => RANKS[state] ?? 3;
const OPEN_SERVICES = 12; // with no more services and instances than these, all are open
const OPEN_INSTANCES = 40;
const SERVICE_ROWS = 1000;
const ROWS = 100; // of a list, before a button that shows more

const services = new Map(); // name -> service
const values = new Map(); // name -> {name, rank}
const containers = new Map(); // name -> {name, rank, exports: Map}
const leases = new Map(); // key -> {left, granted, at}
const totals = {}; // instances by state
let total = 0;
let caughtUp = false; // after the first "current", what comes is new
let openAll = false;
let filter = { text: "", state: "" };

// ---- instances

const leaseKey = (service, name) => JSON.stringify([service, name]);

function address(host, name, port, kind) {
  const at = host.includes(":") ? `[${host}]` : host;
  const text = port ? `${at}:${port.number}` : at;
  const label = [kind, name, port?.protocol === "udp" ? "udp" : ""].filter(Boolean).join(" ");
  return make("div", { className: "address" },
    make("span", { className: "label", textContent: label }), make("code", { textContent: text }), copyButton(`the address ${text}`, () => text));
}

function addressesOf(host, ports, kind) {
  const sorted = Object.entries(ports ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  if (sorted.length > 0) return sorted.map(([name, port]) => address(host ?? "", name, port, kind));
  return host ? [address(host, "", null, kind)] : [];
}

function addresses(instance) {
  const own = instance.private_host || Object.keys(instance.private_ports ?? {}).length > 0;
  return [
    ...addressesOf(instance.host, instance.ports, ""),
    ...(own ? addressesOf(instance.private_host || instance.host, instance.private_ports ?? instance.ports, "private") : []),
  ];
}

// chips are the tags, and facts, which have a name.
function chips(instance) {
  const chip = (className, ...parts) => make("span", { className }, ...parts);
  const fact = ([name, text]) => chip("chip fact", make("b", { textContent: name }), text);
  return [
    ...(instance.critical ? [chip("chip strong", "critical")] : []),
    ...(instance.public ? [chip("chip strong", "public")] : []),
    ...(instance.shard ? [fact(["shard", instance.shard])] : []),
    ...(instance.tags ?? []).map((text) => chip("chip", text)),
    ...Object.entries(instance.metadata ?? {}).sort().map(fact),
  ];
}

async function credentials(service, id) {
  const snapshot = await (await ask(`/services/${encodeURIComponent(service)}?all=1&credentials=1`)).json();
  const instance = snapshot.instances.find((one) => one.id === id);
  if (!instance) throw new Error("gone");
  return `${instance.user ?? ""}:${instance.password ?? ""}`;
}

function instanceRow(service, item) {
  const row = make("li", { data: { id: item.name } });
  const state = make("span", { className: "state" });
  const reason = make("p", { className: "reason" });
  const where = make("div", { className: "where" });
  const facts = make("div", { className: "chips" });
  row.append(
    make("div", { className: "what" }, make("code", { className: "id", textContent: item.name }), state),
    where, facts, leaseView(leaseKey(service, item.name), item.name), reason);
  row.show = () => {
    const instance = item.data;
    state.dataset.state = instance.state;
    setText(state, instance.state);
    reason.hidden = !instance.reason;
    setText(reason, instance.reason ?? "");
    const { host, private_host, ports, private_ports, has_credentials } = instance;
    patch(where, [host, private_host, ports, private_ports, has_credentials], () => [
      ...addresses(instance),
      ...(has_credentials ? [make("div", { className: "address" }, make("span", { className: "label", textContent: "login" }),
        secret(`the credentials of ${item.name}`, () => credentials(service, item.name)))] : []),
    ]);
    patch(facts, [instance.critical, instance.public, instance.shard, instance.tags, instance.metadata], () => chips(instance));
  };
  row.show();
  return row;
}

// ---- services

function newService(name) {
  return { name, rank: 3, instances: new Map(), counts: {}, failing: new Set(), matching: new Set(), open: null, list: null, row: null };
}

// put and drop keep the counts, so that nothing is ever counted anew.
function count(service, state, by) {
  service.counts[state] = (service.counts[state] ?? 0) + by;
  totals[state] = (totals[state] ?? 0) + by;
  total += by;
}

function put(service, data) {
  const item = service.instances.get(data.id) ?? { name: data.id };
  if (item.data) forget(service, item);
  item.data = data;
  item.text = null;
  item.rank = rankOf(data.state);
  service.instances.set(data.id, item);
  count(service, data.state, 1);
  if (data.state === "failing") service.failing.add(item);
  exported(service.name, item, true);
  touch(service, item);
}

function drop(service, id) {
  const item = service.instances.get(id);
  if (!item) return;
  forget(service, item);
  service.instances.delete(id);
  leases.delete(leaseKey(service.name, id));
  touch(service, item);
}

function forget(service, item) {
  count(service, item.data.state, -1);
  service.failing.delete(item);
  exported(service.name, item, false);
}

function matches(service, item) {
  if (filter.state && item.data.state !== filter.state) return false;
  if (!filter.text || service.name.toLowerCase().includes(filter.text)) return true;
  item.text ??= JSON.stringify(item.data).toLowerCase();
  return item.text.includes(filter.text);
}

function judge(service, item) {
  if (service.instances.has(item.name) && matches(service, item)) service.matching.add(item);
  else service.matching.delete(item);
}

function rank(service) {
  const { counts } = service;
  service.rank = counts.failing > 0 ? 0 : counts.starting > 0 ? 1 : counts.draining > 0 ? 2 : 3;
}

const isOpen = (service) => service.open ?? openAll;

function serviceRow(service) {
  const id = `service-${encodeURIComponent(service.name)}`;
  const button = make("button", { type: "button", className: "open", "aria-controls": id }, icon("chevron"), make("span", { textContent: service.name }));
  const badge = make("span", { className: "state" });
  const note = make("span", { className: "summary" });
  const body = make("div", { id, className: "body" });
  service.list = null;
  const row = make("li", { className: "service", data: { service: service.name } },
    make("div", { className: "line" }, make("h3", {}, button), badge, note), body);
  button.addEventListener("click", () => {
    service.open = !isOpen(service);
    row.show();
  });
  row.show = () => {
    const n = service.instances.size;
    badge.dataset.state = Object.keys(RANKS).find((state) => service.counts[state] > 0) ?? "passing";
    const like = service.counts[badge.dataset.state] ?? 0;
    setText(badge, n === 1 ? badge.dataset.state : like === n ? `${n} ${badge.dataset.state}` : `${like} of ${n} ${badge.dataset.state}`);
    const why = isOpen(service) ? "" : firstReason(service);
    note.classList.toggle("bad", why !== "");
    setText(note, why || (isOpen(service) ? "" : summary(service)));
    button.setAttribute("aria-expanded", String(isOpen(service)));
    body.hidden = !isOpen(service);
    row.classList.toggle("closed", !isOpen(service));
    if (isOpen(service)) openBody(service, body);
    else closeBody(service, body);
  };
  row.show();
  return row;
}

// firstReason is why one of the instances that fail does so.
function firstReason(service) {
  for (const item of service.failing) if (item.data.reason) return `${item.name}: ${item.data.reason}`;
  return "";
}

// summary is where the service is: its only instance, or the ports of one of them.
function summary(service) {
  const first = service.instances.values().next().value?.data;
  if (!first) return "";
  const ports = Object.entries(first.ports ?? {}).sort();
  if (service.instances.size > 1) return ports.map(([name, port]) => `${name} ${port.number}`).join("   ");
  const host = (first.host ?? "").includes(":") ? `[${first.host}]` : first.host ?? "";
  return ports.length ? ports.map(([, port]) => `${host}:${port.number}`).join("   ") : host;
}

function openBody(service, body) {
  if (service.list) return;
  const list = make("ul", { className: "rows instances", "aria-label": `Instances of ${service.name}` });
  body.append(list);
  service.list = new List(list, (item) => instanceRow(service.name, item), ROWS, "instances");
  service.list.reset(service.matching);
  tick();
}

function closeBody(service, body) {
  service.list = null;
  body.replaceChildren();
}

// ---- containers: what instances say of the container that they are in

function exported(service, item, there) {
  const name = item.data.metadata?.[CONTAINER];
  if (!name) return;
  const container = containers.get(name) ?? { name, rank: 0, exports: new Map() };
  const key = leaseKey(service, item.name);
  if (there) container.exports.set(key, { service, instance: item.data });
  else container.exports.delete(key);
  containers.set(name, container);
  touched.containers.add(container);
  scheduleDraw();
}

function containerRow(container) {
  const exports = make("div", { className: "exports" });
  const row = make("li", { data: { container: container.name } }, make("code", { className: "id", textContent: container.name }), exports);
  row.show = () => patch(exports, [...container.exports.values()], () => [...container.exports.values()].flatMap(({ service, instance }) =>
    [make("span", { textContent: service }), make("div", { className: "where" }, ...addresses(instance))]));
  row.show();
  return row;
}

// ---- values

const valuePath = (name) => `/environment/${encodeURIComponent(name)}`;

function valueRow(item) {
  const { name } = item;
  const button = (text, act) => {
    const made = make("button", { type: "button", textContent: text, "aria-label": `${text} ${name}` });
    made.addEventListener("click", act);
    return made;
  };
  const row = make("li", { data: { value: name } },
    make("code", { className: "id", textContent: name }),
    secret(`the value of ${name}`, async () => (await ask(valuePath(name))).text()),
    make("div", { className: "writes acts" }, button("Replace", () => openPut(name)), button("Remove", () => openRemove(name))),
    leaseView(leaseKey("", name), name));
  row.show = () => {};
  return row;
}

function takeValues(names) {
  const now = new Set(names);
  for (const [name, item] of values) {
    if (now.has(name)) continue;
    item.gone = true;
    leases.delete(leaseKey("", name));
    touched.values.add(item);
  }
  for (const name of names) {
    const item = values.get(name) ?? { name, rank: 0, gone: true };
    if (!item.gone) continue;
    item.gone = false;
    values.set(name, item);
    touched.values.add(item);
  }
  scheduleDraw();
}

// ---- writing values

function dialog(id, submit) {
  const box = $(id);
  const error = $(`${id}-error`);
  const form = box.querySelector("form");
  let asking = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (asking) return;
    asking = true;
    error.hidden = true;
    try {
      announce(await submit());
      box.close();
    } catch (problem) {
      error.hidden = false;
      setText(error, problem.message);
    }
    asking = false;
  });
  form.querySelector("[data-close]").addEventListener("click", () => box.close());
  box.addEventListener("close", () => { form.reset(); error.hidden = true; }); // a value stays nowhere
  return box;
}

const putDialog = dialog("put", async () => {
  const name = $("put-name").value;
  const ttl = $("put-ttl").value.trim();
  const headers = $("put-name").readOnly ? {} : { "If-None-Match": "*" };
  try {
    await ask(valuePath(name) + (ttl ? `?ttl=${encodeURIComponent(ttl)}` : ""), { method: "PUT", body: $("put-value").value, headers });
  } catch (error) {
    throw error.status === 412 ? new Error(`There is a value ${name} already: replace that.`) : error;
  }
  return `Saved ${name}`;
});

const removeDialog = dialog("remove", async () => {
  const name = $("remove-name").textContent;
  await ask(valuePath(name), { method: "DELETE" });
  return `Removed ${name}`;
});

function openPut(name) {
  setText($("put-title"), name ? "Replace a value" : "Add a value");
  $("put-name").value = name;
  $("put-name").readOnly = name !== "";
  putDialog.showModal();
  $(name ? "put-value" : "put-name").focus();
}

function openRemove(name) {
  setText($("remove-name"), name);
  removeDialog.showModal();
}

// ---- drawing

const lists = {
  services: new List($("services"), (service) => (service.row = serviceRow(service)), SERVICE_ROWS, "services"),
  values: new List($("values"), valueRow, ROWS, "values"),
  containers: new List($("containers"), containerRow, ROWS, "containers"),
};
const touched = { services: new Map(), values: new Set(), containers: new Set() }; // since they were drawn
let drawing = 0;

function touch(service, item) {
  if (!touched.services.has(service)) touched.services.set(service, new Set());
  if (item) touched.services.get(service).add(item);
  scheduleDraw();
}

function scheduleDraw() {
  drawing ||= requestAnimationFrame(() => timed("draw", draw));
}

// flash shows for a moment what has changed.
function flash(row) {
  if (!caughtUp || !row) return;
  const line = row.querySelector(".line") ?? row;
  line.classList.add("fresh");
  line.addEventListener("animationend", () => line.classList.remove("fresh"), { once: true });
}

function drawItem(list, item, shown) {
  if (!shown) return list.remove(item);
  const known = list.has(item);
  list.place(item);
  const row = list.rows.get(item);
  if (!row) return; // it is further down
  if (known) row.show();
  flash(row);
}

function drawService(service, items) {
  if (service.instances.size === 0) services.delete(service.name);
  for (const item of items) judge(service, item);
  rank(service);
  drawItem(lists.services, service, service.matching.size > 0);
  if (!service.list || !lists.services.has(service)) return;
  for (const item of items) drawItem(service.list, item, service.matching.has(item));
}

const wantedName = (name) => !filter.state && name.toLowerCase().includes(filter.text);
const wantedContainer = (container) => container.exports.size > 0 && !filter.state &&
  (!filter.text || JSON.stringify([container.name, ...container.exports.values()]).toLowerCase().includes(filter.text));

// timed tells the browser's profiler, and whoever observes, how long something took.
function timed(name, act) {
  const start = performance.now();
  act();
  performance.measure(name, { start });
  performance.clearMeasures(name);
}

function draw() {
  drawing = 0;
  for (const [service, items] of touched.services) drawService(service, items);
  for (const item of touched.values) {
    if (item.gone) values.delete(item.name);
    drawItem(lists.values, item, !item.gone && wantedName(item.name));
  }
  for (const container of touched.containers) {
    if (container.exports.size === 0) containers.delete(container.name);
    drawItem(lists.containers, container, wantedContainer(container));
  }
  if (touched.services.size > 0) tick();
  touched.services.clear();
  touched.values.clear();
  touched.containers.clear();
  drawCounts();
}

function drawCounts() {
  const counts = { "": total, ...totals };
  for (const label of document.querySelectorAll("[data-count]")) {
    const n = counts[label.dataset.count] ?? 0;
    setText(label, caughtUp ? String(n) : "");
    label.closest("label").classList.toggle("some", n > 0);
  }
  for (const [name, all] of Object.entries({ services, values, containers })) {
    setText($(`${name}-count`), caughtUp ? String(all.size) : "");
    $(`no-${name}`).hidden = !caughtUp || all.size > 0;
    $(name).hidden = lists[name].items.length === 0;
  }
  const filtered = filter.text || filter.state;
  $("no-match").hidden = !caughtUp || !filtered || Object.values(lists).some((list) => list.items.length > 0);
  document.title = (totals.failing ? `(${totals.failing} failing) ` : "") + title;
  sayFailing();
}

const title = document.title;
let said = 0; // how many fail, as was last said

function sayFailing() {
  const failing = totals.failing ?? 0;
  if (!caughtUp || failing === said) return;
  said = failing;
  announce(failing ? `${failing} of ${total} instances failing` : "No instance fails any more");
}

// redraw judges everything anew, after the filter has changed.
function redraw() {
  cancelAnimationFrame(drawing);
  let shown = 0;
  const matching = [];
  for (const service of services.values()) {
    service.matching.clear();
    for (const item of service.instances.values()) judge(service, item);
    rank(service);
    shown += service.matching.size;
    if (service.matching.size > 0) matching.push(service);
  }
  openAll = matching.length <= OPEN_SERVICES && shown <= OPEN_INSTANCES;
  lists.services.reset(matching);
  lists.values.reset([...values.values()].filter(({ name, gone }) => !gone && wantedName(name)));
  lists.containers.reset([...containers.values()].filter(wantedContainer));
  for (const [service, row] of lists.services.rows) {
    service.list?.reset(service.matching);
    row.show();
  }
  draw();
}

function tick() {
  const now = performance.now();
  for (const view of document.querySelectorAll("[data-lease]")) showLease(view, leases.get(view.dataset.lease), now);
}

// ---- the filter, which the address keeps

function readFilter() {
  const query = new URLSearchParams(location.search);
  $("filter").value = query.get("filter") ?? "";
  const state = query.get("state") ?? "";
  for (const choice of document.querySelectorAll("[name=state]")) choice.checked = choice.value === state;
  if (!document.querySelector("[name=state]:checked")) document.querySelector("[name=state]").checked = true;
}

function takeFilter() {
  filter = { text: $("filter").value.trim().toLowerCase(), state: document.querySelector("[name=state]:checked").value };
  const query = new URLSearchParams();
  if ($("filter").value.trim()) query.set("filter", $("filter").value.trim());
  if (filter.state) query.set("state", filter.state);
  const search = query.size > 0 ? `?${query}` : "";
  if (search !== location.search) history.replaceState(null, "", location.pathname + search + location.hash);
  redraw();
}

function clearFilter() {
  $("filter").value = "";
  document.querySelector("[name=state]").checked = true;
  takeFilter();
  $("filter").focus();
}

// ---- following

function say(state, text, reason = "") {
  $("state").dataset.state = state;
  setText($("state"), text);
  $("reason").hidden = !reason;
  setText($("reason"), reason);
}

function serviceOf(name) {
  if (!services.has(name)) services.set(name, newService(name));
  return services.get(name);
}

function takeService({ service: name, instances }) {
  const there = new Set(instances.map((one) => one.id));
  const service = serviceOf(name);
  for (const id of [...service.instances.keys()]) if (!there.has(id)) drop(service, id);
  for (const instance of instances) put(service, instance);
  touch(service);
}

function takeChange({ service: name, put: changed, gone }) {
  const service = serviceOf(name);
  for (const instance of changed) put(service, instance);
  for (const id of gone) drop(service, id);
  touch(service);
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

function takeCurrent({ current, denied, writable, reason }, seen) {
  document.body.dataset.writable = String(current && writable === true);
  if (denied) {
    for (const name of [...services.keys()]) takeService({ service: name, instances: [] });
    takeValues([]);
  }
  if (!current) return say("lost", "Not current", reason);
  say("live", "Live");
  if (caughtUp) return;
  for (const name of [...services.keys()]) if (!seen.has(name)) takeService({ service: name, instances: [] });
  caughtUp = true;
  redraw();
}

function follow() {
  const source = new EventSource("/watch?changes=1&leases=1");
  let seen = new Set(); // services since this connection began: others went while it was cut
  const on = (name, take) => source.addEventListener(name, (event) => timed("take", () => take(JSON.parse(event.data))));
  source.addEventListener("open", () => { seen = new Set(); caughtUp = false; });
  on("service", (snapshot) => { seen.add(snapshot.service); takeService(snapshot); });
  on("change", takeChange);
  on("values", takeValues);
  on("leases", takeLeases);
  on("current", (state) => takeCurrent(state, seen));
  source.addEventListener("error", () => {
    document.body.dataset.writable = "false";
    say("lost", "Connection lost", "The registry does not answer; this is the last that is known.");
    if (source.readyState === EventSource.CLOSED) setTimeout(follow, 3000);
  });
}

function copyExamples() {
  for (const here of document.querySelectorAll(".here")) setText(here, location.origin);
  for (const example of document.querySelectorAll(".empty pre")) {
    const text = example.textContent;
    example.append(copyButton(`the example ${text}`, () => text));
  }
}

copyExamples();
readFilter();
takeFilter();
$("filter").addEventListener("input", takeFilter);
$("tools").addEventListener("change", takeFilter);
$("tools").addEventListener("submit", (event) => event.preventDefault());
$("clear").addEventListener("click", clearFilter);
$("add").addEventListener("click", () => openPut(""));
window.addEventListener("popstate", () => { readFilter(); takeFilter(); });
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, textarea, dialog");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    $("filter").focus();
  }
});
setInterval(tick, 1000);
follow();
