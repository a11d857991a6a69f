// Draws keypoints on a canvas as limner draws them. Colours, links, contours and parts are those that the server sends
// with a keypoint set; there is no set in this file.

const FARTHEST = 1.5; // image lengths from its middle: a point further away is not drawn

// a line and a dot look as wide as those that limner draws in pixels
const visibleWidth = (width) => Math.max(1.25 * width + 0.25, 1.75 * width - 0.35);
const visibleRadius = (radius) => 1.08 * radius + 0.08;

/** Return the points of the parts that are drawn, with sizes in pixels of the image, the largest first. */
function partsOf(instance, set, size, threshold) {
  const reach = Math.max(...size);
  const [width, height] = size;
  const seen = instance.keypoints.map(([x, y], k) =>
    instance.keypoint_scores[k] >= threshold
    && Math.abs(x - width / 2) < FARTHEST * reach && Math.abs(y - height / 2) < FARTHEST * reach);
  const parts = [];
  for (const {indices, scale} of set.parts) {
    const drawn = indices.filter((k) => seen[k]);
    if (!drawn.length) continue;
    const xs = drawn.map((k) => instance.keypoints[k][0]);
    const ys = drawn.map((k) => instance.keypoints[k][1]);
    let long = Math.max(Math.max(...xs) - Math.min(...xs), Math.max(...ys) - Math.min(...ys));
    if (drawn.length <= 3) {
      const [x1, y1, x2, y2] = instance.bbox[0];
      long = Math.max(long, 0.25 * Math.min(Math.max(x2 - x1, y2 - y1, 0), reach));
    }
    const radius = Math.min(Math.max(long, 1) / scale, 0.012 * reach);
    const thick = Math.max(0.8 * radius, 1.2 * Math.sqrt(radius));
    parts.push({drawn: new Set(drawn), long, radius, thick, thin: 0.4 * thick});
  }
  return parts.sort((a, b) => b.long - a.long);
}

/** Return smaller dots where links are short, as between the eyes of a body. */
function radiusOf(k, part, set, points) {
  const lengths = [];
  for (const [a, b] of set.skeleton) {
    if ((a === k || b === k) && part.drawn.has(a) && part.drawn.has(b)) {
      lengths.push(Math.hypot(points[a][0] - points[b][0], points[a][1] - points[b][1]));
    }
  }
  if (!lengths.length) return part.radius;
  lengths.sort((a, b) => a - b);
  const typical = lengths[Math.floor((lengths.length - 1) / 2)];
  return Math.min(Math.max(0.18 * typical, 0.4 * part.radius), part.radius);
}

/** Add a smooth curve through points to the path: cubic Hermite segments whose tangents fade at sharp turns. */
function curve(context, points, closed) {
  const n = points.length;
  const at = (i) => (closed ? points[(i + n) % n] : points[i]);
  const tangent = (i, length) => {
    const before = at(i - 1), here = at(i), after = at(i + 1);
    if (!before || !after) return null;
    const a = [here[0] - before[0], here[1] - before[1]], b = [after[0] - here[0], after[1] - here[1]];
    const la = Math.max(Math.hypot(...a), 1e-9), lb = Math.max(Math.hypot(...b), 1e-9);
    const turn = (a[0] * b[0] + a[1] * b[1]) / (la * lb);
    const x = (a[0] / la) * lb + (b[0] / lb) * la, y = (a[1] / la) * lb + (b[1] / lb) * la;
    const factor = (length * Math.min(Math.max(turn + 0.5, 0), 1)) / Math.max(Math.hypot(x, y), 1e-9);
    return [x * factor, y * factor];
  };
  context.moveTo(...points[0]);
  for (let i = 0; i < (closed ? n : n - 1); i++) {
    const from = at(i), to = at(i + 1);
    const chord = [to[0] - from[0], to[1] - from[1]];
    const length = Math.hypot(...chord);
    const start = tangent(i, length) ?? chord, end = tangent(i + 1, length) ?? chord;
    context.bezierCurveTo(
      from[0] + start[0] / 3, from[1] + start[1] / 3, to[0] - end[0] / 3, to[1] - end[1] / 3, to[0], to[1],
    );
  }
}

/** Return the runs of a contour whose points are drawn; a hidden point ends a curve. */
function runs(indices, closed, drawn) {
  if (indices.every((k) => drawn.has(k))) return [[indices, closed]];
  const found = [];
  let run = [];
  for (const k of closed ? [...indices, indices[0]] : indices) {
    if (drawn.has(k)) run.push(k);
    else { if (run.length > 1) found.push([run, false]); run = []; }
  }
  if (run.length > 1) found.push([run, false]);
  return found;
}

