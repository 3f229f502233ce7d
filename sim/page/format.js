// SPDX-License-Identifier: Apache-2.0
// Numbers for people: three significant digits, a unit always, the same steps as `weft-sim run` prints.
"use strict";

const UNIT_STEPS = {
  ns: [[1, "ns"], [1e3, "µs"], [1e6, "ms"], [1e9, "s"], [60e9, "min"], [3600e9, "h"]],
  bytes: [[1, "B"], [1e3, "KB"], [1e6, "MB"], [1e9, "GB"], [1e12, "TB"]],
  count: [[1, ""], [1e6, "M"], [1e9, "G"]],
};

// 1234.5 -> "1,235", 12.345 -> "12.3", 0.01234 -> "0.0123".
function formatNumber(value, digits = 3) {
  if (!Number.isFinite(value)) {
    return "–";
  }
  if (Math.abs(value) >= 1000) {
    return Math.round(value).toLocaleString("en-US");
  }
  return String(Number(value.toPrecision(digits)));
}

// A metric's value with its unit. Ratios are millionths in the JSON and fractions here.
function formatValue(value, unit) {
  if (value === null || value === undefined || !Number.isFinite(value)) {
    return "–";
  }
  if (unit === "ppm") {
    const isAlmostOne = value > 990000 && value < 1000000; // 0.999874 is not 1
    return isAlmostOne ? String(value / 1e6) : formatNumber(value / 1e6);
  }
  const steps = UNIT_STEPS[unit] ?? UNIT_STEPS.count;
  let step = steps[0];
  for (const candidate of steps) {
    if (Math.abs(value) >= candidate[0] * 0.9995) {
      step = candidate;
    }
  }
  const text = formatNumber(value / step[0]);
  return step[1] === "" ? text : `${text} ${step[1]}`;
}

function formatRate(bytesPerSecond) {
  return bytesPerSecond === null || bytesPerSecond === undefined ? "–" : `${formatValue(bytesPerSecond, "bytes")}/s`;
}

// A point in the run: always in seconds, as scenario files and traces say it.
function formatTime(seconds) {
  if (seconds === null || seconds === undefined) {
    return "–";
  }
  const digits = Math.abs(seconds) >= 1000 ? 1 : Math.abs(seconds) >= 100 ? 2 : 3;
  return `${seconds.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits })} s`;
}

// A length of time, as short as it goes.
function formatSpan(seconds) {
  return seconds === null || seconds === undefined ? "–" : formatValue(seconds * 1e9, "ns");
}

// An element with text and attributes; children may be elements or text.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) {
      element.setAttribute(name, "");
    } else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, value);
    }
  }
  element.append(...children);
  return element;
}

function byId(id) {
  return document.getElementById(id);
}
