"use strict";
(() => {
  const filter = document.getElementById("filter");
  if (!filter) return;
  const examples = [...document.querySelectorAll("#answers .example")];
  const shown = document.getElementById("shown");
  const texts = new Map();
  const textOf = (example) => {
    if (!texts.has(example)) texts.set(example, example.textContent.toLowerCase());
    return texts.get(example);
  };
  const chosen = (name) => filter.querySelector(`[name=${name}]`).value;
  const apply = () => {
    const outcome = filter.querySelector("[name=outcome]:checked").value;
    const wanted = { group: chosen("group"), slice: chosen("slice"), label: chosen("label") };
    const words = chosen("text").toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const example of examples) {
      const fits =
        (!outcome || example.dataset.outcome.split(" ").includes(outcome)) &&
        Object.entries(wanted).every(([name, value]) => !value || example.dataset[name] === value) &&
        words.every((word) => textOf(example).includes(word));
      example.hidden = !fits;
      count += fits;
    }
    shown.textContent = `${count} of ${examples.length} shown`;
  };
  filter.addEventListener("input", apply);
  document.getElementById("reset").addEventListener("click", () => {
    filter.querySelector("[name=outcome]").checked = true;
    for (const field of filter.querySelectorAll("select, [name=text]")) field.value = "";
    apply();
  });
  document.getElementById("unfold").addEventListener("click", (event) => {
    const open = event.currentTarget.getAttribute("aria-pressed") !== "true";
    event.currentTarget.setAttribute("aria-pressed", String(open));
    for (const example of examples) if (!example.hidden) example.open = open;
  });
  filter.hidden = false;
  apply();
})();
