"""vowels-rnn in PyTorch."""

from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor, nn


class LSTM(nn.LSTM):
    """An LSTM with one bias per gate: torch's second one is zero and is not trained."""

    def __init__(self, *args: int, **kwargs: bool) -> None:
        super().__init__(*args, **kwargs)
        for name, parameter in self.named_parameters():
            if name.startswith("bias_hh"):
                nn.init.zeros_(parameter)
                parameter.requires_grad_(False)


class VowelsRNN(nn.Module):
    """vowels-rnn: frames (batch, 29, 12) → (batch, 9)."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = LSTM(12, 64, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(0.2)
        self.output = nn.Linear(128, 9)

    def forward(self, frames: Tensor) -> Tensor:
        _, state = self.lstm(frames)
        x = self.dropout(state[0].transpose(0, 1).flatten(1))  # (batch, 128)
        return self.output(x)  # (batch, 9)


WEIGHTS = Path(__file__).with_name("weights.safetensors")


def load(weights: str | Path = WEIGHTS) -> VowelsRNN:
    """The model with the weights of a safetensors file, in evaluation mode."""
    model = VowelsRNN()
    model.load_state_dict(load_file(weights))
    return model.eval()
