"""How an OpenVINO graph says in which precision it is to be computed: where it keeps the hint.

Source: the graph's ``rt_info``, in which OpenVINO keeps ``runtime_options`` of a model.
"""

HINT = ("runtime_options", "INFERENCE_PRECISION_HINT")
BF16 = "bf16"
