#!/usr/bin/env bash
# An ordinary upgrade of PyAV or OpenCV changes the pixels of every video that is tagged BT.709 (most HD clips).
#
# Guess:    decoding to RGB obeys the clip's colour tag, in every version; at least, one file gives the same pixels.
# Really:   up to PyAV 16 and OpenCV 4.12 the tag was ignored and BT.601 assumed; the versions below obey it. The
#           red of a BT.709 clip goes from 232 to 254. Models see other input, regression tests and caches differ.
# Versions: PyAV 16.1.0 against 18.1.0; opencv-python-headless 4.12.0.88 against 4.14.0.94.
# Advice:   pin the decoder where numbers must stay, note its version beside results, and compare old with new once.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
for which in old new; do python3 -m venv $which; done
old/bin/pip install -qq --disable-pip-version-check numpy==2.2.6 av==16.1.0 opencv-python-headless==4.12.0.88
new/bin/pip install -qq --disable-pip-version-check numpy==2.2.6 av==18.1.0 opencv-python-headless==4.14.0.94
old/bin/python - <<'EOF'
import av
av.logging.set_level(av.logging.ERROR)
with av.open("red.mp4", "w") as container:
    stream = container.add_stream("libx264", rate=25)
    stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
    codec = stream.codec_context
    codec.colorspace = codec.color_primaries = codec.color_trc = 1     # BT.709
    codec.color_range = 1                                              # limited
    frame = av.VideoFrame(64, 64, "yuv420p")
    for plane, value in zip(frame.planes, (63, 102, 240)):             # pure red by BT.709's equations
        plane.update(bytes([value]) * plane.buffer_size)
    container.mux(stream.encode(frame))
    container.mux(stream.encode())
EOF
cat > check.py <<'EOF'
import sys
import av, cv2
with av.open("red.mp4") as container:
    tag = container.streams.video[0].codec_context.colorspace
    pyav = next(container.decode(video=0)).to_ndarray(format="rgb24")[32, 32].tolist()
opencv = cv2.VideoCapture("red.mp4").read()[1][32, 32, ::-1].tolist()
print("versions: av", av.__version__, "opencv", cv2.__version__)
print(f"seen:     tag {tag} (1 is BT.709), red as RGB: av {pyav}, opencv {opencv}")
red = (225, 240) if sys.argv[1] == "old" else (250, 255)
if not (tag == 1 and all(red[0] <= pixel[0] <= red[1] for pixel in (pyav, opencv))):
    sys.exit("this finding has expired")
EOF
echo "expected: about 255, 0, 0 from all of them"
old/bin/python check.py old
new/bin/python check.py new
