#!/usr/bin/env bash
# A video that its display matrix mirrors is reported by PyAV, and shown by OpenCV, as turned or as untouched.
#
# Guess:    PyAV's frame.rotation, or OpenCV's automatic turning, is all one needs to see a clip the right way up.
# Really:   the matrix can mirror as well, and one angle cannot say so. Mirrored left to right reads as -180, the
#           same as upside down; mirrored top to bottom reads as 0, the same as untouched. OpenCV follows the angle:
#           the first clip comes out turned by 180 degrees, the second as it is stored.
# Versions: PyAV 18.1.0, OpenCV 4.14.0 (headless wheel 4.14.0.94).
# Advice:   read the nine numbers of the frame's DISPLAYMATRIX side data; a negative determinant means mirrored.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check \
    numpy==2.4.6 av==18.1.0 opencv-python-headless==4.14.0.94
cd "$tmp"
"$tmp/venv/bin/python" - <<'EOF'
import struct, sys
import av, cv2, numpy as np

W, H, ONE = 96, 64, 1 << 16
MATRIX = {  # a, b, c, d of the 2 x 2 part, then the shift: what the mp4 track header holds
    "untouched": (1, 0, 0, 1, 0, 0), "mirrored left to right": (-1, 0, 0, 1, W, 0),
    "mirrored top to bottom": (1, 0, 0, -1, 0, H), "turned by 180": (-1, 0, 0, -1, W, H),
}
CORNERS = {"top left": (8, 8), "top right": (8, -8), "bottom left": (-8, 8), "bottom right": (-8, -8)}

def look(name, matrix):
    with av.open("clip.mp4", "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = W, H, "yuv420p"
        image = np.zeros((H, W, 3), np.uint8)
        image[:H // 2, :W // 2] = 255           # white in the top left quarter
        container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    data = bytearray(open("clip.mp4", "rb").read())
    a, b, c, d, x, y = (ONE * v for v in matrix)
    struct.pack_into(">9i", data, data.index(b"tkhd") + 44, a, b, 0, c, d, 0, x, y, 1 << 30)
    open("clip.mp4", "wb").write(data)
    with av.open("clip.mp4") as container:
        frame = next(container.decode(video=0))
    matrices = [np.frombuffer(bytes(s), "<i4") for s in frame.side_data if s.type.name == "DISPLAYMATRIX"]
    mirrored = any(int(m[0]) * int(m[4]) - int(m[1]) * int(m[3]) < 0 for m in matrices)
    shown = cv2.VideoCapture("clip.mp4").read()[1]
    return frame.rotation, mirrored, [k for k, at in CORNERS.items() if shown[at].mean() > 128]

seen = {name: look(name, matrix) for name, matrix in MATRIX.items()}
print("versions: av", av.__version__, "opencv", cv2.__version__)
print("expected: four clips, four answers; white at the top right, once mirrored left to right")
for name, (rotation, mirrored, white) in seen.items():
    print(f"seen:     {name}: rotation {rotation}, OpenCV shows white {' and '.join(white)}; nine numbers: "
          + ("mirrored" if mirrored else "not mirrored"))
if seen != {
    "untouched": (0, False, ["top left"]), "mirrored left to right": (-180, True, ["bottom right"]),
    "mirrored top to bottom": (0, True, ["top left"]), "turned by 180": (-180, False, ["bottom right"]),
}:
    sys.exit("this finding has expired")
EOF
