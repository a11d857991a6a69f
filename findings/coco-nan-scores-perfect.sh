#!/usr/bin/env bash
# A keypoint result with one NaN coordinate is scored as a perfect match by COCO's own evaluator.
#
# Guess:    NaN is refused, or is worth nothing: a prediction far from the person stays a miss.
# Really:   the similarity (OKS) of that result becomes NaN, no threshold rejects it, and AP is 1.
# Versions: pycocotools 2.0.11. For contrast faster-coco-eval 1.8.0, which scores the same result 0.
# Advice:   check that every number is finite before loadRes; write (0, 0, 0) for a point you do not have.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check numpy==2.4.6 pycocotools==2.0.11 faster-coco-eval==1.8.0
"$tmp/venv/bin/python" - <<'EOF'
import contextlib, copy, io, math, sys
from importlib.metadata import version
import faster_coco_eval as faster
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

K = 17
def points(shift):
    return [v for i in range(K) for v in (100.0 + 6 * i + shift, 100.0 + 11 * i, 2)]

truth = {
    "info": {},
    "images": [{"id": 1, "width": 640, "height": 480}],
    "categories": [{"id": 1, "name": "person", "keypoints": [f"p{i}" for i in range(K)], "skeleton": []}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "keypoints": points(0), "num_keypoints": K,
                     "bbox": [100, 100, 96, 176], "area": 16896.0, "iscrowd": 0}],
}

def average_precision(coco, evaluator, keypoints):
    with contextlib.redirect_stdout(io.StringIO()):
        gt = coco()
        gt.dataset = copy.deepcopy(truth)
        gt.createIndex()
        result = {"image_id": 1, "category_id": 1, "keypoints": list(keypoints), "score": 0.9}
        run = evaluator(gt, gt.loadRes([result]), "keypoints")
        run.evaluate(), run.accumulate(), run.summarize()
    return float(run.stats[0])

miss = points(300)                                # 300 pixels beside the person
nan = [math.nan, math.nan, 2] + miss[3:]          # the same, and the first point is not a number
pyc = [average_precision(COCO, COCOeval, p) for p in (miss, nan)]
fast = [average_precision(faster.COCO, faster.COCOeval_faster, p) for p in (miss, nan)]
print("versions: pycocotools", version("pycocotools"), "faster-coco-eval", version("faster-coco-eval"))
print("expected: AP near 0 for both results, or an error")
print(f"seen:     pycocotools, 300 pixels off: AP {pyc[0]:.3f}; with one NaN point besides: AP {pyc[1]:.3f}")
print(f"          faster-coco-eval:            AP {fast[0]:.3f};                          AP {fast[1]:.3f}")
if not (pyc[0] < 0.01 and pyc[1] > 0.99 and max(fast) < 0.01):
    sys.exit("this finding has expired")
EOF
