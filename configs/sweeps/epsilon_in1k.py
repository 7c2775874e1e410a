# The weight of TaT on ImageNet, as Fig. 3 of the paper: ResNet-34 ->
# ResNet-18 without KL, 0.1 CE.
#   python tools/sweep.py configs/sweeps/epsilon_in1k.py --gpus 0,1,2,3
# Each run is on one GPU: 8 batches of 256 make the step of 2048 images.
# Reported (by a secondary summary): stable from 0.05 to 0.25. The values of
# the figure's points are not known; those beside that range are ours.
config = '../imagenet/tat_resnet34_resnet18_without_kl.py'
grid = {
    'model.distiller.branches.whole.loss_weight': [
        *(0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.5),
    ],
}
seeds = [0]
metric = 'accuracy/top1'
options = {
    'model.architecture.head.loss.loss_weight': 0.1,
    'optim_wrapper.accumulative_counts': 8,
}
