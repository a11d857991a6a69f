// Images and videos that are dropped, pasted or chosen: estimated by the server, shown, and given back as files.

import {fitted, ground, paint} from "./draw.js";
import {capital, request, uploadForLines} from "./server.js";
import {$, counted, megabytes, problem, save, say, settings, shape} from "./ui.js";

const VIDEO_ENDINGS = /\.(mp4|m4v|mov|webm|mkv|avi|ts|mts|mpe?g|wmv|flv|3gp|ogv)$/i;
// what the server writes for an image: the format, what it is called here, and the ending of the file
const IMAGE_FORMS = [["drawing", "Image"], ["svg", "SVG"], ["mmpose", "JSON"], ["csv", "CSV"]];

export class Files {
  /** `setOf` returns the keypoint set of a model; `askToken` is called where the server wants a token. */
  constructor(setOf, askToken) {
    this.setOf = setOf;
    this.askToken = askToken;
    this.file = null;
    this.found = null; // what the server found in an image
    this.addresses = []; // of blobs that the page shows
    $("choose").onclick = () => $("file").click();
    $("file").onchange = () => { this.open([...$("file").files]); $("file").value = ""; };
    $("cancel").onclick = () => this.stopping?.abort();
    $("again").onclick = () => this.run();
    this.listen($("drop"));
  }

