"use strict";
const D = JSON.parse(document.getElementById("data").textContent);
for (const o of [D.pictures, ...Object.values(D.pictures).map(p => p.files), ...D.images.map(i => i.rows)]) Object.setPrototypeOf(o, null);
const $ = id => document.getElementById(id);
const make = (tag, text, parent) => { const e = document.createElement(tag); if (text !== undefined) e.textContent = text; if (parent) parent.append(e); return e; };
const num = v => v === "inf" ? Infinity : v === "-inf" ? -Infinity : v;
const show = v => v === null || v === undefined ? "–" : typeof v === "string" ? v : String(Number(v.toPrecision(4)));
const tidy = (v, step) => { const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9)); return digits > 6 || Math.abs(v) >= 1e6 ? show(v) : (Math.abs(v) < step / 2 ? 0 : v).toFixed(digits); };
const ticks = (low, high) => {
  const rough = (high - low) / 5, power = 10 ** Math.floor(Math.log10(rough)), step = power * [1, 2, 5, 10].find(f => f * power >= rough * .999);
  const first = Math.ceil(low / step - 1e-9), last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, k) => [(first + k) * step, tidy((first + k) * step, step)]);
};
const column = name => D.metrics.findIndex(m => m.name === name);
const value = (image, method, k) => { const r = image.rows[method]; return r ? num(r[0][k]) : null; };
const palette = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#777777"];
const colour = m => m === "gt" ? "#777777" : m === "input" ? "#999999" : palette[D.judged.indexOf(m) % palette.length];
const option = (select, v, text) => { const o = make("option", text || v, select); o.value = v; };

// the table of images
let order = { key: "name", down: false }, listed = [], only = null; // the well whose images are listed
for (const m of D.methods) option($("table-method"), m);
$("table-method").value = D.judged[0] || D.methods[0];
function head() {
  const row = make("tr"); $("table").tHead.replaceChildren(row);
  const cell = (key, text, title) => {
    const th = make("th", undefined, row); th.scope = "col";
    const b = make("button", text, th); b.type = "button"; if (title) b.title = title;
    th.setAttribute("aria-sort", order.key === key ? (order.down ? "descending" : "ascending") : "none");
    if (order.key === key) b.textContent += order.down ? " ▾" : " ▴";
    b.addEventListener("click", () => { order = { key, down: order.key === key ? !order.down : false }; table(); const again = [...$("table").tHead.querySelectorAll("button")].find(x => x.dataset.key === key); if (again) again.focus(); });
    b.dataset.key = key;
  };
  cell("name", "image"); D.metrics.forEach((m, k) => cell(k, m.name + " " + m.arrow, m.unit)); cell("status", "status");
}
function table() {
  head();
  const method = $("table-method").value, text = $("filter").value.toLowerCase(), odd = $("only-failed").checked;
  listed = D.images.filter(i => {
    const r = i.rows[method]; if (!r || only && !i.name.startsWith(only.prefix)) return false;
    if (odd && r[1] === "ok" && !r[2]) return false;
    return !text || i.name.toLowerCase().includes(text) || r[2].toLowerCase().includes(text);
  });
  const key = i => order.key === "name" ? i.name : order.key === "status" ? i.rows[method][1] : value(i, method, order.key);
  listed.sort((a, b) => {
    const x = key(a), y = key(b);
    if (x === null || y === null) return (x === null) - (y === null);
    return (x < y ? -1 : x > y ? 1 : 0) * (order.down ? -1 : 1);
  });
  const body = document.createDocumentFragment();
  listed.slice(0, 1000).forEach(i => {
    const r = i.rows[method], row = make("tr", undefined, body); row.tabIndex = 0; row.dataset.image = i.name;
    make("td", (D.pictures[i.name] ? "▣ " : "") + i.name, row).title = i.name;
    r[0].forEach(v => make("td", show(v), row));
    const s = make("td", r[1] === "ok" ? (r[2] ? "ok, " + r[2] : "ok") : r[2], row); if (r[1] !== "ok") s.className = "failed";
  });
  $("table").tBodies[0].replaceChildren(body);
  $("count").textContent = `${listed.length} of ${D.images.length} images` + (listed.length > 1000 ? ", the first 1000 are listed" : "") + (D.total > D.images.length ? `; the others of ${D.total} stand in scores.csv` : "");
}
function limit(to) { only = to; $("only").hidden = !to; if (to) $("only").textContent = `well ${to.name} ✕`; table(); }
$("only").addEventListener("click", () => { limit(null); $("filter").focus(); });
for (const [id, event] of [["filter", "input"], ["table-method", "change"], ["only-failed", "change"]]) $(id).addEventListener(event, table);
$("table").tBodies[0].addEventListener("click", e => { const r = e.target.closest("tr"); if (r) open(r.dataset.image); });
$("table").tBodies[0].addEventListener("keydown", e => { if (e.key !== "Enter") return; e.preventDefault(); open(e.target.closest("tr").dataset.image); });
document.querySelectorAll(".thumb").forEach(b => b.addEventListener("click", () => open(b.dataset.image)));

