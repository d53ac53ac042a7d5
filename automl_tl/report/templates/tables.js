"use strict";
// Tables sort by a click on a heading, and show the rows that have every word of the search.
for (const grid of document.querySelectorAll(".grid")) {
  const body = grid.querySelector("tbody"), heads = [...grid.querySelectorAll("th")];
  const value = (row, column) => {
    const cell = row.cells[column];
    return "order" in cell.dataset ? Number(cell.dataset.order) : cell.textContent;
  };
  const compare = (a, b, sign) => {  // numbers before texts and empty cells, whichever way they are sorted
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
    if ((a === "") !== (b === "")) return a === "" ? 1 : -1;
    return sign * (typeof a === "number" ? a - b : a.localeCompare(b, undefined, {numeric: true}));
  };
  heads.forEach((head, column) => head.firstElementChild.addEventListener("click", () => {
    const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
    const rows = [...body.rows].sort((a, b) => compare(value(a, column), value(b, column), sign));
    body.append(...rows);
  }));
  const field = grid.querySelector("input"), count = grid.querySelector("output");
  if (field) field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of body.rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every(word => text.includes(word));
      shown += !row.hidden;
    }
    count.textContent = words.length ? `${shown} of ${body.rows.length}` : "";
  });
}
