// SPDX-License-Identifier: Apache-2.0
// Joins the parts: one time, which slider, mesh and charts all show.
"use strict";

const SLIDER_STEPS = 1000;
const CARDS_FIRST = 6; // distributions shown before one asks for the rest

// The run's JSON with what the charts ask of it.
class Run {
  constructor(result) {
    this.result = result;
    this.columns = result.series.columns;
    this.rows = result.series.rows;
    this.times = this.rows.map((row) => row[0]);
    const events = result.topology.events.length > 0 ? result.topology.events[0][0] : 0;
    this.start = Math.min(0, this.times[0] ?? 0, events);
    this.end = Math.max(result.virtual_s, this.times.at(-1) ?? 0, this.start + 1e-6);
  }

  column(name) {
    const index = this.columns.indexOf(name);
    return index < 0 ? undefined : this.rows.map((row) => row[index + 1]);
  }

  // The last row at or before t.
  rowAt(t) {
    let low = 0;
    let high = this.times.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (this.times[middle] <= t) {
        low = middle;
      } else {
        high = middle;
      }
    }
    return low;
  }
}

// Colours as page.css has them, for what is painted on canvas.
class Theme {
  constructor() {
    this.listeners = [];
    const dark = window.matchMedia("(prefers-color-scheme: dark)");
    this.isDark = dark.matches;
    dark.addEventListener("change", () => this.set(dark.matches));
    byId("theme").addEventListener("click", () => this.set(!this.isDark));
    this.set(this.isDark);
  }

  set(isDark) {
    this.isDark = isDark;
    document.documentElement.dataset.theme = isDark ? "dark" : "light";
    byId("theme").textContent = isDark ? "Light" : "Dark";
    const style = getComputedStyle(document.documentElement);
    this.colours = {};
    for (const name of ["text", "muted", "card", "grid", "accent", "bar", "link", "waiting", "up", "paused", "down", "left", "apart"]) {
      this.colours[name] = style.getPropertyValue(`--${name}`).trim();
    }
    this.colours.linkDead = style.getPropertyValue("--link-dead").trim();
    this.listeners.forEach((listener) => listener());
  }
}

// The time shown, and how it moves.
class Player {
  constructor(run, show) {
    Object.assign(this, { run, show, low: run.start, high: run.end, frame: null });
    this.slider = byId("time");
    this.slider.min = 0;
    this.slider.max = SLIDER_STEPS;
    this.slider.step = 1;
    this.slider.addEventListener("input", () => this.seek(this.low + (this.high - this.low) * this.slider.value / SLIDER_STEPS));
    byId("play").addEventListener("click", () => this.toggle());
    byId("previous").addEventListener("click", () => this.jump(-1));
    byId("next").addEventListener("click", () => this.jump(1));
    byId("unzoom").addEventListener("click", () => this.zoom(run.start, run.end));
    document.addEventListener("keydown", (event) => this.key(event));
    this.stops = [...new Set(run.result.faults.flatMap((fault) => [fault.at_s, fault.until_s]).filter((t) => t !== null))].sort((a, b) => a - b);
    byId("previous").disabled = byId("next").disabled = this.stops.length === 0;
  }

  seek(t) {
    this.time = Math.min(Math.max(t, this.low), this.high);
    this.slider.value = Math.round((this.time - this.low) / (this.high - this.low) * SLIDER_STEPS);
    this.slider.setAttribute("aria-valuetext", formatTime(this.time));
    this.show(this.time);
  }

  key(event) {
    if (event.key === " " && !event.target.closest("button, input[type=search], select, summary, a")) {
      event.preventDefault();
      this.toggle();
    }
  }

  jump(direction) {
    const room = (this.run.end - this.run.start) * 1e-6;
    const to = direction > 0 ? this.stops.find((t) => t > this.time + room) : this.stops.findLast((t) => t < this.time - room);
    if (to !== undefined) {
      if (to < this.low || to > this.high) {
        this.zoom(this.run.start, this.run.end);
      }
      this.seek(to);
    }
  }

  zoom(low, high) {
    this.low = Math.max(low, this.run.start);
    this.high = Math.min(high, this.run.end);
    byId("unzoom").hidden = this.low <= this.run.start && this.high >= this.run.end;
    this.zoomed?.(this.low, this.high);
    this.seek(this.time);
  }

