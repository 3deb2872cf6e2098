// Leaflet's map itself: where it begins, its tiles if there are any, and what is drawn beside the bikes.

const WORLD = [[-60, -170], [70, 170]];
const PATH = { className: "ride", interactive: false };
const RING = { radius: 11, interactive: false, pane: "chosen" };
// Near enough for a bike to stand apart from the others.
export const STREET_ZOOM = 17;

export class Ground {
  constructor(node) {
    const { tiles, attribution } = node.dataset;
    const moves = !matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.map = L.map(node, {
      zoomSnap: 0.5, maxZoom: 19, minZoom: 2, worldCopyJump: true, zoomAnimation: moves, fadeAnimation: moves,
    });
    this.map.attributionControl.setPrefix(false);
    this.map.fitBounds(WORLD);
    if (tiles) L.tileLayer(tiles, { maxZoom: 19, attribution }).addTo(this.map);
    else if (attribution) this.map.attributionControl.addAttribution(attribution);
    L.control.scale({ position: "bottomright" }).addTo(this.map);
    this.path = L.polyline([], PATH).addTo(this.map);
    // Above the clusters, or the chosen bike would be behind one.
    this.map.createPane("chosen");
    this.ring = null;
    this.isPlaced = false;
  }

  // Show all of these bikes, once: after that, it is the reader who moves the map.
  placeOnce(bikes) {
    const places = bikes.filter((bike) => bike.location).map(latLngOf);
    if (this.isPlaced || !places.length) return;
    this.isPlaced = true;
    this.map.fitBounds(L.latLngBounds(places), { padding: [24, 24], maxZoom: 16, animate: false });
  }

  centre(bike) {
    this.map.setView(latLngOf(bike), Math.max(this.map.getZoom(), STREET_ZOOM), { animate: false });
  }

  // A larger dot for the chosen bike, on its own even where it is one of a cluster; null: none.
  mark(bike) {
    const status = bike?.location ? bike.status : null;
    if (this.ring?.options.status !== status) {
      this.ring?.remove();
      this.ring = status && L.circleMarker(latLngOf(bike), { ...RING, status, className: `chosen ${status}` });
      this.ring?.addTo(this.map);
    } else if (status) this.ring.setLatLng(latLngOf(bike));
  }

  // The way of a ride: GeoJSON coordinates.
  draw(coordinates) {
    this.path.setLatLngs(coordinates.map(([longitude, latitude]) => [latitude, longitude]));
  }
}

export function latLngOf(bike) {
  const [longitude, latitude] = bike.location.coordinates;
  return [latitude, longitude];
}
