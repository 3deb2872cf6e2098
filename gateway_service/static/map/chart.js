// The rides of each hour of today as bars.

import { svgElement } from "./dom.js";
import { count } from "./format.js";

const WIDTH = 288;
const HEIGHT = 84;
const FLOOR = 68;
const BAR = WIDTH / 24;

const hourName = (hour) => `${String(hour).padStart(2, "0")}:00`;

// An SVG image of 24 numbers, which says in words what it shows.
export function hoursChart(byHour) {
  const most = Math.max(...byHour);
  const words = byHour.map((rides, hour) => (rides ? `${hourName(hour)} ${count(rides)}` : "")).filter(Boolean);
  return svgElement("svg", {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", class: "chart",
    "aria-label": `Rides by hour: ${words.join(", ") || "none yet"}`,
  },
  ...byHour.map((rides, hour) => bar(rides, hour, most)),
  svgElement("line", { x1: 0, x2: WIDTH, y1: FLOOR, y2: FLOOR }),
  ...[0, 6, 12, 18].map((hour) => svgElement("text", { x: hour * BAR, y: HEIGHT - 3 }, hourName(hour))),
  svgElement("text", { x: WIDTH, y: 9, "text-anchor": "end" }, most ? `most ${count(most)}` : ""));
}

function bar(rides, hour, most) {
  const height = rides ? Math.max(2, (rides / most) * (FLOOR - 12)) : 0;
  return svgElement("rect", {
    x: hour * BAR + 1, y: FLOOR - height, width: BAR - 2, height, "data-hour": hour, "data-rides": rides,
  }, svgElement("title", {}, `${hourName(hour)}: ${count(rides)}`));
}
