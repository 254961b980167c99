"""PyTorch: facts that need no import of it."""

from assay.frameworks.base import Framework, Target

FRAMEWORK = Framework(
    name="pytorch",
    title="PyTorch",
    extra="pytorch",
    distributions=("torch",),
    targets=(
        Target(
            "pytorch",
            None,
            ("eager", "compile"),
            ("torch", "safetensors"),
            compile_cache={"TORCHINDUCTOR_CACHE_DIR": "{folder}"},
        ),
    ),
    channels_last=False,
    brings=("torch.nn.modules.module.Module", "torch.export.exported_program.ExportedProgram"),
    files=(".pt2",),
    trains=("torch",),
)
