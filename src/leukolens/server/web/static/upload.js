// Fields are dropped on a sample: sent with progress, and what was refused is said.

import { announce, complain, one, problem, say, token } from "./page.js";

const form = one("#upload");
const drop = one("#drop");
const input = one('input[type="file"]', form);
const sending = one("#sending");
const AT_ONCE = 100; // files of one request: what has arrived is kept, whatever happens to the rest
let busy = false;

drop.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
drop.addEventListener("dragleave", () => drop.classList.remove("over"));
drop.addEventListener("drop", async (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  send(await dropped(event.dataTransfer));
});
input.addEventListener("change", () => send([...input.files]));
form.addEventListener("submit", (event) => { event.preventDefault(); send([...input.files]); });
one("#upload-button").hidden = true; // choosing files sends them; without this script it is needed

// Files, and those in folders, which browsers hand over as entries.
async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files];
  return (await Promise.all(entries.map(within))).flat();
}

async function within(entry) {
  if (entry.isFile) return [await new Promise((good, bad) => entry.file(good, bad))];
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((good, bad) => reader.readEntries(good, bad)); // a hundred at a time
    if (!some.length) return found;
    for (const inner of some) found.push(...(await within(inner)));
  }
}

async function send(files) {
  if (!files.length || busy) return;
  busy = true;
  sending.hidden = false;
  const all = { taken: 0, known: 0, refused: [] };
  try {
    for (let from = 0; from < files.length; from += AT_ONCE) {
      const answer = await part(files.slice(from, from + AT_ONCE), from, files.length);
      all.taken += answer.taken;
      all.known += answer.known;
      all.refused.push(...answer.refused);
      document.body.dispatchEvent(new Event("fields-arrived"));
    }
  } catch (error) {
    complain(error.message);
  }
  busy = false;
  sending.hidden = true;
  input.value = "";
  told(all);
}

// One request, by XMLHttpRequest since fetch tells no upload progress.
function part(files, before, count) {
  const body = new FormData();
  for (const file of files) body.append("files", file, file.name);
  const request = new XMLHttpRequest();
  request.upload.addEventListener("progress", (event) => {
    const sent = (before + (files.length * event.loaded) / event.total) / count;
    one("progress", sending).value = sent;
    one("#sending-text").textContent = say("sending", { count, percent: Math.round(100 * sent) });
  });
  return new Promise((good, bad) => {
    request.addEventListener("load", () => {
      let answer = {};
      try { answer = JSON.parse(request.responseText); } catch { /* its status says enough */ }
      if (request.status < 400) good(answer);
      else bad(new Error(problem(answer, request.status)));
    });
    request.addEventListener("error", () => bad(new Error(say("no_connection"))));
    request.open("POST", form.action);
    request.setRequestHeader("X-CSRF-Token", token());
    request.setRequestHeader("Accept", "application/json");
    request.send(body);
  });
}

function told({ taken, known, refused }) {
  one("#refused").replaceChildren(...refused.map(({ name, reason }) => {
    const item = document.createElement("li");
    item.textContent = `${name}: ${reason}`;
    return item;
  }));
  one("#refused-notice").hidden = !refused.length;
  if (!taken && !known && !refused.length) return;
  announce(say("taken", { count: taken, known, refused: refused.length }));
  if (taken) one("#fields-tab").hidden = false;
}
