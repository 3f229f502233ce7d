// SPDX-License-Identifier: Apache-2.0
// The topology at any time of the run. Events are applied going forwards and undone going backwards, so
// that moving the slider costs what changed between the two times, not what the run holds.
"use strict";

// A node's state. APART is derived: up, but no path to the largest part of the mesh.
const STATE = { WAITING: 0, UP: 1, PAUSED: 2, DOWN: 3, LEFT: 4, APART: 5 };
const STATE_NAMES = ["not started", "up", "paused", "down", "left", "cut off"];
const EVENT_STATES = { up: STATE.UP, down: STATE.DOWN, paused: STATE.PAUSED, left: STATE.LEFT };

class Replay {
  // topology: of the run's JSON. With a sample of the nodes, paths through the others are not known
  // and APART is never said.
  constructor(topology, end) {
    this.nodes = topology.nodes;
    this.isSample = topology.sampled_of !== null && topology.sampled_of !== undefined;
    this.links = []; // { a, b, up_s: for how long it was up }
    this.linkIndex = new Map();
    this.changes = []; // { t, isLink, index, value, before }
    this.read(topology.events);
    this.base = Uint8Array.from(this.nodes, () => STATE.UP); // as told, without APART
    this.linkUp = new Uint8Array(this.links.length);
    this.startStates();
    this.measureLinks(end);
    this.applied = 0;
    this.time = -Infinity;
    this.states = Uint8Array.from(this.base);
    this.degrees = new Uint16Array(this.nodes.length);
    this.seek(-Infinity);
  }

  link(a, b) {
    const key = Math.min(a, b) * this.nodes.length + Math.max(a, b);
    let index = this.linkIndex.get(key);
    if (index === undefined) {
      index = this.links.length;
      this.linkIndex.set(key, index);
      this.links.push({ a: Math.min(a, b), b: Math.max(a, b), up_s: 0 });
    }
    return index;
  }

  has(node) {
    return Number.isInteger(node) && node >= 0 && node < this.nodes.length;
  }

  read(events) {
    for (const [t, kind, a, b] of events) {
      if ((kind === "link-up" || kind === "link-down") && this.has(a) && this.has(b) && a !== b) {
        this.changes.push({ t, isLink: true, index: this.link(a, b), value: kind === "link-up" ? 1 : 0, before: 0 });
      } else if (kind in EVENT_STATES && this.has(a)) {
        this.changes.push({ t, isLink: false, index: a, value: EVENT_STATES[kind], before: 0 });
      }
    }
    this.changes.sort((x, y) => x.t - y.t); // stable: equal times stay in the run's order
  }

  // Who is told to come up later has not started; who is never told of was up all along.
  startStates() {
    const seen = new Set();
    for (const change of this.changes) {
      if (!change.isLink && !seen.has(change.index)) {
        seen.add(change.index);
        this.base[change.index] = change.value === STATE.UP ? STATE.WAITING : STATE.UP;
      }
    }
  }

  measureLinks(end) {
    const since = new Float64Array(this.links.length).fill(-1);
    for (const { t, isLink, index, value } of this.changes) {
      if (isLink && value === 1 && since[index] < 0) {
        since[index] = t;
      } else if (isLink && value === 0 && since[index] >= 0) {
        this.links[index].up_s += t - since[index];
        since[index] = -1;
      }
    }
    since.forEach((t, index) => {
      this.links[index].up_s += t >= 0 ? Math.max(0, end - t) : 0;
    });
  }

  seek(t) {
    while (this.applied < this.changes.length && this.changes[this.applied].t <= t) {
      const change = this.changes[this.applied++];
      const target = change.isLink ? this.linkUp : this.base;
      change.before = target[change.index];
      target[change.index] = change.value;
    }
    while (this.applied > 0 && this.changes[this.applied - 1].t > t) {
      const change = this.changes[--this.applied];
      (change.isLink ? this.linkUp : this.base)[change.index] = change.before;
    }
    this.time = t;
    this.derive();
  }

  isAlive(node) {
    return this.base[node] === STATE.UP || this.base[node] === STATE.PAUSED;
  }

  // A link carries something when it is up and both its ends run.
  carries(link) {
    return this.linkUp[link] === 1 && this.isAlive(this.links[link].a) && this.isAlive(this.links[link].b);
  }

  derive() {
    this.states.set(this.base);
    this.degrees.fill(0);
    const parent = Int32Array.from(this.nodes, (_, index) => index);
    const find = (node) => {
      while (parent[node] !== node) {
        parent[node] = parent[parent[node]];
        node = parent[node];
      }
      return node;
    };
    this.links.forEach(({ a, b }, index) => {
      if (this.linkUp[index] === 1) {
        this.degrees[a]++;
        this.degrees[b]++;
      }
      if (this.carries(index)) {
        parent[find(a)] = find(b);
      }
    });
    if (!this.isSample) {
      this.markApart(find);
    }
  }

  markApart(find) {
    const size = new Uint32Array(this.nodes.length);
    let largest = 0;
    for (let node = 0; node < this.nodes.length; node++) {
      const root = find(node);
      size[root] += this.isAlive(node) ? 1 : 0;
      largest = size[root] > size[largest] ? root : largest;
    }
    for (let node = 0; node < this.nodes.length; node++) {
      if (this.states[node] === STATE.UP && find(node) !== largest) {
        this.states[node] = STATE.APART;
      }
    }
  }

  // How many nodes are in each state, by STATE, and how many links are up.
  counts() {
    const counts = new Array(STATE_NAMES.length).fill(0);
    this.states.forEach((state) => counts[state]++);
    return { states: counts, links: this.linkUp.reduce((sum, up) => sum + up, 0) };
  }
}
