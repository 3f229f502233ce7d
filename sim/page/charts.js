// SPDX-License-Identifier: Apache-2.0
// All charts, drawn by uPlot: those over time share one axis with the slider; distributions have their own.
"use strict";

const RIGHT_PX = 16;        // free space right of every plot: also the slider's
const HISTOGRAM_BINS = 48;  // as many bars as a card has room for
const LOG_FROM_RATIO = 50;  // a distribution wider than this is shown on a logarithmic axis
const FAULT_LANES_MAX = 12; // when more would be needed, one bar stands for many faults of a kind
const TRAFFIC_COLOURS = ["#8b98a5", "#2f83c5", "#e69f00", "#14a07a", "#c678a8", "#d9622b"];
const FAULT_COLOURS = ["#d9622b", "#7b5fd0", "#b8860b", "#c04a72", "#2f83c5", "#4f8a3c", "#8b6f5c", "#5d7184"];

const axisWidth = () => (window.innerWidth < 600 ? 54 : 76);

// The axis, grid and font that all charts have.
function axis(theme, options) {
  return {
    stroke: () => theme.colours.muted,
    grid: { stroke: () => theme.colours.grid, width: 1 },
    ticks: { stroke: () => theme.colours.grid, width: 1, size: 5 },
    font: "11px system-ui, sans-serif",
    ...options,
  };
}

// Seconds with as many decimals as the distance between two ticks needs.
function timeTicks(chart, splits) {
  const step = splits.length > 1 ? splits[1] - splits[0] : 1;
  const digits = Math.max(0, Math.min(6, Math.ceil(-Math.log10(step) - 1e-9)));
  return splits.map((t) => `${t.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits })} s`);
}

// The charts over time. `seek(t)` is called when one is clicked, `zoomed(low, high)` when one is dragged.
class TimeCharts {
  constructor(element, run, theme, seek, zoomed) {
    Object.assign(this, { element, run, theme, seek, zoomed });
    this.charts = [];
    this.range = [run.start, run.end];
    this.isPerNode = true;
    this.kinds = [...new Set(run.result.faults.map((fault) => fault.kind))];
    this.shades = mergeByKind(run.result.faults, run.end);
    this.build();
    new ResizeObserver(() => this.resize()).observe(element);
  }

  build() {
    for (const { plot } of this.charts) {
      plot.destroy();
    }
    this.element.replaceChildren();
    this.charts = [];
    this.addFaults();
    const traffic = this.run.columns.filter((name) => name.startsWith("traffic."));
    if (traffic.length > 0 && this.run.rows.length > 0) {
      this.addTraffic(traffic);
    }
    for (const name of this.run.columns.filter((column) => !column.startsWith("traffic."))) {
      this.addColumn(name);
    }
    this.at(this.run.start);
  }

  faultColour(kind) {
    return FAULT_COLOURS[this.kinds.indexOf(kind) % FAULT_COLOURS.length];
  }

  add(title, data, options) {
    const frame = make("figure", { class: "chart" }, make("figcaption", {}, title));
    this.element.append(frame);
    const plot = new uPlot({
      width: this.width(),
      padding: [6, RIGHT_PX, 0, 0],
      legend: { show: true, live: true, markers: { width: 0, fill: (u, index) => u.series[index].mark ?? u.series[index]._stroke } },
      ...options,
      cursor: {
        sync: { key: "run" },
        drag: { x: true, y: false, setScale: false },
        points: { show: false },
        bind: { dblclick: () => () => this.zoomed(this.run.start, this.run.end) },
        ...options.cursor,
      },
      scales: { x: { time: false, range: () => this.range }, ...options.scales },
      hooks: {
        drawClear: [(u) => this.shade(u)],
        setSelect: [(u) => this.select(u)],
        ...options.hooks,
      },
    }, data, frame);
    const head = make("div", { class: "playhead" });
    plot.over.append(head);
    plot.over.addEventListener("click", (event) => this.click(plot, event));
    plot.over.addEventListener("pointerdown", (event) => { this.pressed = event.clientX; });
    plot.over.addEventListener("pointerleave", () => this.legends());
    this.charts.push({ plot, head, frame });
    return plot;
  }

