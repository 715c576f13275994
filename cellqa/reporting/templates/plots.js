// plots: boxes with a point for each image, violins where there are too many; a point leads to its image
const MANY = 1000;
let points = [], boxed = [];
ranked.filter(m => able(m.name).length).forEach(m => option($("plot-metric"), m.name, titled(m)));
if (D.main) $("plot-metric").value = D.main;
const quantile = (s, q) => { const p = (s.length - 1) * q, f = Math.floor(p); return s[f] + (p - f) * ((s[f + 1] ?? s[f]) - s[f]); };
function density(s, low, high) { // a Gaussian kernel (Silverman's width) over a fine histogram
  const n = s.length, bins = 256, step = (high - low) / bins || 1, counts = new Float64Array(bins), mean = s.reduce((a, v) => a + v, 0) / n;
  for (const v of s) counts[Math.min(bins - 1, Math.max(0, Math.floor((v - low) / step)))]++;
  const sd = Math.sqrt(s.reduce((a, v) => a + (v - mean) ** 2, 0) / n), spread = Math.min(sd, (quantile(s, .75) - quantile(s, .25)) / 1.34) || sd || step, width = Math.max(step, .9 * spread * n ** -.2), reach = Math.ceil(3 * width / step);
  return Float64Array.from({ length: bins }, (_, k) => { let sum = 0; for (let j = Math.max(0, k - reach); j <= Math.min(bins - 1, k + reach); j++) sum += counts[j] * Math.exp(-.5 * ((k - j) * step / width) ** 2); return sum; });
}
function boxes() {
  const c = $("boxes"), scale = window.devicePixelRatio || 1, w = document.querySelector("main").clientWidth, h = 360;
  c.width = w * scale; c.height = h * scale; c.style.width = w + "px"; c.style.height = h + "px";
  const g = c.getContext("2d"); g.scale(scale, scale); points = []; boxed = []; $("tip").hidden = true;
  const style = getComputedStyle(document.body), dark = matchMedia("(prefers-color-scheme: dark)").matches, ink = style.color, m = D.metrics[column($("plot-metric").value)];
  if (!m) return;
  const sets = able(m.name).map(x => [x, values(x, m.name).map((v, i) => [i, num(v)]).filter(p => p[1] !== null && isFinite(p[1])), values(x, m.name).filter(v => typeof v === "string").length]).filter(s => s[1].length);
  g.fillStyle = ink; g.font = "13px system-ui";
  if (!sets.length) { g.fillText("no finite value", 10, 40); return; }
  let low = Infinity, high = -Infinity; for (const [, list] of sets) for (const [, v] of list) { if (v < low) low = v; if (v > high) high = v; }
  if (low === high) { const pad = Math.abs(low) * .05 || 1; low -= pad; high += pad; }
  const pad = (high - low) * .06, left = 74, top = w < 700 ? 58 : 26, bottom = h - 46, y = v => bottom - (v - low + pad) / (high - low + 2 * pad) * (bottom - top), wide = (w - left - 6) / sets.length;
  g.font = "12px system-ui"; g.textAlign = "right"; g.globalAlpha = .8;
  for (const [v, text] of ticks(low - pad, high + pad)) { g.fillText(text, left - 8, y(v) + 4); g.globalAlpha = .15; g.fillRect(left, y(v), w - left, 1); g.globalAlpha = .8; }
  g.globalAlpha = 1; g.textAlign = "left"; g.font = "600 13px system-ui";
  const better = !m.ranks ? "" : m.higher ? "   ▲ up is better" : "   ▼ down is better"; g.fillText(m.name + (m.unit ? ` (${m.unit})` : "") + better, 4, 14); g.font = "12px system-ui";
  let seed = 7, lines = 0; const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
  sets.forEach(([x, list, infinite], n) => {
    const s = Float64Array.from(list, p => p[1]).sort(), at = left + wide * (n + .5), b = Math.min(wide * .5, 90), [q1, q2, q3] = [.25, .5, .75].map(q => quantile(s, q));
    const reach = 1.5 * (q3 - q1), violin = s.length > MANY, in_reach = s.filter(v => v >= q1 - reach && v <= q3 + reach), ends = [in_reach[0] ?? q1, in_reach[in_reach.length - 1] ?? q3];
    if (x === "gt" || x === "input") { // the references that others are read against
      const name = (x === "gt" ? "ground truth" : "untouched images") + ", median " + fixed(m, q2);
      g.strokeStyle = colour(x); g.setLineDash(x === "gt" ? [7, 4] : [2, 3]); g.beginPath(); g.moveTo(left, y(q2)); g.lineTo(w, y(q2)); g.stroke(); g.setLineDash([]);
      g.textAlign = "right"; g.font = "12px system-ui"; g.fillStyle = ink; const narrow = w < 700, right = narrow ? w - 4 : w - 4 - lines, at_y = narrow ? 30 + lines : 14, wide_as = g.measureText(name).width; g.fillText(name, right, at_y); lines += narrow ? 16 : wide_as + 50;
      g.strokeStyle = colour(x); g.setLineDash(x === "gt" ? [7, 4] : [2, 3]); g.lineWidth = 1.5; g.beginPath(); g.moveTo(right - wide_as - 30, at_y - 4); g.lineTo(right - wide_as - 6, at_y - 4); g.stroke(); g.setLineDash([]); g.lineWidth = 1;
    }
    g.fillStyle = colour(x); g.globalAlpha = violin ? .45 : dark ? .9 : .6;
    if (violin) {
      const d = density(s, s[0], s[s.length - 1]), most = Math.max(...d), level = k => y(s[0] + (k + .5) / d.length * (s[s.length - 1] - s[0]));
      g.beginPath(); d.forEach((v, k) => g.lineTo(at - v / most * b * .8, level(k))); for (let k = d.length - 1; k >= 0; k--) g.lineTo(at + d[k] / most * b * .8, level(k)); g.closePath(); g.fill(); g.globalAlpha = .6;
    }
    const drawn = violin ? list.filter(p => p[1] < ends[0] || p[1] > ends[1]).sort((p, q) => Math.abs(q[1] - q2) - Math.abs(p[1] - q2)).slice(0, 200) : list;
    drawn.forEach(([i, v]) => { const px = at + (random() - .5) * b * (violin ? .2 : .8); points.push([px, y(v), D.images[i], `${D.images[i]}\n${x}: ${fixed(m, v)}${m.unit ? " " + m.unit : ""}`]); g.beginPath(); g.arc(px, y(v), 2.6, 0, 7); g.fill(); });
    const half = violin ? b / 7 : b / 2; g.globalAlpha = 1; g.strokeStyle = ink; g.strokeRect(at - half, y(q3), 2 * half, y(q1) - y(q3)); g.lineWidth = 2; g.beginPath(); g.moveTo(at - half, y(q2)); g.lineTo(at + half, y(q2)); g.stroke(); g.lineWidth = 1;
    g.beginPath(); g.moveTo(at, y(q3)); g.lineTo(at, y(ends[1])); g.moveTo(at, y(q1)); g.lineTo(at, y(ends[0])); g.stroke();
    boxed.push([at, Math.max(b / 2, half), y(q3), y(q1), `${x}: median ${fixed(m, q2)}\nquartiles ${fixed(m, q1)} to ${fixed(m, q3)}\nn = ${s.length}`]);
    const fit = Math.max(4, Math.floor(wide / 7.2)); g.textAlign = "center"; g.fillStyle = ink; g.fillText(x.length > fit ? x.slice(0, fit - 1) + "…" : x, at, h - 24); g.globalAlpha = .8; g.fillText("n = " + s.length + (infinite ? ` (+${infinite} inf)` : ""), at, h - 8); g.globalAlpha = 1;
  });
  $("plot-key").textContent = (D.total > D.images.length ? `The first ${D.images.length} of ${D.total} images. ` : "") + (sets.some(s => s[1].length > MANY) ? "Violins show where values lie; a point is one of the 200 farthest outliers: click it to open its image." : "A point is an image: click it to open it. Boxes: quartiles and median, whiskers to 1.5 quartile ranges.");
}
function near(e) {
  const r = $("boxes").getBoundingClientRect(), x = e.clientX - r.left, y = e.clientY - r.top;
  let best = null, far = 14; for (const p of points) { const d = Math.hypot(p[0] - x, p[1] - y); if (d < far) { far = d; best = p; } }
  return best || boxed.filter(b => Math.abs(b[0] - x) < b[1] && y > b[2] - 4 && y < b[3] + 4).map(b => [x, y, null, b[4]])[0] || null;
}
let tipped = null;
function tip(p) {
  tipped = p; $("tip").hidden = !p; if (!p) return;
  $("tip").textContent = p[3]; const w = $("boxes").clientWidth; $("tip").style.left = Math.max(0, Math.min(p[0] + 12, w - $("tip").offsetWidth - 4)) + "px"; $("tip").style.top = Math.max(0, p[1] - $("tip").offsetHeight - 8) + "px";
}
$("boxes").addEventListener("pointermove", e => { if (e.pointerType !== "touch") tip(near(e)); });
$("boxes").addEventListener("pointerleave", () => tip(null));
$("boxes").addEventListener("click", e => { // a finger first sees what it points at
  const p = near(e), same = p && tipped && p[3] === tipped[3]; if (e.pointerType === "touch" && !same) { tip(p); return; } if (p && p[2] !== null) open(p[2]);
});
$("plot-metric").addEventListener("change", boxes); window.addEventListener("resize", boxes);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", boxes);
