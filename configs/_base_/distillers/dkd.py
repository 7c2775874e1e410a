# Decoupled KD of the target class and of the others (Zhao et al., CVPR 2022,
# Eq. 7), by mmrazor. A labelled pixel is a sample.
distiller = dict(
    type='mmtat.FeatureDistiller',
    logits=dict(type='DKDLoss', tau=4.0, alpha=1.0, beta=6.0),
)
