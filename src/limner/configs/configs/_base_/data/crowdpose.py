"""CrowdPose: 14 keypoints of a person."""

dataset_type = 'CrowdPoseDataset'
data_mode = 'topdown'

test_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_mode=data_mode,
        metainfo=dict(from_file='configs/_base_/datasets/crowdpose.py')))
