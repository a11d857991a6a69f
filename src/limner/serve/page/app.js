// Puts the page together: tabs, settings, theme, and the token.

import {Camera} from "./camera.js";
import {Files} from "./files.js";
import {findToken, request, setToken} from "./server.js";
import {$, problem, say, settings} from "./ui.js";

const THEME = "limner-theme";
const sets = new Map(); // keypoint sets by model

const camera = new Camera(askToken);
const files = new Files(setOf, askToken);

/** Return the keypoint set of a model, which the server loads for that. */
async function setOf(model) {
  if (!sets.has(model)) {
    const answer = await (await request(`v1/models/${encodeURIComponent(model)}`)).json();
    sets.set(model, answer.keypoint_set);
  }
  return sets.get(model);
}

async function listModels() {
  try {
    const {models} = await (await request("v1/models")).json();
    $("model").replaceChildren(...models.map((m) => new Option(m.name, m.name, m.default, m.default)));
    $("model-field").hidden = models.length < 2;
    problem();
  } catch (error) {
    if (error.status === 401) askToken(); else problem(error.message);
  }
}

// -- the token

function askToken() {
  if ($("token-dialog").open) return;
  $("token-dialog").showModal();
}

$("token-dialog").addEventListener("close", () => {
  if (!$("model").options.length) problem("Without its token the server answers nothing: reload the page to give it.");
});

$("token-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  setToken($("token").value.trim());
  try {
    await request("v1/models");
  } catch (error) {
    $("token-problem").textContent = error.status === 401 ? "That is not the token of this server." : error.message;
    $("token-problem").hidden = false;
    $("token").select();
    return;
  }
  $("token-problem").hidden = true;
  $("token").value = "";
  await listModels();
  $("token-dialog").close();
});

// -- tabs

const tabs = [$("tab-camera"), $("tab-files")];

function choose(tab, focus = false) {
  if (tab.getAttribute("aria-selected") !== "true") problem();
  for (const one of tabs) {
    const chosen = one === tab;
    one.setAttribute("aria-selected", String(chosen));
    one.tabIndex = chosen ? 0 : -1;
    $(one.getAttribute("aria-controls")).hidden = !chosen;
  }
  document.querySelector(".for-camera").hidden = tab !== tabs[0];
  if (tab !== tabs[0]) camera.stop();
  if (focus) tab.focus();
}

tabs.forEach((tab, i) => {
  tab.addEventListener("click", () => choose(tab));
  tab.addEventListener("keydown", (event) => {
    const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
    const other = step ? tabs[(i + step + tabs.length) % tabs.length] : {Home: tabs[0], End: tabs.at(-1)}[event.key];
    if (!other) return;
    event.preventDefault();
    choose(other, true);
  });
});

files.onopen = () => choose(tabs[1]);

// -- settings

$("settings").addEventListener("submit", (event) => event.preventDefault());
$("threshold").addEventListener("input", () => {
  $("threshold-value").textContent = settings.threshold.toFixed(2);
  redraw();
});
for (const radio of document.querySelectorAll("input[name=background]")) radio.addEventListener("change", redraw);
$("matched").addEventListener("change", redraw);
$("mirror").addEventListener("change", () => { camera.mirror(); redraw(); });
$("smooth").addEventListener("change", () => camera.live.set({smooth: $("smooth").checked ? "live" : "off"}));
$("model").addEventListener("change", () => {
  camera.live.set({model: settings.model});
  if (camera.on) say("camera-state", `Loading ${settings.model}…`);
  if (files.isOpen && !$("panel-files").hidden) files.run();
});
$("camera").addEventListener("change", () => camera.change());
$("size").addEventListener("change", () => camera.change());

function redraw() {
  camera.repaint();
  files.changed().catch((error) => problem(error.message));
}

addEventListener("resize", () => { camera.repaint(); files.repaint().catch((error) => problem(error.message)); });

// -- the camera's buttons

$("start").addEventListener("click", () => (camera.on ? camera.stop() : camera.start()));
$("snapshot").addEventListener("click", () => camera.takeSnapshot());
$("record").addEventListener("click", () => camera.toggleRecording());
addEventListener("pagehide", () => camera.stop());

// -- the theme

function setTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme; else delete document.documentElement.dataset.theme;
}

$("theme").addEventListener("change", () => {
  setTheme($("theme").value);
  try { localStorage.setItem(THEME, $("theme").value); } catch { /* it holds as long as the page is open */ }
});
try { $("theme").value = localStorage.getItem(THEME) ?? ""; } catch { /* the system's */ }
setTheme($("theme").value);

findToken();
addEventListener("hashchange", () => { findToken(); listModels(); });
listModels();
