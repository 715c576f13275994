// the plates: a heat map of wells
const viridis = ["#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725"];
const apart = ["#b35806", "#e08214", "#fdb863", "#e3e3e3", "#8fb8de", "#4a90c9", "#1f5f99"]; // worse to better
const mix = (stops, at) => {
  const p = Math.max(0, Math.min(1, at)) * (stops.length - 1), k = Math.min(stops.length - 2, Math.floor(p));
  const [a, b] = [stops[k], stops[k + 1]].map(s => [1, 3, 5].map(i => parseInt(s.slice(i, i + 2), 16)));
  return `rgb(${a.map((v, i) => Math.round(v + (b[i] - v) * (p - k)))})`;
};
const has = (method, metric) => D.plates.some(p => Object.hasOwn(p.values[method], metric));
const of = (plate, method, metric, k) => { const v = plate.values[method][metric]; return Object.hasOwn(plate.values[method], metric) ? [num(v[0][k]), v[1][k]] : [null, 0]; };
const asked = () => ({ plate: D.plates[Number($("plate-name").value)], metric: D.metrics[column($("plate-metric").value)], method: $("plate-method").value, minus: $("plate-minus").value });
function difference(plate, q, k) {
  const [v, n] = of(plate, q.method, q.metric.name, k); if (!q.minus) return [v, n];
  const [w, m] = of(plate, q.minus, q.metric.name, k);
  return [v === null || w === null || n !== m || !isFinite(v) || !isFinite(w) ? null : v - w, n]; // of the same fields
}
function methods() {
  const metric = $("plate-metric").value, able = D.methods.filter(m => has(m, metric));
  for (const [id, names] of [["plate-method", able], ["plate-minus", able]]) {
    const kept = $(id).value; $(id).replaceChildren(); if (id === "plate-minus") option($(id), "", "nothing");
    names.filter(m => id === "plate-method" || m !== $("plate-method").value).forEach(m => option($(id), m));
    if ([...$(id).options].some(o => o.value === kept)) $(id).value = kept; else if (id === "plate-method") $(id).value = names.find(m => D.judged.includes(m)) || names[0];
  }
}
function plates() {
  methods();
  const q = asked(), ranks = { "↑": "higher", "↓": "lower" }[q.metric.arrow], unit = q.metric.unit ? " " + q.metric.unit : "";
  const all = D.plates.flatMap(p => p.wells.map((_, k) => difference(p, q, k)[0])).filter(v => v !== null && isFinite(v));
  let low = Math.min(...all), high = Math.max(...all);
  if (!all.length) [low, high] = [0, 1];
  if (q.minus) { high = Math.max(Math.abs(low), Math.abs(high)); low = -high; }
  if (low === high) { const pad = Math.abs(low) * .05 || 1; low -= pad; high += pad; }
  const stops = q.minus ? (ranks === "lower" ? [...apart].reverse() : apart) : viridis;
  const table = $("wells"), [rows, columns] = q.plate.size, at = new Map(q.plate.wells.map((w, k) => [w[0] * columns + w[1], k]));
  const kept = table.querySelector("button[tabindex='0']")?.dataset.at, seen = new Set();
  table.style.setProperty("--well", Math.max(15, Math.min(46, Math.floor(($("plate").clientWidth - 40) / columns))) + "px");
  const head = make("tr"); make("td", "", head); for (let c = 1; c <= columns; c++) make("th", c, head).scope = "col";
  table.tHead.replaceChildren(head);
  const body = document.createDocumentFragment(), letter = r => (r < 26 ? "" : letter(Math.floor(r / 26) - 1)) + String.fromCharCode(65 + r % 26);
  for (let r = 0; r < rows; r++) {
    const row = make("tr", undefined, body); make("th", letter(r), row).scope = "row";
    for (let c = 0; c < columns; c++) {
      const k = at.get(r * columns + c), cell = make("td", undefined, row);
      if (k === undefined) { make("i", undefined, cell).className = "well blank"; seen.add("blank"); continue; }
      const b = make("button", undefined, cell), [v, n] = difference(q.plate, q, k), lost = q.plate.failed[q.method][k] + (q.minus ? q.plate.failed[q.minus][k] : 0);
      b.type = "button"; b.className = "well"; b.tabIndex = -1; b.dataset.at = r * columns + c; b.dataset.well = k;
      if (v !== null) b.style.background = mix(stops, v === Infinity ? 1 : v === -Infinity ? 0 : (v - low) / (high - low));
      const gone = [q.method, ...(q.minus ? [q.minus] : [])].some(m => of(q.plate, m, q.metric.name, k)[0] === null);
      const kind = v === null ? (gone && lost ? "lost" : "none") : lost ? "part" : ""; if (kind) { b.classList.add(kind); seen.add(kind); }
      if (v === null) b.textContent = kind === "lost" ? "×" : "–";
      const what = v === null ? (gone ? "no value" : "no difference: not of the same fields") : show(v) + unit + (n ? `, mean of ${n} field${n > 1 ? "s" : ""}` : "");
      b.title = `${q.plate.wells[k][2]}: ${what}${lost ? `; ${lost} failed` : ""}`; b.setAttribute("aria-label", b.title);
    }
  }
  table.tBodies[0].replaceChildren(body);
  const first = table.querySelector(`button[data-at="${kept}"]`) || table.querySelector("button"); if (first) first.tabIndex = 0;
  document.querySelectorAll("#well-key span").forEach(e => { e.hidden = !seen.has(e.dataset.kind); });
  const better = !ranks ? "" : q.minus ? `, blue: ${q.method} is better` : `, ${ranks} is better`;
  $("bar-name").textContent = q.metric.name + (q.minus ? ` of ${q.method} - ${q.minus}` : "") + unit.replace(/ (.+)/, " ($1)") + better + (D.plates.length > 1 ? "; one scale for all plates" : "");
  $("bar").style.background = `linear-gradient(to right, ${stops.join(",")})`;
  $("bar-ticks").replaceChildren(...(all.length ? ticks(low, high) : []).map(([v, text]) => { const t = make("span", text); t.style.left = 100 * (v - low) / (high - low) + "%"; return t; }));
  told(first); marks();
}
function marks() { const q = asked(); for (const b of $("wells").querySelectorAll("button")) b.setAttribute("aria-pressed", String(only !== null && only.prefix === q.plate.wells[b.dataset.well][3])); }
function told(button) { $("well").textContent = button ? button.title : ""; }
function chosen(button) {
  const q = asked(), [, , name, prefix] = q.plate.wells[button.dataset.well];
  if (only && only.prefix === prefix) { limit(null); marks(); return; }
  $("table-method").value = q.method; $("filter").value = ""; $("only-failed").checked = false;
  limit({ prefix, name: name + (q.plate.name ? " of " + q.plate.name : "") }); marks(); $("images").scrollIntoView(); $("only").focus({ preventScroll: true });
}
D.plates.forEach((p, k) => option($("plate-name"), k, p.name || "(without a name)"));
D.metrics.filter(m => D.methods.some(x => has(x, m.name))).forEach(m => option($("plate-metric"), m.name, m.name + " " + m.arrow + (m.unit ? " (" + m.unit + ")" : "")));
if (D.main) $("plate-metric").value = D.main;
for (const id of ["plate-name", "plate-metric", "plate-method", "plate-minus"]) $(id).addEventListener("change", plates);
window.addEventListener("resize", plates);
for (const event of ["mouseover", "focusin"]) $("wells").addEventListener(event, e => { const b = e.target.closest("button"); if (b) told(b); });
$("wells").addEventListener("click", e => { const b = e.target.closest("button"); if (b) chosen(b); });
$("only").addEventListener("click", marks);
$("wells").addEventListener("keydown", e => {
  const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[e.key], b = e.target.closest("button"); if (!step || !b) return;
  e.preventDefault(); const [rows, columns] = asked().plate.size, here = Number(b.dataset.at); let r = Math.floor(here / columns) + step[0], c = here % columns + step[1];
  for (; r >= 0 && c >= 0 && r < rows && c < columns; r += step[0], c += step[1]) {
    const to = $("wells").querySelector(`button[data-at="${r * columns + c}"]`); if (!to) continue;
    b.tabIndex = -1; to.tabIndex = 0; to.focus(); return;
  }
});
plates();
