"""RTMPose-t, 256x256: 106 keypoints of a face (LaPa)."""

_base_ = [
    '../../../_base_/models/rtmpose-t.py',
    '../../../_base_/codecs/simcc-256x256.py',
    '../../../_base_/data/lapa.py',
]

model = dict(head=dict(out_channels=106, input_size=(256, 256), in_featuremap_size=(8, 8), decoder={{_base_.codec}}))
test_dataloader = dict(dataset=dict(pipeline={{_base_.val_pipeline}}))
