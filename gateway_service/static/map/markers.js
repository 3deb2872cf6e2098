// The bikes on the map, in clusters where there are many.

import { latLngOf, STREET_ZOOM } from "./ground.js";
import { nameOf, STATUSES, WORDS } from "./statuses.js";

// From here on a change of many markers is made in one go.
const MANY = 300;
// What moving markers may take of a frame, in milliseconds: the page stays quick, however many bikes move.
const FRAME_MS = 6;
const ICONS = Object.fromEntries(STATUSES.map((status) => [
  status, L.divIcon({ className: `bike ${status}`, html: false, iconSize: [18, 18] }),
]));

export class Markers {
  // `onChoose(bike id)`: a click on a bike.
  constructor(map, onChoose) {
    this.onChoose = onChoose;
    this.markers = new Map();
    this.waiting = new Map();
    this.hidden = new Set();
    this.frame = null;
    this.group = L.markerClusterGroup({
      disableClusteringAtZoom: STREET_ZOOM, maxClusterRadius: 60, showCoverageOnHover: false,
      iconCreateFunction: clusterIcon, animate: false, spiderfyOnMaxZoom: false,
    }).addTo(map);
    // A click opens a cluster by itself, a key does not.
    this.group.on("clusterkeypress", ({ layer, originalEvent }) => {
      if (originalEvent.key !== "Enter") return;
      layer.zoomToBounds({ padding: [20, 20] });
      map.getContainer().focus();
    });
  }

  // `hidden`: the statuses that are not shown.
  hide(hidden, bikes) {
    this.hidden = new Set(hidden);
    this.update({ changed: [...bikes], removed: [] });
  }

  // What comes or goes in large numbers does so at once; the rest when there is time for it, the newest place of each.
  update({ changed, removed }) {
    const comers = changed.filter((bike) => this.isShown(bike) && !this.markers.has(bike.id));
    if (comers.length > MANY) this.addAll(comers);
    const goers = changed.filter((bike) => !this.isShown(bike) && this.markers.has(bike.id)).concat(removed);
    if (goers.length > MANY) this.removeAll(goers);
    for (const bike of removed) this.waiting.set(bike.id, null);
    for (const bike of changed) this.waiting.set(bike.id, bike);
    this.frame ??= requestAnimationFrame(() => this.applySome());
  }

  addAll(bikes) {
    this.group.addLayers(bikes.map((bike) => this.made(bike)));
  }

  removeAll(bikes) {
    this.group.removeLayers(bikes.map((bike) => this.markers.get(bike.id)).filter(Boolean));
    for (const bike of bikes) this.markers.delete(bike.id);
  }

  applySome() {
    const until = performance.now() + FRAME_MS;
    this.frame = null;
    for (const [id, bike] of this.waiting) {
      this.waiting.delete(id);
      this.apply(id, bike);
      if (performance.now() > until) break;
    }
    if (this.waiting.size) this.frame = requestAnimationFrame(() => this.applySome());
  }

  apply(id, bike) {
    const marker = this.markers.get(id);
    if (!this.isShown(bike)) {
      if (marker) this.group.removeLayer(marker);
      this.markers.delete(id);
    } else if (!marker) this.group.addLayer(this.made(bike));
    else {
      if (marker.options.icon !== ICONS[bike.status]) this.dress(marker, bike);
      if (!marker.getLatLng().equals(latLngOf(bike), 1e-7)) marker.setLatLng(latLngOf(bike));
    }
  }

  isShown(bike) {
    return bike !== null && bike.location !== null && !this.hidden.has(bike.status);
  }

  // Not one by one in the order of the keyboard: there may be thousands, and the search leads to each.
  made(bike) {
    const marker = L.marker(latLngOf(bike), { icon: ICONS[bike.status], title: titleOf(bike), keyboard: false });
    marker.on("click", () => this.onChoose(bike.id));
    this.markers.set(bike.id, marker);
    return marker;
  }

  dress(marker, bike) {
    marker.options.title = titleOf(bike);
    marker.setIcon(ICONS[bike.status]);
  }
}

const titleOf = (bike) => `${nameOf(bike)}, ${WORDS[bike.status].toLowerCase()}`;

function clusterIcon(cluster) {
  const count = cluster.getChildCount();
  const size = count < 10 ? "small" : count < 100 ? "medium" : "large";
  const side = { small: 30, medium: 38, large: 46 }[size];
  const face = document.createElement("span");
  face.textContent = count;
  face.title = `${count} bikes: come closer`;
  return L.divIcon({ html: face, className: `cluster ${size}`, iconSize: [side, side] });
}
