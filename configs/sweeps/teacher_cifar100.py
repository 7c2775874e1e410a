# The size of the teacher of ResNet-20 on CIFAR-100, from the student's own to
# RepDistiller's largest.
#   python tools/train.py configs/cifar100/resnet20.py  # each teacher first:
#   ...                                                 # resnet32, 56, 110
#   python tools/sweep.py configs/sweeps/teacher_cifar100.py --gpus 0
config = '../cifar100/tat_resnet56_resnet20.py'
grid = {
    'teacher depth': {
        depth: {
            'model.teacher': '{{ fileDirname }}/../cifar100/'
            f'resnet{depth}.py',
            'model.teacher_ckpt': f'work_dirs/resnet{depth}/epoch_240.pth',
        }
        for depth in (20, 32, 56, 110)
    }
}
seeds = [0, 1, 2]
metric = 'accuracy/top1'
