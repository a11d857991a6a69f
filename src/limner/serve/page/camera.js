// The camera: its frames go to the server as fast as it takes them, and are shown with their points.

import {fitted, ground, paint} from "./draw.js";
import {Live} from "./live.js";
import {Recorder, snapshot} from "./record.js";
import {capital} from "./server.js";
import {Meter} from "./stats.js";
import {$, counted, megabytes, problem, say, settings, shape} from "./ui.js";

const QUALITY = 0.85; // of the JPEG that goes to the server
const SPOKEN = 3000; // milliseconds between two changes of what a screen reader says about the image
const LATE = 1000; // milliseconds without a result after which the plain camera is shown

const NO_CONTEXT = "The browser gives the camera only to pages from this device or over HTTPS: docs/serve.md of limner, "
  + "“A phone and its camera”, says how to start the server with a certificate.";
const REFUSED = {
  NotAllowedError: "The browser does not let this page use the camera: allow it beside the address, and start again.",
  NotFoundError: "No camera was found: plug one in, or open an image or a video instead.",
  NotReadableError: "The camera cannot be used, as another program has it: close that program, and start again.",
  OverconstrainedError: "The camera has no such size: choose another one, and start again.",
};

export class Camera {
  /** `askToken` is called where the server wants a token. */
  constructor(askToken) {
    this.video = $("video");
    this.overlay = $("overlay");
    this.stage = $("stage");
    this.meter = new Meter();
    this.free = []; // canvases that no frame uses
    this.on = false;
    this.set = null; // the keypoint set of the model
    this.shown = null; // what is on the canvas: the frame, its result, its number
    this.recorder = new Recorder();
    this.live = new Live({
      model: (message) => this.ready(message),
      result: (message, frame) => this.draw(message, frame),
      dropped: (frame) => this.drop(frame),
      error: (sentence, frame) => { if (frame) this.drop(frame); problem(capital(sentence)); this.troubled = true; },
      lost: () => this.lost(),
      forbidden: (error) => { this.stop(); if (error.status === 401) askToken(); else problem(error.message); },
    });
  }

  async start() {
    if (this.on || this.starting) return;
    if (!window.isSecureContext || !navigator.mediaDevices) { problem(NO_CONTEXT); return; }
    this.starting = true;
    problem();
    say("camera-state", "Waiting for the camera…");
    try {
      await this.openCamera();
    } catch (error) {
      say("camera-state", "The camera is off.");
      problem(REFUSED[error.name] ?? `The camera cannot be opened: ${error.message}`);
      return;
    } finally {
      this.starting = false;
    }
    this.on = true;
    this.meter.reset();
    this.presented = null;
    this.stage.dataset.state = "on";
    $("camera-empty").hidden = true;
    $("start").textContent = "Stop the camera";
    say("camera-state", "Waiting for the server…");
    this.live.open();
    this.watch();
    this.listCameras();
    this.ticking = setInterval(() => this.tick(), 500);
  }

  async openCamera() {
    const [width, height] = $("size").value.split("x").map(Number);
    const chosen = $("camera").value;
    const wanted = {width: {ideal: width}, height: {ideal: height}, frameRate: {ideal: 30}};
    if (chosen) wanted.deviceId = {exact: chosen}; else wanted.facingMode = "user";
    this.stream = await navigator.mediaDevices.getUserMedia({video: wanted, audio: false});
    const [track] = this.stream.getVideoTracks();
    track.onended = () => {
      if (!this.on) return;
      this.stop();
      problem("The camera is gone: plug it in again, and start it.");
    };
    if (!chosen) $("mirror").checked = track.getSettings().facingMode !== "environment";
    this.mirror();
    this.video.srcObject = this.stream;
    await this.video.play();
    shape(this.stage, this.video.videoWidth, this.video.videoHeight);
  }

  closeCamera() {
    for (const track of this.stream?.getTracks() ?? []) { track.onended = null; track.stop(); }
    this.stream = null;
    this.video.srcObject = null;
  }

