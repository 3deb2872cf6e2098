// Today's figures and the chart of its hours.

import { hoursChart } from "./chart.js";
import { byId, element, setText } from "./dom.js";
import { count, distance, percent } from "./format.js";

const NAMES = { rides: "Rides", active: "Active now", distance: "Ridden to their end", used: "Fleet in use" };

export class Figures {
  constructor() {
    this.values = {};
    this.drawn = "";
    for (const [key, name] of Object.entries(NAMES)) {
      this.values[key] = element("dd", { id: `figure-${key}` });
      byId("figures").append(element("div", {}, element("dt", {}, name), this.values[key]));
    }
  }

  show(rides, fleet) {
    const today = rides.figures();
    setText(this.values.rides, count(today.rides));
    setText(this.values.active, count(today.active));
    setText(this.values.distance, distance(today.distance_m));
    setText(this.values.used, percent(fleet.counts.in_use || 0, fleet.size));
    setText(byId("today-note"),
      rides.isCut ? `There are more rides than the ${count(rides.trips.size)} newest, which are counted here.` : "");
    if (this.drawn === today.byHour.join()) return;
    this.drawn = today.byHour.join();
    byId("chart").replaceChildren(hoursChart(today.byHour));
  }
}
