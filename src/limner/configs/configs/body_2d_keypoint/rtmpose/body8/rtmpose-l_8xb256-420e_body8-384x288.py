"""RTMPose-l, 384x288: 17 keypoints of a person (COCO)."""

_base_ = [
    '../../../_base_/models/rtmpose-l.py',
    '../../../_base_/codecs/simcc-384x288.py',
    '../../../_base_/data/coco.py',
]

model = dict(head=dict(out_channels=17, input_size=(288, 384), in_featuremap_size=(9, 12), decoder={{_base_.codec}}))
test_dataloader = dict(dataset=dict(pipeline={{_base_.val_pipeline}}))
