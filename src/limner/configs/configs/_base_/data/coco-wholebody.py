"""COCO-WholeBody: 133 keypoints of body, feet, face and hands."""

dataset_type = 'CocoWholeBodyDataset'
data_mode = 'topdown'

test_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_mode=data_mode,
        metainfo=dict(from_file='configs/_base_/datasets/coco_wholebody.py')))
