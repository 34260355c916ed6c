"use strict";
// The live page: asks /live each second and writes what it says. Text goes in as text, never as HTML.

const EVERY_MS = 1000, PATIENCE_MS = 4000;
const at = (id) => document.getElementById(id);
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const words = (name) => name.replaceAll("_", " ");
let token = "", failures = 0, lastMs = 0, timer = 0;

function make(tag, text = "", kind = "") {
  const node = document.createElement(tag);
  node.textContent = text;
  if (kind) node.className = kind;
  return node;
}

function put(id, text, kind) {
  const node = at(id);
  if (node.textContent !== text) node.textContent = text;
  if (kind !== undefined) node.className = kind;
}

function number(value) {
  if (value === null || value === undefined) return "–";
  if (value >= 100000) return (value / 1000).toFixed(value >= 1e6 ? 0 : 1) + "k";
  return whole.format(value);
}

function span(seconds) {
  const sizes = [["d", 86400], ["h", 3600], ["min", 60]];
  for (const [name, size] of sizes) if (seconds >= size) return (seconds / size).toFixed(1) + " " + name;
  return seconds < 10 ? seconds.toFixed(1) + " s" : Math.round(seconds) + " s";
}

const clock = (ms) => new Date(ms).toLocaleTimeString("en-GB");
const moment = (ms) => ms === null ? "–" : new Date(ms).toISOString().slice(0, 19).replace("T", " ");
const share = (p) => p === null ? "–" : p.toFixed(3);

function mean(points, count) {
  const last = points.slice(-count).filter((value) => value !== null);
  return last.length ? last.reduce((sum, value) => sum + value, 0) / last.length : null;
}

function curve(id, points, limit) {
  const svg = at(id), known = points.filter((value) => value !== null);
  svg.replaceChildren();
  if (known.length < 2) return;
  const top = Math.max(...known, limit || 0, 1e-9) * 1.08;
  const x = (index) => 120 - (points.length - 1 - index);
  const y = (value) => (35 - 34 * value / top).toFixed(2);
  let line = "", first = null, last = null;
  points.forEach((value, index) => {
    if (value === null) return;
    line += (first === null ? "M" : "L") + x(index) + " " + y(value);
    first = first === null ? x(index) : first;
    last = x(index);
  });
  const add = (kind, d) => {
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("class", kind);
    path.setAttribute("d", d);
    svg.append(path);
  };
  add("area", `${line}L${last} 36L${first} 36Z`);
  if (limit) add("limit", `M0 ${y(limit)}L120 ${y(limit)}`);
  add("line", line);
}

function list(id, pairs) {
  at(id).replaceChildren(...pairs.flatMap(([name, value, kind]) => {
    const cell = make("dd");
    if (kind) cell.append(make("span", value, "tag " + kind)); else cell.textContent = value;
    return [make("dt", name), cell];
  }));
}

function table(node, heads, rows) {
  const head = make("tr");
  for (const [name, kind] of heads) {
    const cell = make("th", name, kind || "");
    cell.scope = "col";
    head.append(cell);
  }
  node.tHead.replaceChildren(head);
  node.tBodies[0].replaceChildren(...rows.map((cells) => {
    const row = make("tr");
    cells.forEach((cell, index) => {
      const place = make("td", "", heads[index][1] || "");
      place.append(cell);
      row.append(place);
    });
    return row;
  }));
}

function rows(id, heads, all, none) {
  const had = document.activeElement?.dataset?.user;  // the table is made anew under the focus
  at(id).parentElement.hidden = at(id).hidden = !all.length;
  at(id + "-none").hidden = all.length > 0;
  put(id + "-none", none);
  table(at(id), heads, all);
  if (had) at(id).querySelector(`[data-user="${CSS.escape(had)}"]`)?.focus();
}

function userCell(key) {
  const button = make("button", key, "link");
  button.type = "button";
  button.dataset.user = key;
  button.addEventListener("click", () => { at("user").value = key; lookUp(); });
  return button;
}

function showState(note) {
  const kind = note.ready ? "good" : note.state === "draining" ? "bad" : "";
  put("state", note.ready ? "running" : note.state || "starting", "pill " + kind);
  put("who", `worker ${note.instance} of ${note.group}, ${note.partitions} of ${note.partitions_total}`
    + ` partitions, up ${span(note.up_seconds)}, version ${note.forecart}`);
  const banner = at("banner"), reasons = Object.values(note.reasons);
  banner.className = "banner";
  banner.hidden = note.ready;
  if (note.ready) return;
  let said = "Not ready: " + reasons.join("; ") + ".";
  if (note.restore_remaining) said += ` ${number(note.restore_remaining)} records are still to be restored.`;
  if (note.state === "starting") said += " A first start compiles, for about half a minute.";
  put("banner", said);
}

