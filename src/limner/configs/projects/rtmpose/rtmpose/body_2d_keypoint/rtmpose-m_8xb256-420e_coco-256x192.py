"""RTMPose-m, 256x192: 17 keypoints of a person (COCO)."""

_base_ = '../../../../configs/body_2d_keypoint/rtmpose/body8/rtmpose-m_8xb256-420e_body8-256x192.py'
