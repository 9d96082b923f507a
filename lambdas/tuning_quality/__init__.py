"""The functions of the fine-tuning pipelines: is the data in order, and is the model better?"""
