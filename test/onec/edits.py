class Edits:
    def __init__(self, base, ledger):
        self.base, self.ledger = base, ledger