  toggle() {
    if (this.frame !== null) {
      this.stop();
      return;
    }
    if (this.time >= this.high) {
      this.seek(this.low);
    }
    byId("play").textContent = "Pause";
    byId("play").setAttribute("aria-label", "Pause");
    let last = null;
    const step = (now) => {
      const seconds = Number(byId("speed").value);
      const rate = seconds > 0 ? (this.high - this.low) / seconds : 1;
      this.seek(this.time + (last === null ? 0 : (now - last) / 1000 * rate));
      last = now;
      this.frame = this.time >= this.high ? null : requestAnimationFrame(step);
      if (this.frame === null) {
        this.stop();
      }
    };
    this.frame = requestAnimationFrame(step);
  }

  stop() {
    cancelAnimationFrame(this.frame);
    this.frame = null;
    byId("play").textContent = "Play";
    byId("play").setAttribute("aria-label", "Play");
  }
}

function fillHead(run) {
  const { result } = run;
  const { scenario } = result;
  const isHeld = result.verdict === "held";
  document.title = `${scenario.name}, seed ${result.seed}: ${result.verdict}`;
  byId("verdict").textContent = isHeld ? "Held" : "Broken";
  byId("verdict").classList.add(isHeld ? "held" : "broken");
  byId("name").textContent = scenario.name;
  byId("about").textContent = scenario.about ?? "";
  byId("about").hidden = !scenario.about;
  byId("command").textContent = result.command;
  byId("copy").addEventListener("click", () => copyCommand(result.command));
  const targets = Array.isArray(scenario.targets) ? scenario.targets.join(", ") : scenario.targets;
  const facts = [["Nodes", formatValue(scenario.nodes, "count")], ["Mode", scenario.mode], ["Seed", String(result.seed)],
    ["Targets", targets], ["Formed in", result.formed_s === null ? "never" : formatTime(result.formed_s)], ["Virtual time", formatTime(result.virtual_s)],
    ["Events", formatValue(result.events, "count")], ["Trace hash", result.trace_hash]];
  for (const [name, text] of facts.filter(([, value]) => value)) {
    byId("facts").append(make("div", {}, make("dt", {}, name), make("dd", {}, text)));
  }
  byId("colophon").textContent = `Written by weft-sim from ${scenario.file}. All times are virtual; the dashed line in the charts is when the mesh had formed. This page needs no network.`;
  byId("licences").textContent = byId("licence-text").textContent.trim();
}

// A page from a file may lack the clipboard; then the command is selected instead.
async function copyCommand(text) {
  try {
    await navigator.clipboard.writeText(text);
    byId("copy").textContent = "Copied";
    setTimeout(() => { byId("copy").textContent = "Copy"; }, 1500);
  } catch {
    window.getSelection().selectAllChildren(byId("command"));
  }
}

// Nodes by state, with links last; made once, counted at every move.
class Legend {
  constructor() {
    this.items = STATE_NAMES.map((name, state) => {
      const count = make("b", {}, "0");
      const item = make("li", { "data-state": STATE_COLOURS[state] }, make("i", { class: "swatch", style: `background:var(--${STATE_COLOURS[state]})` }), count, ` ${name}`);
      byId("legend").append(item);
      return { item, count };
    });
    this.links = make("b", {}, "0");
    byId("legend").append(make("li", { "data-state": "links" }, make("i", { class: "swatch line" }), this.links, " links"));
  }

  show({ states, links }) {
    this.items.forEach(({ item, count }, state) => {
      count.textContent = formatValue(states[state], "count");
      item.hidden = states[state] === 0 && state !== STATE.UP;
    });
    this.links.textContent = formatValue(links, "count");
  }
}

function showActive(faults, t) {
  const active = faults.filter((fault) => fault.at_s <= t && t < (fault.until_s ?? Infinity));
  const texts = active.map((fault) => `${fault.kind}: ${fault.what}`);
  byId("active").textContent = texts.length > 2 ? `${texts.slice(0, 2).join("; ")}; and ${texts.length - 2} more` : texts.join("; ");
  byId("active").title = texts.join("\n");
}

