"""How the shipped judge is made and measured: labelled pairs -> training -> int8 ONNX -> figures on people it never saw."""
