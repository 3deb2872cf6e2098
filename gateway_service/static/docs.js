"use strict";
// Lists the routes of /openapi.json with their schemas, and sends requests to them.

const byId = (id) => document.getElementById(id);

function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

function resolved(api, part) {
  if (!part || !part.$ref) return part || {};
  return part.$ref.slice(2).split("/").reduce((node, key) => node[key], api);
}

// A schema as text that reads like the JSON it describes.
function outline(api, schema, indent = "") {
  const it = resolved(api, schema);
  const further = indent + "  ";
  if (it.anyOf) return it.anyOf.map((each) => outline(api, each, indent)).join(" | ");
  if (it.const !== undefined) return JSON.stringify(it.const);
  if (it.enum) return it.enum.map((value) => JSON.stringify(value)).join(" | ");
  const types = [].concat(it.type || "any");
  if (types.includes("object") && it.properties) {
    const required = it.required || [];
    const lines = Object.entries(it.properties).map(([name, value]) =>
      `${further}"${name}"${required.includes(name) ? "" : "?"}: ${outline(api, value, further)}`);
    const text = lines.length ? `{\n${lines.join(",\n")}\n${indent}}` : "{}";
    return types.includes("null") ? `${text} | null` : text;
  }
  if (types.includes("array")) {
    const items = it.prefixItems ? it.prefixItems.map((each) => outline(api, each, further)).join(", ")
      : outline(api, it.items, indent);
    const count = it.maxItems && !it.prefixItems ? ` (${it.minItems || 0} to ${it.maxItems})` : "";
    return `[${items}]${count}`;
  }
  const bounds = [it.minimum, it.maximum].every((bound) => bound === undefined) ? ""
    : ` ${it.minimum ?? "…"} to ${it.maximum ?? "…"}`;
  const format = it.format ? ` (${it.format})` : "";
  return types.map((type) => (type === "null" ? type : type + format + bounds)).join(" | ");
}

// A value that the schema would take, to begin a body with.
function example(api, schema) {
  const it = resolved(api, schema);
  if (it.example !== undefined) return it.format === "date-time" ? new Date().toISOString() : it.example;
  if (it.anyOf) return example(api, it.anyOf[0]);
  if (it.enum) return it.enum[0];
  const type = [].concat(it.type || "string")[0];
  if (type === "object") {
    return Object.fromEntries(Object.entries(it.properties || {}).map(([name, value]) => [name, example(api, value)]));
  }
  if (type === "array") return [example(api, it.items)];
  if (type === "number" || type === "integer") return it.maximum === undefined ? it.minimum || 0 : it.maximum;
  return it.format === "uuid" ? "00000000-0000-4000-8000-000000000000" : "text";
}

function parametersOf(api, operation) {
  return (operation.parameters || []).map((each) => resolved(api, each));
}

function parameterTable(api, route, parameters) {
  const rows = parameters.map((each) => element("tr", {},
    element("td", {}, element("label", { for: `${route.id}-${each.name}` },
      element("code", {}, each.name), each.required ? " *" : "")),
    element("td", { class: "faint" }, each.in),
    element("td", {}, element("input", { id: `${route.id}-${each.name}`, "data-in": each.in, "data-name": each.name,
      placeholder: outline(api, each.schema), autocomplete: "off", spellcheck: "false" })),
    element("td", { class: "faint" }, each.description || "")));
  return element("table", {}, element("tbody", {}, ...rows));
}

function responseTable(api, operation) {
  const rows = Object.entries(operation.responses).map(([status, response]) => {
    const shapes = Object.entries(response.content || {}).map(([type, body]) => element("div", {},
      element("code", {}, type),
      status < "400" && Object.keys(body.schema || {}).length ? element("pre", {}, outline(api, body.schema)) : null));
    return element("tr", {}, element("td", {}, element("code", {}, status)),
      element("td", {}, response.description || ""), element("td", {}, ...shapes));
  });
  return element("table", {}, element("tbody", {}, ...rows));
}

function requestFrom(route, form) {
  let path = route.path;
  const query = new URLSearchParams();
  const headers = {};
  for (const input of form.querySelectorAll("input[data-in]")) {
    const value = input.value.trim();
    const name = input.dataset.name;
    if (input.dataset.in === "path") path = path.replace(`{${name}}`, encodeURIComponent(value));
    else if (value && input.dataset.in === "query") query.append(name, value);
    else if (value) headers[name] = value;
  }
  const token = byId("token").value.trim();
  if (token && route.path.startsWith("/v1/")) headers.Authorization = `Bearer ${token}`;
  const accept = form.querySelector("select");
  if (accept) headers.Accept = accept.value;
  const body = form.querySelector("textarea")?.value.trim();
  if (body) headers["Content-Type"] = "application/json";
  const url = path + (query.size ? `?${query}` : "");
  return [url, { method: route.method.toUpperCase(), headers, body: body || undefined }];
}

