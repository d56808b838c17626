// The gallery: what a key, a click or a drop does to cells, and what the server says to it.

import { all, announce, complain, one, post, say } from "./page.js";
import { Dragging } from "./dragging.js";
import { Large } from "./large.js";
import { awaitPictures } from "./pictures.js";
import { Selection } from "./selection.js";

const SETTLED_MS = 200;
const gallery = one("#gallery");
const address = gallery.dataset.address;
const locked = gallery.dataset.locked === "yes";
const groups = one("#groups");
const kinds = new Map(JSON.parse(one("#kinds").textContent).map((kind) => [kind.key, kind]));
const byShortcut = new Map([...kinds.values()].filter((kind) => kind.shortcut).map((kind) => [kind.shortcut, kind.key]));
const struck = new Map(); // tiles of cells that were struck out, for undo
const cellOf = (shown) => Number(shown.id.slice(1)); // "c12"
const BLIND = "blind"; // the machine's answer is hidden until it has a name
const labelOf = (shown) => shown.closest(".group")?.dataset.label;
const tile = (id) => document.getElementById(`c${id}`) ?? struck.get(String(id));
const nest = (label) => one(`.group[data-label="${CSS.escape(label)}"] .tiles`, groups);

const selection = new Selection(groups, () => tellChosen());
const large = new Large(address, { kinds, cellOf, labelOf, move: (step) => stepLarge(step) });
let waiting = Promise.resolve();
let settled;

function tellChosen() {
  const count = selection.size;
  one("#chosen").textContent = count ? say("chosen", { count }) : say("none_chosen");
}

// Puts a tile where its label and certainty belong. An unknown group (a class added meanwhile) needs the page anew.
function place(moving, label) {
  const home = nest(label);
  if (!home) return window.location.reload();
  const order = Number(moving.dataset.order);
  const tiles = [...home.children].filter((other) => other !== moving);
  const following = tiles.find((other) => Number(other.dataset.order) > order);
  home.insertBefore(moving, following ?? null);
  moving.classList.remove("moved");
  requestAnimationFrame(() => moving.classList.add("moved"));
}

function recount() {
  for (const group of all(".group", groups)) {
    const count = one(".tiles", group).childElementCount;
    group.hidden = count === 0;
    one(".count", group).textContent = count;
    const give = one(`.give[data-label="${CSS.escape(group.dataset.label)}"]`);
    if (!give) continue;
    one(".count", give).textContent = count;
    give.classList.toggle("none", count === 0);
  }
}

function describe(shown) {
  if (labelOf(shown) === BLIND) return shown.setAttribute("aria-label", say("tile_blind", { place: shown.dataset.place }));
  const kind = kinds.get(labelOf(shown));
  const machine = kinds.get(shown.dataset.machine);
  const said = shown.dataset.by === "person" ? "tile_person" : "tile_machine";
  return shown.setAttribute("aria-label", say(machine ? said : "tile_drawn", {
    name: kind?.name ?? labelOf(shown), machine: machine?.name ?? "", sure: one(".sure", shown)?.textContent ?? 0, place: shown.dataset.place,
  }));
}

function apply(changes) {
  for (const change of changes) {
    const shown = tile(change.id);
    if (change.label === null && !change.blind) {
      if (shown) struck.set(String(change.id), shown);
      shown?.remove();
      continue;
    }
    if (!shown) return window.location.reload(); // drawn or struck out before this page was loaded
    struck.delete(String(change.id));
    shown.dataset.by = change.by;
    const label = change.blind ? BLIND : change.label;
    if (labelOf(shown) !== label) place(shown, label);
    describe(shown);
  }
  recount();
}

// Shows it at once, asks the server, and takes it back where the server says no. Acts reach it in their order.
function act(verb, tiles, label) {
  if (locked) return complain(say("locked"));
  const cells = tiles.map(cellOf);
  if (!cells.length) return;
  const before = tiles.map((shown) => ({ id: cellOf(shown), label: labelOf(shown), by: shown.dataset.by ?? "machine", blind: labelOf(shown) === BLIND }));
  const next = selection.after(tiles);
  apply(cells.map((id) => ({ id, label, by: "person" })));
  tiles.forEach((shown) => shown.classList.add("waits"));
  selection.clear();
  if (next) selection.focus(next);
  const name = label === null ? "" : kinds.get(label).name;
  announce(say(label === null ? "struck" : "labelled", { count: cells.length, name }));
  waiting = waiting
    .then(() => post(`${address}/${verb}`, label === null ? { cells } : { cells, label }))
    .then(heard)
    .catch((error) => {
      apply(before.filter((old) => label === null || labelOf(tile(old.id)) === label));
      complain(say("taken_back", { count: cells.length, why: error.message }));
    })
    .finally(() => tiles.forEach((shown) => shown.classList.remove("waits")));
  if (large.isOpen) next ? large.open(next) : large.close();
}

// What the machine says of a cell that has just been named without knowing it.
async function reveal(id) {
  const answer = await fetch(`${address}/cells/${id}`).catch(() => null);
  const shown = tile(id);
  if (!answer?.ok || !shown || shown.dataset.machine) return;
  const cell = await answer.json();
  if (!cell.machine_class) return;
  const probability = cell.probabilities[cell.machine_class];
  Object.assign(shown.dataset, { machine: cell.machine_class, order: cell.probabilities[labelOf(shown)] ?? probability });
  const badge = document.createElement("i");
  badge.className = `badge c-${cell.machine_class}`;
  badge.textContent = kinds.get(cell.machine_class)?.letter ?? "";
  const sure = document.createElement("i");
  sure.className = "sure";
  sure.textContent = Math.floor(100 * probability);
  shown.append(badge, sure);
  describe(shown);
}

