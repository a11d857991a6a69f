#!/usr/bin/env bash
# ezc3d writes a recording of more than 65,535 frames whole, without a word, and reads only 65,535 of them back.
#
# Guess:    the frame count of the C3D header has 16 bits, so a longer recording raises, or the usual
#           TRIAL:ACTUAL_END_FIELD parameter carries the true count.
# Really:   all frames are in the file, but header and POINT:FRAMES say 65,535, and the reader stops there, even
#           when we add TRIAL:ACTUAL_START_FIELD and ACTUAL_END_FIELD ourselves. 65,535 frames are 36 minutes at
#           30 frames a second and 9 at 120.
# Versions: ezc3d 1.7.2.
# Advice:   split longer recordings into several files, and compare the frame count after reading.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check numpy==2.4.6 ezc3d==1.7.2
cd "$tmp"
"$tmp/venv/bin/python" - <<'EOF'
import sys
from importlib.metadata import version
import ezc3d, numpy as np

N, LIMIT = 70_000, 65_535

def read_back(end_field):
    marker = np.ones((4, 1, N))
    marker[0, 0] = np.arange(N)                   # x is the number of the frame
    file = ezc3d.c3d()
    file["parameters"]["POINT"]["RATE"]["value"] = [30.0]
    file["parameters"]["POINT"]["LABELS"]["value"] = ["nose"]
    file["data"]["points"] = marker
    if end_field:                                 # low and high word, as long recordings declare them
        file.add_parameter("TRIAL", "ACTUAL_START_FIELD", [1, 0])
        file.add_parameter("TRIAL", "ACTUAL_END_FIELD", [N & 0xFFFF, N >> 16])
    file.write("long.c3d")
    last = np.array([N - 1, 1, 1], "<f4").tobytes() in open("long.c3d", "rb").read()
    return ezc3d.c3d("long.c3d")["data"]["points"], last

plain, last = read_back(False)
declared, _ = read_back(True)
print("versions: ezc3d", version("ezc3d"), "numpy", np.__version__)
print(f"expected: an error on writing, or {N} frames back")
print(f"seen:     {plain.shape[2]} frames back, the last with x = {plain[0, 0, -1]:.0f}; with TRIAL's end field: "
      f"{declared.shape[2]}; frame {N - 1} is in the file: {last}")
if not (plain.shape[2] == declared.shape[2] == LIMIT and last):
    sys.exit("this finding has expired")
EOF
