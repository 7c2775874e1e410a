# FitNet: squared error to the teacher's feature behind a trained regressor
# (Romero et al., ICLR 2015), by mmrazor's L2Loss as a mean.
distiller = dict(
    type='mmtat.FeatureDistiller',
    student_connector=dict(type='mmtat.EmbeddingConnector', norm='batch'),
    losses=dict(
        loss_l2=dict(type='L2Loss', normalize=False, div_element=True)
    ),
)
