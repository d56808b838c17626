// Pictures of cells that were drawn a moment ago: each is asked for a few times, until it has been cut out.

import { all, one } from "./page.js";

const PAUSES_MS = [500, 1000, 2000, 4000, 8000, 15000, 30000, 60000]; // fields that wait are read before it
const pause = (length) => new Promise((go) => { setTimeout(go, length); });

// `changed` is told where a cell turned out to be cut by an edge: it isn't counted then.
export function awaitPictures(groups, facts, changed) {
  for (const shown of all(".tile[data-unpictured]", groups)) awaitPicture(shown, facts(shown), changed);
}

async function awaitPicture(shown, facts, changed) {
  const image = one("img", shown);
  const source = image.getAttribute("src");
  for (const length of PAUSES_MS) {
    await pause(length);
    const answer = await fetch(source).catch(() => null);
    if (!answer?.ok) continue;
    image.src = `${source}?cut`; // under its own name the browser still has the placeholder
    delete shown.dataset.unpictured;
    const cell = await fetch(facts).then((said) => said.json()).catch(() => ({}));
    if (!cell.at_edge || shown.classList.contains("edge")) return;
    shown.classList.add("edge");
    changed();
    return;
  }
}
