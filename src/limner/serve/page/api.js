// Shows the OpenAPI document of this server: what can be asked, with which values, and what comes back.

const main = document.getElementById("operations");

function element(name, text, ...children) {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  made.append(...children);
  return made;
}

function values(schema) {
  if (schema.enum) return schema.enum.join(", ");
  return { integer: "whole number", boolean: "true or false" }[schema.type] ?? schema.type ?? "";
}

function table(caption, heads, rows) {
  const made = element("table");
  made.append(element("thead", "", element("tr", "", ...heads.map((head) => {
    const cell = element("th", head);
    cell.scope = "col";
    return cell;
  }))));
  made.append(element("tbody", "", ...rows.map((row) => element("tr", "", ...row.map((cell) => element("td", cell))))));
  return element("details", "", element("summary", caption), made);
}

function example(method, path, operation) {
  const types = Object.keys(operation.requestBody?.content ?? {});
  const file = types.includes("video/*") ? "clip.mp4" : types.length ? "photo.jpg" : "";
  const parts = ["curl", ...(file ? ["--data-binary", `@${file}`] : [])];
  if (method === "delete") parts.push("-X", "DELETE");
  if (operation.secured) parts.push("-H", `"Authorization: Bearer $LIMNER_TOKEN"`);
  return [...parts, `'${location.origin}${path}'`].join(" ");
}

function section(method, path, operation) {
  const made = element("section");
  made.append(element("h2", "", element("code", `${method.toUpperCase()} ${path}`), ` ${operation.summary}`));
  if (operation.description) made.append(element("p", operation.description));
  const pre = element("pre", example(method, path, operation));
  pre.tabIndex = 0;
  made.append(pre);
  if (operation.parameters.length) {
    made.append(table("Values", ["name", "value", "what it does"], operation.parameters.map((one) => [
      one.name, values(one.schema), one.description ?? "",
    ])));
  }
  made.append(table("Answers", ["status", "form", "when"], Object.entries(operation.responses).map(([status, answer]) => [
    status, Object.keys(answer.content ?? {}).join(", "), answer.description,
  ])));
  return made;
}

try {
  const answer = await fetch("/openapi.json");
  const described = await answer.json();
  main.replaceChildren();
  for (const [path, operations] of Object.entries(described.paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      main.append(section(method, path, { ...operation, secured: described.security.length > 0 && /^\/(v1|metrics)/.test(path) }));
    }
  }
} catch (error) {
  main.replaceChildren(element("p", `The document could not be read: ${error.message}. Load this page again.`));
}