  /** Start again with another camera or another size; the connection stays. */
  async change() {
    if (!this.on) return;
    this.closeCamera();
    try {
      await this.openCamera();
    } catch (error) {
      this.stop();
      problem(REFUSED[error.name] ?? `The camera cannot be opened: ${error.message}`);
    }
  }

  stop() {
    if (!this.on) return;
    this.stopRecording();
    this.on = false;
    clearInterval(this.ticking);
    this.live.close();
    this.closeCamera();
    this.shown = null;
    this.stage.dataset.state = "off";
    shape(this.stage);
    this.stage.classList.remove("covered");
    $("camera-empty").hidden = false;
    $("start").textContent = "Start the camera";
    $("snapshot").disabled = $("record").disabled = true;
    this.overlay.setAttribute("aria-label", "The camera is off.");
    say("camera-state", "The camera is off.");
  }

  mirror() { this.stage.classList.toggle("mirrored", $("mirror").checked); }

  async listCameras() {
    const cameras = (await navigator.mediaDevices.enumerateDevices()).filter((device) => device.kind === "videoinput");
    const select = $("camera"), before = select.value;
    select.replaceChildren(new Option("The usual one", ""), ...cameras.map((c, i) => new Option(c.label || `Camera ${i + 1}`, c.deviceId)));
    select.value = cameras.some((c) => c.deviceId === before) ? before : "";
    $("camera-field").hidden = cameras.length < 2;
  }

  // -- frames out

  /** Look at each frame of the camera as it comes. */
  watch() {
    const stream = this.stream;
    const again = () => {
      if (!this.on) return;
      if ("requestVideoFrameCallback" in this.video) this.video.requestVideoFrameCallback(arrived);
      else requestAnimationFrame((now) => arrived(now, null));
    };
    const arrived = (now, data) => {
      if (!this.on) return;
      const count = data?.presentedFrames ?? Math.floor(this.video.currentTime * 30);
      if (this.presented !== null && count > this.presented) this.meter.dropped += count - this.presented - 1;
      const isNew = count !== this.presented;
      this.presented = count;
      if (isNew) {
        if (this.waiting) this.meter.dropped += 1; // by this one, which is newer
        this.waiting = {taken: now};
        this.offer();
      }
      again();
    };
    if (stream) again();
  }

  /** Send the newest frame, if the server takes one and it was not sent before. */
  offer() {
    const frame = this.waiting;
    if (!frame || !this.on || !this.live.ready || !this.video.videoWidth) return;
    this.waiting = null;
    const canvas = this.free.pop() ?? document.createElement("canvas");
    if (canvas.width !== this.video.videoWidth || canvas.height !== this.video.videoHeight) {
      canvas.width = this.video.videoWidth;
      canvas.height = this.video.videoHeight;
    }
    canvas.getContext("2d", {willReadFrequently: true}).drawImage(this.video, 0, 0);
    frame.canvas = canvas;
    const id = this.live.reserve(frame);
    canvas.toBlob((blob) => this.live.send(id, frame.taken / 1000, blob).then((sent) => sent || this.drop(frame)), "image/jpeg", QUALITY);
  }

  drop(frame) {
    if (!frame.canvas) return;
    this.meter.dropped += 1;
    this.release(frame);
  }

  release(frame) {
    if (frame.canvas && this.free.length < 4) this.free.push(frame.canvas);
    frame.canvas = null;
  }

  // -- points in

  ready(message) {
    this.set = message.keypoint_set;
    problem();
    say("camera-state", `Live with ${message.model}.`);
    $("snapshot").disabled = $("record").disabled = false;
    this.recorder.supported || ($("record").disabled = true);
    this.offer();
  }

  lost() {
    this.stage.classList.remove("covered");
    this.clear();
    problem("The connection to the server is lost. Trying again…");
    say("camera-state", "Waiting for the server…");
  }

