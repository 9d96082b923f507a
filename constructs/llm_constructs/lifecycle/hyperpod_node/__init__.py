"""What makes a machine of HyperPod a node of our cluster, or fails it.

Runs as root on the node with the Python of the image (3.9 on Amazon Linux 2023, 3.10 on Ubuntu
22.04) and nothing but the standard library.
"""
