// Small things that all parts of the page use.

export const $ = (id) => document.getElementById(id);

/** Say what is wrong in one sentence, or with no sentence that nothing is. */
export function problem(sentence = "") {
  const place = $("problem");
  place.hidden = !sentence;
  if (place.textContent !== sentence) place.textContent = sentence;
}

/** Say in a line below the stage what is going on; screen readers read it when it changes. */
export function say(id, sentence) {
  const place = $(id);
  if (place.textContent !== sentence) place.textContent = sentence;
}

/** Give a stage the shape of what it shows; without sizes the usual one. */
export function shape(stage, width = 4, height = 3) {
  stage.style.setProperty("--ratio", String(Math.min(Math.max(width / height, 0.4), 3)));
}

export function counted(number, set) {
  const kind = set?.kind ?? "instance";
  const several = {person: "people"}[kind] ?? `${kind}s`;
  return number ? `${number} ${number === 1 ? kind : several}` : `no ${kind}`;
}

export function megabytes(bytes) {
  return bytes < 1e5 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

/** Save a blob as a file of that name. */
export function save(blob, name) {
  const address = URL.createObjectURL(blob);
  const link = Object.assign(document.createElement("a"), {href: address, download: name});
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

/** Return a name for what is taken now, such as limner-20260131-235900. */
export function nameNow() {
  const now = new Date();
  const two = (n) => String(n).padStart(2, "0");
  return `limner-${now.getFullYear()}${two(now.getMonth() + 1)}${two(now.getDate())}`
    + `-${two(now.getHours())}${two(now.getMinutes())}${two(now.getSeconds())}`;
}

/** The settings that both kinds of source share, as they are now. */
export const settings = {
  get threshold() { return Number($("threshold").value); },
  get background() { return document.querySelector("input[name=background]:checked").value; },
  get model() { return $("model").value; },
};
