# The key of TaT on ImageNet: the teacher's map itself, as released, or a
# convolution and norm of it; ResNet-34 -> ResNet-18 with KL.
#   python tools/sweep.py configs/sweeps/key_in1k.py --gpus 0,1,2
# Each run is on one GPU: 8 batches of 256 make the step of 2048 images.
config = '../tat_resnet34_resnet18_in1k.py'
grid = {
    'key': {
        'identity': {'model.distiller.key': None},
        **{
            f'{size}x{size}': {
                'model.distiller.key': dict(
                    _delete_=True, kernel_size=size, norm='batch'
                )
            }
            for size in (1, 3)
        },
    }
}
seeds = [0]
metric = 'accuracy/top1'
options = {'optim_wrapper.accumulative_counts': 8}
