# The student alone with labels on a tenth of the training scenes: 200.
#   python tools/train.py configs/digit_scenes/scenes_student_few.py
_base_ = './scenes_student.py'
train_dataloader = dict(
    dataset=dict(ann_file='ImageSets/Segmentation/labelled.txt')
)
