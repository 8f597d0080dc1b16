SIGNATURES: dict[str, tuple[str, str]]
