"""A recurrent network that predicts the next character of a text."""

from torch import Tensor, nn


class TextGRU(nn.Module):
    """Logits of the next symbol, (n, symbols, length), from symbols (n, length): embedding, one GRU layer, readout.

    An embedding has a quarter of the state's numbers, as in the RigL paper (128 and 512; its readout has more layers).
    """

    def __init__(self, hidden: int, symbols: int):
        super().__init__()
        self.embedding = nn.Embedding(symbols, hidden // 4)
        self.gru = nn.GRU(hidden // 4, hidden, batch_first=True)
        self.readout = nn.Linear(hidden, symbols)

    def forward(self, x: Tensor) -> Tensor:
        return self.readout(self.gru(self.embedding(x))[0]).transpose(1, 2)
