// One field: deep zoom, a box a cell, a missed cell drawn in, a false one struck out.

import { all, announce, complain, one, post, say } from "./page.js";

const LEAST_PX = 8; // of the image: a smaller box is a slip of the hand
const NEAR = 2.5; // sides of a cell's box around it, where one is looked for
const STEP = 0.02; // of the view's width, for the keyboard
const VIEWER_KEYS = /^(Arrow.*|[-+=0])$/;
const page = one("#field");
const address = page.dataset.address;
const field = Number(page.dataset.place);
const locked = page.dataset.locked === "yes";
const kinds = new Map(JSON.parse(one("#kinds").textContent).map((kind) => [kind.key, kind]));
const byShortcut = new Map([...kinds.values()].filter((kind) => kind.shortcut).map((kind) => [kind.shortcut, kind.key]));
const cells = new Map(JSON.parse(one("#cells").textContent).map((cell) => [cell.id, cell]));
const stage = one("#viewer");
const marks = new Map();
let viewer = null;
let chosen = Number(page.dataset.cell) || null;
let drawing = null; // the box under way, in pixels of the image

// The viewer would add a style element, which the content security policy forbids, unless it finds its own there
// already: one that is no HTML stands in. What it would say is in leukolens.css.
function standInForItsStyle() {
  const inert = document.createElementNS("urn:leukolens:none", "style");
  inert.setAttribute("data-openseadragon-mobile-css", "true");
  document.head.append(inert);
}

function open() {
  const still = one(".still", stage);
  if (!still) return;
  const source = still.getAttribute("src");
  still.remove();
  one("#still-boxes")?.remove();
  standInForItsStyle();
  viewer = window.OpenSeadragon({
    element: stage, tileSources: { type: "image", url: source, buildPyramid: false }, drawer: "canvas",
    showNavigationControl: false, gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
    maxZoomPixelRatio: 6, minZoomImageRatio: 0.9, animationTime: 0.4, crossOriginPolicy: false,
    visibilityRatio: 1, constrainDuringPan: true,
  });
  viewer.addHandler("open", () => {
    cells.forEach(mark);
    if (chosen && cells.has(chosen)) look(chosen, true);
  });
  viewer.addHandler("open-failed", () => complain(say("no_picture")));
  viewer.canvas.setAttribute("role", "application");
  viewer.canvas.setAttribute("aria-label", stage.getAttribute("aria-label"));
  // Its letters turn and flip the picture, which nobody wants here.
  viewer.addHandler("canvas-key", (event) => { event.preventDefaultAction = drawing !== null || !VIEWER_KEYS.test(event.originalEvent.key); });
}

const shownAs = (cell) => kinds.get(cell.label);

function mark(cell) {
  const element = document.createElement("button");
  element.type = "button";
  const badge = document.createElement("span");
  element.append(badge);
  marks.set(cell.id, element);
  dress(cell);
  viewer.addOverlay({ element, location: viewer.viewport.imageToViewportRectangle(...rectangle(cell.box)) });
  new window.OpenSeadragon.MouseTracker({ element, clickHandler: () => choose(cell.id) });
  element.addEventListener("click", () => choose(cell.id)); // by keyboard
}

const rectangle = ([x0, y0, x1, y1]) => [x0, y0, x1 - x0, y1 - y0];

function dress(cell) {
  const kind = shownAs(cell);
  const element = marks.get(cell.id);
  const pressed = String(cell.id === chosen);
  if (element) {
    element.className = `mark c-${cell.label}${cell.at_edge ? " edge" : ""}`;
    element.title = kind?.name ?? cell.label;
    element.setAttribute("aria-label", kind?.name ?? cell.label);
    element.setAttribute("aria-pressed", pressed);
    element.firstElementChild.className = `badge c-${cell.label}`;
    element.firstElementChild.textContent = kind?.letter ?? "?";
  }
  const row = one(`#list [data-id="${cell.id}"]`);
  if (!row) return;
  row.setAttribute("aria-pressed", pressed);
  one(".badge", row).className = `badge c-${cell.label}`;
  one(".badge", row).textContent = kind?.letter ?? "?";
  one(".name", row).textContent = kind?.name ?? cell.label;
}

function choose(id) {
  const before = chosen;
  chosen = id;
  for (const changed of [before, id]) if (cells.has(changed)) dress(cells.get(changed));
  all("[data-needs-cell]").forEach((button) => { button.disabled = !cells.has(chosen) || locked; });
}

function look(id, near = false) {
  choose(id);
  if (!viewer?.isOpen()) return;
  const [x, y, width, height] = rectangle(cells.get(id).box);
  const { viewport } = viewer;
  if (near) {
    const around = viewport.imageToViewportRectangle(x - NEAR * width, y - NEAR * height, width * (1 + 2 * NEAR), height * (1 + 2 * NEAR));
    viewport.fitBoundsWithConstraints(around);
    return;
  }
  const middle = viewport.imageToViewportRectangle(x, y, width, height).getCenter();
  if (!viewport.getBounds().containsPoint(middle)) viewport.panTo(middle).applyConstraints();
}

async function act(verb, body, said) {
  if (locked) return complain(say("locked"));
  try {
    const answer = await post(`${address}/${verb}`, body);
    if (verb === "draw" || (verb === "undo" || verb === "redo")) return window.location.reload();
    for (const change of answer.changed) changed(change);
    return announce(said);
  } catch (error) {
    return complain(error.message);
  }
}