// box plots: a point leads to its image
let points = [];
[...D.metrics.filter(m => m.ranks), ...D.metrics.filter(m => !m.ranks)].forEach(m => option($("plot-metric"), m.name, m.name + " " + m.arrow + (m.unit ? " (" + m.unit + ")" : "")));
if (D.main) $("plot-metric").value = D.main;
const quantile = (s, q) => { const p = (s.length - 1) * q, f = Math.floor(p); return s[f] + (p - f) * ((s[f + 1] ?? s[f]) - s[f]); };
function boxes() {
  const c = $("boxes"), scale = window.devicePixelRatio || 1, w = Math.min(1120, document.querySelector("main").clientWidth), h = 340;
  c.width = w * scale; c.height = h * scale; c.style.width = w + "px"; c.style.height = h + "px";
  const g = c.getContext("2d"); g.scale(scale, scale); points = [];
  const ink = getComputedStyle(document.body).color, k = column($("plot-metric").value); if (k < 0) return;
  const sets = D.methods.map(m => [m, D.images.map(i => [i.name, value(i, m, k)]).filter(p => p[1] !== null && isFinite(p[1]))]).filter(s => s[1].length);
  if (!sets.length) return;
  const all = sets.flatMap(s => s[1].map(p => p[1])); let low = Math.min(...all), high = Math.max(...all); if (low === high) { low -= 1; high += 1; }
  const pad = (high - low) * .05, y = v => 12 + (h - 58) * (1 - (v - low + pad) / (high - low + 2 * pad)), left = 62, wide = (w - left - 10) / sets.length;
  g.fillStyle = g.strokeStyle = ink; g.font = "12px system-ui"; g.textAlign = "right"; g.globalAlpha = .8;
  for (const [v, text] of ticks(low - pad, high + pad)) { g.fillText(text, left - 8, y(v) + 4); g.globalAlpha = .15; g.fillRect(left, y(v), w - left, 1); g.globalAlpha = .8; }
  g.textAlign = "center"; let seed = 7; const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
  sets.forEach(([m, list], n) => {
    const x = left + wide * (n + .5), b = Math.min(wide * .5, 90), s = list.map(p => p[1]).sort((p, q) => p - q), [q1, q2, q3] = [.25, .5, .75].map(q => quantile(s, q));
    g.fillStyle = colour(m); g.globalAlpha = .6;
    list.forEach(([name, v]) => { const px = x + (random() - .5) * b * .8; points.push([px, y(v), name]); g.beginPath(); g.arc(px, y(v), 2.6, 0, 7); g.fill(); });
    g.globalAlpha = 1; g.strokeStyle = ink; g.strokeRect(x - b / 2, y(q3), b, y(q1) - y(q3)); g.lineWidth = 2; g.beginPath(); g.moveTo(x - b / 2, y(q2)); g.lineTo(x + b / 2, y(q2)); g.stroke(); g.lineWidth = 1;
    const reach = 1.5 * (q3 - q1), inside = s.filter(v => v >= q1 - reach && v <= q3 + reach);
    g.beginPath(); g.moveTo(x, y(q3)); g.lineTo(x, y(inside[inside.length - 1])); g.moveTo(x, y(q1)); g.lineTo(x, y(inside[0])); g.stroke();
    g.fillStyle = ink; g.fillText(m.length > 20 ? m.slice(0, 19) + "…" : m, x, h - 22); g.fillText("n = " + s.length, x, h - 6);
  });
}
$("plot-metric").addEventListener("change", boxes); window.addEventListener("resize", boxes);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", boxes);
$("boxes").addEventListener("click", e => {
  const r = $("boxes").getBoundingClientRect(), x = e.clientX - r.left, y = e.clientY - r.top;
  const best = points.map(p => [Math.hypot(p[0] - x, p[1] - y), p[2]]).sort((a, b) => a[0] - b[0])[0];
  if (best && best[0] < 12) open(best[1]);
});

