"""RTMDet-nano of one class, a person, on pictures of 320 x 320."""

_base_ = '../../../../demo/mmdetection_cfg/rtmdet_nano_320-8xb32_coco-person.py'
