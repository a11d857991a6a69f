// Snapshots and recordings. They are not mirrored: a text in the image can be read.

import {ground, paint} from "./draw.js";
import {nameNow} from "./ui.js";

const RATE = 30, BITS = 4_000_000; // of a recording
const TYPES = ["video/webm;codecs=vp8", "video/webm", "video/mp4"];
const LINES = 500; // that are gathered before they become a piece of the file

/** Return the frame that is shown with its points, in its own size, as a PNG, and its name. */
export async function snapshot(image, message, set, threshold, background) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = message.size;
  drawOn(canvas, image, message, set, threshold, background);
  const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
  return [blob, `${nameNow()}.png`];
}

function drawOn(canvas, image, message, set, threshold, background) {
  const context = canvas.getContext("2d");
  const scale = canvas.width / message.size[0];
  context.setTransform(scale, 0, 0, scale, 0, 0);
  ground(context, background, image, message.size);
  paint(context, message.instances, set, message.size, {threshold});
}

/** Records the drawn frames as a video, and their keypoints as JSON Lines in the form of `limner run --jsonl`. */
export class Recorder {
  constructor() {
    this.type = globalThis.MediaRecorder ? TYPES.find((type) => MediaRecorder.isTypeSupported(type)) : undefined;
    this.on = false;
  }

  get supported() { return this.type !== undefined; }

  get time() {
    const seconds = Math.floor((performance.now() - this.began) / 1000);
    return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  }

  start(size) {
    this.canvas = document.createElement("canvas");
    [this.canvas.width, this.canvas.height] = size;
    this.canvas.getContext("2d").fillRect(0, 0, ...size);
    this.pieces = [];
    this.lines = [];
    this.texts = [];
    this.count = 0;
    this.first = null; // when the first frame was taken
    this.name = nameNow();
    this.began = performance.now();
    this.media = new MediaRecorder(this.canvas.captureStream(RATE), {mimeType: this.type, videoBitsPerSecond: BITS});
    this.media.ondataavailable = (event) => event.data.size && this.pieces.push(event.data);
    this.media.start(1000);
    this.on = true;
  }

  add(frame, message, set, threshold, background) {
    drawOn(this.canvas, frame.canvas, message, set, threshold, background === "none" ? "black" : background);
    this.first ??= frame.taken;
    this.lines.push(JSON.stringify({
      source: "camera",
      frame_id: this.count++,
      timestamp: Math.round((frame.taken - this.first) * 1000) / 1e6,
      size: message.size,
      keypoint_set: set.name,
      instances: message.instances,
    }));
    if (this.lines.length >= LINES) this.gather();
  }

  gather() {
    this.texts.push(new Blob(this.lines.map((line) => `${line}\n`)));
    this.lines = [];
  }

  /** End it; return the two files with their names. */
  async stop() {
    this.on = false;
    this.lines.push(JSON.stringify({source: "camera", frames: this.count, complete: true}));
    this.gather();
    const ended = new Promise((done) => { this.media.onstop = done; });
    this.media.stop();
    await ended;
    for (const track of this.media.stream.getTracks()) track.stop();
    const type = this.type.split(";")[0];
    return [
      [new Blob(this.texts, {type: "application/x-ndjson"}), `${this.name}.jsonl`],
      [new Blob(this.pieces, {type}), `${this.name}.${type.split("/")[1]}`],
    ];
  }
}