  draw(message, frame) {
    this.meter.add(performance.now() - frame.taken);
    if (this.troubled && message.id > (this.troubledAt ??= message.id)) { // what was said is over
      this.troubled = this.troubledAt = undefined;
      setTimeout(() => this.troubled || problem(), SPOKEN);
    }
    if (this.shown) this.release(this.shown.frame);
    this.shown = {message, frame};
    this.repaint();
    if (this.recorder.on) this.recorder.add(frame, message, this.set, settings.threshold, settings.background);
    this.describe(message.instances.length);
    this.offer();
  }

  /** Draw what is shown once more, as after a change of the settings. */
  repaint() {
    if (!this.shown || !this.set) return;
    const {message, frame} = this.shown, {size} = message, mirrored = $("mirror").checked;
    const {background, threshold} = settings;
    const matched = $("matched").checked || background !== "image";
    this.stage.dataset.background = background;
    this.stage.classList.toggle("covered", matched);
    const context = fitted(this.overlay, size);
    ground(context, matched ? background : "none", frame.canvas, size, mirrored);
    paint(context, message.instances, this.set, size, {threshold, mirrored});
  }

  clear() { this.overlay.getContext("2d").clearRect(0, 0, this.overlay.width, this.overlay.height); }

  /** Say for a screen reader what is in the image, not more often than it can be listened to. */
  describe(count) {
    const now = performance.now();
    if (count === this.described || now - (this.spoken ?? -SPOKEN) < SPOKEN) return;
    this.described = count;
    this.spoken = now;
    this.overlay.setAttribute("aria-label", `The camera, live: ${counted(count, this.set)}.`);
  }

  tick() {
    const {meter} = this, ms = (value) => (value === null ? "–" : `${Math.round(value)} ms`);
    $("fps").textContent = meter.fps === null ? "–" : meter.fps.toFixed(1);
    $("median").textContent = ms(meter.percentile(50));
    $("p95").textContent = ms(meter.percentile(95));
    $("dropped").textContent = String(meter.dropped);
    if (this.shown && performance.now() - this.shown.frame.taken > LATE && settings.background === "image") {
      this.stage.classList.remove("covered"); // the server is slow or gone: better no points than an old image
      this.clear();
    }
    if (this.recorder.on) $("recording-time").textContent = this.recorder.time;
  }

  // -- what is kept

  async takeSnapshot() {
    if (!this.shown?.frame.canvas) return;
    const {message, frame} = this.shown;
    keep(...await snapshot(frame.canvas, message, this.set, settings.threshold, settings.background));
    say("camera-state", "A snapshot was taken; it is listed below.");
  }

  toggleRecording() {
    if (this.recorder.on) { this.stopRecording(); return; }
    if (!this.shown) return;
    this.recorder.start(this.shown.message.size);
    $("record").classList.add("active");
    $("record").textContent = "Stop recording";
    $("recording-time").textContent = "0:00";
    $("recording").hidden = false;
    say("camera-state", "Recording.");
  }

  async stopRecording() {
    if (!this.recorder.on) return;
    $("record").classList.remove("active");
    $("record").textContent = "Record";
    $("recording").hidden = true;
    for (const [blob, name] of await this.recorder.stop()) keep(blob, name);
    if (this.on) say("camera-state", "The recording is listed below, with its keypoints.");
  }
}

/** List something for download. */
function keep(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  const kind = {png: "Snapshot", webm: "Video", mp4: "Video", jsonl: "Keypoints"}[name.split(".").pop()];
  link.append(`${kind} `, Object.assign(document.createElement("small"), {textContent: `${name.replace("limner-", "")}, ${megabytes(blob.size)}`}));
  const item = document.createElement("li");
  item.append(link);
  $("recordings").hidden = false;
  $("recordings-list").prepend(item);
  for (const old of [...$("recordings-list").children].slice(24)) {
    URL.revokeObjectURL(old.firstChild.href);
    old.remove();
  }
}
