// Elements of the page: found by id, and made.

export const byId = (id) => document.getElementById(id);

// An element with attributes (undefined and false: none) and children, which are text unless they are nodes.
export function element(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

export function svgElement(name, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function filled(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

// Set a text only when it is another, so that nothing is announced twice.
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
