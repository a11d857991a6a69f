"""RTMDet-tiny, 80 classes of COCO."""

_base_ = '../../mmdet/rtmdet/rtmdet_tiny_8xb32-300e_coco.py'
