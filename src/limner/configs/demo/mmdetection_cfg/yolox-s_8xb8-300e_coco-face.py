"""YOLOX-s of one class, a face: MMPose's default for faces."""

_base_ = '../../mmdet/yolox/yolox_s_8xb8-300e_coco.py'

model = dict(bbox_head=dict(num_classes=1))

val_dataloader = dict(dataset=dict(metainfo=dict(classes=('face', ))))
test_dataloader = val_dataloader
