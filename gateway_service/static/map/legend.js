// How many bikes there are of each status; a status that is not ticked is not on the map.

import { byId, element, setText } from "./dom.js";
import { count } from "./format.js";
import { STATUSES, WORDS } from "./statuses.js";

export class Legend {
  // `onHide(statuses)`: these are to be hidden.
  constructor(onHide) {
    this.counts = {};
    this.boxes = {};
    for (const status of STATUSES) {
      this.counts[status] = element("span", { class: "count" }, "0");
      this.boxes[status] = element("input", { type: "checkbox", checked: true });
      this.boxes[status].addEventListener("change", () => onHide(this.hidden));
      const label = element("label", {}, this.boxes[status], element("span", { class: `dot ${status}` }),
        WORDS[status], this.counts[status]);
      byId("legend").append(element("li", { "data-status": status }, label));
    }
  }

  get hidden() {
    return STATUSES.filter((status) => !this.boxes[status].checked);
  }

  show(fleet) {
    for (const status of STATUSES) setText(this.counts[status], count(fleet.counts[status] || 0));
    setText(byId("total"), count(fleet.size));
  }
}