  addFaults() {
    let lanes = layLanes(eachAlone(this.run.result.faults, this.run.end), this.run.end);
    if (lanes.count > FAULT_LANES_MAX) {
      lanes = layLanes(this.shades, this.run.end);
    }
    if (lanes.count === 0) {
      return;
    }
    this.add("Faults", [[this.run.start, this.run.end], [null, null]], {
      height: lanes.count * 20 + 36,
      legend: { show: false },
      cursor: { y: false },
      scales: { y: { range: [0, lanes.count] } },
      axes: [axis(this.theme, { values: timeTicks, size: 28 }), axis(this.theme, { size: axisWidth(), values: () => [], grid: { show: false }, ticks: { show: false } })],
      series: [{}, {}],
      hooks: { draw: [(u) => this.drawFaults(u, lanes.bars)], setCursor: [(u) => this.tellFault(u, lanes.bars)] },
    });
  }

  addTraffic(names) {
    const up = this.run.column("nodes.up");
    const share = (value, row) => (!this.isPerNode ? value : up && up[row] > 0 ? value / up[row] : null);
    const raw = names.map((name) => this.run.column(name).map(share));
    const sum = new Array(this.run.rows.length).fill(0);
    const stacked = raw.map((values) => values.map((value, row) => (sum[row] += value ?? 0)));
    const total = sum.slice();
    this.add(this.isPerNode ? "Traffic sent, mean of the nodes that are up, by kind" : "Traffic sent by all nodes, by kind", [this.run.times, ...stacked, total], {
      height: 220,
      axes: [axis(this.theme, { values: timeTicks, size: 28 }), axis(this.theme, { size: axisWidth(), values: (u, splits) => splits.map(formatRate) })],
      scales: { y: { range: (u, low, high) => [0, Math.max(high * 1.05, 1)] } },
      series: [
        this.timeSeries(),
        ...names.map((name, index) => ({
          label: name.replace("traffic.", ""),
          stroke: TRAFFIC_COLOURS[index % TRAFFIC_COLOURS.length],
          fill: `${TRAFFIC_COLOURS[index % TRAFFIC_COLOURS.length]}b0`,
          width: 1,
          mark: TRAFFIC_COLOURS[index % TRAFFIC_COLOURS.length],
          value: (u, value, series, row) => formatRate(row === null ? null : raw[index][row]),
        })),
        { label: "sum", stroke: () => this.theme.colours.text, width: 1, mark: "transparent", value: (u, value) => formatRate(value) },
      ],
      bands: names.slice(1).map((_, index) => ({ series: [index + 2, index + 1] })),
    });
  }

  addColumn(name) {
    const values = this.run.column(name);
    if (!values.some((value) => value !== null)) {
      return;
    }
    const isShare = name.endsWith(".share");
    const format = isShare ? (value) => (value === null ? "–" : `${formatNumber(value * 100)} %`) : (value) => formatNumber(value ?? NaN);
    const title = { "nodes.up": "Nodes up", "links.up": "Links up", "settled.share": "Nodes that know the whole mesh as it is" }[name] ?? name;
    this.add(title, [this.run.times, values], {
      height: 130,
      axes: [axis(this.theme, { values: timeTicks, size: 28 }), axis(this.theme, { size: axisWidth(), values: (u, splits) => splits.map(format), incrs: isShare ? undefined : [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 1e6] })],
      scales: { y: { range: isShare ? [0, 1.04] : (u, low, high) => roomy(low, high) } },
      series: [this.timeSeries(), {
        label: name,
        stroke: () => this.theme.colours.accent,
        width: 1.5,
        mark: "transparent",
        paths: uPlot.paths.stepped({ align: 1 }),
        value: (u, value) => format(value),
      }],
    });
  }

  timeSeries() {
    return { label: "at", value: (u, value) => formatTime(value) };
  }

  // Behind the curves: when faults were in force, and when the mesh had formed.
  shade(u) {
    const { ctx, bbox } = u;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    const place = (t) => u.valToPos(t, "x", true);
    for (const { fault, end } of this.shades) {
      const left = place(fault.at_s);
      ctx.globalAlpha = 0.1;
      ctx.fillStyle = this.faultColour(fault.kind);
      ctx.fillRect(left, bbox.top, Math.max(place(end) - left, devicePixelRatio), bbox.height);
    }
    if (this.run.result.formed_s !== null) {
      this.markFormed(ctx, bbox, place(this.run.result.formed_s));
    }
    ctx.restore();
  }

  markFormed(ctx, bbox, left) {
    ctx.globalAlpha = 0.8;
    ctx.strokeStyle = this.theme.colours.muted;
    ctx.setLineDash([4 * devicePixelRatio, 3 * devicePixelRatio]);
    ctx.lineWidth = devicePixelRatio;
    ctx.beginPath();
    ctx.moveTo(left, bbox.top);
    ctx.lineTo(left, bbox.top + bbox.height);
    ctx.stroke();
  }

