#!/usr/bin/env bash
# Two animals in two NWB files, the second seen from 5 s on: movement puts both at time 0 and aligns them wrongly.
#
# Guess:    a pose series with a rate and a starting time begins at its starting time.
# Really:   the starting time is read by pynwb and dropped by movement, so joining the files of one recording shifts
#           whoever came in later to the beginning, without a warning.
# Versions: movement 0.15.0, pynwb 4.2.0, ndx-pose 0.4.0.
# Advice:   let every animal's series begin at the first frame of the recording, with NaN where it is not seen.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export HOME="$tmp"
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check movement==0.15.0 pynwb==4.2.0 ndx-pose==0.4.0
cd "$tmp"
venv/bin/python -W ignore - <<'EOF'
import datetime, logging, sys
from importlib.metadata import version
import numpy as np
import xarray as xr

import ndx_pose
import pynwb
from movement.io import load_poses

logging.disable(logging.CRITICAL)
RATE = 10.0

def write(name, start):
    file = pynwb.NWBFile(name, name, datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc))
    file.subject = pynwb.file.Subject(subject_id=name, species="Mus musculus")
    skeleton = ndx_pose.Skeleton(name="one", nodes=["nose"], subject=file.subject)
    data = np.full((20, 2), start)
    series = ndx_pose.PoseEstimationSeries(
        name="nose", description="", data=data, unit="pixels", reference_frame="top left", rate=RATE,
        starting_time=start, confidence=np.ones(20), confidence_definition="")
    video = pynwb.image.ImageSeries(name="video", format="external", external_file=["v.mp4"], dimension=[640, 480],
                                    rate=RATE, starting_frame=[0], num_samples=200)
    file.add_acquisition(video)
    poses = ndx_pose.PoseEstimation(
        name="PoseEstimation", pose_estimation_series=[series], description="", source_software="none",
        skeleton=skeleton, source_video=video)
    module = file.create_processing_module("behavior", "poses")
    module.add(ndx_pose.Skeletons(skeletons=[skeleton]))
    module.add(poses)
    with pynwb.NWBHDF5IO(f"{name}.nwb", "w") as io:
        io.write(file)

write("early", 0.0)
write("late", 5.0)
with pynwb.NWBHDF5IO("late.nwb", "r") as io:
    stored = io.read().processing["behavior"]["PoseEstimation"]["nose"].starting_time
late = load_poses.from_nwb_file("late.nwb")
both = xr.merge([load_poses.from_nwb_file("early.nwb"), late])
print("versions: movement", version("movement"), "pynwb", version("pynwb"), "ndx-pose", version("ndx-pose"))
print(f"expected: the second animal's first frame at {stored:g} s, as pynwb reads the file; 70 frames together")
print(f"seen:     at {float(late.time[0]):g} s; {both.sizes['time']} frames together")
if not (stored == 5.0 and float(late.time[0]) == 0.0 and both.sizes["time"] == 20):
    sys.exit("this finding has expired")
EOF
