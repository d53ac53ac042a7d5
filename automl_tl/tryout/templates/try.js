"use strict";
const found = id => document.getElementById(id);
const drop = document.querySelector(".drop"), field = drop.querySelector("input");
const most = Number(document.querySelector("main").dataset.mostBytes);
const percent = share => `${(100 * share).toFixed(1)}%`;
let picture = null, asked = 0;

function say(text, wrong = false) {
  found("said").textContent = text;
  found("said").hidden = !text;
  found("said").classList.toggle("wrong", wrong);
}

async function ask(explained) {
  const mine = ++asked;
  say("Looking at it …");
  found("answer").classList.add("waiting");
  try {
    const query = explained === undefined ? "" : `?explain=${explained}`;
    const response = await fetch(`/answer${query}`, {method: "POST", body: picture});
    const values = await response.json();
    if (mine !== asked) return;
    if (response.ok) show(values);
    say(values.error || "", true);
    found("answer").hidden = !response.ok;
  } catch {
    if (mine === asked) say("No answer: is automl-tl try still running?", true);
  } finally {
    if (mine === asked) found("answer").classList.remove("waiting");
  }
}

function show(values) {
  const best = values.classes[0];
  const explained = values.classes.find(one => one.number === values.explained);
  found("picture").src = values.picture;
  found("heat").src = values.heat || "data:,";
  found("explained").hidden = !values.heat;
  found("unexplained").textContent = values.unexplained;
  found("decision").textContent = `${best.label}, ${percent(best.probability)}`;
  found("why").textContent = explained ? explained.label : "";
  found("unusual").hidden = !values.unusual;
  found("unusual").textContent = "This picture is unlike the training pictures, so the classes may mean nothing"
    + (values.outside ? `: ${values.outside}.` : ".");
  found("classes").replaceChildren(...values.classes.map(one => row(one, one === explained)));
  overlay();
  found("others").textContent = values.others ? `and ${values.others.toLocaleString("en")} less probable ones.` : "";
}

function row(one, pressed) {
  const item = found("row").content.cloneNode(true), button = item.querySelector("button");
  item.querySelector(".name").textContent = one.label;
  item.querySelector(".share").textContent = percent(one.probability);
  item.querySelector("i").style.width = percent(one.probability);
  button.setAttribute("aria-pressed", pressed);
  button.addEventListener("click", () => ask(one.number));
  return item;
}

function take(files) {
  const file = [...files].find(one => one.size);
  if (!file) return;
  if (file.size > most) {
    ++asked;
    found("answer").classList.remove("waiting");
    return say(`The file is larger than ${most / 1e6} MB: give a smaller one.`, true);
  }
  picture = file;
  ask();
}

function overlay() {
  const shown = found("shown").checked && !found("explained").hidden;
  found("heat").hidden = !shown;
  found("heat").parentElement.classList.toggle("explained", shown);
}

field.addEventListener("change", () => { take(field.files); field.value = ""; });
found("shown").addEventListener("change", overlay);
addEventListener("paste", event => take(event.clipboardData.files));
addEventListener("dragover", event => { event.preventDefault(); drop.classList.add("over"); });
addEventListener("dragleave", () => drop.classList.remove("over"));
addEventListener("drop", event => { event.preventDefault(); drop.classList.remove("over"); take(event.dataTransfer.files); });
overlay();
