"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const body = document.body.dataset;
  const pairs = [...document.querySelectorAll(".pair")];
  const place = "cogenesis-human-" + body.page;
  const LONGEST = 600; // seconds: whoever looks longer at one pair has left the room

  const state = { rater: "", at: 0, answers: {}, seconds: {} };
  try {
    const kept = JSON.parse(localStorage.getItem(place) || "{}");
    for (const name of Object.keys(state)) if (name in kept) state[name] = kept[name];
  } catch {
    byId("warning").hidden = false;
  }
  let unsaved = false;
  let since = Date.now();

  const questionsOf = (pair) => [...pair.querySelectorAll("fieldset")];
  const answersOf = (pair) => (state.answers[pair.id] ||= {});
  const isDone = (pair) => questionsOf(pair).every((each) => answersOf(pair)[each.dataset.question]);

  function exported() {
    const ratings = pairs
      .filter((pair) => Object.keys(answersOf(pair)).length)
      .map((pair) => ({
        item: pair.id,
        answers: answersOf(pair),
        seconds: Math.round(10 * (state.seconds[pair.id] || 0)) / 10,
      }));
    const head = { kind: body.kind, form: Number(body.form), page: body.page };
    return JSON.stringify({ ...head, rater: state.rater.trim(), ratings }, null, 1) + "\n";
  }

  function keep() {
    try {
      localStorage.setItem(place, JSON.stringify(state));
    } catch {
      byId("warning").hidden = false;
    }
    const done = pairs.filter(isDone).length;
    const where = state.at < pairs.length ? `Pair ${state.at + 1} of ${pairs.length}` : "The end";
    byId("progress").textContent = `${where}; ${done} of ${pairs.length} answered`;
    byId("answers").value = exported();
    byId("open").disabled = done === pairs.length;
  }

  function clock() {
    const pair = pairs[state.at];
    const passed = Math.min(LONGEST, (Date.now() - since) / 1000);
    if (pair) state.seconds[pair.id] = (state.seconds[pair.id] || 0) + passed;
    since = Date.now();
  }

  function show(at, focus) {
    clock();
    state.at = Math.max(0, Math.min(pairs.length, at));
    pairs.forEach((pair, number) => { pair.hidden = number !== state.at; });
    byId("done").hidden = state.at < pairs.length;
    byId("back").disabled = state.at === 0;
    byId("next").disabled = state.at === pairs.length;
    keep();
    if (focus) (pairs[state.at] || byId("done")).querySelector("h2").focus();
  }

  function answer(field, choice) {
    const pair = field.closest(".pair");
    answersOf(pair)[field.dataset.question] = choice;
    field.querySelector(`input[value="${choice}"]`).checked = true;
    unsaved = true;
    clock();
    keep();
  }

  function save() {
    clock();
    keep();
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([exported()], { type: "application/json" }));
    link.download = `ratings-${body.page}-${state.rater.replace(/[^A-Za-z0-9]+/g, "") || "rater"}.json`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    unsaved = false;
  }

  for (const pair of pairs) {
    for (const field of questionsOf(pair)) {
      const choice = answersOf(pair)[field.dataset.question];
      const input = [...field.querySelectorAll("input")].find((each) => each.value === choice);
      if (input) input.checked = true;
      else delete answersOf(pair)[field.dataset.question];
      field.addEventListener("change", (event) => answer(field, event.target.value));
    }
  }
  byId("rater").value = state.rater;
  byId("rater").addEventListener("input", (event) => { state.rater = event.target.value; keep(); });
  byId("back").addEventListener("click", () => show(state.at - 1, true));
  byId("next").addEventListener("click", () => show(state.at + 1, true));
  byId("open").addEventListener("click", () => show(pairs.findIndex((pair) => !isDone(pair)), true));
  byId("save").addEventListener("click", save);

  document.addEventListener("keydown", (event) => {
    if (!byId("keys").checked || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.target.matches("textarea, input[type=text]")) return;
    const choice = { 1: "left", 2: "tie", 3: "right" }[event.key];
    const pair = pairs[state.at];
    if (event.key === "n") show(state.at + 1, true);
    else if (event.key === "p") show(state.at - 1, true);
    else if (choice && pair) {
      const fields = questionsOf(pair);
      const open = fields.find((each) => !answersOf(pair)[each.dataset.question]);
      answer(event.target.closest("fieldset") || open || fields[fields.length - 1], choice);
    } else return;
    event.preventDefault();
  });
  addEventListener("beforeunload", (event) => { if (unsaved) event.preventDefault(); });
  document.addEventListener("visibilitychange", () => {
    // Time in another tab is no time with the texts.
    if (document.hidden) { clock(); keep(); } else since = Date.now();
  });

  show(state.at, false);
})();
