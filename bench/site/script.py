"""The script of a data set's page: sorting, filters, comparable rows. Without it the table is plain."""

SCRIPT = """
(() => {
"use strict";
const table = document.getElementById("results");
const body = table.tBodies[0];
const rows = [...body.rows];
const form = document.getElementById("filters");
const status = document.getElementById("status");
const points = [...document.querySelectorAll("svg [data-row]")];
const headings = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
let chosen = null;  // the row with which the others are compared

// Words sort by letter, numbers by value; what is absent comes last in both directions.
function sortBy(column, direction) {
  const isNumber = headings[column].dataset.kind === "number";
  const value = row => row.cells[column].dataset.value;
  const sorted = [...rows].sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === "" || y === "") return (x === "") - (y === "");
    const order = isNumber ? x - y : x.localeCompare(y, "en", { numeric: true, sensitivity: "base" });
    return direction === "descending" ? -order : order;
  });
  body.append(...sorted);
  headings.forEach((th, place) => th.setAttribute("aria-sort", place === column ? direction : "none"));
}

function addSorting() {
  headings.forEach((th, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = th.textContent;
    button.addEventListener("click", () => {
      const first = th.dataset.kind === "number" ? "descending" : "ascending";
      const other = first === "descending" ? "ascending" : "descending";
      sortBy(column, th.getAttribute("aria-sort") === first ? other : first);
    });
    th.replaceChildren(button);
    if (!th.hasAttribute("aria-sort")) th.setAttribute("aria-sort", "none");
  });
}

function isWanted(row) {
  if (chosen && row.dataset.group !== chosen.dataset.group) return false;
  const words = form.elements.text.value.toLowerCase().split(" ").filter(Boolean);
  const text = row.textContent.toLowerCase();
  if (!words.every(word => text.includes(word))) return false;
  return [...form.querySelectorAll("select")].every(select => {
    if (select.value === "*") return true;
    const value = row.dataset[select.name];
    if (select.name === "year") return value !== "" && Number(value) >= Number(select.value);
    if (select.name === "origin") {
      return (row.dataset.kind === "ours" || row.dataset.kind === "run") === (select.value === "ours");
    }
    return value === select.value;
  });
}

function update() {
  let count = 0;
  for (const row of rows) {
    row.hidden = !isWanted(row);
    count += !row.hidden;
    const button = row.querySelector(".compare");
    if (button) button.setAttribute("aria-pressed", String(row === chosen));
  }
  for (const point of points) {
    point.classList.toggle("away", document.getElementById(point.dataset.row).hidden);
  }
  let text = `${count} of ${rows.length} rows`;
  if (chosen) text += `, comparable with ${chosen.dataset.name}: same split and input size, same rule of mAP`;
  status.textContent = count ? text : `${text}: no row has all of this`;
}

function showAll() {
  form.reset();
  chosen = null;
  update();
}

function addComparing() {
  for (const row of rows) {
    if (!row.dataset.group) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "compare";
    button.textContent = "≈";
    button.title = `Only rows comparable with ${row.dataset.name}`;
    button.setAttribute("aria-label", button.title);
    button.addEventListener("click", () => {
      chosen = chosen === row ? null : row;
      update();
    });
    row.cells[0].append(" ", button);
  }
}

// Marks, here and in the charts, the rows that are comparable with the one under the pointer or with focus.
function markLike(row) {
  const group = row ? row.dataset.group : "";
  for (const other of rows) other.classList.toggle("same", group !== "" && other.dataset.group === group);
  for (const point of points) {
    point.classList.toggle("same", document.getElementById(point.dataset.row).classList.contains("same"));
  }
}

function showTarget() {
  const target = rows.find(row => "#" + row.id === location.hash);
  if (!target) return;
  if (target.hidden) showAll();
  target.scrollIntoView({ block: "center", inline: "start" });
}

addSorting();
addComparing();
form.hidden = false;
document.getElementById("hint").hidden = false;
form.addEventListener("input", update);
form.addEventListener("submit", event => event.preventDefault());
document.getElementById("show-all").addEventListener("click", showAll);
for (const type of ["mouseover", "focusin"]) {
  body.addEventListener(type, event => markLike(event.target.closest("tr")));
}
body.addEventListener("mouseleave", () => markLike(null));
body.addEventListener("focusout", () => markLike(null));
for (const point of points) {
  point.addEventListener("mouseenter", () => markLike(document.getElementById(point.dataset.row)));
  point.addEventListener("mouseleave", () => markLike(null));
}
window.addEventListener("hashchange", showTarget);
update();
showTarget();
})();
"""