  drawFaults(u, bars) {
    const { ctx, bbox } = u;
    const scale = devicePixelRatio;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.font = `${11 * scale}px system-ui, sans-serif`;
    ctx.textBaseline = "middle";
    ctx.textAlign = "left";
    for (const bar of bars) {
      const left = u.valToPos(bar.fault.at_s, "x", true);
      const right = Math.max(u.valToPos(bar.end, "x", true), left + 4 * scale);
      const top = u.valToPos(bar.lane + 1, "y", true) + 2 * scale;
      const height = u.valToPos(bar.lane, "y", true) - top - 2 * scale;
      ctx.fillStyle = this.faultColour(bar.fault.kind);
      ctx.fillRect(left, top, right - left, height);
      this.nameFault(u, bar, { left: Math.max(left, bbox.left), right, middle: top + height / 2 });
    }
    ctx.restore();
  }

  // Inside the bar where it fits, else beside it where the lane is free.
  nameFault(u, bar, { left, right, middle }) {
    const { ctx, bbox } = u;
    const gap = 5 * devicePixelRatio;
    const free = bar.next === Infinity ? bbox.left + bbox.width : Math.min(u.valToPos(bar.next, "x", true), bbox.left + bbox.width);
    for (const text of [`${bar.fault.kind}: ${bar.fault.what}`, bar.fault.kind]) {
      const width = ctx.measureText(text).width;
      if (width + 2 * gap <= right - left) {
        ctx.fillStyle = "#fff";
        ctx.fillText(text, left + gap, middle);
        return;
      }
      if (right + width + 2 * gap <= free) {
        ctx.fillStyle = this.theme.colours.text;
        ctx.fillText(text, right + gap, middle);
        return;
      }
    }
  }

  tellFault(u, bars) {
    const { left, top } = u.cursor;
    const hit = left < 0 || top < 0 ? undefined : bars.find((bar) => {
      const from = u.valToPos(bar.fault.at_s, "x");
      return left >= from - 3 && left <= Math.max(u.valToPos(bar.end, "x"), from + 4) + 3 && Math.floor(u.posToVal(top, "y")) === bar.lane;
    });
    const until = (fault) => (fault.until_s === null ? "the end" : formatTime(fault.until_s));
    u.over.title = hit ? `${hit.fault.kind}: ${hit.fault.what}\n${formatTime(hit.fault.at_s)} to ${until(hit.fault)}` : "";
  }

  click(plot, event) {
    if (Math.abs(event.clientX - (this.pressed ?? event.clientX)) < 4) {
      this.seek(plot.posToVal(event.clientX - plot.over.getBoundingClientRect().left, "x"));
    }
  }

  select(u) {
    if (u.select.width >= 8) {
      this.zoomed(u.posToVal(u.select.left, "x"), u.posToVal(u.select.left + u.select.width, "x"));
    }
    if (u.select.width > 0) {
      u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    }
  }

  zoom(low, high) {
    this.range = [low, high];
    for (const { plot } of this.charts) {
      plot.setScale("x", { min: low, max: high });
    }
    this.at(this.time);
  }

  // The slider is at t: moves the line in each chart and shows the figures of then.
  at(t) {
    this.time = t;
    for (const { plot, head } of this.charts) {
      const left = plot.valToPos(t, "x");
      head.hidden = left < -1 || left > plot.over.clientWidth + 1;
      head.style.transform = `translateX(${left}px)`;
    }
    this.legends();
  }

  legends() {
    const row = this.run.rowAt(this.time);
    for (const { plot } of this.charts) {
      if (plot.legend && plot.legend.live !== false && plot.data[0].length > row) {
        plot.setLegend({ idx: row });
      }
    }
  }

  setPerNode(isPerNode) {
    this.isPerNode = isPerNode;
    const time = this.time;
    this.build();
    this.at(time);
  }

  width() {
    return Math.max(this.element.clientWidth, 200);
  }

  resize() {
    for (const { plot } of this.charts) {
      if (plot.width !== this.width()) {
        plot.setSize({ width: this.width(), height: plot.height });
      }
    }
    this.at(this.time);
  }

  repaint() {
    for (const { plot } of this.charts) {
      plot.redraw(false, true);
    }
  }
}

// A range with room above and below; from zero unless the values are far from it.
function roomy(low, high) {
  if (low === null || high === null) {
    return [0, 1];
  }
  const from = low < high * 0.6 ? 0 : low;
  const room = Math.max((high - from) * 0.1, high * 0.005, 0.5);
  return [Math.max(0, from === 0 ? 0 : from - room), high + room];
}

