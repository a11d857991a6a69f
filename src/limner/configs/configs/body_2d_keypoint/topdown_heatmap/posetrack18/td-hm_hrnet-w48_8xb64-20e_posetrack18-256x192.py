"""HRNet-W48, 256x192: 17 keypoints of a person (PoseTrack18)."""

_base_ = [
    '../../../_base_/models/hrnet-w48.py',
    '../../../_base_/codecs/msra-256x192.py',
    '../../../_base_/data/posetrack18.py',
]

model = dict(head=dict(out_channels=17, decoder={{_base_.codec}}))
test_dataloader = dict(dataset=dict(pipeline={{_base_.val_pipeline}}))
