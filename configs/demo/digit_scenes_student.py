# The student alone: half the teacher's width, labels on 100 scenes.
#   python tools/train.py configs/demo/digit_scenes_student.py
_base_ = './digit_scenes_teacher.py'
model = dict(
    backbone=dict(stem_channels=8, base_channels=8),
    decode_head=dict(
        in_channels=32, channels=32, c1_in_channels=8, c1_channels=8
    ),
)
train_dataloader = dict(
    dataset=dict(ann_file='ImageSets/Segmentation/labelled.txt')
)