function showTiles(note) {
  const c = note.curves, rate = mean(c.rate, 5);
  put("rate", number(rate));
  const most = Math.max(0, ...c.rate);
  put("rate-note", c.rate.length ? `most in two minutes: ${number(most)}` : "measuring");
  curve("c-rate", c.rate);
  const age = c.lag_seconds.at(-1) ?? 0, objective_s = note.objective_ms / 1000;
  put("lag", number(c.lag_records.at(-1)));
  at("lag").parentElement.className = "value " + (age > 30 ? "bad" : age > 5 * objective_s ? "warn" : "");
  put("lag-note", `oldest waiting: ${span(age)}`);
  curve("c-lag", c.lag_records);
  const p99 = c.p99_ms.at(-1) ?? null, p50 = c.p50_ms.at(-1) ?? null;
  put("p99", number(p99));
  at("p99").parentElement.className = "value " + (p99 === null ? "" : p99 > note.objective_ms ? "bad" : "good");
  put("latency-note", p99 === null ? "nothing was committed in the last 10 s"
    : `median ${number(p50)}; ${p99 > note.objective_ms ? "over" : "within"} the objective of`
      + ` ${number(note.objective_ms)}, receipt to commit`);
  curve("c-latency", c.p99_ms, note.objective_ms);
  const { at_risk: risk, high_risk: high } = note.alerts_open;
  put("open", number(risk + high));
  at("open-note").replaceChildren(make("span", `${number(high)} high risk`, "tag " + (high ? "bad" : "")),
    make("span", `${number(risk)} at risk`, "tag " + (risk ? "warn" : "")));
  put("alerts-note", `fires from a churn probability of ${note.churn_enter}`);
}

function showModel(note) {
  const m = note.model, onCpu = m.provider === "cpu" && m.wanted !== "cpu";
  const pairs = [["model", m.version || "–"],
    ["device", (m.provider || "–") + (onCpu ? ` (provider=${m.wanted})` : ""), onCpu ? "warn" : m.provider ? "good" : ""]];
  if (m.degraded) pairs.push(["degraded", "CUDA failed; on the CPU until a restart", "bad"]);
  if (m.behind) pairs.push(["behind", "model-control names another model", "warn"]);
  if (m.candidate) pairs.push(["beside it", `a ${m.candidate}, ${Math.round(100 * m.candidate_warm)} % warm`]);
  pairs.push(["guarantee", words(note.guarantee)]);
  list("model", pairs);
  const total = Object.values(note.outcomes).reduce((sum, count) => sum + count, 0);
  list("flow", [
    ...Object.entries(note.outcomes).filter(([name, count]) => count || name === "predicted")
      .map(([name, count]) => [words(name), whole.format(count)
        + (total && name !== "predicted" ? ` (${(100 * count / total).toFixed(1)} %)` : ""),
        name === "dead_lettered" && count > total / 50 ? "warn" : ""]),
    ["lag", Object.entries(note.lag_by_topic).map(([name, count]) => `${name} ${number(count)}`).join(", ")],
    ["waiting here", number(note.in_flight)],
  ]);
}

function showLists(note) {
  const shown = note.users === "shown";
  const heads = [["at"], ["event", shown ? "narrow-off" : ""], ["next"], ["purchase", "number"], ["churn", "number"]];
  rows("predictions", shown ? [...heads, ["user"], ["items", "narrow-off"]] : heads,
    note.predictions.map((each) => {
      const [name, p] = Object.entries(each.next_event).sort((a, b) => b[1] - a[1])[0];
      const cells = [clock(each.at_ms), each.place + (each.late ? " (late)" : ""),
        `${name} ${share(p)}`, share(each.purchase), share(each.churn)];
      return shown ? [...cells, userCell(each.user), each.items.join(", ") || "–"] : cells;
    }), "None yet. Events on clicks, searches and purchases bring them; `forecart simulate` publishes some.");
  const alertHeads = [["at", shown ? "narrow-off" : ""], ["state"], ["level", "narrow-off"], ["why"],
    ["churn", "number"], ["silent for", "number"]];
  rows("changes", shown ? [...alertHeads, ["user"]] : alertHeads,
    note.alerts.map((each) => {
      const kind = each.state === "firing" ? (each.level === "high_risk" ? "bad" : "warn") : "good";
      const cells = [clock(each.at_ms), make("span", each.state, "tag " + kind), words(each.level),
        each.reason === "none" ? "score" : words(each.reason), share(each.churn), span(each.silence_seconds)];
      return shown ? [...cells, userCell(each.user)] : cells;
    }), "None yet.");
  at("user-off").hidden = note.users !== "off";
  at("user-form").hidden = note.users === "off";
}