function label(context, instance, set, size, mirrored) {
  const id = instance.track_id;
  if (!(id >= 0)) return;
  const [x1, y1, x2, y2] = instance.bbox[0];
  const height = Math.min(Math.max(0.05 * Math.max(x2 - x1, y2 - y1), 7), 7 + 0.008 * Math.max(...size));
  const text = `#${id}`, pad = Math.max(2, height / 3);
  context.font = `600 ${height * 1.35}px system-ui, sans-serif`;
  const wide = context.measureText(text).width + 2 * pad, tall = height + 2 * pad;
  const left = Math.min(Math.max(mirrored ? size[0] - 1 - x2 : x1, 0), Math.max(0, size[0] - wide));
  const top = Math.max(y1 - tall, 0);
  const color = set.track_colors[id % set.track_colors.length];
  context.fillStyle = color;
  context.fillRect(left, top, wide, tall);
  const [r, g, b] = [1, 3, 5].map((i) => parseInt(color.slice(i, i + 2), 16));
  context.fillStyle = 0.299 * r + 0.587 * g + 0.114 * b > 80 ? "#101010" : "#f0f0f0";
  context.textBaseline = "alphabetic";
  context.fillText(text, left + pad, top + tall - pad);
}

/**
 * Draw instances in the pixels of their image; the context may be scaled.
 *
 * Mirrored points are moved, and the context is not turned around, so that labels stay readable.
 */
export function paint(context, instances, set, size, {threshold, mirrored = false, labels = true}) {
  context.lineCap = "round";
  context.lineJoin = "round";
  for (const instance of instances) {
    // a keypoint is counted from the middle of the first pixel, a canvas from its corner
    const points = instance.keypoints.map(([x, y]) => [(mirrored ? size[0] - 1 - x : x) + 0.5, y + 0.5]);
    for (const part of partsOf(instance, set, size, threshold)) {
      context.globalAlpha = set.line_alpha;
      set.skeleton.forEach(([a, b], i) => {
        if (!part.drawn.has(a) || !part.drawn.has(b)) return;
        const long = Math.hypot(points[a][0] - points[b][0], points[a][1] - points[b][1]);
        context.strokeStyle = set.link_colors[i];
        context.lineWidth = visibleWidth(Math.min(Math.max(0.13 * long, part.thin), part.thick));
        context.beginPath();
        context.moveTo(...points[a]);
        context.lineTo(...points[b]);
        context.stroke();
      });
      context.lineWidth = visibleWidth(part.thick);
      for (const {indices, closed, color} of set.contours) {
        context.strokeStyle = color;
        for (const [run, isClosed] of runs(indices, closed, part.drawn)) {
          context.beginPath();
          curve(context, run.map((k) => points[k]), isClosed);
          context.stroke();
        }
      }
      context.globalAlpha = 1;
      for (const k of part.drawn) {
        context.fillStyle = set.keypoint_colors[k];
        context.beginPath();
        context.arc(...points[k], visibleRadius(radiusOf(k, part, set, instance.keypoints)), 0, 2 * Math.PI);
        context.fill();
      }
    }
  }
  if (labels) for (const instance of instances) label(context, instance, set, size, mirrored);
}

/** Make a canvas as fine as the screen shows it, up to twice its image; return its context in pixels of the image. */
export function fitted(canvas, size, most = 2) {
  const shown = canvas.clientWidth * (window.devicePixelRatio || 1);
  const zoom = Math.min(Math.max(shown / size[0], 1), most);
  const width = Math.round(size[0] * zoom), height = Math.round(size[1] * zoom);
  if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
  const context = canvas.getContext("2d");
  context.setTransform(canvas.width / size[0], 0, 0, canvas.height / size[1], 0, 0);
  return context;
}

/** Draw what a drawing stands on: an image, black, or nothing. */
export function ground(context, background, image, size, mirrored = false) {
  const [width, height] = size;
  if (background === "image" && image) {
    context.save();
    if (mirrored) { context.translate(width, 0); context.scale(-1, 1); }
    context.drawImage(image, 0, 0, width, height);
    context.restore();
  } else if (background === "black") {
    context.fillStyle = "#000";
    context.fillRect(0, 0, width, height);
  } else {
    context.clearRect(0, 0, width, height);
  }
}
