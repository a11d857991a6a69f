#!/usr/bin/env bash
# Two recordings of MPEG-TS joined byte for byte, the second with an earlier clock: FFmpeg's demuxer jumps a day ahead.
#
# Guess:    where the clock of a transport stream is set back, its times step back, by however much.
# Really:   up to some 60 s before the first time of the file they do. An earlier clock is taken for a counter of 33
#           bits that has run over, and 2^33/90000 = 95,443.7 s are added: four seconds last 26.5 hours.
# Versions: PyAV 18.1.0 with libavformat 62.
# Advice:   in joined recordings trust steps between neighbours alone, and take a leap of 95,443.7 s less the true step
#           for a clock that was set back.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export HOME="$tmp"
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check av==18.1.0 numpy==2.4.6
cd "$tmp"
venv/bin/python - <<'EOF2'
import io, sys
from fractions import Fraction

import av
import numpy as np

RATE, FRAMES, FIRST = 25, 50, 400  # two seconds from second 400 on


def recording(start):
    file = io.BytesIO()
    with av.open(file, "w", format="mpegts") as container:
        stream = container.add_stream("mpeg2video", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for i in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 4 * i, np.uint8))
            frame.pts, frame.time_base = start * RATE + i, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file.getvalue()


def second_part(back):
    """Return how many packets there are, and the time of the first of the second recording."""
    data = recording(FIRST) + recording(FIRST - back)
    with av.open(io.BytesIO(data), format="mpegts") as container:
        times = [float(p.pts * p.time_base) for p in container.demux(video=0) if p.pts is not None]
    return len(times), times[FRAMES]


print("versions: PyAV", av.__version__, "libavformat", ".".join(map(str, av.library_versions["libavformat"])))
found = {}
for back in (30, 300):
    count, found[back] = second_part(back)
    print(f"clock set back by {back} s, {count} frames: expected {FIRST - back} s, seen {found[back]:.1f} s")
wrap = 2**33 / 90000
if not (abs(found[30] - (FIRST - 30)) < 0.1 and abs(found[300] - (FIRST - 300 + wrap)) < 0.1):
    sys.exit("this finding has expired")
EOF2
