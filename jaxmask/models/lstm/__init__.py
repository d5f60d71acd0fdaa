"""The LSTM language model of the paper."""
