"use strict";
// Saves a card without leaving the page; without this script the same forms post and come back.
const unsaved = new Set();

function show(form, text, kind) {
  const state = form.querySelector(".state");
  state.textContent = text;
  state.className = "state " + kind;
}

async function save(form) {
  const button = form.querySelector("button");
  const sent = form.elements.corrected_output.value;
  button.disabled = true;
  show(form, "Saving…", "");
  try {
    const answer = await fetch(form.action, {
      method: "POST",
      headers: { Accept: "application/json" },
      body: new URLSearchParams(new FormData(form)),
    });
    const body = await answer.json();
    if (!answer.ok) {
      show(form, body.error.message, "bad");
      return;
    }
    if (form.elements.corrected_output.value === sent) unsaved.delete(form);
    form.closest(".card").dataset.corrected = body.stands ? "yes" : "no";
    document.getElementById("corrected").textContent = body.corrected;
    document.getElementById("total").textContent = body.total;
    document.getElementById("meter").value = body.corrected;
    show(form, body.stands ? "Saved" : "Correction removed", "good");
  } catch {
    show(form, "The curator does not answer; your text is still here. Try again.", "bad");
  } finally {
    button.disabled = false;
  }
}

for (const form of document.querySelectorAll(".card form")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    save(form);
  });
  form.addEventListener("input", () => {
    unsaved.add(form);
    show(form, "Not saved yet", "");
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
}
addEventListener("beforeunload", (event) => {
  if (unsaved.size) event.preventDefault();
});
