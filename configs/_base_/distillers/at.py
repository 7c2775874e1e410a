# Attention transfer, the map of squared activations (Zagoruyko and Komodakis,
# ICLR 2017), by mmrazor.
distiller = dict(
    type='mmtat.FeatureDistiller',
    losses=dict(loss_at=dict(type='ATLoss')),
)
