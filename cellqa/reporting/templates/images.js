// the table of images: all methods in one metric, or all metrics of one method
const LISTED = 200, PRINTED = 200; // rows beyond which only those in sight are made, or printed
const TALL = 32; // pixels of a row, as page.css has it
let order = { key: "name", down: false }, listed = [], shown_columns = [], only = null, whole = false; // only: the well whose images are listed
D.methods.forEach(m => option($("table-method"), m));
ranked.filter(m => able(m.name).length).forEach(m => option($("table-metric"), m.name, titled(m)));
$("table-method").value = D.leader || D.methods[0];
if (D.main) $("table-metric").value = D.main;
function pairs() {
  const names = able($("table-metric").value);
  for (const [id, none] of [["first", "–"], ["second", "–"]]) {
    const was = $(id).value; $(id).replaceChildren(); option($(id), "", none); names.forEach(m => option($(id), m));
    if (names.includes(was)) $(id).value = was;
  }
}
const metric_shown = () => D.metrics[column($("table-metric").value)];
const told_of = (i, method) => rows[method].absent.has(i) ? "no image" : rows[method].failed.has(i) ? reason(i, method) || "failed" : reason(i, method) ? "ok, " + reason(i, method) : "ok";
function columns_of_view() {
  const name = { key: "name", head: "image", of: i => D.images[i], text: i => (pictured(D.images[i]) ? "▣ " : "") + D.images[i] };
  if ($("view").value === "method") {
    const method = $("table-method").value, has_it = D.metrics.filter(m => values(method, m.name));
    return [name, ...has_it.map(m => ({ key: m.name, head: m.name + " " + m.arrow, title: m.measures + (m.unit ? ", " + m.unit : ""), of: i => value(i, method, m.name), text: i => fixed(m, value(i, method, m.name)) })), { key: "status", head: "status", of: i => told_of(i, method), text: i => told_of(i, method), failed: i => rows[method].failed.has(i) }];
  }
  const m = metric_shown(), names = m ? able(m.name) : [], a = $("first").value, b = $("second").value;
  const list = [name, ...names.map(x => ({ key: "m" + x, head: x, title: `${titled(m)} of ${x}`, of: i => value(i, x, m.name), text: i => fixed(m, value(i, x, m.name)), failed: i => rows[x].failed.has(i) }))];
  if (a && b && a !== b) {
    const of = i => { const v = value(i, a, m.name), w = value(i, b, m.name); return v === null || w === null ? null : v === w ? 0 : v - w; };
    list.push({ key: "difference", head: `${a} − ${b}`, title: m.ranks ? `▲ ${a} is better, ▼ ${b} is better` : "", of, text: i => { const v = of(i); return v === null || isNaN(v) ? "–" : (m.ranks && v ? ((v > 0) === m.higher ? "▲ " : "▼ ") : "") + signed(m, v); } });
  }
  list.push({ key: "status", head: "status", of: i => names.map(x => told_of(i, x)).find(t => t !== "ok") || "ok", text: i => names.filter(x => told_of(i, x) !== "ok").map(x => `${x}: ${told_of(i, x)}`).join("; ") || "ok", failed: i => names.some(x => rows[x].failed.has(i)) });
  return list;
}
function head() {
  const row = make("tr"); $("table").tHead.replaceChildren(row);
  shown_columns.forEach(c => {
    const th = make("th", undefined, row); th.scope = "col";
    const b = make("button", c.head, th); b.type = "button"; if (c.title) b.title = c.title;
    th.setAttribute("aria-sort", order.key === c.key ? (order.down ? "descending" : "ascending") : "none");
    if (order.key === c.key) b.textContent += order.down ? " ▾" : " ▴";
    b.addEventListener("click", () => { order = { key: c.key, down: order.key === c.key ? !order.down : false }; table(); [...$("table").tHead.querySelectorAll("button")].find(x => x.dataset.key === c.key)?.focus(); });
    b.dataset.key = c.key;
  });
}
function table() {
  shown_columns = columns_of_view();
  if (!shown_columns.some(c => c.key === order.key)) order = { key: "name", down: false };
  head();
  const by_method = $("view").value === "method", seen = by_method ? [$("table-method").value] : metric_shown() ? able(metric_shown().name) : D.methods;
  const text = $("filter").value.toLowerCase(), odd = $("only-failed").checked;
  listed = [];
  for (let i = 0; i < D.images.length; i++) {
    if (seen.every(m => rows[m].absent.has(i)) || only && !D.images[i].startsWith(only.prefix)) continue;
    if (odd && seen.every(m => !rows[m].failed.has(i) && !reason(i, m))) continue;
    if (text && !D.images[i].toLowerCase().includes(text) && !seen.some(m => reason(i, m).toLowerCase().includes(text))) continue;
    listed.push(i);
  }
  const by = shown_columns.find(c => c.key === order.key), keys = new Map(listed.map(i => [i, by.of(i)]));
  listed.sort((i, j) => {
    const x = keys.get(i), y = keys.get(j);
    if (x === null || y === null) return (x === null) - (y === null);
    return (x < y ? -1 : x > y ? 1 : 0) * (order.down ? -1 : 1);
  });
  $("count").textContent = `${listed.length} of ${D.images.length} images` + (D.total > D.images.length ? `; the others of ${D.total} stand in scores.csv` : "");
  const filters = [text && `the name or reason contains “${$("filter").value}”`, only && `the well is ${only.name}`, odd && "it failed or is undefined"].filter(Boolean);
  $("empty").hidden = listed.length > 0; $("none").textContent = filters.length ? `No image of which ${filters.join(" and ")}.` : "No image has a row of this method.";
  $("clear").hidden = !filters.length;
  compared(); $("rows-box").scrollTop = 0; body(true); hints();
}
function compared() {
  const c = shown_columns.find(x => x.key === "difference"), m = metric_shown(); $("compared").textContent = "";
  if (!c || !m.ranks) return;
  let better = 0, worse = 0, equal = 0; for (const i of listed) { const v = c.of(i); if (v === null || isNaN(v)) continue; if (!v) equal++; else if ((v > 0) === m.higher) better++; else worse++; }
  $("compared").textContent = `${$("first").value} is better than ${$("second").value} in ${m.name} on ${better} of ${better + worse + equal} images, worse on ${worse}${equal ? `, equal on ${equal}` : ""}. Sorted by the difference, where it loses most stands first.`;
}
function body(fresh) {
  const box = $("rows-box"), n = listed.length, all = n <= LISTED, seen = Math.ceil(box.clientHeight / TALL) + 20;
  const from = all || whole ? 0 : Math.max(0, Math.min(n - seen, Math.floor(box.scrollTop / TALL) - 10));
  const to = whole ? Math.min(n, PRINTED) : all ? n : Math.min(n, from + seen);
  if (!fresh && box.dataset.from === String(from)) return; box.dataset.from = from;
  const made = document.createDocumentFragment(), space = h => { const r = make("tr", undefined, made); r.className = "space"; make("td", undefined, r).style.height = h + "px"; };
  if (from) space(from * TALL);
  for (const i of listed.slice(from, to)) {
    const row = make("tr", undefined, made); row.tabIndex = 0; row.dataset.place = i; row.className = "of";
    shown_columns.forEach(c => { const cell = make("td", c.text(i), row); if (c.key === "name") cell.title = D.images[i]; if (c.failed && c.failed(i)) cell.className = "failed"; });
  }
  if (to < n && !whole) space((n - to) * TALL);
  if (whole && to < n) { const r = make("tr", undefined, made); make("td", `the other ${n - to} images are in scores.csv`, r); }
  const focused = document.activeElement?.dataset?.place, target = $("table").tBodies[0]; target.replaceChildren(made);
  if (focused !== undefined) target.querySelector(`tr[data-place="${focused}"]`)?.focus({ preventScroll: true });
  if (!all) [...$("table").tHead.rows[0].cells].forEach(c => { c.style.minWidth = c.offsetWidth + "px"; }); // other rows are narrower
}
function full(on) { whole = on; body(true); }
$("rows-box").addEventListener("scroll", () => requestAnimationFrame(() => body(false)), { passive: true });
function limit(to) { only = to; $("only").hidden = !to; if (to) $("only").textContent = `well ${to.name} ✕`; table(); }
$("only").addEventListener("click", () => { limit(null); $("filter").focus(); });
function seen_controls() { document.querySelectorAll("[data-view]").forEach(e => { e.hidden = e.dataset.view !== $("view").value; }); }
$("view").addEventListener("change", () => { seen_controls(); table(); });
for (const [id, event] of [["filter", "input"], ["table-method", "change"], ["only-failed", "change"]]) $(id).addEventListener(event, table);
$("table-metric").addEventListener("change", () => { pairs(); by_difference(); });
for (const id of ["first", "second"]) $(id).addEventListener("change", by_difference);
function by_difference() { const a = $("first").value, b = $("second").value; if (a && b && a !== b) order = { key: "difference", down: metric_shown().higher === false }; table(); }
$("clear").addEventListener("click", () => { $("filter").value = ""; $("only-failed").checked = false; limit(null); $("filter").focus(); });
$("table").tBodies[0].addEventListener("click", e => { const r = e.target.closest("tr.of"); if (r) open(D.images[r.dataset.place]); });
$("table").tBodies[0].addEventListener("keydown", e => {
  const r = e.target.closest("tr.of"); if (!r) return;
  if (e.key === "Enter") { e.preventDefault(); open(D.images[r.dataset.place]); }
  const to = e.key === "ArrowDown" ? r.nextElementSibling : e.key === "ArrowUp" ? r.previousElementSibling : null;
  if (to && to.className === "of") { e.preventDefault(); to.focus(); }
});

