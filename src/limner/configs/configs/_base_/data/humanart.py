"""Human-Art: 17 keypoints of a person, also a painted one."""

dataset_type = 'HumanArtDataset'
data_mode = 'topdown'

test_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_mode=data_mode,
        metainfo=dict(from_file='configs/_base_/datasets/humanart.py')))
