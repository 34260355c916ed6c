"""The code that writes those files of deploy/kubernetes that repeat what stands elsewhere."""