async function send(route, form, output) {
  const [url, options] = requestFrom(route, form);
  const began = performance.now();
  try {
    const response = await fetch(url, options);
    const text = await response.text();
    const type = response.headers.get("Content-Type") || "";
    const shown = type.includes("json") && text ? JSON.stringify(JSON.parse(text), null, 2) : text;
    const headers = [...response.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
    const took = Math.round(performance.now() - began);
    output.replaceChildren(
      element("p", { class: response.ok ? "" : "failed" }, `${options.method} ${url} → ${response.status}, ${took} ms`),
      shown ? element("pre", {}, shown) : "",
      element("details", {}, element("summary", { class: "faint" }, "Headers"), element("pre", {}, headers)));
  } catch (error) {
    output.replaceChildren(element("p", { class: "failed" }, `No answer: ${error.message}`));
  }
}

function bodyInput(text) {
  const rows = Math.min(text.split("\n").length + 1, 24);
  return element("textarea", { "aria-label": "Body", spellcheck: "false", rows }, text);
}

function tryForm(api, route, parameters) {
  const body = route.operation.requestBody;
  const schema = body && body.content["application/json"].schema;
  const types = Object.keys(Object.values(route.operation.responses)[0].content || {});
  const output = element("div", { "aria-live": "polite" });
  const button = element("button", { type: "submit" }, "Send");
  const form = element("form", {},
    parameters.length ? element("h3", {}, "Parameters") : null,
    parameters.length ? parameterTable(api, route, parameters) : null,
    schema ? element("h3", {}, body.required ? "Body" : "Body (may be absent)") : null,
    schema ? element("pre", {}, outline(api, schema)) : null,
    schema ? bodyInput(JSON.stringify(example(api, schema), null, 2)) : null,
    element("p", {}, button, " ",
      types.length > 1 ? element("select", { "aria-label": "Accept" },
        ...types.map((type) => element("option", {}, type))) : null),
    output);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    await send(route, form, output);
    button.disabled = false;
  });
  return form;
}

function routeSection(api, route) {
  const { operation } = route;
  const who = operation["x-roles"] ? operation["x-roles"].join(", ") : "public";
  const content = element("div", { class: "body" });
  const section = element("details", { class: "route", id: route.id },
    element("summary", {}, element("span", { class: "method" }, route.method.toUpperCase()),
      element("span", { class: "path" }, route.path), element("span", {}, operation.summary || ""),
      element("span", { class: "who" }, who)),
    content);
  section.addEventListener("toggle", () => {
    if (!section.open || content.childNodes.length) return;
    content.append(
      operation.description ? element("p", {}, operation.description) : "",
      tryForm(api, route, parametersOf(api, operation)),
      element("h3", {}, "Answers"), responseTable(api, operation));
  });
  return section;
}

function routesOf(api) {
  return Object.entries(api.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation, id: operation.operationId })));
}

function show(api) {
  byId("version").textContent = `${api.info.version} · OpenAPI ${api.openapi}`;
  byId("description").textContent = api.info.description || "";
  const routes = routesOf(api);
  const sections = [];
  for (const { name } of api.tags) {
    const tagged = routes.filter((route) => route.operation.tags.includes(name));
    byId("contents").append(element("strong", {}, name), ...tagged.map((route) =>
      element("a", { href: `#${route.id}` }, route.operation.summary)));
    sections.push(element("h2", {}, name), ...tagged.map((route) => routeSection(api, route)));
  }
  byId("routes").replaceChildren(...sections);
  byId("routes").removeAttribute("aria-busy");
  openLinked();
}

function openLinked() {
  const section = location.hash && byId(location.hash.slice(1));
  if (section instanceof HTMLDetailsElement) {
    section.open = true;
    section.scrollIntoView();
  }
}

// What a token says of itself; whether it is good, only the gateway knows.
function describeToken() {
  const token = byId("token").value.trim();
  let note = "";
  if (token) {
    try {
      const claims = JSON.parse(atob(token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/")));
      note = `${claims.role} ${claims.sub}, until ${new Date(claims.exp * 1000).toLocaleString()}`;
    } catch {
      note = "This is no token.";
    }
  }
  byId("token-note").textContent = note;
}

async function main() {
  window.addEventListener("hashchange", openLinked);
  byId("token").addEventListener("input", describeToken);
  byId("token-form").addEventListener("submit", (event) => event.preventDefault());
  try {
    const response = await fetch("/openapi.json");
    if (!response.ok) throw new Error(`/openapi.json answered ${response.status}`);
    show(await response.json());
  } catch (error) {
    byId("routes").replaceChildren(element("p", { class: "failed" }, error.message));
  }
}

main();