// A fault without an end was in force to the end of the run.
function eachAlone(faults, end) {
  return faults.map((fault) => ({ fault, end: fault.until_s ?? end, lane: 0, next: Infinity }));
}

// Faults of one kind that overlap, as one: "50 faults".
function mergeByKind(faults, end) {
  const open = new Map();
  const merged = [];
  for (const bar of eachAlone(faults, end).sort((x, y) => x.fault.at_s - y.fault.at_s)) {
    const last = open.get(bar.fault.kind);
    if (last && bar.fault.at_s <= last.end) {
      last.count++;
      last.end = Math.max(last.end, bar.end);
      last.fault = { ...last.fault, until_s: last.end, what: `${last.count} faults` };
    } else {
      open.set(bar.fault.kind, bar);
      bar.count = 1;
      merged.push(bar);
    }
  }
  return merged;
}

// Puts each bar into the first lane that is free when it begins; lane 0 is at the bottom.
function layLanes(bars, end) {
  const ends = [];
  const lastOf = [];
  bars.sort((x, y) => x.fault.at_s - y.fault.at_s);
  const room = end * 0.002;
  for (const bar of bars) {
    let lane = ends.findIndex((busy) => busy + room <= bar.fault.at_s);
    lane = lane < 0 ? ends.length : lane;
    if (lastOf[lane]) {
      lastOf[lane].next = bar.fault.at_s;
    }
    ends[lane] = Math.max(ends[lane] ?? -Infinity, bar.end);
    lastOf[lane] = bar;
    bar.lane = lane;
  }
  const count = ends.length;
  for (const bar of bars) {
    bar.lane = count - 1 - bar.lane; // the first at the top
  }
  return { bars, count };
}

// Shares `count` among the bins that lie between two places, evenly.
function spread(counts, low, high, count) {
  const last = counts.length - 1;
  const first = Math.max(0, Math.min(last, Math.floor(low)));
  if (high - low < 1e-6) {
    counts[first] += count;
    return;
  }
  for (let bin = first; bin <= last && bin < high; bin++) {
    counts[bin] += count * Math.max(0, Math.min(high, bin + 1) - Math.max(low, bin)) / (high - low);
  }
}

// Buckets [low, high, count], both ends included, as bars of equal width, on a logarithmic axis when they span much; and the
// share of samples at or below each bar's right edge.
function binBuckets(buckets, unit) {
  const low = buckets[0][0];
  const high = buckets.at(-1)[1] + 1;
  const isWhole = unit === "count" && high - low <= HISTOGRAM_BINS;
  const least = Math.max(low > 0 ? low : buckets[Math.min(1, buckets.length - 1)][0], 1); // zeros go with it
  const isLog = !isWhole && high / least > LOG_FROM_RATIO;
  const forth = isLog ? (value) => Math.log10(Math.max(value, least)) : (value) => value;
  const from = isWhole ? low - 0.5 : forth(low);
  const to = isWhole ? buckets.at(-1)[0] + 0.5 : Math.max(forth(high), isLog ? from : from + Math.max(from * 0.02, 4));
  const bins = isWhole ? Math.round(to - from) : HISTOGRAM_BINS;
  const step = (to - from) / bins;
  const counts = new Array(bins).fill(0);
  let total = 0;
  for (const [bucketLow, bucketHigh, count] of buckets) {
    const edges = isWhole ? [bucketLow, bucketLow] : [forth(bucketLow), forth(bucketHigh + 1)];
    spread(counts, (edges[0] - from) / step, (edges[1] - from) / step, count);
    total += count;
  }
  return { from, step, counts, total, isLog, isWhole };
}

// 1, 2, 5 times the powers of ten; only powers, or every second or third of them, where they are many.
function logSplits(low, high) {
  const splits = [];
  const factors = high - low > 2.5 ? [1] : high - low > 1.2 ? [1, 3] : [1, 2, 5];
  const stride = Math.max(1, Math.ceil((high - low) / 5));
  for (let power = Math.floor(low / stride) * stride; power <= high; power += stride) {
    for (const factor of factors) {
      const value = power + Math.log10(factor);
      if (value >= low - 1e-9 && value <= high + 1e-9) {
        splits.push(value);
      }
    }
  }
  return splits;
}

