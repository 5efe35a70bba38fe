"use strict";

// Wide tables scroll by themselves, by keyboard too, so that the page never does.
for (const table of document.querySelectorAll("table")) {
  const box = document.createElement("div");
  box.className = "scroll";
  box.tabIndex = 0;
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", "Table: " + table.querySelector("th").textContent);
  table.replaceWith(box);
  box.append(table);
}

// A cell without a number (n/a) stands at the end, whichever way a column is sorted.
function numberOf(text) {
  const number = parseFloat(text);
  return Number.isNaN(number) ? null : number;
}

function compare(one, other, numeric, direction) {
  if (!numeric) return direction * one.localeCompare(other, "en", { numeric: true });
  const [a, b] = [numberOf(one), numberOf(other)];
  if (a === null || b === null) return (a === null) - (b === null);
  return direction * (a - b);
}

function sortBy(table, header, column) {
  const ascending = header.getAttribute("aria-sort") !== "ascending";
  for (const other of table.querySelectorAll("th")) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", ascending ? "ascending" : "descending");
  const body = table.tBodies[0];
  const cells = [...body.rows].map((row) => row.cells[column].textContent.trim());
  const numeric = header.style.textAlign === "right" && cells.some((cell) => numberOf(cell) !== null);
  const rows = [...body.rows].sort((one, other) =>
    compare(one.cells[column].textContent.trim(), other.cells[column].textContent.trim(), numeric, ascending ? 1 : -1),
  );
  body.append(...rows);
}

const summary = document.querySelector("#cases table");
if (summary) {
  summary.querySelectorAll("th").forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    button.addEventListener("click", () => sortBy(summary, header, column));
    header.append(button);
  });
  const filter = document.querySelector("#filter");
  const show = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const row of summary.tBodies[0].rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      count += row.hidden ? 0 : 1;
    }
    document.querySelector("#shown").textContent = `${count} of ${summary.tBodies[0].rows.length} cases`;
  };
  filter.addEventListener("input", show);
  filter.closest("p").hidden = false;
  show();
}

// One case at a time is a page; without this script all stand below each other.
function turnPage() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (const folded of document.querySelectorAll("details")) folded.open ||= folded.contains(target);
  const page = target ? target.closest("article.case") : null;
  document.querySelector("#overview").hidden = page !== null;
  for (const article of document.querySelectorAll("article.case")) article.hidden = article !== page;
  if (target) target.scrollIntoView();
  else window.scrollTo(0, 0);
}
window.addEventListener("hashchange", turnPage);
turnPage();

// On paper nothing can be unfolded.
window.addEventListener("beforeprint", () => {
  for (const folded of document.querySelectorAll("details")) folded.open = true;
});