// the gallery: pictures are read when they come into sight
const sight = new IntersectionObserver(found => found.forEach(f => { if (f.isIntersecting) { fill(f.target); sight.unobserve(f.target); } }), { rootMargin: "300px" });
function fill(thumb) { const all = sources(thumb.dataset.image); thumb.querySelectorAll("img").forEach(i => { if (!i.src) i.src = all["image:" + i.dataset.method]; }); }
function gallery() {
  for (const [why, names] of Object.entries(D.gallery)) {
    const with_pictures = names.filter(pictured); if (!with_pictures.length) continue;
    make("h3", why, $("thumbs")); const row = make("div", undefined, $("thumbs")); row.className = "thumbs";
    for (const name of with_pictures) {
      const b = make("button", undefined, row); b.type = "button"; b.className = "thumb"; b.dataset.image = name;
      D.methods.filter(m => Object.hasOwn(sources(name), "image:" + m)).forEach(m => { const f = make("figure", undefined, b), i = make("img", undefined, f); i.alt = `${m} of ${name}`; i.dataset.method = m; make("figcaption", m, f); });
      make("span", name, b); b.addEventListener("click", () => open(name)); sight.observe(b);
    }
  }
}
function gallery_for_paper() { document.querySelectorAll(".thumb").forEach(fill); }
