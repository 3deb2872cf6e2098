// Requests to the gateway: JSON in, JSON out, the token in a header.

const PAGE_SIZE = 500;

// An answer that is no 2xx; `message` is what the gateway says of it.
export class Refused extends Error {
  constructor(status, detail) {
    super(detail || `The gateway answered ${status}.`);
    this.status = status;
  }
}

export const headersOf = (token) => (token ? { Authorization: `Bearer ${token}` } : {});

export async function refusal(response) {
  let detail = "";
  if ((response.headers.get("Content-Type") || "").includes("json")) {
    detail = (await response.json().catch(() => ({}))).detail;
  }
  return new Refused(response.status, detail);
}

// Throws Refused; TypeError when nothing answers; AbortError.
export async function getJson(path, { token, signal } = {}) {
  const response = await fetch(path, { headers: headersOf(token), signal });
  if (!response.ok) throw await refusal(response);
  return response.json();
}

// The items of each page of a list, one page after the other.
export async function* pagesOf(path, parameters, options) {
  let cursor = null;
  do {
    const query = new URLSearchParams({ ...parameters, limit: PAGE_SIZE, ...(cursor && { cursor }) });
    const page = await getJson(`${path}?${query}`, options);
    yield page.items;
    cursor = page.next;
  } while (cursor);
}
