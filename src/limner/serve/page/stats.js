// What is measured while frames come and go: frames a second, round trips, dropped frames.

const RECENT = 256; // round trips whose median and 95th percentile are shown
const SPAN = 2000; // milliseconds over which frames a second are counted

export class Meter {
  constructor() { this.reset(); }

  reset() {
    this.frames = 0;
    this.dropped = 0;
    this.times = [];
    this.trips = [];
  }

  /** Count a frame whose points are drawn now, so many milliseconds after it was taken. */
  add(trip, now = performance.now()) {
    this.frames += 1;
    this.times.push(now);
    while (this.times.length > 2 && now - this.times[0] > SPAN) this.times.shift();
    this.trips.push(trip);
    if (this.trips.length > RECENT) this.trips.shift();
  }

  get fps() {
    const {times} = this;
    if (times.length < 2 || performance.now() - times.at(-1) > SPAN) return null;
    return (1000 * (times.length - 1)) / (times.at(-1) - times[0]);
  }

  /** Return the smallest round trip that so many percent do not exceed, in milliseconds. */
  percentile(percent) {
    const sorted = this.trips.toSorted ? this.trips.toSorted((a, b) => a - b) : [...this.trips].sort((a, b) => a - b);
    return sorted.length ? sorted[Math.max(1, Math.ceil((sorted.length * percent) / 100)) - 1] : null;
  }
}
