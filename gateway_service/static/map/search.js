// Bikes found by a part of their name, as a list that a keyboard reaches.

import { byId, element, setText } from "./dom.js";
import { count } from "./format.js";
import { nameOf, WORDS } from "./statuses.js";

const MAX_RESULTS = 20;

export class Search {
  // `onChoose(bike id)`: one of the results was chosen.
  constructor(fleet, onChoose) {
    this.fleet = fleet;
    this.onChoose = onChoose;
    this.drawn = "";
    byId("search-text").addEventListener("input", () => this.find());
  }

  toggle(isThere) {
    byId("search").hidden = !isThere;
    byId("search-text").value = "";
    this.find();
  }

  // Again, as the fleet is another now; nothing is touched when that has changed no result.
  find() {
    const text = byId("search-text").value.trim().toLowerCase();
    const found = text ? this.matches(text) : [];
    const shown = found.slice(0, MAX_RESULTS);
    const words = `${count(found.length)} found${found.length > shown.length ? `, the first ${MAX_RESULTS}` : ""}`;
    setText(byId("search-count"), text ? words : "");
    const drawn = shown.map((bike) => `${bike.id} ${bike.name} ${bike.status}`).join("\n");
    if (drawn !== this.drawn) this.draw(shown);
    this.drawn = drawn;
  }

  draw(bikes) {
    const focused = document.activeElement?.dataset.bike;
    byId("search-results").replaceChildren(...bikes.map((bike) => this.result(bike)));
    if (focused) byId("search-results").querySelector(`[data-bike="${focused}"]`)?.focus();
  }

  // By name, those that begin with the text first.
  matches(text) {
    const place = (bike) => nameOf(bike).toLowerCase().indexOf(text);
    const found = [...this.fleet.bikes.values()].filter((bike) => place(bike) >= 0 || bike.id.startsWith(text));
    const order = (one, other) => (place(one) === 0 ? 0 : 1) - (place(other) === 0 ? 0 : 1)
      || nameOf(one).localeCompare(nameOf(other), undefined, { numeric: true });
    return found.sort(order);
  }

  result(bike) {
    const button = element("button", { type: "button", "data-bike": bike.id }, element("span", { class: `dot ${bike.status}` }),
      element("span", {}, nameOf(bike)), element("span", { class: "faint" }, WORDS[bike.status]));
    button.addEventListener("click", () => this.onChoose(bike.id));
    return element("li", {}, button);
  }
}
