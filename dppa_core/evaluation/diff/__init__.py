"""Two models compared, tensor by tensor."""
