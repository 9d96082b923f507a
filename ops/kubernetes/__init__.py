"""What is applied to the clusters of an assembly, checked without a cluster."""
