// With the mouse or a pen: tiles are dragged to a class, and from beside the tiles a rectangle chooses.

import { all, announce, say } from "./page.js";

const STARTS_PX = 5;
const EDGE_PX = 60;
const SHOWN = 3;

export class Dragging {
  #from = null; // where the button went down, and on which tile
  #ghost = null;
  #band = null;
  #target = null;

  constructor(gallery, groups, selection, drop) {
    Object.assign(this, { gallery, groups, selection, drop });
    gallery.addEventListener("pointerdown", (event) => this.#down(event));
    gallery.addEventListener("dragstart", (event) => event.preventDefault());
    window.addEventListener("pointermove", (event) => this.#move(event));
    window.addEventListener("pointerup", (event) => this.#up(event));
    window.addEventListener("pointercancel", () => this.#end());
    window.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !(this.#ghost || this.#band)) return;
      event.preventDefault();
      this.#end();
    }, true);
    // The click that ends a drag is none.
    gallery.addEventListener("click", (event) => {
      if (!this.dragged) return;
      this.dragged = false;
      event.stopPropagation();
      event.preventDefault();
    }, true);
  }

  #down(event) {
    this.dragged = false;
    if (event.button !== 0 || event.pointerType === "touch") return; // a finger scrolls
    if (event.target.closest("button, a, input, label, summary, .side, .bar")) return;
    const tile = event.target.closest(".tile");
    if (!tile && !event.target.closest("#groups")) return;
    this.#from = { x: event.clientX, y: event.clientY, top: window.scrollY, tile: event.shiftKey ? null : tile, add: event.ctrlKey || event.metaKey || event.shiftKey };
    if (!tile) event.preventDefault();
  }

  #move(event) {
    if (!this.#from) return;
    const away = Math.hypot(event.clientX - this.#from.x, event.clientY - this.#from.y);
    if (!this.#ghost && !this.#band) {
      if (away < STARTS_PX) return;
      this.dragged = true;
      if (this.#from.tile) this.#lift();
      else this.#stretch();
    }
    if (this.#ghost) this.#carry(event);
    else this.#draw(event);
    this.#scroll(event.clientY);
  }

  #lift() {
    if (!this.selection.has(this.#from.tile)) this.selection.choose([this.#from.tile]);
    const tiles = this.selection.chosen();
    this.#ghost = document.createElement("div");
    this.#ghost.className = "ghost";
    for (const tile of tiles.slice(0, SHOWN)) this.#ghost.append(tile.querySelector("img").cloneNode());
    const count = document.createElement("b");
    count.textContent = tiles.length;
    this.#ghost.append(count);
    document.body.append(this.#ghost);
    document.body.classList.add("dragging");
  }

  #carry(event) {
    this.#ghost.style.transform = `translate(${event.clientX + 10}px, ${event.clientY + 10}px)`;
    const under = document.elementFromPoint(event.clientX, event.clientY);
    const target = under?.closest(".give, .group") ?? null;
    if (target === this.#target) return;
    this.#target?.classList.remove("over");
    target?.classList.add("over");
    this.#target = target;
  }

  // Where the tiles are is measured once, in the page's own coordinates, so that scrolling doesn't matter.
  #stretch() {
    this.kept = this.#from.add ? this.selection.chosen() : [];
    this.places = all(".group:not([hidden]) .tile", this.groups).map((tile) => ({ tile, box: tile.getBoundingClientRect() }));
    this.#band = document.createElement("div");
    this.#band.className = "band";
    document.body.append(this.#band);
  }

  #draw(event) {
    const started = this.#from.y + this.#from.top - window.scrollY;
    const [left, right] = [this.#from.x, event.clientX].sort((a, b) => a - b);
    const [top, bottom] = [started, event.clientY].sort((a, b) => a - b);
    Object.assign(this.#band.style, { left: `${left}px`, top: `${top}px`, width: `${right - left}px`, height: `${bottom - top}px` });
    const moved = window.scrollY - this.#from.top;
    const inside = this.places.filter(({ box }) =>
      box.left < right && box.right > left && box.top - moved < bottom && box.bottom - moved > top);
    this.selection.choose([...this.kept, ...inside.map(({ tile }) => tile)]);
  }

  #scroll(y) {
    if (y < EDGE_PX + 40) window.scrollBy(0, -14);
    else if (y > window.innerHeight - EDGE_PX) window.scrollBy(0, 14);
  }

  #up() {
    if (!this.#from) return;
    const target = this.#ghost ? this.#target : null;
    if (this.#band && this.selection.size) {
      this.selection.focus(this.selection.chosen()[0]);
      announce(say("chosen", { count: this.selection.size }));
    } else if (!this.dragged && !this.#from.tile) this.selection.clear();
    this.#end();
    if (target) this.drop(target.dataset.label);
  }

  #end() {
    this.#target?.classList.remove("over");
    this.#ghost?.remove();
    this.#band?.remove();
    document.body.classList.remove("dragging");
    this.#from = this.#ghost = this.#band = this.#target = null;
    // No click follows where the button went up elsewhere.
    setTimeout(() => { this.dragged = false; }, 0);
  }
}
