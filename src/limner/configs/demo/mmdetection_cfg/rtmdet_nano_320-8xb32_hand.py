"""RTMDet-nano of one class, a hand: MMPose's default for hands."""

_base_ = './rtmdet_nano_320-8xb32_coco-person.py'

val_dataloader = dict(dataset=dict(metainfo=dict(classes=('hand', ))))
test_dataloader = val_dataloader
