"""AP-10K: 17 keypoints of an animal."""

dataset_type = 'AP10KDataset'
data_mode = 'topdown'

test_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_mode=data_mode,
        metainfo=dict(from_file='configs/_base_/datasets/ap10k.py')))
