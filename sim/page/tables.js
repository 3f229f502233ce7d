// SPDX-License-Identifier: Apache-2.0
// Checks, faults and metrics as lists and tables.
"use strict";

const held = (isHeld) => make("span", { class: `badge small ${isHeld ? "held" : "broken"}` }, isHeld ? "held" : "broken");

// Broken ones first; otherwise in the run's order.
function brokenFirst(checks) {
  return [...checks.filter((check) => !check.held), ...checks.filter((check) => check.held)];
}

function fillChecks(result, seek) {
  const { expects, invariants } = result;
  const good = [...expects, ...invariants].filter((check) => check.held).length;
  byId("check-sum").textContent = `${good} of ${expects.length + invariants.length} held`;
  const box = byId("checks");
  if (expects.length > 0) {
    box.append(make("h3", {}, "Expected"), make("ul", { class: "checks-list" }, ...brokenFirst(expects).map((expect) =>
      make("li", {}, held(expect.held), make("div", {}, make("code", {}, expect.text), make("div", { class: "reached" }, "reached ", make("b", {}, expect.reached_text)))))));
  }
  box.append(make("h3", {}, "Invariants"), make("ul", { class: "checks-list" }, ...brokenFirst(invariants).map((invariant) => invariantItem(invariant, seek))));
}

// What broke, at the top of the page.
function fillReasons(result, seek) {
  const box = byId("reasons");
  for (const invariant of result.invariants.filter((check) => !check.held)) {
    box.append(make("li", {}, make("b", {}, invariant.name), " ", whereBroken(invariant, seek), ` ${invariant.detail}`));
  }
  for (const expect of result.expects.filter((check) => !check.held)) {
    box.append(make("li", {}, make("code", {}, expect.text), " reached ", make("b", {}, expect.reached_text)));
  }
  box.hidden = box.childElementCount === 0;
}

function whereBroken(invariant, seek) {
  if (invariant.at_s === null) {
    return "";
  }
  const button = make("button", { type: "button", class: "link", title: "Go there" }, `at ${formatTime(invariant.at_s)}`);
  button.addEventListener("click", () => seek(invariant.at_s));
  return button;
}

function invariantItem(invariant, seek) {
  const body = make("div", {}, make("span", {}, invariant.name), make("div", { class: "reached" }, invariant.checked === 1 ? "checked once" : `checked ${formatValue(invariant.checked, "count")} times`));
  if (!invariant.held) {
    body.append(make("div", { class: "detail" }, whereBroken(invariant, seek), ` ${invariant.detail}`));
  }
  return make("li", {}, held(invariant.held), body);
}

// columns: [{ title, isNumber, value(row), text(row), cell(row) }]; a click on a heading sorts by it.
class SortedTable {
  constructor(table, columns, rows) {
    Object.assign(this, { table, columns, rows, wanted: rows });
    this.column = -1;
    this.isDown = false;
    this.body = make("tbody");
    this.heads = columns.map((column, index) => this.heading(column, index));
    table.append(make("thead", {}, make("tr", {}, ...this.heads)), this.body);
    this.fill();
  }

  heading(column, index) {
    const button = make("button", { type: "button" }, column.title);
    button.addEventListener("click", () => this.sort(index));
    return make("th", { scope: "col", class: column.isNumber ? "number" : "" }, button);
  }

  // First click: numbers from the largest, text from A.
  sort(index) {
    this.isDown = index === this.column ? !this.isDown : this.columns[index].isNumber === true;
    this.column = index;
    this.heads.forEach((head, other) => {
      head.setAttribute("aria-sort", other !== index ? "none" : this.isDown ? "descending" : "ascending");
    });
    this.fill();
  }

  filter(keep) {
    this.wanted = this.rows.filter(keep);
    this.fill();
  }

  compare(x, y) {
    const { value } = this.columns[this.column];
    const [a, b] = [value(x), value(y)];
    if (a === null || b === null) {
      return a === b ? 0 : a === null ? 1 : -1; // what has none stands last either way
    }
    const order = typeof a === "number" ? a - b : String(a).localeCompare(String(b), "en");
    return this.isDown ? -order : order;
  }

  fill() {
    const rows = this.column < 0 ? this.wanted : [...this.wanted].sort((x, y) => this.compare(x, y));
    this.body.replaceChildren(...rows.map((row) => make("tr", {}, ...this.columns.map((column) =>
      make("td", { class: column.isNumber ? "number" : "" }, column.cell ? column.cell(row) : column.text(row))))));
    if (rows.length === 0) {
      this.body.append(make("tr", {}, make("td", { colspan: this.columns.length, class: "muted" }, "None.")));
    }
  }
}

function faultTable(faults, colour, seek) {
  const time = (name, title) => ({
    title, isNumber: true, value: (fault) => fault[name], text: (fault) => formatTime(fault[name]),
  });
  const lasted = (fault) => (fault.until_s === null ? null : fault.until_s - fault.at_s);
  const start = time("at_s", "From");
  start.cell = (fault) => {
    const button = make("button", { type: "button", class: "link", title: "Go there" }, formatTime(fault.at_s));
    button.addEventListener("click", () => seek(fault.at_s));
    return button;
  };
  return new SortedTable(byId("faults"), [
    start,
    { ...time("until_s", "Until"), text: (fault) => (fault.until_s === null ? "the end" : formatTime(fault.until_s)) },
    { title: "Lasted", isNumber: true, value: lasted, text: (fault) => (lasted(fault) === 0 ? "at once" : formatSpan(lasted(fault))) },
    { title: "Kind", value: (fault) => fault.kind, cell: (fault) => make("span", {}, make("i", { class: "swatch", style: `background:${colour(fault.kind)}` }), fault.kind) },
    { title: "What", value: (fault) => fault.what, text: (fault) => fault.what },
  ], faults);
}

function metricTable(metrics) {
  const isCounter = (metric) => metric.kind === "counter";
  const figure = (title, of) => ({
    title, isNumber: true, value: of, text: (metric) => (of(metric) === null ? "" : formatValue(of(metric), metric.unit)),
  });
  const ofDistribution = (name) => (metric) => (isCounter(metric) || (metric.count === 0 && name !== "count") ? null : metric[name] ?? null);
  return new SortedTable(byId("metrics"), [
    { title: "Metric", value: (metric) => metric.name, cell: (metric) => make("code", {}, metric.name) },
    figure("Value", (metric) => (isCounter(metric) ? metric.value : null)),
    { title: "Samples", isNumber: true, value: ofDistribution("count"), text: (metric) => (isCounter(metric) ? "" : formatValue(metric.count, "count")) },
    figure("Mean", ofDistribution("mean")),
    figure("Min", ofDistribution("min")),
    figure("p50", ofDistribution("p50")),
    figure("p90", ofDistribution("p90")),
    figure("p99", ofDistribution("p99")),
    figure("p99.9", ofDistribution("p999")),
    figure("Max", ofDistribution("max")),
  ], metrics);
}