function fillDistributions(run, theme) {
  const asked = (metric) => run.result.expects.some((expect) => expect.text.includes(metric.name));
  const rank = (metric) => (asked(metric) ? 0 : metric.unit === "ns" ? 1 : 2);
  const metrics = run.result.metrics.filter((metric) => metric.kind === "distribution" && metric.count > 0 && metric.buckets.length > 0);
  metrics.sort((x, y) => rank(x) - rank(y) || x.name.localeCompare(y.name, "en"));
  const cards = [];
  const add = (list) => list.forEach((metric) => cards.push(new DistributionCard(byId("distributions"), metric, theme)));
  add(metrics.slice(0, CARDS_FIRST));
  if (metrics.length === 0) {
    byId("distributions").append(make("p", { class: "muted" }, "The run timed nothing."));
  }
  byId("more").hidden = metrics.length <= CARDS_FIRST;
  byId("more").textContent = `Show all ${metrics.length}`;
  byId("more").addEventListener("click", () => {
    byId("more").hidden = true;
    add(metrics.slice(CARDS_FIRST));
  });
  theme.listeners.push(() => cards.forEach((card) => card.repaint()));
  new ResizeObserver(() => cards.forEach((card) => card.resize())).observe(byId("distributions"));
}

function meshNote(replay) {
  if (replay.nodes.length === 0) {
    return "The run kept no topology.";
  }
  const texts = [];
  if (replay.isSample) {
    texts.push(`A sample of ${formatValue(replay.nodes.length, "count")} of ${formatValue(byId("result").run.result.topology.sampled_of, "count")} nodes, with the links among them.`);
  }
  texts.push("Ctrl and the wheel zoom; point at a node for its name.");
  return texts.join(" ");
}

function start() {
  const run = new Run(JSON.parse(byId("result").textContent));
  byId("result").run = run;
  fillHead(run);
  const theme = new Theme();
  const replay = new Replay(run.result.topology, run.end);
  const legend = new Legend();
  const view = { mesh: null, charts: null };
  const player = new Player(run, (t) => {
    replay.seek(t);
    legend.show(replay.counts());
    byId("now").textContent = formatTime(t);
    showActive(run.result.faults, t);
    view.mesh?.refresh();
    view.charts?.at(t);
  });
  const seek = (t) => player.seek(t);
  const picked = (node) => { byId("mesh-note").textContent = view.mesh.tip(view.mesh.nodes[node]).textContent; };
  player.seek(run.result.formed_s ?? run.start);
  view.mesh = new MeshView(byId("graph"), replay, theme, picked);
  view.charts = new TimeCharts(byId("charts"), run, theme, seek, (low, high) => player.zoom(low, high));
  player.zoomed = (low, high) => view.charts.zoom(low, high);
  byId("mesh-note").textContent = meshNote(replay);
  fillReasons(run.result, seek);
  fillChecks(run.result, seek);
  fillDistributions(run, theme);
  const faults = run.result.faults;
  byId("fault-sum").textContent = faults.length === 1 ? "1 fault" : `${formatValue(faults.length, "count")} faults`;
  faultTable(faults, (kind) => view.charts.faultColour(kind), seek);
  const metrics = metricTable(run.result.metrics);
  const filter = () => {
    const words = byId("filter").value.toLowerCase().split(/\s+/);
    const isWanted = (metric) => !byId("nonzero").checked || metric.value !== 0 || metric.count > 0;
    metrics.filter((metric) => isWanted(metric) && words.every((word) => metric.name.toLowerCase().includes(word)));
  };
  byId("filter").addEventListener("input", filter);
  byId("nonzero").addEventListener("change", filter);
  byId("zoom-in").addEventListener("click", () => view.mesh.zoomBy(1.4));
  byId("zoom-out").addEventListener("click", () => view.mesh.zoomBy(1 / 1.4));
  byId("zoom-fit").addEventListener("click", () => view.mesh.zoomFit());
  for (const [id, isPerNode] of [["per-node", true], ["all-nodes", false]]) {
    byId(id).addEventListener("click", () => {
      byId("per-node").setAttribute("aria-pressed", String(isPerNode));
      byId("all-nodes").setAttribute("aria-pressed", String(!isPerNode));
      view.charts.setPerNode(isPerNode);
    });
  }
  theme.listeners.push(() => { view.mesh.refresh(); view.charts.repaint(); });
  seek(player.time);
  window.report = { run, replay, player, view, theme }; // for the test and for the curious, in the console
}

start();