function heard(answer) {
  apply(answer.changed);
  const named = answer.changed.filter((change) => change.label !== null && tile(change.id)?.hasAttribute("data-blind"));
  for (const { id } of named) {
    tile(id).removeAttribute("data-blind");
    reveal(id);
  }
  settleDifferential();
  return answer;
}

// Once after a burst of keys, not once a key.
function settleDifferential() {
  clearTimeout(settled);
  settled = setTimeout(async () => {
    const answer = await fetch(`${address}/differential`).catch(() => null);
    if (answer?.ok) one("#differential").innerHTML = await answer.text();
  }, SETTLED_MS);
}

function turnBack(verb) {
  if (locked) return complain(say("locked"));
  waiting = waiting.then(() => post(`${address}/${verb}`)).then((answer) => {
    heard(answer);
    const first = answer.changed.map((change) => tile(change.id)).find((shown) => shown?.isConnected);
    if (first) selection.focus(first);
    announce(say(answer.act === null ? `nothing_to_${verb}` : `${verb}ne`, { count: answer.changed.length }));
  }).catch((error) => complain(error.message));
}

const meant = () => (large.isOpen ? [large.shown] : selection.meant());

// Cells that show nothing of the machine's are named by themselves: an act on others leaves them where they are.
function label(key, asked = meant()) {
  const seen = asked.filter((shown) => labelOf(shown) !== BLIND);
  const tiles = seen.length ? seen : asked;
  if (key === BLIND) return undefined;
  if (!tiles.length) return announce(say("none_chosen"));
  return act("label", tiles, key);
}

function stepLarge(step) {
  const next = selection.neighbour(large.shown, step);
  if (next) { selection.focus(next); large.open(next); }
}

const moves = { ArrowLeft: -1, ArrowRight: 1 };
const sliders = { "+": ["#size", 12], "-": ["#size", -12], "[": ["#brightness", -0.1], "]": ["#brightness", 0.1] };

function key(event) {
  const typing = event.target.closest("input:not([type=range]), textarea, select");
  if (typing || event.defaultPrevented || event.altKey || one("dialog[open]:not(#large)")) return;
  const ctrl = event.ctrlKey || event.metaKey;
  const pressed = event.key.length === 1 ? event.key.toUpperCase() : event.key;
  if (keyed(event, pressed, ctrl)) event.preventDefault();
}

function keyed(event, pressed, ctrl) {
  if (ctrl && pressed === "Z") return turnBack(event.shiftKey ? "redo" : "undo"), true;
  if (ctrl && pressed === "Y") return turnBack("redo"), true;
  if (ctrl && pressed === "A") return selection.group(), true;
  if (ctrl && !(pressed === " ")) return false;
  if (pressed === "U") return turnBack(event.shiftKey ? "redo" : "undo"), true;
  if (byShortcut.has(pressed)) return label(byShortcut.get(pressed)), true;
  if (pressed === "Delete" || pressed === "Backspace") return act("strike", meant(), null), true;
  if (pressed === "H") return one("#help").showModal(), true;
  if (pressed in sliders) return slide(...sliders[pressed]), true;
  if (large.isOpen) return pressed in moves ? (stepLarge(moves[pressed]), true) : pressed === "F" ? (large.toField(), true) : false;
  if (event.target.closest("button, a, input")) return false;
  if (pressed === "Escape") return selection.clear(), true;
  if (pressed === "Enter") return selection.focused ? (large.open(selection.focused), true) : false;
  return selection.key(pressed, event.shiftKey, ctrl);
}

function slide(selector, by) {
  const slider = one(selector);
  slider.value = Number(slider.value) + by;
  slider.dispatchEvent(new Event("input", { bubbles: true }));
}

function look() {
  for (const slider of all('[data-look="size"]')) {
    slider.addEventListener("input", () => document.documentElement.style.setProperty("--tile", `${slider.value}px`));
  }
  for (const slider of all('[data-look="light"]')) {
    slider.addEventListener("input", () => {
      all('[data-look="light"]').forEach((other) => { other.value = slider.value; });
      // Two thousand pictures are drawn faster without a filter that changes nothing.
      document.documentElement.toggleAttribute("data-lit", Number(slider.value) !== 1);
      document.documentElement.style.setProperty("--light", slider.value);
    });
  }
}

gallery.addEventListener("click", (event) => {
  const give = event.target.closest(".give");
  if (give) {
    if (selection.size) return label(give.dataset.label, selection.chosen());
    const group = nest(give.dataset.label)?.closest(".group");
    if (group && !group.hidden) group.scrollIntoView({ behavior: "smooth", block: "start" });
    return undefined;
  }
  const confirm = event.target.closest(".confirm");
  if (confirm) {
    const group = confirm.closest(".group");
    return act("label", all('.tile:not([data-by="person"])', group), group.dataset.label);
  }
  const back = event.target.closest("[data-verb]");
  return back ? turnBack(back.dataset.verb) : undefined;
});

groups.addEventListener("dblclick", (event) => {
  const shown = event.target.closest(".tile");
  if (shown) large.open(shown);
});
one("#open-help").addEventListener("click", () => one("#help").showModal());
document.addEventListener("keydown", key);
new Dragging(gallery, groups, selection, (to) => label(to, selection.chosen()));
look();
tellChosen();
selection.ready();
awaitPictures(groups, (shown) => `${address}/cells/${cellOf(shown)}`, settleDifferential);
