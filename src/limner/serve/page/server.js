// Requests to the server that this page comes from, with its token where it has one.

const BASE = new URL("../", import.meta.url);
const KEPT = "limner-token";

let token = "";

/** Take the token from the address, where the server prints it, and remove it from there; else the one kept before. */
export function findToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    history.replaceState(null, "", location.pathname + location.search);
    setToken(given);
  } else {
    try { token = sessionStorage.getItem(KEPT) ?? ""; } catch { /* storage is switched off: it is asked for again */ }
  }
}

export function setToken(value) {
  token = value;
  try { sessionStorage.setItem(KEPT, value); } catch { /* the page keeps it as long as it is open */ }
}

/** What a server answers that cannot do what it was asked for. */
export class ServerError extends Error {
  constructor(message, status, retryAfter = 0) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

export const GONE = "The server does not answer. Start it again, or look whether this device is still in its network.";

export function addressOf(path, query = {}) {
  const address = new URL(path, BASE);
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== "") address.searchParams.set(name, value);
  }
  return address;
}

function headers() {
  return token ? {Authorization: `Bearer ${token}`} : {};
}

/** Send a request; return the response, or throw a ServerError with the server's own sentence. */
export async function request(path, {query, ...options} = {}) {
  let response;
  try {
    response = await fetch(addressOf(path, query), {...options, headers: {...headers(), ...options.headers}});
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerError(GONE, 0);
  }
  if (!response.ok) throw failure(response.status, await response.text(), response.headers.get("Retry-After"));
  return response;
}

function failure(status, text, retryAfter) {
  let sentence = "";
  try { sentence = JSON.parse(text).error; } catch { /* not from limner itself, but from a proxy before it */ }
  return new ServerError(capital(sentence || `The server answered with status ${status}.`), status, Number(retryAfter) || 0);
}

export function capital(sentence) {
  const text = sentence.charAt(0).toUpperCase() + sentence.slice(1);
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

/** Open a WebSocket; a browser sends no header with it, so the token goes along as a subprotocol. */
export function openSocket(path) {
  const address = addressOf(path);
  address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  return new WebSocket(address, token ? ["limner", `bearer.${token}`] : ["limner"]);
}

/**
 * Upload a file and read the lines of the answer as they come.
 * `sent` and `line` are called with the share that is uploaded and with each parsed line; `signal` stops it.
 */
export function uploadForLines(path, {query, body, sent, head, line, signal}) {
  return new Promise((resolve, reject) => {
    const call = new XMLHttpRequest();
    let read = 0;
    const take = (isEnd) => {
      const text = call.responseText;
      for (let end = text.indexOf("\n", read); end >= 0; end = text.indexOf("\n", read)) {
        add(text.slice(read, end));
        read = end + 1;
      }
      if (isEnd && read < text.length) add(text.slice(read));
    };
    const add = (text) => {
      if (!text.trim()) return;
      line(JSON.parse(text), text);
    };
    call.open("POST", addressOf(path, query));
    for (const [name, value] of Object.entries(headers())) call.setRequestHeader(name, value);
    call.setRequestHeader("Accept", "application/x-ndjson");
    call.upload.onprogress = (event) => event.lengthComputable && sent(event.loaded / event.total);
    call.onreadystatechange = () => call.readyState === 2 && call.status === 200 && head(call);
    call.onprogress = () => call.status === 200 && take(false);
    call.onload = () => {
      if (call.status !== 200) return reject(failure(call.status, call.responseText, call.getResponseHeader("Retry-After")));
      try { take(true); } catch (error) { return reject(error); }
      return resolve();
    };
    call.onerror = () => reject(new ServerError(GONE, 0));
    call.onabort = () => reject(new DOMException("stopped", "AbortError"));
    signal.addEventListener("abort", () => call.abort(), {once: true});
    call.send(body);
  });
}
