"""The doctor: what is wrong with a deployment, and the command that mends it.

Rules of the room: it looks and changes nothing, on the broker or here; each check gives findings
and never raises (`examine.py` holds that); a cure is an exact command or a sentence that says what
to do. No user's key and no secret in a finding.
"""
