"""RTMPose-l, 384x288: 17 keypoints of a person (COCO)."""

_base_ = '../../../../configs/body_2d_keypoint/rtmpose/body8/rtmpose-l_8xb256-420e_body8-384x288.py'
