#!/usr/bin/env bash
# Looking at a frame's side data keeps the frame, pixels and all, until Python's collector of circles comes by.
#
# Guess:    a decoded frame is freed when the last name for it goes, as other objects are.
# Really:   `frame.side_data` makes an object that refers to the frame and is stored in it. Only the collector ends such a
#           circle, and it counts objects, not bytes: a loop over large frames may hold hundreds of them.
# Versions: PyAV 18.1.0.
# Advice:   ask for side data of the first frame alone, or call gc.collect() every few large frames.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export HOME="$tmp"
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check av==18.1.0
cd "$tmp"
venv/bin/python - <<'EOF2'
import gc, sys

import av

with av.open("clip.mp4", "w") as container:
    stream = container.add_stream("mpeg4", rate=25)
    stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
    for _ in range(40):
        container.mux(stream.encode(av.VideoFrame(320, 240, "yuv420p")))
    container.mux(stream.encode(None))


def alive(look):
    """Return how many frames are left when a loop over 40 of them has ended."""
    gc.collect()
    gc.disable()
    with av.open("clip.mp4") as container:
        for frame in container.decode(video=0):
            if look:
                len(frame.side_data)
    del frame
    count = sum(isinstance(found, av.VideoFrame) for found in gc.get_objects())
    gc.enable()
    return count


untouched, looked_at = alive(False), alive(True)
print("version: PyAV", av.__version__)
print(f"expected: no frame is left; seen: {untouched} without side data, {looked_at} of 40 where it was looked at")
if not (untouched <= 2 and looked_at >= 38):
    sys.exit("this finding has expired")
EOF2
