"""Whether the scaling of a model server keeps up with a load, before anything is deployed."""