function changed({ id, label, blind }) {
  const cell = cells.get(id);
  if (!cell) return;
  if (label === null && !blind) {
    viewer?.removeOverlay(marks.get(id));
    one(`#list [data-id="${id}"]`)?.closest("li").remove();
    cells.delete(id);
    if (chosen === id) choose(null);
    return;
  }
  cell.label = blind ? "blind" : label;
  dress(cell);
}

// A box is drawn with the mouse or a finger; with the keyboard it is moved and sized by arrows.
const pencil = one("#pencil");

function draw(on) {
  if (!viewer) return;
  drawing = on ? [0, 0, 0, 0] : null;
  stage.classList.toggle("drawing", on);
  one("#draw").setAttribute("aria-pressed", String(on));
  viewer.setMouseNavEnabled(!on);
  pencil.hidden = true;
  if (!on) return;
  const bounds = viewer.viewport.viewportToImageRectangle(viewer.viewport.getBounds());
  const side = Math.min(bounds.width, bounds.height) * 0.12;
  const [x, y] = [bounds.x + bounds.width / 2, bounds.y + bounds.height / 2];
  drawing = [x - side / 2, y - side / 2, x + side / 2, y + side / 2];
  outline();
  viewer.canvas.focus();
  announce(say("drawing"));
}

function outline() {
  const at = (x, y) => viewer.viewport.imageToViewerElementCoordinates(new window.OpenSeadragon.Point(x, y));
  const [start, end] = [at(drawing[0], drawing[1]), at(drawing[2], drawing[3])];
  pencil.hidden = false;
  Object.assign(pencil.style, { left: `${start.x}px`, top: `${start.y}px`, width: `${end.x - start.x}px`, height: `${end.y - start.y}px` });
}

function finish() {
  const { x: width, y: height } = viewer.world.getItemAt(0).getContentSize();
  const inside = (value, most) => Math.round(Math.min(Math.max(value, 0), most));
  const box = [inside(drawing[0], width), inside(drawing[1], height), inside(drawing[2], width), inside(drawing[3], height)];
  if (box[2] - box[0] < LEAST_PX || box[3] - box[1] < LEAST_PX) return announce(say("too_small"));
  draw(false);
  return act("draw", { place: field, box });
}

function drawByHand() {
  let start = null;
  const point = (event) => {
    const frame = stage.getBoundingClientRect();
    return viewer.viewport.viewerElementToImageCoordinates(new window.OpenSeadragon.Point(event.clientX - frame.left, event.clientY - frame.top));
  };
  stage.addEventListener("pointerdown", (event) => {
    if (!drawing || event.button !== 0) return;
    event.preventDefault();
    event.stopPropagation();
    start = point(event);
    stage.setPointerCapture(event.pointerId);
  }, true);
  stage.addEventListener("pointermove", (event) => {
    if (!start) return;
    const now = point(event);
    drawing = [Math.min(start.x, now.x), Math.min(start.y, now.y), Math.max(start.x, now.x), Math.max(start.y, now.y)];
    outline();
  }, true);
  stage.addEventListener("pointerup", () => {
    if (!start) return;
    start = null;
    finish();
  }, true);
}

const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function keyWhileDrawing(event) {
  if (event.key === "Escape") return draw(false), true;
  if (event.key === "Enter") return finish(), true;
  const arrow = arrows[event.key];
  if (!arrow) return false;
  const step = viewer.viewport.viewportToImageRectangle(viewer.viewport.getBounds()).width * STEP * 0.5;
  const [x, y] = arrow.map((way) => way * step);
  const [fx, fy] = event.shiftKey ? [0, 0] : [x, y]; // with Shift only the far corner moves
  const next = [drawing[0] + fx, drawing[1] + fy, drawing[2] + x, drawing[3] + y];
  if (next[2] - next[0] >= LEAST_PX && next[3] - next[1] >= LEAST_PX) drawing = next;
  outline();
  return true;
}

function keyed(event) {
  if (drawing) return keyWhileDrawing(event);
  const pressed = event.key.length === 1 ? event.key.toUpperCase() : event.key;
  if ((event.ctrlKey || event.metaKey) && pressed === "Z") return act(event.shiftKey ? "redo" : "undo"), true;
  if (event.ctrlKey || event.metaKey || event.altKey) return false;
  if (pressed === "U") return act(event.shiftKey ? "redo" : "undo"), true;
  if (pressed === "A") return draw(true), true;
  if (pressed === "PageDown" || pressed === "PageUp") return one(pressed === "PageDown" ? "#after" : "#before")?.click(), true;
  if (!cells.has(chosen)) return false;
  if (pressed === "Delete" || pressed === "Backspace") return strike(), true;
  const label = byShortcut.get(pressed);
  if (label) return act("label", { cells: [chosen], label }, say("labelled", { count: 1, name: kinds.get(label).name })), true;
  return false;
}

const strike = () => act("strike", { cells: [chosen] }, say("struck", { count: 1 }));

// In the capture phase, before the viewer takes letters for its own.
document.addEventListener("keydown", (event) => {
  if (event.target.closest("input, select, textarea")) return;
  if (keyed(event)) { event.preventDefault(); event.stopPropagation(); }
}, true);
page.addEventListener("click", (event) => {
  const row = event.target.closest("[data-id]");
  if (row) look(Number(row.dataset.id));
});
one("#draw").addEventListener("click", () => draw(drawing === null));
one("#strike").addEventListener("click", strike);
one("#boxes").addEventListener("change", (event) => stage.classList.toggle("bare", !event.target.checked));
one("#light").addEventListener("input", (event) => document.documentElement.style.setProperty("--light", event.target.value));
drawByHand();
open();
choose(chosen);
