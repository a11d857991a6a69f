#!/usr/bin/env bash
# A model quantised with quantize_dynamic gives a person other points when somebody else is in the same batch.
#
# Guess:    the rows of a batch do not influence one another, with int8 no more than with float32.
# Really:   the scale of the activations is taken from the whole batch at run time: one row of large values makes the
#           steps coarser for all. The result of a row depends on its neighbours. Static quantisation has fixed scales.
# Versions: onnxruntime 1.32.0, onnx 1.23.2.
# Advice:   use quantize_static for models that run on batches of people, or keep to batches of one.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0
cd "$tmp"
ORT_DISABLE_TELEMETRY=1 "$tmp/venv/bin/python" - <<'EOF'
import logging, sys
import numpy as np, onnx, onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_dynamic, quantize_static

logging.disable(logging.WARNING)
rng = np.random.default_rng(0)
weights = {"w1": rng.normal(0, 0.1, (64, 128)), "w2": rng.normal(0, 0.1, (128, 34))}     # 64 features to 17 points
nodes = [("MatMul", ["x", "w1"], ["a"]), ("Relu", ["a"], ["b"]), ("MatMul", ["b", "w2"], ["y"])]
graph = helper.make_graph(
    [helper.make_node(*node) for node in nodes], "head",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 64])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 34])],
    [numpy_helper.from_array(w.astype(np.float32), name) for name, w in weights.items()],
)
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), "float32.onnx")
person = rng.normal(0, 1, (1, 64)).astype(np.float32)
neighbour = 5 * rng.normal(0, 1, (1, 64)).astype(np.float32)

class Calibration(CalibrationDataReader):
    rows = [{"x": person}, {"x": neighbour}]
    def get_next(self):
        return self.rows.pop() if self.rows else None

quantize_dynamic("float32.onnx", "dynamic.onnx", weight_type=QuantType.QInt8)
quantize_static("float32.onnx", "static.onnx", Calibration())
moved = {}
for name in ("float32", "static", "dynamic"):
    session = ort.InferenceSession(f"{name}.onnx", providers=["CPUExecutionProvider"])
    alone = session.run(None, {"x": person})[0][0]
    together = session.run(None, {"x": np.concatenate([person, neighbour])})[0][0]
    moved[name] = float(np.abs(together - alone).max() / np.abs(alone).max())
print("versions: onnxruntime", ort.__version__, "onnx", onnx.__version__)
print("expected: the same row gives the same result, alone and beside another row")
for name, share in moved.items():
    print(f"seen:     {name}: moved by {share:.2%} of the largest value")
if not (moved["float32"] < 1e-5 and moved["static"] < 1e-5 and moved["dynamic"] > 0.005):
    sys.exit("this finding has expired")
EOF
