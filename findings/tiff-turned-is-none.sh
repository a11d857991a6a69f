#!/usr/bin/env bash
# cv2.imread gives None for a sound TIFF whose orientation tag is 5, 6, 7 or 8; cv2.imdecode reads the same bytes.
#
# Guess:    imread and imdecode share their decoders, so what one reads the other reads too.
# Really:   turning a TIFF by a quarter takes another buffer, and imread, which insists on its own, gives up with
#           a line in the log. JPEG with the same tag is read upright by both.
# Versions: opencv-python-headless 4.14.0.94 and 5.0.0.93 (4.12.0 does the same).
# Advice:   read the bytes yourself and call imdecode, or use Pillow with ImageOps.exif_transpose.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
cat > check.py <<'EOF'
import sys
import cv2, numpy as np, PIL
from PIL import Image

pixels = np.zeros((20, 30, 3), np.uint8)
pixels[:10, :15] = 200
size = lambda read: "None" if read is None else f"{read.shape[1]}x{read.shape[0]}"
seen = {}
for orientation in range(1, 9):
    exif = Image.Exif()
    exif[274] = orientation
    for kind in ("tif", "jpg"):
        name = f"{orientation}.{kind}"
        Image.fromarray(pixels).save(name, exif=exif)
        seen[kind, orientation] = (size(cv2.imread(name)), size(cv2.imdecode(np.fromfile(name, np.uint8), 1)))
print("versions: opencv", cv2.__version__, "Pillow", PIL.__version__)
print("expected: orientation 1 to 4 is 30x20, 5 to 8 is 20x30, from both functions and for both formats")
holds = True
for (kind, orientation), (from_file, from_bytes) in sorted(seen.items()):
    upright = "30x20" if orientation < 5 else "20x30"
    if (from_file, from_bytes) != (upright, upright):
        print(f"seen:     {kind}, orientation {orientation}: imread {from_file}, imdecode {from_bytes}")
    gone = kind == "tif" and orientation >= 5
    holds &= (from_file, from_bytes) == ("None" if gone else upright, upright)
sys.exit(0 if holds else "this finding has expired")
EOF
for version in 4.14.0.94 5.0.0.93; do
    python3 -m venv "venv-$version"
    "venv-$version/bin/pip" install -qq --disable-pip-version-check \
        numpy==2.4.6 pillow==13.0.0 "opencv-python-headless==$version"
    OPENCV_LOG_LEVEL=SILENT "venv-$version/bin/python" check.py
done
