#!/usr/bin/env bash
# OpenVINO takes float pixels for a uint8 input and wraps them modulo 256: a bright spot of 256 becomes black.
#
# Guess:    an array of the wrong type raises, or is rounded and clipped to 0..255.
# Really:   it is cast without a word: fractions are dropped, 256 becomes 0, 260 becomes 4, -1 becomes 255. Pictures
#           enlarged with a cubic or Lanczos filter in float overshoot just so; an image in 0..1 turns black.
# Versions: openvino 2026.4.1, CPU device of an x86-64, an input made uint8 with PrePostProcessor. (Other processors
#           may turn a float below 0 or above 255 into another number; int32 wraps everywhere.)
# Advice:   compare array.dtype with the input's type before each call; clip and round before you cast.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check numpy==2.4.6 openvino==2026.4.1
"$tmp/venv/bin/python" - <<'EOF'
import sys, warnings
sys.modules["openvino_telemetry"] = None          # OpenVINO runs without it, and sends nothing
import numpy as np, openvino as ov
from openvino import opset13
from openvino.preprocess import PrePostProcessor

warnings.simplefilter("error")                    # a warning would be a word
pixels = opset13.parameter([1, 6], ov.Type.f32, name="pixels")
model = ov.Model([opset13.multiply(pixels, opset13.constant(np.float32([1])))], [pixels], "identity")
steps = PrePostProcessor(model)
steps.input().tensor().set_element_type(ov.Type.u8)
steps.input().preprocess().convert_element_type(ov.Type.f32)
compiled = ov.Core().compile_model(steps.build(), "CPU")

clipped = [0, 1, 255, 255, 255, 255]
given = [-1, 0.9, 254.6, 255, 256, 260]
print("versions: openvino", ov.__version__, "numpy", np.__version__)
print("expected: an error, or", clipped, "for", given)
seen = {kind: compiled(np.array([given], kind))[0][0].tolist() for kind in ("float32", "int32")}
for kind, values in seen.items():
    print(f"seen:     from {kind}:", values)
if seen["float32"] == clipped or seen["int32"] != [255, 0, 254, 255, 0, 4]:
    sys.exit("this finding has expired")
EOF
