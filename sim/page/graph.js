// SPDX-License-Identifier: Apache-2.0
// Draws the mesh of a Replay with force-graph (canvas). Each state has a colour and a shape of its own, so
// that it can be told without seeing colours.
"use strict";

const LABELS_ALWAYS_MAX = 40;  // more names than these overlap on a laptop's screen
const LABELS_ZOOMED_MAX = 600; // up to here names appear as one zooms in
const LAYOUT_AT_ONCE_MAX = 300; // up to here the layout is done before the first picture
const LINKS_SOLID_MAX = 1500;   // beyond this links would cover each other
const VISIBLE_PX = 2.2;         // radius
const LARGE_PX = 9;
const STATE_COLOURS = ["waiting", "up", "paused", "down", "left", "apart"];

class MeshView {
  constructor(element, replay, theme, onPick) {
    this.element = element;
    this.replay = replay;
    this.theme = theme;
    this.isSettled = false;
    this.wasMoved = false;
    this.nodes = replay.nodes.map((node, index) => ({ id: index, name: node.name, site: node.site, isHub: node.is_hub }));
    this.links = replay.links.map((link, index) => ({ index, source: link.a, target: link.b }));
    this.radius = this.nodes.length <= 60 ? 6 : this.nodes.length <= 600 ? 4.5 : 3.5;
    this.graph = new ForceGraph(element);
    this.setUp(onPick);
    new ResizeObserver(() => this.resize()).observe(element);
  }

  setUp(onPick) {
    const isLarge = this.nodes.length > LAYOUT_AT_ONCE_MAX;
    this.resize();
    this.graph
      .nodeLabel((node) => this.tip(node))
      .nodeVal((node) => (node.isHub ? 3 : 1))
      .nodeCanvasObject((node, context, scale) => this.paint(node, context, scale))
      .nodePointerAreaPaint((node, colour, context) => this.disc(node, colour, context, this.size(node, this.graph.zoom()) + 2))
      .linkVisibility((link) => this.replay.linkUp[link.index] === 1)
      .linkWidth(this.links.length > 4000 ? 0.5 : 1)
      .linkPointerAreaPaint(() => {})
      .enableNodeDrag(false)
      .enableZoomInteraction((event) => event.ctrlKey || event.metaKey)
      .enablePanInteraction((event) => event.touches === undefined || event.touches.length > 1)
      .minZoom(0.02)
      .maxZoom(20)
      .onNodeClick((node) => onPick(node.id))
      .warmupTicks(isLarge ? 20 : 200)
      .cooldownTicks(isLarge ? 160 : 0)
      .cooldownTime(8000)
      .onEngineTick(() => this.follow())
      .onEngineStop(() => this.settle());
    this.colourLinks();
    this.force();
    this.graph.graphData({ nodes: this.nodes, links: this.links });
  }

  // Links that were up for long shape the picture; nodes without any stay near.
  force() {
    const longest = this.replay.links.reduce((most, link) => Math.max(most, link.up_s), 1e-9);
    const ends = new Uint16Array(this.nodes.length);
    for (const link of this.replay.links) {
      ends[link.a]++;
      ends[link.b]++;
    }
    this.graph.d3Force("link").distance(this.radius * 7).strength((link) => {
      const { a, b, up_s } = this.replay.links[link.index];
      return (0.05 + 0.95 * up_s / longest) / Math.min(ends[a], ends[b]);
    });
    this.graph.d3Force("charge").strength(-this.radius * 12).distanceMax(this.radius * 150);
    const { width, height } = this.element.getBoundingClientRect();
    const wide = Math.min(Math.max(width / Math.max(height, 1), 1), 3); // the picture takes the frame's shape
    this.graph.d3Force("near", (alpha) => {
      for (const node of this.nodes) {
        node.vx -= node.x * 0.03 / wide * alpha;
        node.vy -= node.y * 0.03 * wide ** 2 * alpha;
      }
    });
  }

  resize() {
    const box = this.element.getBoundingClientRect();
    if (box.width > 0 && box.height > 0) {
      this.graph.width(box.width).height(box.height);
      if (!this.wasMoved) {
        this.fit(0);
      }
    }
  }

  fit(duration) {
    if (!Number.isFinite(this.nodes[0]?.x)) {
      return; // not laid out yet
    }
    this.graph.zoomToFit(duration, this.nodes.length <= LABELS_ALWAYS_MAX ? 44 : 20);
    if (this.graph.zoom() > 3) {
      this.graph.zoom(3); // a handful of nodes need not fill the frame
    }
  }

