// Makes the forms of the review page quick: keys, the next item without a new page, checks while typing.
// Everything here is a form or a link that works without it.
const work = document.getElementById("work");
const said = document.getElementById("said");
const help = document.getElementById("keys");
const keysOn = document.getElementById("keys-on");
const drafts = new Map(); // question id -> text that was typed and not saved
const HIDDEN = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g;
const WORD = /[\p{L}\p{N}_]+\s*|[^\p{L}\p{N}_\s]\s*|\s+/gu;
const MOST_COMPARISONS = 250000;
const LEAST_IN_COMMON = 0.2;
const RENEW_MS = 240000;
const SHOWN_MS = 6000;
let busy = false;
let spent = 0; // milliseconds for which the item was visible
let since = performance.now();
let checking = 0;
let fading = 0;

const find = (selector) => work.querySelector(selector);
const card = () => find(".card");
const text = () => find("#text");
const question = () => find('#decision [name="question_id"]').value;
const chosen = () => find(".suggestion.chosen");
const isDirty = () => text() !== null && text().value !== text().defaultValue;
const spelled = (value) =>
  value.replace(HIDDEN, (c) => `‹U+${c.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}›`);

/** Read aloud at once, and shown for a while. */
function say(words) {
  said.textContent = words;
  said.classList.toggle("shown", words !== "");
  clearTimeout(fading);
  fading = setTimeout(() => said.classList.remove("shown"), SHOWN_MS);
}

function keepDraft() {
  if (!card() || !text()) return;
  if (isDirty()) drafts.set(question(), text().value);
  else drafts.delete(question());
}

function begin() {
  spent = 0;
  since = performance.now();
  find("#show-keys").hidden = false;
  const draft = card() && drafts.get(question());
  if (draft !== undefined && draft !== null && text()) text().value = draft;
  check();
}

function show(body, isNew) {
  work.innerHTML = body.html; // written by the server from its own template
  if (isNew) history.pushState(null, "", body.url);
  say(body.error ? "" : body.said);
  begin();
  const focused = find("#refusal") ?? find("#item-heading");
  focused.tabIndex = -1;
  focused.focus({ preventScroll: true });
  scrollTo(0, 0);
}

async function ask(url, options, isNew) {
  if (busy) return false;
  busy = true;
  work.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(url, { ...options, headers: { Accept: "application/json" } });
    const body = await answer.json();
    if (body.html) show(body, isNew);
    else say(body.error.message);
    return answer.ok;
  } catch {
    say("The curator does not answer. Your text is still here: try again.");
    return false;
  } finally {
    busy = false;
    work.removeAttribute("aria-busy");
  }
}

function go(url) {
  keepDraft();
  return ask(url, {}, true);
}

async function send(form, button) {
  const fields = new URLSearchParams(new FormData(form, button));
  if (fields.has("question_id")) fields.set("seconds", ((spent + (document.hidden ? 0 : performance.now() - since)) / 1000).toFixed(2));
  if (busy) return;
  keepDraft();
  const about = card() && question();
  const draft = drafts.get(about);
  drafts.delete(about); // the server has it now; if it refuses it, it sends it back
  if (!(await ask(form.getAttribute("action"), { method: "POST", body: fields }, true)) && draft !== undefined) drafts.set(about, draft);
}

function press(selector) {
  const button = find(selector);
  if (button) button.form.requestSubmit(button);
  return button !== null;
}

// What is typed

function jsonProblem(value) {
  try {
    JSON.parse(value);
    return "";
  } catch (error) {
    return error.message;
  }
}

/** Checked JSON on lines of their own. Numbers and strings stay as they are written. */
function indented(json) {
  let depth = 0;
  const line = () => "\n" + "  ".repeat(depth);
  return json
    .match(/"(?:\\.|[^"\\])*"|[{}[\],:]|[^\s{}[\],:"]+/g)
    .map((token, at, all) => {
      if (token === "{" || token === "[") {
        if ("}]".includes(all[at + 1])) return token;
        depth += 1;
        return token + line();
      }
      if (token === "}" || token === "]") {
        if ("{[".includes(all[at - 1])) return token;
        depth -= 1;
        return line() + token;
      }
      return token === "," ? token + line() : token === ":" ? ": " : token;
    })
    .join("");
}

