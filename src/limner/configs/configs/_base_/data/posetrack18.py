"""PoseTrack18: 17 keypoints of a person."""

dataset_type = 'PoseTrack18Dataset'
data_mode = 'topdown'

test_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_mode=data_mode,
        metainfo=dict(from_file='configs/_base_/datasets/posetrack18.py')))
