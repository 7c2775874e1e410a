# Similarity-preserving KD: which samples of a batch are similar (Tung and
# Mori, ICCV 2019).
distiller = dict(
    type='mmtat.FeatureDistiller',
    # It compares maps of any two sizes.
    resize=False,
    losses=dict(loss_sp=dict(type='mmtat.SPLoss')),
)