  follow() {
    if (!this.wasMoved) {
      this.fit(0);
    }
  }

  // force-graph takes in sizes and data a moment after it was given them.
  settle() {
    setTimeout(() => requestAnimationFrame(() => {
      this.follow();
      this.isSettled = true;
      this.element.dataset.settled = "true";
    }), 20);
  }

  zoomBy(factor) {
    this.wasMoved = true;
    this.graph.zoom(this.graph.zoom() * factor, 150);
  }

  zoomFit() {
    this.wasMoved = false;
    this.fit(200);
  }

  // On the screen neither smaller than what an eye can tell the colour of, nor large for being few.
  size(node, scale) {
    const size = Math.min(Math.max(this.radius, VISIBLE_PX / scale), LARGE_PX / scale);
    return node.isHub ? size * 1.6 : size;
  }

  colour(node) {
    return this.theme.colours[STATE_COLOURS[this.replay.states[node.id]]];
  }

  // Also what makes force-graph paint again.
  colourLinks() {
    const thin = this.links.length > LINKS_SOLID_MAX ? "70" : ""; // an alpha value
    this.graph.linkColor((link) => this.theme.colours[this.replay.carries(link.index) ? "link" : "linkDead"] + thin);
  }

  refresh() {
    this.colourLinks();
  }

  disc(node, colour, context, radius) {
    context.fillStyle = colour;
    context.beginPath();
    context.arc(node.x, node.y, radius, 0, 2 * Math.PI);
    context.fill();
  }

  paint(node, context, scale) {
    const state = this.replay.states[node.id];
    const size = this.size(node, scale);
    const colour = this.colour(node);
    if (state === STATE.DOWN || state === STATE.LEFT) {
      this.cross(node, colour, context, size);
    } else if (state === STATE.WAITING) {
      this.ring(node, colour, context, size);
    } else {
      this.disc(node, colour, context, size);
      this.mark(node, state, context, size);
    }
    if (this.wantsName(scale)) {
      this.label(node, context, size, scale);
    }
  }

  cross(node, colour, context, size) {
    this.disc(node, this.theme.colours.card, context, size);
    const arm = size * 0.8;
    context.strokeStyle = colour;
    context.lineWidth = size * 0.45;
    context.beginPath();
    context.moveTo(node.x - arm, node.y - arm);
    context.lineTo(node.x + arm, node.y + arm);
    context.moveTo(node.x - arm, node.y + arm);
    context.lineTo(node.x + arm, node.y - arm);
    context.stroke();
  }

  ring(node, colour, context, size) {
    context.strokeStyle = colour;
    context.lineWidth = size * 0.3;
    context.beginPath();
    context.arc(node.x, node.y, size * 0.8, 0, 2 * Math.PI);
    context.stroke();
  }

  // Paused: two bars. Cut off: a hole.
  mark(node, state, context, size) {
    context.fillStyle = this.theme.colours.card;
    if (state === STATE.PAUSED) {
      context.fillRect(node.x - size * 0.45, node.y - size * 0.5, size * 0.3, size);
      context.fillRect(node.x + size * 0.15, node.y - size * 0.5, size * 0.3, size);
    } else if (state === STATE.APART) {
      this.disc(node, this.theme.colours.card, context, size * 0.4);
    }
  }

  wantsName(scale) {
    const count = this.nodes.length;
    return count <= LABELS_ALWAYS_MAX || (count <= LABELS_ZOOMED_MAX && scale * Math.sqrt(LABELS_ALWAYS_MAX / count) >= 1.5);
  }

  label(node, context, size, scale) {
    context.font = `${11 / scale}px system-ui, sans-serif`;
    context.textAlign = "center";
    context.textBaseline = "top";
    context.lineWidth = 3 / scale;
    context.strokeStyle = this.theme.colours.card;
    context.fillStyle = this.theme.colours.text;
    context.strokeText(node.name, node.x, node.y + size + 2 / scale);
    context.fillText(node.name, node.x, node.y + size + 2 / scale);
  }

  tip(node) {
    const site = node.site === null || node.site === undefined ? "" : `, site ${node.site}${node.isHub ? " (hub)" : ""}`;
    const links = this.replay.degrees[node.id];
    return make("span", { class: "tip" }, `${node.name}${site}: ${STATE_NAMES[this.replay.states[node.id]]}, ${links} ${links === 1 ? "link" : "links"}`);
  }
}