async function ask(path, options = {}) {
  const headers = token ? { Authorization: "Bearer " + token } : {};
  const answer = await fetch(path, { ...options, headers, cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
  const note = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(note.error || answer.statusText), { status: answer.status });
  return note;
}

async function look() {
  clearTimeout(timer);
  try {
    const note = await ask("live");
    failures = 0;
    lastMs = Date.now();
    at("main").setAttribute("aria-busy", "false");
    at("main").classList.remove("stale");
    showState(note);
    showTiles(note);
    showModel(note);
    showLists(note);
  } catch (error) {
    if (error.status === 401 || error.status === 403) lock(error.message);
    else if (++failures > 1) unreachable();
  }
  if (!document.hidden) timer = setTimeout(look, EVERY_MS);
}

function unreachable() {
  put("state", "no answer", "pill bad");
  const since = lastMs ? ` for ${span((Date.now() - lastMs) / 1000)}; below is what it said last` : "";
  at("banner").className = "banner bad";
  at("banner").hidden = false;
  put("banner", `The worker does not answer${since}. Trying again.`);
  at("main").classList.add("stale");
}

function lock(said = "") {
  token = "";
  at("token").value = "";
  at("token").parentElement.hidden = false;
  at("token").required = true;
  at("lock").hidden = true;
  at("found").hidden = true;
  at("found").replaceChildren();
  put("user-said", said ? `Refused: ${said}.` : "", said ? "bad" : "");
}

async function lookUp() {
  const given = token || at("token").value.trim(), user = at("user").value.trim();
  if (!given || !user) return;
  put("user-said", "Looking.", "");
  at("find").disabled = true;
  token = given;
  try {
    const note = await ask("user", { method: "POST", body: JSON.stringify({ user }) });
    at("token").required = false;
    at("token").parentElement.hidden = true;
    at("token").value = "";
    at("lock").hidden = false;
    put("user-said", note.found ? "" : note.why.join(" ") + ".", "");
    at("found").hidden = !note.found;
    at("found").replaceChildren();
    if (note.found) showUser(user, note);
  } catch (error) {
    if (error.status === 401 || error.status === 403) lock(error.message);
    else put("user-said", `Not found out: ${error.status ? error.message : "the worker does not answer"}.`, "bad");
  }
  at("find").disabled = false;
}

function part(title, kind, ...content) {
  const box = make("div", "", kind);
  box.append(make("h3", title), ...content);
  at("found").append(box);
}

function chance(name, p) {
  const line = make("div", "", "chance"), bar = make("div", "", "bar"), fill = make("i");
  fill.style.width = `${100 * (p ?? 0)}%`;
  bar.append(fill);
  line.append(make("span", name), bar, make("b", share(p)));
  return line;
}

function showUser(user, note) {
  const facts = make("dl");
  for (const [name, value] of [["user", user], ["partition", note.partition],
    ["predictions", whole.format(note.predictions)], ["steps", whole.format(note.steps_accepted)],
    ["last event", moment(note.last_event_at) + " UTC"], ["last prediction", note.prediction_id ?? "–"]]) {
    facts.append(make("dt", name), make("dd", String(value)));
  }
  if (note.prediction_id) {
    const said = make("dd");
    said.append(make("code", "forecart explain " + note.prediction_id));
    facts.append(make("dt", "why these scores"), said);
  }
  part("User", "", facts);
  const scores = note.scores;
  part("Last scores", "", ...Object.entries(scores.next_event).map(([name, p]) => chance("next: " + name, p)),
    chance("purchase", scores.purchase), chance("churn", scores.churn));
  const alert = note.alert, why = make("ul");
  why.append(...note.why.map((text) => make("li", text)));
  const kind = alert.state === "firing" ? (alert.level === "high_risk" ? "bad" : "warn") : "good";
  const tag = make("p");
  tag.append(make("span", words(alert.state) + (alert.state === "firing" ? ", " + words(alert.level) : ""), "tag " + kind));
  part("Alert, and why", "wide", tag, why);
  const scroll = make("div", "", "scroll tall"), window_ = make("table");
  scroll.tabIndex = 0;
  scroll.setAttribute("role", "group");
  scroll.setAttribute("aria-label", "Steps of the window, a table");
  window_.append(make("thead"), make("tbody"));
  table(window_, [["time, UTC"], ["what"], ["item"], ["price", "number"], ["quantity", "number narrow-off"], ["event", "narrow-off"]],
    note.window.toReversed().map((step) => [moment(step.time), step.type === step.action ? step.type : `${step.type}: ${step.action}`,
      step.name ?? (step.item ? `(hash ${step.item})` : "–"),
      step.price_cents === null ? "–" : (step.price_cents / 100).toFixed(2), String(step.quantity), step.source]));
  scroll.append(window_);
  part(`Window: ${note.window.length} steps, newest first`, "wide", scroll);
}

const THEMES = [["", "◐", "as the system"], ["light", "○", "light"], ["dark", "●", "dark"]];

function theme(index) {
  const [name, sign, said] = THEMES[index];
  if (name) document.documentElement.dataset.theme = name; else delete document.documentElement.dataset.theme;
  put("theme", sign);
  at("theme").setAttribute("aria-label", "Colours: " + said);
  try { localStorage.setItem("theme", String(index)); } catch { /* a browser that keeps nothing */ }
  return index;
}

let themed = 0;
try { themed = Number(localStorage.getItem("theme")) % THEMES.length || 0; } catch { /* as above */ }
theme(themed);
at("theme").addEventListener("click", () => { themed = theme((themed + 1) % THEMES.length); });
at("user-form").addEventListener("submit", (event) => { event.preventDefault(); lookUp(); });
at("lock").addEventListener("click", () => lock());
document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
look();
