"""Images whose factors of variation are known: drawn here, or read from well-known files.

`registry.open_factor_data` opens one by name or path; `space` says what it then offers.
"""
