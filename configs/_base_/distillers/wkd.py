# WKD-F: Wasserstein distance of the Gaussians that the positions of a map
# form, diagonal covariances (Lv et al., NeurIPS 2024).
distiller = dict(
    type='mmtat.FeatureDistiller',
    # It compares maps of any two sizes.
    resize=False,
    student_connector=dict(type='mmtat.EmbeddingConnector', norm='batch'),
    losses=dict(loss_wkd=dict(type='mmtat.WKDLoss')),
)