function looksLikeJson(value) {
  return /^\s*[{[]/.test(value);
}

/** For each word of `next`, whether `before` has it there. */
function kept(before, next) {
  const key = (word) => word.trim();
  const left = before.map(key);
  const right = next.map(key);
  let head = 0;
  while (head < left.length && head < right.length && left[head] === right[head]) head += 1;
  let tail = 0;
  while (tail < Math.min(left.length, right.length) - head && left.at(-1 - tail) === right.at(-1 - tail)) tail += 1;
  const found = right.map((_, at) => at < head || at >= right.length - tail);
  const a = left.slice(head, left.length - tail);
  const b = right.slice(head, right.length - tail);
  if (a.length * b.length > MOST_COMPARISONS) return found;
  const longest = Array.from({ length: a.length + 1 }, () => new Uint32Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--)
      longest[i][j] = a[i] === b[j] ? longest[i + 1][j + 1] + 1 : Math.max(longest[i + 1][j], longest[i][j + 1]);
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    if (a[i] === b[j]) {
      found[head + j] = true;
      i += 1;
      j += 1;
    } else if (longest[i + 1][j] >= longest[i][j + 1]) i += 1;
    else j += 1;
  }
  const enough = found.filter(Boolean).length >= LEAST_IN_COMMON * Math.max(found.length, 1);
  return enough ? found : found.map(() => false);
}

function check() {
  if (!text()) return;
  const value = text().value;
  const wanted = [...work.querySelectorAll(".source")].some((source) => looksLikeJson(source.value));
  const isJson = value.trim() !== "" && (wanted || looksLikeJson(value));
  const problem = isJson ? jsonProblem(value) : "";
  const state = find("#json");
  state.hidden = !isJson;
  state.className = `state ${problem ? "bad" : "good"}`;
  state.textContent = problem ? `not JSON: ${spelled(problem)}` : "valid JSON";
  find("#format").hidden = !isJson || problem !== "";
  find("#problem").textContent = isDirty() ? "Not saved yet" : "";
  const words = spelled(value).match(WORD) ?? [];
  const same = kept(find("#wrong").textContent.match(WORD) ?? [], words);
  const diff = find("#diff");
  diff.replaceChildren(
    ...words.map((word, at) => {
      if (same[at]) return word;
      const added = document.createElement("ins");
      added.textContent = word;
      return added;
    }),
  );
  diff.hidden = !isDirty() || words.length === 0;
}

function edit(suggestion) {
  if (!text()) return find("#write")?.click();
  const source = suggestion?.querySelector(".source");
  if (source && (!isDirty() || text().value.trim() === "")) text().value = source.value;
  text().focus();
  text().setSelectionRange(0, 0);
  return check();
}

// Keys

function prefer(choice) {
  if (press(`#decision [value="prefer:${choice}"]`)) return;
  if (["up", "down"].includes(choice)) say("There is no answer here that a thumb could be about.");
  else say(find("#compare") ? "Press c to see two answers side by side first." : "There are no two answers here to compare.");
}

function choose(step) {
  const pair = find(step > 0 ? "#pair-next" : "#pair-before");
  if (pair) return pair.click();
  const all = [...work.querySelectorAll(".suggestion")];
  const at = all.indexOf(chosen());
  const next = all[at + step];
  if (!next) return undefined;
  all[at].classList.remove("chosen");
  next.classList.add("chosen");
  next.scrollIntoView({ block: "nearest" });
  return say(next.querySelector("h3").textContent.trim().replace(/\s+/g, " "));
}

function because(state) {
  const reason = find("#reason");
  reason.dataset.state = state;
  reason.placeholder = `Why? Enter: ${state}`;
  reason.focus();
}

function enter() {
  if (isDirty()) return press('#decision [value="save"]');
  if (chosen()) return press(".suggestion.chosen .accept");
  say(text() ? "There is no suggestion: press e and write the right answer." : "Press a or b for the better answer, t for a tie, x for neither.");
  return true;
}

const KEYS = {
  Enter: enter,
  e: () => edit(chosen()),
  ArrowUp: () => choose(-1),
  ArrowDown: () => choose(1),
  ArrowLeft: () => find("#back")?.click(),
  ArrowRight: () => find("#next")?.click(),
  s: () => find("#next")?.click(),
  u: () => press("#undo button"),
  f: () => because("flagged"),
  d: () => because("dismissed"),
  n: () => because("unsure"),
  c: () => (find("#compare, #write") ? find("#compare, #write").click() : say("There are no two answers here to compare.")),
  a: () => prefer("a"),
  b: () => prefer("b"),
  t: () => prefer("tie"),
  x: () => prefer("neither"),
  "+": () => prefer("up"),
  "-": () => prefer("down"),
  "?": () => help.showModal(),
};

function onKey(event) {
  const typing = event.target.closest("input, textarea, select, [contenteditable]");
  if (help.open || event.isComposing) return;
  if (typing) {
    if (event.key === "Escape") find("#item-heading")?.focus();
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && typing === text()) press('#decision [value="save"]');
    if (event.key === "Enter" && typing.dataset.state) {
      event.preventDefault();
      press(`#aside [value="${typing.dataset.state}"]`);
    }
    return;
  }
  if (!keysOn.checked || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Enter" && event.target.closest("a, button, summary")) return;
  if (["ArrowUp", "ArrowDown"].includes(event.key) && (event.target.closest("pre") || (work.querySelectorAll(".suggestion").length < 2 && !find("#pair-next")))) return;
  const isReason = /^[1-9]$/.test(event.key);
  const act = Object.hasOwn(KEYS, event.key) ? KEYS[event.key] : isReason ? () => press(`#aside [value="reason:${event.key}"]`) : null;
  const needsItem = !["u", "?"].includes(event.key);
  if (!act || event.repeat || (needsItem && !card())) return;
  event.preventDefault();
  act();
}

document.addEventListener("keydown", onKey);
document.addEventListener("submit", (event) => {
  if (!["decision", "aside", "undo"].includes(event.target.id)) return;
  event.preventDefault();
  send(event.target, event.submitter);
});
document.addEventListener("click", (event) => {
  if (event.target.closest("#show-keys")) return help.showModal();
  if (event.target.closest("#format")) {
    text().value = indented(text().value);
    return check();
  }
  if (event.ctrlKey || event.metaKey || event.shiftKey) return undefined;
  const link = event.target.closest("#work a");
  if (link?.matches(".edit")) {
    event.preventDefault();
    return edit(link.closest(".suggestion"));
  }
  if (link?.matches("#back, #next, .mode, .filters a")) {
    event.preventDefault();
    return go(link.href);
  }
  return undefined;
});
document.addEventListener("input", (event) => {
  if (event.target.id !== "text") return;
  clearTimeout(checking);
  checking = setTimeout(check, 120);
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden) spent += performance.now() - since;
  since = performance.now();
});
addEventListener("popstate", () => {
  keepDraft();
  ask(location.href, {}, false);
});
addEventListener("beforeunload", (event) => {
  keepDraft();
  if (drafts.size) event.preventDefault();
});
setInterval(async () => {
  if (document.hidden || !card()) return;
  const fields = new URLSearchParams({
    form_token: find('[name="form_token"]').value,
    question_id: question(),
  });
  const answer = await fetch(card().dataset.lease, { method: "POST", body: fields }).catch(() => null);
  const lease = answer?.ok ? await answer.json() : { mine: true };
  if (!lease.mine) say(`${spelled(lease.holder)} has this item open too.`);
}, RENEW_MS);

const STORED = "burnish-review-keys";
try {
  keysOn.checked = localStorage.getItem(STORED) !== "off";
} catch {
  // Without storage, the keys are on in each new page.
}
keysOn.addEventListener("change", () => {
  try {
    localStorage.setItem(STORED, keysOn.checked ? "on" : "off");
  } catch {
    // As above.
  }
});
begin();
if (said.textContent) say(said.textContent);
