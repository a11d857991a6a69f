// The WebSocket of a camera: frames out, keypoints in, and never more frames on their way than the server takes.

import {openSocket, request} from "./server.js";

const HEAD = 12; // bytes before the image: its number and its time
const FIRST_WAIT = 500, LONGEST_WAIT = 5000; // milliseconds before it is tried again

export class Live {
  /** `tell` has the functions model, result, error, lost, back and forbidden, which are called when these happen. */
  constructor(tell) {
    this.tell = tell;
    this.settings = {};
    this.frames = new Map(); // those on their way, by their numbers
    this.next = 1;
    this.window = 0; // frames that may be on their way; 0 until a model is there
    this.wait = FIRST_WAIT;
  }

  open() {
    this.wanted = true;
    this.connect();
  }

  close() {
    this.wanted = false;
    clearTimeout(this.timer);
    this.forget();
    this.socket?.close(1000);
    this.socket = null;
  }

  /** Whether a frame would be estimated at once, or as the next one. */
  get ready() {
    return this.window > this.frames.size && this.socket?.readyState === WebSocket.OPEN && !this.socket.bufferedAmount;
  }

  /** Change settings; they hold from the next frame on, and in later connections too. */
  set(changes) {
    Object.assign(this.settings, changes);
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(changes));
  }

  /** Take a place for a frame, before it is encoded; what goes with it comes back with its result. */
  reserve(what) {
    const id = this.next++;
    this.frames.set(id, what);
    return id;
  }

  /** Send the frame that a place was taken for; false where the connection was lost meanwhile. */
  async send(id, seconds, blob) {
    if (blob === null) { this.frames.delete(id); return false; }
    const message = new Uint8Array(HEAD + blob.size);
    const view = new DataView(message.buffer);
    view.setUint32(0, id);
    view.setFloat64(4, seconds);
    message.set(new Uint8Array(await blob.arrayBuffer()), HEAD);
    if (!this.frames.has(id) || this.socket?.readyState !== WebSocket.OPEN) { this.frames.delete(id); return false; }
    this.socket.send(message);
    return true;
  }

  connect() {
    const socket = this.socket = openSocket("v1/live");
    socket.onopen = () => {
      if (Object.keys(this.settings).length) socket.send(JSON.stringify(this.settings));
    };
    socket.onmessage = (event) => socket === this.socket && this.read(JSON.parse(event.data));
    socket.onclose = (event) => socket === this.socket && this.lost(event);
  }

  read(message) {
    if (message.window !== undefined) this.window = message.window;
    if (message.type === "model") {
      this.wait = FIRST_WAIT;
      this.tell.model(message);
      return;
    }
    const what = this.frames.get(message.id);
    this.frames.delete(message.id);
    if (message.type === "result" && what !== undefined) this.tell.result(message, what);
    else if (message.type === "dropped" && what !== undefined) this.tell.dropped(what);
    else if (message.type === "error") this.tell.error(message.error, what);
  }

  async lost(event) {
    this.socket = null;
    this.forget();
    if (!this.wanted) return;
    this.tell.lost(event.code, this.wait);
    try {
      await request("v1/models"); // says why, which a WebSocket does not
    } catch (error) {
      if (error.status === 401 || error.status === 403) { this.wanted = false; this.tell.forbidden(error); return; }
    }
    if (!this.wanted || this.socket) return;
    this.timer = setTimeout(() => this.wanted && !this.socket && this.connect(), this.wait);
    this.wait = Math.min(2 * this.wait, LONGEST_WAIT);
  }

  forget() {
    this.window = 0;
    for (const what of this.frames.values()) this.tell.dropped(what);
    this.frames.clear();
  }
}
