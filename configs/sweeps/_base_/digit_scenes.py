# What the sweeps over the demo's distillation share. They need its scenes and
# the checkpoints of its teacher and student, all made by
#   bash tools/demo.sh
config = '{{ fileDirname }}/../../demo/digit_scenes_tat.py'
data_root = 'work_dirs/demo/data_seed0'
seeds = [0, 1, 2]
metric = 'mIoU'
options = {
    'load_from': 'work_dirs/demo/digit_scenes_student/iter_1000.pth',
    'model.teacher_ckpt': 'work_dirs/demo/digit_scenes_teacher/iter_1000.pth',
    # What is chosen by a sweep must not be chosen on val.txt.
    'val_dataloader.dataset.ann_file': 'ImageSets/Segmentation/tuning.txt',
}
