# Who looks at whom on ImageNet: 'released' (the student over the teacher's
# positions) against 'paper' (the teacher over the student's); ResNet-34 ->
# ResNet-18 with KL.
#   python tools/sweep.py configs/sweeps/formulation_in1k.py --gpus 0,1
# Each run is on one GPU: 8 batches of 256 make the step of 2048 images. The
# key is the identity in 'released' only: in 'paper' it is the student's, and
# the query the teacher's; the identity stays with the teacher's map.
config = '../tat_resnet34_resnet18_in1k.py'
_conv = dict(_delete_=True, kernel_size=3, norm='batch')
grid = {
    'formulation': {
        'released': {'model.distiller.formulation': 'released'},
        'paper': {
            'model.distiller.formulation': 'paper',
            'model.distiller.query': None,
            'model.distiller.key': _conv,
        },
    }
}
seeds = [0]
metric = 'accuracy/top1'
options = {'optim_wrapper.accumulative_counts': 8}
