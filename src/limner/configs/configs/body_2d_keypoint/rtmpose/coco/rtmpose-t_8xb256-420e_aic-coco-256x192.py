"""RTMPose-t, 256x192: 17 keypoints of a person (COCO)."""

_base_ = [
    '../../../_base_/models/rtmpose-t.py',
    '../../../_base_/codecs/simcc-256x192.py',
    '../../../_base_/data/coco.py',
]

model = dict(head=dict(out_channels=17, input_size=(192, 256), in_featuremap_size=(6, 8), decoder={{_base_.codec}}))
test_dataloader = dict(dataset=dict(pipeline={{_base_.val_pipeline}}))