  listen(drop) {
    const carriesFiles = (event) => [...event.dataTransfer?.types ?? []].includes("Files");
    document.addEventListener("dragover", (event) => {
      if (!carriesFiles(event)) return;
      event.preventDefault();
      drop.classList.add("over");
    });
    document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) drop.classList.remove("over"); });
    document.addEventListener("drop", (event) => {
      if (!carriesFiles(event)) return;
      event.preventDefault();
      drop.classList.remove("over");
      this.open([...event.dataTransfer.files]);
    });
    document.addEventListener("paste", (event) => {
      const files = [...event.clipboardData?.files ?? []];
      if (files.length) { event.preventDefault(); this.open(files); }
    });
  }

  get isOpen() { return this.file !== null; }

  /** Follow a change of how things are drawn: an image at once, a video when its user says so. */
  async changed() {
    if (this.found) await this.repaint();
    else if (this.isOpen && this.isVideo && !$("results").hidden) $("again").hidden = false;
  }

  async open(files) {
    if (!files.length) return;
    const [file] = files;
    this.onopen?.();
    problem(files.length > 1 ? `${files.length} files came; “${file.name}” is open, as one is shown at a time.` : "");
    try {
      if (!(await file.slice(0, 1).arrayBuffer()).byteLength) { problem(`“${file.name}” is empty, so there is nothing to look at.`); return; }
    } catch {
      problem(`“${file.name}” cannot be read: choose a file, as folders cannot be sent.`);
      return;
    }
    this.file = file;
    this.isVideo = file.type.startsWith("video/") || VIDEO_ENDINGS.test(file.name);
    await this.run();
  }

  /** Estimate the open file, as after a change of the model. */
  async run() {
    this.stopping?.abort();
    const stopping = this.stopping = new AbortController();
    this.forget();
    const {file} = this;
    $("files-empty").hidden = true;
    $("drop").dataset.state = "busy";
    $("cancel").hidden = false;
    say("files-state", `Looking at “${file.name}”…`);
    try {
      this.set = await this.setOf(settings.model);
      if (!this.isVideo) this.isVideo = !(await this.runImage(stopping.signal));
      if (this.isVideo) await this.runVideo(stopping.signal);
    } catch (error) {
      if (this.stopping !== stopping) return; // another file is open by now
      this.failed(error);
    } finally {
      if (this.stopping === stopping) { $("cancel").hidden = true; $("progress").hidden = true; }
    }
  }

  failed(error) {
    $("drop").dataset.state = "off";
    $("files-empty").hidden = false;
    if (error.name === "AbortError") { say("files-state", "Stopped."); return; }
    say("files-state", "That did not work.");
    if (error.status === 401) this.askToken(); else problem(error.message);
  }

  forget() {
    this.found = null;
    this.picture = null;
    for (const address of this.addresses.splice(0)) URL.revokeObjectURL(address);
    $("results").hidden = $("again").hidden = true;
    $("downloads").replaceChildren();
    $("shown").hidden = $("shown-image").hidden = $("shown-video").hidden = true;
    $("shown-video").removeAttribute("src");
    shape($("drop"));
    delete $("drop").dataset.background;
  }

  // -- images

  /** Estimate and show an image; false where it turns out to be an animation, such as a GIF, which is a video. */
  async runImage(signal) {
    let found;
    try {
      found = await (await this.ask({format: "json"}, signal)).json();
    } catch (error) {
      if (error.status === 400 && /several images/.test(error.message)) return false;
      throw error;
    }
    const picture = await createImageBitmap(this.file).catch(() => null); // none of HEIC and others that it cannot read
    if (signal.aborted) return true;
    this.found = found;
    this.picture = picture;
    $("drop").dataset.state = "on";
    shape($("drop"), ...found.size);
    await this.repaint();
    say("files-state", capital(`${counted(found.instances.length, this.set)} in ${Math.round(found.timings.total)} ms`));
    const label = `“${this.file.name}”: ${counted(found.instances.length, this.set)}.`;
    $("shown").setAttribute("aria-label", label);
    $("shown-image").alt = label;
    this.offer(IMAGE_FORMS.map(([format, title]) => [title, () => this.fetchForm(format)]));
    return true;
  }

  /** Draw the image with its points again, as after a change of the settings. */
  async repaint() {
    const {found, picture} = this;
    if (!found) return;
    $("drop").dataset.background = settings.background;
    const fits = picture && Math.abs(picture.width - found.size[0]) <= 1 && Math.abs(picture.height - found.size[1]) <= 1;
    if (fits || settings.background !== "image") {
      $("shown-image").hidden = true;
      $("shown").hidden = false;
      const context = fitted($("shown"), found.size, 3);
      ground(context, settings.background, picture, found.size);
      paint(context, found.instances, this.set, found.size, {threshold: settings.threshold, labels: false});
      return;
    }
    const [blob] = await this.fetchForm("jpg");
    const address = URL.createObjectURL(blob);
    this.addresses.push(address);
    $("shown-image").src = address;
    $("shown").hidden = true;
    $("shown-image").hidden = false;
  }

  ask(query, signal) {
    const all = {model: settings.model, name: this.file.name, ...query};
    return request("v1/predict", {method: "POST", body: this.file, query: all, signal, headers: {"Content-Type": "application/octet-stream"}});
  }

  /** Return one of the files that `limner run` would write, and its name. */
  async fetchForm(format) {
    const stem = this.file.name.replace(/\.[^.]*$/, "") || "image";
    const {background} = settings;
    if (format === "drawing") {
      const own = /\.(jpe?g|png|webp)$/i.exec(this.file.name)?.[1].toLowerCase().replace("jpeg", "jpg") ?? "png";
      format = background === "none" && own === "jpg" ? "png" : own;
    }
    const ending = {mmpose: "json"}[format] ?? format;
    const isDrawing = !["mmpose", "csv"].includes(format);
    const response = await this.ask({format, ...(isDrawing ? drawing(format === "svg") : {})});
    return [await response.blob(), `${stem}.${ending}`];
  }

  // -- videos

  async runVideo(signal) {
    const bar = $("progress-bar"), status = $("progress-text");
    const background = settings.background === "none" ? "black" : settings.background;
    if (background !== settings.background) problem("A video cannot be transparent, so this one is drawn on black.");
    bar.value = 0;
    status.textContent = "Uploading";
    $("progress").hidden = false;
    let frames = 0, expected = 0, end = null, failure = "";
    const kept = [];
    await uploadForLines("v1/predict/video", {
      query: {model: settings.model, name: this.file.name, draw: "mp4,json,csv", ...drawing(false, background)},
      body: this.file,
      signal,
      sent: (share) => { bar.value = share; status.textContent = `Uploading, ${Math.floor(100 * share)} %`; },
      head: (call) => { expected = Number(call.getResponseHeader("Limner-Frames")) || 0; bar.value = 0; },
      line: (record, text) => {
        if (record.seconds === undefined) kept.push(`${text}\n`); // the last line is for this page alone
        if (record.error) failure = record.error;
        if (record.drawing) end = record;
        if (!record.instances) return;
        frames += 1;
        if (expected) bar.value = Math.min(frames / expected, 1); else bar.removeAttribute("value");
        status.textContent = expected ? `Frame ${frames} of ${Math.max(frames, expected)}` : `Frame ${frames}`;
        this.preview(record);
      },
    });
    if (failure && !frames) throw new Error(capital(failure));
    if (failure) problem(capital(failure));
    $("progress-text").textContent = "Fetching the drawn video";
    const stem = this.file.name.replace(/\.[^.]*$/, "") || "video";
    const offers = [];
    if (end) {
      const blob = await (await request(end.drawing.replace(/^\//, ""), {signal})).blob();
      const address = URL.createObjectURL(blob);
      this.addresses.push(address);
      $("shown").hidden = true;
      $("shown-video").hidden = false;
      $("shown-video").src = address;
      $("shown-video").setAttribute("aria-label", `“${this.file.name}” with its keypoints`);
      offers.push([`Video`, async () => [blob, `${stem}.mp4`], blob.size]);
      for (const [key, title] of [["json", "JSON"], ["csv", "CSV"]]) {
        if (end[key]) offers.push([title, async () => [await (await request(end[key].replace(/^\//, ""))).blob(), `${stem}.${key}`]]);
      }
    }
    offers.push(["JSON Lines", async () => [new Blob(kept, {type: "application/x-ndjson"}), `${stem}.jsonl`]]);
    $("drop").dataset.state = "on";
    say("files-state", `${frames} frames are drawn.`);
    this.offer(offers);
  }

  /** Show the points of a frame while the video is being drawn. */
  preview(record) {
    const {size} = record;
    $("shown").hidden = false;
    $("drop").dataset.state = "on";
    shape($("drop"), ...size);
    const context = fitted($("shown"), size, 1);
    ground(context, "black", null, size);
    paint(context, record.instances, this.set, size, {threshold: settings.threshold});
    $("shown").setAttribute("aria-label", `The points of “${this.file.name}”, as they are found.`);
  }

  /** List downloads; each is fetched when it is asked for. */
  offer(offers) {
    $("downloads").replaceChildren(...offers.map(([title, fetchIt, size]) => {
      const button = Object.assign(document.createElement("button"), {type: "button", textContent: title});
      if (size) button.append(" ", Object.assign(document.createElement("small"), {textContent: megabytes(size)}));
      button.onclick = async () => {
        button.disabled = true;
        try {
          const [blob, name] = await fetchIt();
          problem();
          save(blob, name);
          say("files-state", `“${name}” is saved.`);
        } catch (error) {
          if (error.status === 401) this.askToken(); else problem(error.message);
        } finally {
          button.disabled = false;
          button.focus();
        }
      };
      const item = document.createElement("li");
      item.append(button);
      return item;
    }));
    $("results").hidden = false;
  }
}

/** Return the options of a drawing that are not the usual ones, so that files are those of `limner run` without any. */
function drawing(isSvg, background = settings.background) {
  const options = {};
  if (settings.threshold !== 0.3) options.kpt_thr = settings.threshold;
  if (background === "black") options.background = "black";
  else if (background === "none" && !isSvg) options.background = "transparent";
  return options;
}
