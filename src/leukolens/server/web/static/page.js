// What every page does: the look, what is said aloud, and requests with the CSRF token.

const LOOKS = ["auto", "light", "dark"];
const SIGNS = { auto: "◐", light: "☀", dark: "☾" };
const A_YEAR = 31536000;
const SPOKEN_MS = 5000;

export const one = (selector, root = document) => root.querySelector(selector);
export const all = (selector, root = document) => [...root.querySelectorAll(selector)];

let words;

// A text of the page's language, from its data block; `values` stand for its placeholders.
export function say(key, values = {}) {
  words ??= JSON.parse(one("#words")?.textContent ?? "{}");
  const forms = [`${key}.${values.count === 1 ? "one" : "many"}`, key];
  const text = words[forms.find((form) => form in words)] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

const timers = new Map();

function show(selector, text) {
  const place = one(selector);
  place.textContent = text;
  // An open dialog makes the rest inert and covers it: what is said has to be inside.
  (one("dialog[open]") ?? document.body).append(place);
  clearTimeout(timers.get(selector));
  timers.set(selector, setTimeout(() => { place.textContent = ""; }, SPOKEN_MS));
}

export const announce = (text) => show("#said", text);
export const complain = (text) => show("#problem-said", text);

// What the server answers to a post, as an object. Throws an Error whose message a person can read.
export async function post(address, body) {
  let answer;
  try {
    answer = await fetch(address, {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "application/json", "X-CSRF-Token": token() },
      body: JSON.stringify(body ?? {}),
    });
  } catch {
    throw new Error(say("no_connection"));
  }
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(problem(said, answer.status));
  return said;
}

export function problem(said, status) {
  const part = said?.error ?? said;
  const text = [part?.problem, part?.remedy].filter(Boolean).map((line) => `${line}.`).join(" ");
  return text || say("refused", { status });
}

export const token = () => one('meta[name="csrf-token"]').content;

function look(name) {
  document.documentElement.dataset.theme = name;
  document.cookie = `theme=${name};path=/;max-age=${A_YEAR};samesite=lax`;
}

function lookSwitch() {
  const button = one("[data-theme-switch]");
  if (!button) return;
  const shown = () => { button.textContent = SIGNS[document.documentElement.dataset.theme] ?? SIGNS.auto; };
  button.hidden = false;
  button.addEventListener("click", () => {
    const now = LOOKS.indexOf(document.documentElement.dataset.theme);
    look(LOOKS[(now + 1) % LOOKS.length]);
    shown();
  });
  shown();
}

// What must not happen by a slip asks first.
function askFirst() {
  document.addEventListener("submit", (event) => {
    const question = event.target.dataset?.ask;
    if (question && !window.confirm(question)) event.preventDefault();
  });
}

lookSwitch();
askFirst();
