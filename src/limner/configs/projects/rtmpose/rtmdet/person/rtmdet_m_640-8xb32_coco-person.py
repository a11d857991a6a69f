"""RTMDet-m of one class, a person."""

_base_ = '../../../../demo/mmdetection_cfg/rtmdet_m_640-8xb32_coco-person.py'
