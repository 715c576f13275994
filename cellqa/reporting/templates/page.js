"use strict";
// the numbers, and what all sections share
const $ = id => document.getElementById(id);
const D = JSON.parse($("data").textContent), C = JSON.parse($("columns").textContent);
for (const o of [D.pictures, ...Object.values(D.pictures).map(p => p.files || {}), D.why, D.failed, D.absent, D.gallery, C, ...Object.values(C)]) Object.setPrototypeOf(o, null);
const make = (tag, text, parent) => { const e = document.createElement(tag); if (text !== undefined) e.textContent = text; if (parent) parent.append(e); return e; };
const option = (select, v, text) => { const o = make("option", text || v, select); o.value = v; };
const num = v => v === "inf" ? Infinity : v === "-inf" ? -Infinity : v;
const show = v => v === null || v === undefined ? "–" : typeof v === "string" ? v : !isFinite(v) ? (v > 0 ? "inf" : "-inf") : String(Number(v.toPrecision(4)));
const fixed = (m, v) => v === null || v === undefined || !isFinite(v) || m.decimals === null || Math.abs(v) >= 1e4 ? show(v) : v.toFixed(m.decimals);
const signed = (m, v) => (v > 0 ? "+" : v < 0 ? "−" : "±") + fixed(m, Math.abs(v));
const titled = m => m.name + " " + m.arrow + (m.unit ? " (" + m.unit + ")" : "");
const tidy = (v, step) => { const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9)); return digits > 6 || Math.abs(v) >= 1e6 ? show(v) : (Math.abs(v) < step / 2 ? 0 : v).toFixed(digits); };
const ticks = (low, high) => {
  const rough = (high - low) / 5, power = 10 ** Math.floor(Math.log10(rough)), step = power * [1, 2, 5, 10].find(f => f * power >= rough * .999);
  const first = Math.ceil(low / step - 1e-9), last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, k) => [(first + k) * step, tidy((first + k) * step, step)]);
};
const column = name => D.metrics.findIndex(m => m.name === name);
const places = new Map(D.images.map((name, i) => [name, i]));
const values = (method, metric) => C[method]?.[metric] || null;
const value = (i, method, metric) => { const list = values(method, metric), v = list ? num(list[i]) : null; return v === undefined ? null : v; };
const rows = Object.fromEntries(D.methods.map(m => [m, { failed: new Set(D.failed[m]), absent: new Set(D.absent[m]) }]));
Object.setPrototypeOf(rows, null);
const reason = (i, method) => D.reasons[D.why[method]?.[i] || 0];
const able = metric => D.methods.filter(m => values(m, metric));
const ranked = [...D.metrics.filter(m => m.ranks), ...D.metrics.filter(m => !m.ranks)];
const palette = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#777777"];
const colour = m => m === "gt" ? "#777777" : m === "input" ? "#999999" : palette[D.judged.indexOf(m) % palette.length];

// pictures: inside the page, or files beside it
const kept = new Map();
const pictured = name => D.pictures[name] && (D.pictures[name].files || $("p" + D.pictures[name].number)) ? D.pictures[name] : null;
function sources(name) {
  const p = pictured(name); if (!p) return {};
  if (!kept.has(name)) {
    const found = p.files ? Object.entries(p.files).map(([key, file]) => [key, D.folder + "/" + file]) : Object.entries(JSON.parse($("p" + p.number).textContent)).map(([key, text]) => [key, "data:image/webp;base64," + text]);
    kept.set(name, Object.setPrototypeOf(Object.fromEntries(found), null));
    if (kept.size > 40) kept.delete(kept.keys().next().value);
  }
  return kept.get(name);
}

// tables that are wider than the page say so
function hints() {
  for (const box of document.querySelectorAll(".scroll")) {
    let hint = box.previousElementSibling;
    if (!hint || !hint.classList.contains("beyond")) { hint = make("p"); hint.className = "beyond"; hint.hidden = true; box.before(hint); box.addEventListener("scroll", () => requestAnimationFrame(hints), { passive: true }); }
    const edge = box.getBoundingClientRect().right, cells = [...(box.querySelector("thead tr")?.cells || [])], beyond = cells.filter(c => c.getBoundingClientRect().right > edge + 2).length;
    hint.hidden = !beyond; box.classList.toggle("cut", !!beyond);
    if (beyond) hint.textContent = `${beyond} more column${beyond > 1 ? "s" : ""} to the right: scroll or swipe →`;
  }
}
window.addEventListener("resize", hints);
document.addEventListener("toggle", hints, true);

// paper does not scroll: a table that is too wide is printed in parts, each with its first column
const PAPER = 1000;
let parts = [];
function on_paper(on) {
  document.documentElement.classList.toggle("printing", on); boxes(); full(on);
  document.querySelectorAll("details.how").forEach(d => { if (on && !d.open) { d.open = true; d.dataset.was = "closed"; } else if (!on && d.dataset.was) { d.open = false; delete d.dataset.was; } });
}
let heads = [];
// browsers leave buttons out where the head of a table is repeated on the next sheet
function words_for_paper() { document.querySelectorAll("thead th button").forEach(b => { const s = make("span", b.textContent); b.replaceWith(s); heads.push([s, b]); }); }
function apart_for_paper() {
  on_paper(true); gallery_for_paper(); words_for_paper();
  for (const table of document.querySelectorAll(".scroll > table")) {
    const head = table.tHead?.rows[0]; if (!head || table.scrollWidth <= PAPER || table.id === "wells") continue;
    const widths = [...head.cells].map(c => c.offsetWidth), blocks = []; let from = 1;
    while (from < widths.length) { let to = from, sum = widths[0]; while (to < widths.length && (to === from || sum + widths[to] <= PAPER)) sum += widths[to++]; blocks.push([from, to]); from = to; }
    const holder = make("div"); holder.className = "paper";
    for (const [a, b] of blocks) {
      const copy = table.cloneNode(true); copy.removeAttribute("id"); holder.append(copy);
      for (const row of copy.rows) [...row.cells].forEach((cell, k) => { if (k && (k < a || k >= b)) cell.remove(); });
    }
    table.parentElement.after(holder); table.parentElement.classList.add("on-screen"); parts.push(holder);
  }
}
function together() { heads.forEach(([s, b]) => s.replaceWith(b)); heads = []; parts.forEach(p => p.remove()); parts = []; document.querySelectorAll(".on-screen").forEach(e => e.classList.remove("on-screen")); on_paper(false); }
window.addEventListener("beforeprint", apart_for_paper); window.addEventListener("afterprint", together);
