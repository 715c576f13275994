// the panel of one image: divider, blink, linked zoom and pan; the exact crop lies on the whole image
let current = null, view = { x: 0, y: 0, zoom: 1 }, split = 50, timer = null;
const NAMES = { "image:": "", "error:": " error", "ssim:": " SSIM" };
function fit(everything) {
  const p = pictured(current); if (!p) return;
  const v = $("viewer"), [top, left, height, width] = everything ? [-p.crop[0], -p.crop[1], ...p.shape] : [0, 0, p.crop[2], p.crop[3]];
  const zoom = Math.min(v.clientWidth / width, v.clientHeight / height);
  view = { zoom, x: (v.clientWidth - width * zoom) / 2 - left * zoom, y: (v.clientHeight - height * zoom) / 2 - top * zoom }; place();
}
function place() {
  for (const id of ["layer-left", "layer-right"]) $(id).style.transform = `translate(${view.x}px,${view.y}px) scale(${view.zoom})`;
  $("clip").style.width = split + "%"; $("handle").style.left = split + "%"; $("handle").setAttribute("aria-valuenow", Math.round(split)); ruler();
}
function ruler() { // a round length of a quarter of the viewer at most
  const p = pictured(current), unit = p && p.pixel; $("ruler").hidden = !unit; if (!unit) return;
  const wanted = $("viewer").clientWidth / 4 / view.zoom * unit, power = 10 ** Math.floor(Math.log10(wanted)), length = Math.max(...[1, 2, 5].map(k => k * power).filter(v => v <= wanted * 1.000001));
  $("ruler").style.width = length / unit * view.zoom + "px"; $("ruler").textContent = length < 1 ? show(length * 1000) + " nm" : length < 1000 ? show(length) + " µm" : show(length / 1000) + " mm";
}
const kind = () => document.querySelector('input[name="show"]:checked').value;
function draw() {
  const p = pictured(current); if (!p) return;
  const all = sources(current), k = kind(), drawn = ["left", "right"].map(side => {
    const m = $(side).value, own = Object.hasOwn(all, k + m), i = $("image-" + side), w = $("whole-" + side), [top, left, height, width] = p.crop;
    i.src = all[own ? k + m : "image:" + m]; i.alt = `${m} of ${current}`; i.style.width = width + "px"; i.style.height = height + "px";
    const behind = all["whole:" + m]; w.hidden = !behind; if (behind) { w.src = behind; Object.assign(w.style, { left: -left + "px", top: -top + "px", width: p.shape[1] + "px", height: p.shape[0] + "px" }); i.classList.add("framed"); } else i.classList.remove("framed");
    document.querySelector(".tag." + side).textContent = m + (own ? NAMES[k] : k === "image:" ? "" : ` (no${NAMES[k]})`); return own;
  });
  $("whole").hidden = !Object.keys(all).some(key => key.startsWith("whole:"));
  const bar = D.bars[k]; $("colours").hidden = !bar || !drawn.includes(true); if (!bar) return;
  $("colours-bar").style.background = `linear-gradient(to right,${bar.join(",")})`;
  const half = p.span / 2, marks_of = k === "error:" ? [[0, "−" + show(half)], [50, "0"], [100, "+" + show(half)]] : [[0, "0"], [50, "0.5"], [100, "1"]];
  $("colours-ticks").replaceChildren(...marks_of.map(([at, text]) => { const t = make("span", text); t.style.left = at + "%"; return t; }));
  $("colours-name").textContent = k === "error:" ? "method − ground truth, grey levels, after the best gain and offset: orange is too bright, purple too dark" : "local SSIM: 1 is the same as the ground truth (below 0 as 0)";
}
function open(name) {
  const at = places.get(name); if (at === undefined) return;
  current = name; $("panel-title").textContent = name; const p = pictured(name), has_them = !!p;
  $("looks").hidden = !has_them; $("nothing").hidden = has_them; $("crop").textContent = "";
  if (!$("panel").open) $("panel").showModal();
  if (has_them) {
    const keep = [$("left").value, $("right").value], list = D.methods.filter(m => Object.hasOwn(sources(name), "image:" + m));
    for (const id of ["left", "right"]) { $(id).replaceChildren(); list.forEach(m => option($(id), m)); }
    $("left").value = list.includes(keep[0]) ? keep[0] : list.includes(D.leader) ? D.leader : list.find(m => D.judged.includes(m)) || list[0];
    $("right").value = list.includes(keep[1]) ? keep[1] : list.includes("gt") ? "gt" : list.includes("input") ? "input" : list[list.length - 1];
    $("crop").textContent = `The frame: rows ${p.crop[0]} to ${p.crop[0] + p.crop[2]}, columns ${p.crop[1]} to ${p.crop[1] + p.crop[3]} of ${p.shape[0]} × ${p.shape[1]} pixels, each as it is, at one contrast for all; around it the image is smaller and compressed. ` + (matchMedia("(pointer: coarse)").matches ? "Drag the divider or the image with a finger; zoom with two." : "Drag the divider or the image, turn the wheel to zoom; arrow keys move the divider.");
    draw(); fit(false);
  }
  numbers(at);
}
function numbers(at) {
  const row = make("tr"); $("numbers").tHead.replaceChildren(row); make("th", "metric", row); D.methods.forEach(m => make("th", m, row));
  const made = document.createDocumentFragment();
  D.metrics.forEach(m => {
    const own = D.methods.map(x => value(at, x, m.name)); if (own.every(v => v === null)) return;
    const among = own.filter((v, k) => v !== null && D.methods[k] !== "gt" && D.methods[k] !== "egt"), best = m.ranks && among.length > 1 ? (m.higher ? Math.max : Math.min)(...among) : null;
    const r = make("tr", undefined, made); const h = make("th", titled(m), r); h.scope = "row"; h.title = m.measures;
    own.forEach((v, k) => { const cell = make("td", fixed(m, v), r); if (v !== null && v === best && !["gt", "egt"].includes(D.methods[k])) cell.className = "best"; });
  });
  const r = make("tr", undefined, made); make("th", "status", r).scope = "row"; D.methods.forEach(x => { const c = make("td", told_of(at, x), r); if (rows[x].failed.has(at)) c.className = "failed"; });
  $("numbers").tBodies[0].replaceChildren(made); hints();
}
function blink(on) {
  clearInterval(timer); timer = null; $("blink").setAttribute("aria-pressed", String(on)); split = 50; place();
  if (on) timer = setInterval(() => { split = split > 50 ? 0 : 100; place(); }, 600);
}
function step(by) { const k = listed.findIndex(i => D.images[i] === current), to = listed[k + by]; if (to !== undefined) open(D.images[to]); }
["left", "right"].forEach(id => $(id).addEventListener("change", draw));
document.querySelectorAll('input[name="show"]').forEach(e => e.addEventListener("change", draw));
$("close").addEventListener("click", () => $("panel").close()); $("panel").addEventListener("close", () => blink(false));
$("blink").addEventListener("click", () => blink(!timer)); $("reset").addEventListener("click", () => fit(false)); $("whole").addEventListener("click", () => fit(true));
$("previous").addEventListener("click", () => step(-1)); $("next").addEventListener("click", () => step(1));
$("panel").addEventListener("keydown", e => {
  if (e.target.matches("select,input")) return;
  if (e.key === "b") blink(!timer); else if (e.key === "0") fit(false); else if (e.key === "w" && !$("whole").hidden) fit(true);
  else if (e.key === "ArrowLeft" || e.key === "ArrowRight") { split = Math.max(0, Math.min(100, split + (e.key === "ArrowLeft" ? -2 : 2))); place(); e.preventDefault(); }
  else if (e.key === "+" || e.key === "-") zoom(e.key === "+" ? 1.25 : .8, $("viewer").clientWidth / 2, $("viewer").clientHeight / 2);
});
function zoom(by, x, y) { const z = Math.max(.02, Math.min(40, view.zoom * by)), f = z / view.zoom; view = { zoom: z, x: x - (x - view.x) * f, y: y - (y - view.y) * f }; place(); }
$("viewer").addEventListener("wheel", e => { e.preventDefault(); const r = $("viewer").getBoundingClientRect(); zoom(e.deltaY < 0 ? 1.15 : 1 / 1.15, e.clientX - r.left, e.clientY - r.top); }, { passive: false });
let drag = null; const fingers = new Map();
$("viewer").addEventListener("pointerdown", e => { fingers.set(e.pointerId, [e.clientX, e.clientY]); drag = { on: e.target === $("handle"), x: e.clientX, y: e.clientY, from: { ...view } }; $("viewer").setPointerCapture(e.pointerId); if (drag.on) blink(false); });
$("viewer").addEventListener("pointermove", e => {
  if (!drag) return; const r = $("viewer").getBoundingClientRect(), before = [...fingers.values()];
  fingers.set(e.pointerId, [e.clientX, e.clientY]);
  if (fingers.size === 2) { // two fingers zoom about their middle
    const gap = ([[a, b], [c, d]]) => Math.hypot(a - c, b - d), now = [...fingers.values()]; zoom(gap(now) / (gap(before) || 1), (now[0][0] + now[1][0]) / 2 - r.left, (now[0][1] + now[1][1]) / 2 - r.top); drag = { on: false, x: e.clientX, y: e.clientY, from: { ...view } }; return;
  }
  if (drag.on) split = Math.max(0, Math.min(100, 100 * (e.clientX - r.left) / r.width));
  else view = { zoom: drag.from.zoom, x: drag.from.x + e.clientX - drag.x, y: drag.from.y + e.clientY - drag.y };
  place();
});
for (const event of ["pointerup", "pointercancel"]) $("viewer").addEventListener(event, e => { fingers.delete(e.pointerId); const left = [...fingers.values()][0]; drag = left ? { on: false, x: left[0], y: left[1], from: { ...view } } : null; });
window.addEventListener("resize", () => { if ($("panel").open) fit(false); });
