"""RTMPose-m, 256x256: 21 keypoints of a hand (COCO-WholeBody)."""

_base_ = [
    '../../../_base_/models/rtmpose-m.py',
    '../../../_base_/codecs/simcc-256x256.py',
    '../../../_base_/data/coco-wholebody-hand.py',
]

model = dict(head=dict(out_channels=21, input_size=(256, 256), in_featuremap_size=(8, 8), decoder={{_base_.codec}}))
test_dataloader = dict(dataset=dict(pipeline={{_base_.val_pipeline}}))
