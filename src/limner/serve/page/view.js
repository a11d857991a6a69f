// Shows what a running command sees, image by image, and sends it what its keys would.

import {openSocket} from "./server.js";
import {$, problem, say, shape} from "./ui.js";

const KEYS = {" ": "pause", s: "snapshot", b: "boxes", h: "heatmap", q: "quit", Escape: "quit"};
const AGAIN = 1000; // milliseconds until a lost command is looked for again

const canvas = $("shown");
const buttons = [...document.querySelectorAll("[data-action]")];
let socket, ended = false, still = false, paused = false;

function connect() {
  socket = openSocket("v1/view");
  socket.binaryType = "blob";
  socket.onopen = () => problem();
  socket.onmessage = ({data}) => (typeof data === "string" ? read(JSON.parse(data)) : draw(data));
  socket.onclose = () => {
    for (const button of buttons) button.disabled = true;
    if (ended) return;
    say("state", "The command does not answer.");
    problem("The command does not answer: it has ended, or this page is no longer connected. Looking for it again…");
    setTimeout(connect, AGAIN);
  };
}

function read(message) {
  if (message.ended) {
    ended = true;
    say("state", "The command has ended.");
    return;
  }
  still = message.still;
  for (const button of buttons) {
    button.disabled = false;
    if (button.dataset.action === "next") button.hidden = !still;
    else if (button.dataset.action === "pause" || "video" in button.dataset) button.hidden = still;
  }
  say("state", still ? "Showing an image." : "Live.");
}

async function draw(blob) {
  try {
    const image = await createImageBitmap(blob);
    if (canvas.width !== image.width || canvas.height !== image.height) {
      canvas.width = image.width;
      canvas.height = image.height;
      shape($("stage"), image.width, image.height);
    }
    canvas.getContext("2d").drawImage(image, 0, 0);
    image.close();
    $("empty").hidden = true;
    $("stage").dataset.state = "on";
    canvas.setAttribute("aria-label", "What the command sees, with its keypoints.");
  } finally {
    if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({shown: true}));
  }
}

function act(action) {
  if (socket.readyState !== WebSocket.OPEN) return;
  socket.send(JSON.stringify({action}));
  if (action === "pause") {
    paused = !paused;
    const button = buttons.find((one) => one.dataset.action === "pause");
    button.textContent = paused ? "Go on" : "Pause";
    say("state", paused ? "Paused." : "Live.");
  } else if (action === "snapshot") {
    say("state", "The command writes the image beside its other files.");
  }
}

for (const button of buttons) button.addEventListener("click", () => act(button.dataset.action));
addEventListener("keydown", (event) => {
  const isButton = event.target instanceof HTMLButtonElement && (event.key === " " || event.key === "Enter");
  if (isButton || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const action = KEYS[event.key];
  if (!action || (still && action !== "quit" && action !== "pause")) return;
  event.preventDefault();
  act(still && action === "pause" ? "next" : action);
});

connect();
