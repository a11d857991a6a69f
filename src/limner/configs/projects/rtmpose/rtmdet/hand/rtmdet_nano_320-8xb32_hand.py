"""RTMDet-nano of one class, a hand."""

_base_ = '../../../../demo/mmdetection_cfg/rtmdet_nano_320-8xb32_hand.py'
