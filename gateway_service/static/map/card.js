// The chosen bike: what is known of it, and its ride.

import { byId, element, setText } from "./dom.js";
import { age, clock, distance } from "./format.js";
import { nameOf, WORDS } from "./statuses.js";
import { wayLength } from "./way.js";

export class Card {
  // `onCentre()`, `onClose()`: what its buttons ask for.
  constructor({ onCentre, onClose }) {
    this.bike = null;
    this.values = {};
    this.title = element("h2", { id: "card-title" });
    const centre = element("button", { type: "button" }, "Show on the map");
    const close = element("button", { type: "button" }, "Close");
    centre.addEventListener("click", onCentre);
    close.addEventListener("click", onClose);
    const rows = ["State", "Battery", "Position", "Heard of", "Ride"].map((name) => this.row(name));
    byId("card").append(this.title, element("dl", {}, ...rows), centre, close);
    setInterval(() => this.tick(), 1000);
  }

  row(name) {
    this.values[name] = element("dd", { "data-row": name });
    return element("div", {}, element("dt", {}, name), this.values[name]);
  }

  // `path`: a `Path`; its ride, if it has one. `bike` null: no card.
  show(bike, path) {
    this.bike = bike;
    byId("card").hidden = bike === null;
    if (bike === null) return;
    setText(this.title, nameOf(bike));
    setText(this.values.State, WORDS[bike.status]);
    setText(this.values.Battery, bike.battery_percent === null ? "not known" : `${Math.round(bike.battery_percent)} %`);
    setText(this.values.Position, bike.location ? placeText(bike.location) : "not known");
    setText(this.values.Ride, rideText(path));
    this.tick();
  }

  tick() {
    if (this.bike) setText(this.values["Heard of"], this.bike.located_at ? age(this.bike.located_at) : "never");
  }

  focus() {
    byId("card").focus();
  }
}

function placeText({ coordinates: [longitude, latitude] }) {
  return `${latitude.toFixed(5)}, ${longitude.toFixed(5)}`;
}

function rideText({ trip, coordinates, problem }) {
  if (problem) return problem;
  if (!trip) return "none";
  const began = `since ${clock(trip.started_at)}`;
  if (trip.status === "active") return `${began}, ${distance(wayLength(coordinates))}`;
  if (trip.status === "cancelled") return `cancelled at ${clock(trip.ended_at)}`;
  return `ended at ${clock(trip.ended_at)}, ${distance(trip.distance_m)}`;
}
