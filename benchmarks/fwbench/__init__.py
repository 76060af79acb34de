"""FW-bench: metrics of a face swap, each with its floor and its constructed case, and the legs that use them."""
