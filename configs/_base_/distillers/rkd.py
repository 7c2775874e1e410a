# Relational KD: distances and angles between the samples of a batch (Park et
# al., CVPR 2019), by mmrazor, on pooled features.
distiller = dict(
    type='mmtat.FeatureDistiller',
    pool=True,
    losses=dict(
        loss_distance=dict(type='DistanceWiseRKD', loss_weight=25.0),
        loss_angle=dict(type='AngleWiseRKD', loss_weight=50.0),
    ),
)