// One card: histogram and cumulative line of a distribution, with its quantiles beneath.
class DistributionCard {
  constructor(parent, metric, theme) {
    this.metric = metric;
    this.theme = theme;
    const figures = ["p50", "p90", "p99", "p999", "max"].map((name) => make("span", {}, make("i", {}, name === "p999" ? "p99.9" : name), ` ${formatValue(metric[name], metric.unit)}`));
    this.body = make("div", {});
    this.element = make("figure", { class: "distribution" },
      make("figcaption", {}, make("b", {}, metric.name), make("span", { class: "muted" }, `${formatValue(metric.count, "count")} samples, mean ${formatValue(metric.mean, metric.unit)}`)),
      this.body, make("p", { class: "quantiles" }, ...figures));
    parent.append(this.element);
    this.draw();
  }

  draw() {
    const { metric, theme } = this;
    const bins = binBuckets(metric.buckets, metric.unit);
    const x = [bins.from];
    const bars = [undefined];
    const line = [0];
    let below = 0;
    bins.counts.forEach((count, index) => {
      below += count;
      x.push(bins.from + (index + 0.5) * bins.step, bins.from + (index + 1) * bins.step);
      bars.push(count / bins.total, undefined);
      line.push(undefined, below / bins.total);
    });
    const name = (value) => formatValue(bins.isLog ? 10 ** value : value, metric.unit);
    const percent = (u, splits) => splits.map((value) => `${formatNumber(value * 100)} %`);
    this.plot = new uPlot({
      width: Math.max(this.body.clientWidth, 160),
      height: 168,
      padding: [8, 4, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
      scales: { x: { time: false, range: () => [x[0], x[x.length - 1]] }, share: { range: (u, low, high) => [0, high * 1.08] }, sum: { range: [0, 1.04] } },
      axes: [
        axis(theme, { size: 26, space: 56, splits: bins.isLog ? (u, index, low, high) => logSplits(low, high) : undefined, incrs: bins.isWhole ? [1, 2, 5, 10, 20, 50] : undefined, values: (u, splits) => splits.map(name), grid: { show: false } }),
        axis(theme, { scale: "share", size: 44, values: percent }),
        axis(theme, { scale: "sum", side: 1, size: 46, values: percent, grid: { show: false }, splits: () => [0, 0.5, 0.9, 1] }),
      ],
      series: [
        {},
        { scale: "share", stroke: () => theme.colours.bar, fill: () => theme.colours.bar, paths: uPlot.paths.bars({ size: [0.92] }), points: { show: false } },
        { scale: "sum", stroke: () => theme.colours.accent, width: 1.75, spanGaps: true, paths: bins.isWhole ? uPlot.paths.stepped({ align: -1 }) : uPlot.paths.linear(), points: { show: false } },
      ],
      hooks: { draw: [(u) => this.mark(u, bins)], setCursor: [(u) => this.tell(u, bins, name)] },
    }, [x, bars, line], this.body);
  }

  // Where the 50th, 90th and 99th of a hundred samples lie.
  mark(u, bins) {
    const { ctx, bbox } = u;
    ctx.save();
    ctx.strokeStyle = this.theme.colours.muted;
    ctx.lineWidth = devicePixelRatio;
    ctx.setLineDash([2 * devicePixelRatio, 3 * devicePixelRatio]);
    for (const quantile of ["p50", "p90", "p99"]) {
      const value = this.metric[quantile];
      const left = Math.max(u.valToPos(bins.isLog ? Math.log10(Math.max(value, 1)) : value, "x", true), bbox.left);
      ctx.beginPath();
      ctx.moveTo(left, bbox.top);
      ctx.lineTo(left, bbox.top + bbox.height);
      ctx.stroke();
    }
    ctx.restore();
  }

  tell(u, bins, name) {
    const bin = u.cursor.left < 0 ? -1 : Math.floor((u.posToVal(u.cursor.left, "x") - bins.from) / bins.step);
    const count = bins.counts[bin];
    if (count === undefined) {
      u.over.title = "";
      return;
    }
    const from = bins.from + bin * bins.step;
    const where = bins.isWhole ? name(Math.round(from + 0.5)) : `${name(from)} to ${name(from + bins.step)}`;
    u.over.title = `${where}: ${formatValue(Math.round(count), "count")} samples, ${formatNumber(count / bins.total * 100)} %`;
  }

  resize() {
    const width = Math.max(this.body.clientWidth, 160);
    if (this.plot.width !== width) {
      this.plot.setSize({ width, height: this.plot.height });
    }
  }

  repaint() {
    this.plot.redraw(false, true);
  }
}
