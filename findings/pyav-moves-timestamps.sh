#!/usr/bin/env bash
# PyAV moves the timestamps of a variable-rate video to a fixed grid, although every frame carries its own time base.
#
# Guess:    frame.pts with frame.time_base (1 ms), or stream.time_base, says when a frame is to be shown.
# Really:   add_stream gives the encoder a time base of 1/rate, and each time is rounded to it before encoding: at
#           30 frames a second by up to 17 ms. Two frames that round to the same tick are an error.
#           Only stream.codec_context.time_base keeps the times.
# Versions: PyAV 18.1.0, H.264 in mp4 and in mkv.
# Advice:   set stream.codec_context.time_base before the first frame is encoded; read the times back once.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check numpy==2.4.6 av==18.1.0
cd "$tmp"
"$tmp/venv/bin/python" - <<'EOF'
import sys
from fractions import Fraction
import av, numpy as np

av.logging.set_level(av.logging.ERROR)
MS, TIMES = Fraction(1, 1000), [0, 40, 85, 160, 195, 360]      # milliseconds, as a phone might take them

def write_and_read(name, setting):
    with av.open(name, "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        if setting == "stream":
            stream.time_base = MS
        if setting == "codec_context":
            stream.codec_context.time_base = MS
        for time in TIMES:
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), time // 2, np.uint8), format="rgb24")
            frame.pts, frame.time_base = time, MS
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with av.open(name) as container:
        return [round(frame.pts * frame.time_base * 1000) for frame in container.decode(video=0)]

print("versions: av", av.__version__)
print("expected:", TIMES, "ms, however the time base is given")
holds = True
for ending in ("mp4", "mkv"):
    for setting in ("frames alone", "stream", "codec_context"):
        seen = write_and_read(f"clip.{ending}", setting)
        print(f"seen:     {seen} ms ({ending}, time base of the frames"
              + (")" if setting == "frames alone" else f" and of {setting})"))
        holds &= (seen == TIMES) == (setting == "codec_context")
sys.exit(0 if holds else "this finding has expired")
EOF