// the panel of one image: divider, blink, linked zoom and pan
let current = null, view = { x: 0, y: 0, zoom: 1 }, split = 50, timer = null;
function fit() {
  const p = D.pictures[current]; if (!p) return;
  const v = $("viewer"), zoom = Math.min(v.clientWidth / p.crop[3], v.clientHeight / p.crop[2]);
  view = { zoom, x: (v.clientWidth - p.crop[3] * zoom) / 2, y: (v.clientHeight - p.crop[2] * zoom) / 2 }; place();
}
function place() {
  for (const id of ["image-left", "image-right"]) $(id).style.transform = `translate(${view.x}px,${view.y}px) scale(${view.zoom})`;
  $("clip").style.width = split + "%"; $("handle").style.left = split + "%"; $("handle").setAttribute("aria-valuenow", Math.round(split));
}
function sources() {
  const p = D.pictures[current], kind = document.querySelector('input[name="show"]:checked').value; if (!p) return;
  for (const side of ["left", "right"]) {
    const m = $(side).value, file = p.files[kind + m] || p.files["image:" + m];
    $("image-" + side).src = D.folder + "/" + file; $("image-" + side).alt = m + " of " + current;
    document.querySelector(".tag." + side).textContent = m + (kind !== "image:" && p.files[kind + m] ? " " + kind.slice(0, -1) : "");
  }
}
function open(name) {
  const image = D.images.find(i => i.name === name); if (!image) return;
  current = name; $("panel-title").textContent = name; const p = D.pictures[name], has = !!p;
  $("viewer").hidden = !has; $("nothing").hidden = has; $("crop").textContent = "";
  const keep = [$("left").value, $("right").value];
  for (const id of ["left", "right"]) { $(id).replaceChildren(); if (has) D.methods.filter(m => p.files["image:" + m]).forEach(m => option($(id), m)); }
  if (has) {
    const list = D.methods.filter(m => p.files["image:" + m]);
    $("left").value = list.includes(keep[0]) ? keep[0] : list.find(m => D.judged.includes(m)) || list[0];
    $("right").value = list.includes(keep[1]) ? keep[1] : list.includes("gt") ? "gt" : list[list.length - 1];
    $("crop").textContent = `Rows ${p.crop[0]} to ${p.crop[0] + p.crop[2]}, columns ${p.crop[1]} to ${p.crop[1] + p.crop[3]} of ${p.shape[0]} × ${p.shape[1]} pixels; one contrast for all. Drag the divider or the image, turn the wheel to zoom, arrow keys move the divider.`;
    sources();
  }
  const row = make("tr"); $("numbers").tHead.replaceChildren(row); make("th", "metric", row); D.methods.forEach(m => make("th", m, row));
  const body = document.createDocumentFragment();
  D.metrics.forEach((m, k) => { const r = make("tr", undefined, body); make("th", m.name + " " + m.arrow, r).scope = "row"; D.methods.forEach(x => make("td", show(image.rows[x] ? image.rows[x][0][k] : null), r)); });
  const r = make("tr", undefined, body); make("th", "reason", r); D.methods.forEach(x => make("td", image.rows[x] ? image.rows[x][2] : "", r));
  $("numbers").tBodies[0].replaceChildren(body);
  if (!$("panel").open) $("panel").showModal();
  fit();
}
function blink(on) {
  clearInterval(timer); timer = null; $("blink").setAttribute("aria-pressed", String(on)); split = 50; place();
  if (on) timer = setInterval(() => { split = split > 50 ? 0 : 100; place(); }, 600);
}
function step(by) { const k = listed.findIndex(i => i.name === current); const to = listed[k + by]; if (to) open(to.name); }
["left", "right"].forEach(id => $(id).addEventListener("change", sources));
document.querySelectorAll('input[name="show"]').forEach(e => e.addEventListener("change", sources));
$("close").addEventListener("click", () => $("panel").close()); $("panel").addEventListener("close", () => blink(false));
$("blink").addEventListener("click", () => blink(!timer)); $("reset").addEventListener("click", fit);
$("previous").addEventListener("click", () => step(-1)); $("next").addEventListener("click", () => step(1));
$("panel").addEventListener("keydown", e => {
  if (e.target.matches("select,input")) return;
  if (e.key === "b") blink(!timer); else if (e.key === "0") fit();
  else if (e.key === "ArrowLeft" || e.key === "ArrowRight") { split = Math.max(0, Math.min(100, split + (e.key === "ArrowLeft" ? -2 : 2))); place(); e.preventDefault(); }
  else if (e.key === "+" || e.key === "-") zoom(e.key === "+" ? 1.25 : .8, $("viewer").clientWidth / 2, $("viewer").clientHeight / 2);
});
function zoom(by, x, y) { const z = Math.max(.2, Math.min(40, view.zoom * by)), f = z / view.zoom; view = { zoom: z, x: x - (x - view.x) * f, y: y - (y - view.y) * f }; place(); }
$("viewer").addEventListener("wheel", e => { e.preventDefault(); const r = $("viewer").getBoundingClientRect(); zoom(e.deltaY < 0 ? 1.15 : 1 / 1.15, e.clientX - r.left, e.clientY - r.top); }, { passive: false });
let drag = null;
$("viewer").addEventListener("pointerdown", e => { drag = { on: e.target === $("handle"), x: e.clientX, y: e.clientY, from: { ...view } }; $("viewer").setPointerCapture(e.pointerId); if (drag.on) blink(false); });
$("viewer").addEventListener("pointermove", e => {
  if (!drag) return; const r = $("viewer").getBoundingClientRect();
  if (drag.on) split = Math.max(0, Math.min(100, 100 * (e.clientX - r.left) / r.width));
  else view = { zoom: drag.from.zoom, x: drag.from.x + e.clientX - drag.x, y: drag.from.y + e.clientY - drag.y };
  place();
});
for (const event of ["pointerup", "pointercancel"]) $("viewer").addEventListener(event, () => { drag = null; });
window.addEventListener("resize", () => { if ($("panel").open) fit(); });
table(); boxes();
