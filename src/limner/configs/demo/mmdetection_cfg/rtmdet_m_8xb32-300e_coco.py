"""RTMDet-m, 80 classes of COCO: MMPose's default for animals, which are classes 15 to 23."""

_base_ = '../../mmdet/rtmdet/rtmdet_m_8xb32-300e_coco.py'
