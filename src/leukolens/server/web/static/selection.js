// Which tiles are chosen and which one has the focus: click, shift-click, ctrl-click, and the arrow keys.

import { all, one } from "./page.js";

export class Selection {
  #chosen = new Set();
  #anchor = null;

  constructor(groups, changed) {
    this.groups = groups;
    this.changed = changed;
    this.focused = null;
    groups.addEventListener("click", (event) => {
      const tile = event.target.closest(".tile");
      if (tile) this.#click(tile, event);
    });
    groups.addEventListener("focusin", (event) => {
      const tile = event.target.closest(".tile");
      if (tile) this.#rove(tile);
    });
  }

  // The first tile can be reached by Tab; from there on by arrows.
  ready() {
    const first = one(".tile", this.groups);
    if (first) this.#rove(first);
  }

  get size() { return this.#chosen.size; }

  tiles() { return all(".group:not([hidden]) .tile", this.groups); }

  chosen() { return this.tiles().filter((tile) => this.#chosen.has(tile)); }

  // What a key is meant for: the chosen ones, or else the one with the focus.
  meant() {
    const chosen = this.chosen();
    if (chosen.length) return chosen;
    return this.focused?.isConnected ? [this.focused] : [];
  }

  has(tile) { return this.#chosen.has(tile); }

  clear() { this.choose([]); }

  choose(tiles) {
    const wanted = new Set(tiles);
    for (const tile of this.#chosen) if (!wanted.has(tile)) tile.setAttribute("aria-selected", "false");
    for (const tile of wanted) if (!this.#chosen.has(tile)) tile.setAttribute("aria-selected", "true");
    this.#chosen = wanted;
    this.changed();
  }

  group() {
    const home = this.focused?.closest(".tiles");
    if (home) this.choose([...home.children]);
  }

  focus(tile) {
    this.#rove(tile);
    tile.focus({ preventScroll: true });
    tile.scrollIntoView({ block: "nearest" });
  }

  neighbour(tile, step) {
    const tiles = this.tiles();
    return tiles[tiles.indexOf(tile) + step] ?? null;
  }

  // Where to go on once these have left: the next of the same group, else the one before, else the next group's first.
  after(leaving) {
    const gone = new Set(leaving);
    const home = leaving[leaving.length - 1].closest(".tiles");
    const inside = home ? [...home.children] : [];
    const from = inside.indexOf(leaving[leaving.length - 1]);
    const here = [...inside.slice(from + 1), ...inside.slice(0, Math.max(from, 0)).reverse()];
    return here.find((tile) => !gone.has(tile)) ?? this.tiles().find((tile) => !gone.has(tile)) ?? null;
  }

  key(pressed, shift, ctrl) {
    const from = this.focused;
    if (!from?.isConnected) return false;
    if (pressed === " ") {
      const chosen = new Set(this.#chosen);
      chosen.has(from) ? chosen.delete(from) : chosen.add(from);
      this.#anchor = from;
      this.choose(chosen);
      return true;
    }
    const to = this.#reached(pressed, from);
    if (to === undefined) return false;
    if (to) {
      if (shift) this.#range(to);
      else { this.#anchor = to; if (!ctrl) this.clear(); }
      this.focus(to);
    }
    return true;
  }

  #reached(pressed, from) {
    const tiles = this.tiles();
    const place = tiles.indexOf(from);
    switch (pressed) {
      case "ArrowLeft": return tiles[place - 1] ?? null;
      case "ArrowRight": return tiles[place + 1] ?? null;
      case "Home": return from.parentElement.firstElementChild;
      case "End": return from.parentElement.lastElementChild;
      case "ArrowUp": return this.#line(tiles, place, -1);
      case "ArrowDown": return this.#line(tiles, place, 1);
      default: return undefined;
    }
  }

  // The nearest tile by its middle in the next line above or below, be it in another group.
  #line(tiles, place, step) {
    const { left, top } = tiles[place].getBoundingClientRect();
    let best = null;
    let line = null;
    for (let at = place + step; at >= 0 && at < tiles.length; at += step) {
      const box = tiles[at].getBoundingClientRect();
      if (Math.abs(box.top - top) < 4) continue;
      line ??= box.top;
      if (Math.abs(box.top - line) > 4) break;
      const off = Math.abs(box.left - left);
      if (!best || off < best.off) best = { tile: tiles[at], off };
    }
    return best?.tile ?? null;
  }

  #click(tile, event) {
    const add = event.ctrlKey || event.metaKey || event.pointerType === "touch";
    if (event.shiftKey && this.#anchor) this.#range(tile);
    else if (add) {
      const chosen = new Set(this.#chosen);
      chosen.has(tile) ? chosen.delete(tile) : chosen.add(tile);
      this.#anchor = tile;
      this.choose(chosen);
    } else {
      this.#anchor = tile;
      this.choose([tile]);
    }
    this.focus(tile);
  }

  #range(to) {
    const tiles = this.tiles();
    const ends = [tiles.indexOf(this.#anchor ?? this.focused), tiles.indexOf(to)].sort((a, b) => a - b);
    this.choose(tiles.slice(Math.max(ends[0], 0), ends[1] + 1));
  }

  #rove(tile) {
    this.focused?.setAttribute("tabindex", "-1");
    tile.setAttribute("tabindex", "0");
    this.focused = tile;
  }
}
