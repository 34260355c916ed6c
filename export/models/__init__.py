"""The recurrent models that can be trained, one a file; `weights.py` is what all of them become."""
